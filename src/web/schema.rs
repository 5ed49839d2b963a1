//! JSON and protobuf of the calls, by the descriptors of the contract.
//!
//! It follows the JSON mapping of proto3: names in camel case (those of the proto are understood
//! too), 64-bit numbers as strings, enum values by their names. A field that a request doesn't have
//! is refused: if a misspelt `livenessPolicy` were ignored, a match would run without the policy
//! that its caller wanted.

use std::sync::LazyLock;

use bytes::Bytes;
use prost_reflect::{
    DescriptorPool, DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, SerializeOptions,
    Value,
};
use serde_json::{Deserializer, Map, Serializer};
use serde_path_to_error::Track;
use tonic::{Code, Status};

use crate::{grpc::field_invalid, pb};

/// The service whose calls are made.
const SERVICE: &str = "facematch.v1.FaceMatch";
/// How serde's errors name a field that a message doesn't have.
const UNKNOWN_FIELD: &str = "unrecognized field name '";
/// A field of a request without a place in it.
const WHOLE: &str = "request";

/// The contract.
static CONTRACT: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect("the build generates valid descriptors")
});

/// The types of error details.
static DETAILS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let set = tonic_types::pb::FILE_DESCRIPTOR_SET;
    DescriptorPool::decode(set).expect("the crate has valid descriptors")
});

/// A method of the service.
#[derive(Clone, Debug)]
pub struct JsonMethod(MethodDescriptor);

/// From where a stream goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastEventId(pub String);

impl JsonMethod {
    /// The method of a name; `None` if there is none.
    pub fn find(name: &str) -> Option<Self> {
        let service = CONTRACT.get_service_by_name(SERVICE)?;
        service.methods().find(|method| method.name() == name).map(Self)
    }

    /// Whether it streams updates.
    pub fn is_stream(&self) -> bool {
        self.0.is_server_streaming()
    }

    /// Whether it only watches, so that a page may ask for its stream by GET.
    pub fn is_watch(&self) -> bool {
        matches!(self.0.name(), "WatchMatch" | "WatchMatches")
    }

    /// Whether its stream resumes by token.
    pub fn has_tokens(&self) -> bool {
        self.0.name() == "WatchMatches"
    }

    /// A request in protobuf. `without_content` says that the content of its photo was taken out of
    /// the text. A stream goes on after the last event that its reader has seen.
    ///
    /// # Errors
    /// FIELD_INVALID, with the place of what is wrong. The error never repeats a value.
    pub fn request(
        &self,
        text: &[u8],
        without_content: bool,
        last: Option<&LastEventId>,
    ) -> Result<Vec<u8>, Status> {
        let mut request = parse(self.0.input(), text)?;
        if without_content
            && let Some(Value::Message(photo)) = request.get_field_by_name_mut("photo")
        {
            photo.clear_field_by_name("content");
        }
        if let Some(LastEventId(last)) = last {
            self.resume(&mut request, last)?;
        }
        Ok(prost::Message::encode_to_vec(&request))
    }

    fn resume(&self, request: &mut DynamicMessage, last: &str) -> Result<(), Status> {
        if self.has_tokens() {
            request.set_field_by_name("resume_token", Value::String(last.to_owned()));
        } else if self.is_watch() {
            let sequence = last.parse().map_err(|_| {
                field_invalid("last-event-id", "is not the id of an event of this stream")
            })?;
            request.set_field_by_name("after_sequence", Value::U64(sequence));
        }
        Ok(())
    }

    /// The JSON of a request whose fields are the parameters of a URL. The keys of a map follow its
    /// name in brackets.
    pub fn parameters(&self, parameters: impl Iterator<Item = (String, String)>) -> String {
        let (mut request, descriptor) = (Map::new(), self.0.input());
        for (name, text) in parameters {
            let (field, key) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
                Some((field, key)) => (field, Some(key)),
                None => (name.as_str(), None),
            };
            let found = descriptor.get_field_by_json_name(field);
            let found = found.or_else(|| descriptor.get_field_by_name(field));
            let is_bool = found.is_some_and(|field| matches!(field.kind(), Kind::Bool));
            let value = match (is_bool, text.as_str()) {
                (true, "true") => true.into(),
                (true, "false") => false.into(),
                _ => serde_json::Value::from(text),
            };
            match key {
                None => drop(request.insert(field.to_owned(), value)),
                Some(key) => {
                    let map = request.entry(field).or_insert_with(|| Map::new().into());
                    if let Some(map) = map.as_object_mut() {
                        map.insert(key.to_owned(), value);
                    }
                }
            }
        }
        serde_json::Value::from(request).to_string()
    }

    /// The JSON of a message of the answer.
    ///
    /// # Errors
    /// If it isn't one, which is a bug.
    pub fn answer(&self, message: Bytes) -> Result<DynamicMessage, Status> {
        DynamicMessage::decode(self.0.output(), message)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

/// The JSON of a message, in one line.
pub fn json(message: &DynamicMessage) -> String {
    let mut text = Vec::new();
    let written = message
        .serialize_with_options(&mut Serializer::new(&mut text), &SerializeOptions::default());
    // A message that was decoded can be written: times and durations are ours.
    written.map_or_else(|_| "{}".to_owned(), |()| String::from_utf8(text).unwrap_or_default())
}

/// The JSON of a detail of an error, by the name of its type; `None` for an unknown type.
pub fn detail(name: &str, message: &[u8]) -> Option<String> {
    let descriptor = DETAILS.get_message_by_name(name)?;
    DynamicMessage::decode(descriptor, message).ok().map(|detail| json(&detail))
}

fn parse(descriptor: MessageDescriptor, text: &[u8]) -> Result<DynamicMessage, Status> {
    let (mut json, mut track) = (Deserializer::from_slice(text), Track::new());
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let parsed = DynamicMessage::deserialize(descriptor, tracked);
    let parsed = parsed.and_then(|message| json.end().map(|()| message));
    parsed.map_err(|error| refusal(&error, &track.path().to_string()))
}

fn refusal(error: &serde_json::Error, path: &str) -> Status {
    let place = format!("line {}, column {}", error.line(), error.column());
    let path = if matches!(path, "" | ".") { None } else { Some(path) };
    if !error.is_data() {
        return field_invalid(WHOLE, &format!("is not JSON: {place}"));
    }
    let said = error.to_string();
    let unknown = said.strip_prefix(UNKNOWN_FIELD).and_then(|said| said.split_once('\''));
    match (unknown, path) {
        // The path of an unknown field may end with it.
        (Some((name, _)), Some(path)) if path != name && !path.ends_with(&format!(".{name}")) => {
            field_invalid(&format!("{path}.{name}"), "is not a field of this request")
        }
        (Some((name, _)), path) => {
            field_invalid(path.unwrap_or(name), "is not a field of this request")
        }
        (None, path) => {
            field_invalid(path.unwrap_or(WHOLE), &format!("has another type or form: {place}"))
        }
    }
}

/// The code of a status as Connect names it, and its HTTP status.
pub const fn connect_code(code: Code) -> (&'static str, u16) {
    match code {
        Code::Ok => ("ok", 200),
        Code::Cancelled => ("canceled", 499),
        Code::Unknown => ("unknown", 500),
        Code::InvalidArgument => ("invalid_argument", 400),
        Code::DeadlineExceeded => ("deadline_exceeded", 504),
        Code::NotFound => ("not_found", 404),
        Code::AlreadyExists => ("already_exists", 409),
        Code::PermissionDenied => ("permission_denied", 403),
        Code::ResourceExhausted => ("resource_exhausted", 429),
        Code::FailedPrecondition => ("failed_precondition", 400),
        Code::Aborted => ("aborted", 409),
        Code::OutOfRange => ("out_of_range", 400),
        Code::Unimplemented => ("unimplemented", 501),
        Code::Internal => ("internal", 500),
        Code::Unavailable => ("unavailable", 503),
        Code::DataLoss => ("data_loss", 500),
        Code::Unauthenticated => ("unauthenticated", 401),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tonic_types::StatusExt;

    use super::*;
    use crate::pb::{
        ListMatchesRequest, MatchRequest, ReferencePhoto, WatchMatchRequest, WatchMatchesRequest,
        reference_photo::Source, watch_match_request::Id,
    };

    fn method(name: &str) -> JsonMethod {
        JsonMethod::find(name).unwrap()
    }

    fn request<M: Message + Default>(name: &str, text: &str) -> M {
        let bytes = method(name).request(text.as_bytes(), false, None).unwrap();
        M::decode(&*bytes).unwrap()
    }

    fn refused(name: &str, text: &str) -> String {
        let status = method(name).request(text.as_bytes(), false, None).unwrap_err();
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "FIELD_INVALID");
        let fields = &details.bad_request().unwrap().field_violations;
        assert!(!status.message().contains("secret"), "{status:?}");
        format!("{} {}", fields[0].field, fields[0].description)
    }

    #[test]
    fn every_field_of_a_request_has_both_of_its_names() {
        let wanted = MatchRequest {
            request_id: "order 17".into(),
            folder_id: "f".into(),
            photo: Some(ReferencePhoto {
                source: Some(Source::ReferenceKey("k".into())),
                kind: 2,
                file_name: "n".into(),
            }),
            timeout: Some(prost_types::Duration { seconds: 90, nanos: 500_000_000 }),
            liveness_media_ids: vec!["m".into()],
            liveness_policy: 2,
            labels: [("branch".into(), "riga".into())].into(),
            include_progress: true,
        };
        let camel = r#"{"requestId":"order 17","folderId":"f","photo":{"referenceKey":"k",
            "kind":"PHOTO_KIND_ID_FRONT","fileName":"n"},"timeout":"90.5s",
            "livenessMediaIds":["m"],"livenessPolicy":"LIVENESS_POLICY_REQUIRE",
            "labels":{"branch":"riga"},"includeProgress":true}"#;
        let snake = r#"{"request_id":"order 17","folder_id":"f","photo":{"reference_key":"k",
            "kind":2,"file_name":"n"},"timeout":"90.500s","liveness_media_ids":["m"],
            "liveness_policy":2,"labels":{"branch":"riga"},"include_progress":true}"#;
        assert_eq!(request::<MatchRequest>("RunMatch", camel), wanted);
        assert_eq!(request::<MatchRequest>("CreateMatch", snake), wanted);
        assert_eq!(
            request::<ListMatchesRequest>("ListMatches", "{}"),
            ListMatchesRequest::default()
        );
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place_and_no_value_is_repeated() {
        for (text, said) in [
            (r#"{"foldrId":"secret"}"#, "foldrId is not a field of this request"),
            (r#"{"photo":{"knd":"secret"}}"#, "photo.knd is not a field of this request"),
            (r#"{"photo":"secret"}"#, "photo has another type or form: line 1, column 17"),
            (
                r#"{"photo":{"kind":"secret"}}"#,
                "photo.kind has another type or form: line 1, column 25",
            ),
            (r#"{"timeout":"secret"}"#, "timeout has another type or form: line 1, column 19"),
            (r#"{"labels":{"secrets":5}}"#, "labels."),
            (r#"{"folderId":"secret""#, "request is not JSON: line 1, column 20"),
            (r#"{} secret"#, "request is not JSON: line 1, column 4"),
            ("", "request is not JSON: line 1, column 0"),
            ("[]", "request has another type or form: "),
            (r#"{"photo":{"content":"","referenceKey":"secret"}}"#, "photo"),
        ] {
            let whole = method("RunMatch").request(text.as_bytes(), false, None).unwrap_err();
            let details = whole.get_error_details();
            let fields = &details.bad_request().unwrap().field_violations;
            let all = format!("{} {}", fields[0].field, fields[0].description);
            assert!(all.starts_with(said), "{text}: {all}");
        }
        refused("RunMatch", r#"{"photo":{"kind":"secret"}}"#);
        let deep = "[".repeat(60_000);
        assert!(refused("RunMatch", &deep).starts_with("request "));
    }

    #[test]
    fn the_content_that_was_taken_out_leaves_no_field() {
        let text = r#"{"photo":{"content":"","kind":1}}"#;
        let bytes = method("RunMatch").request(text.as_bytes(), true, None).unwrap();
        let photo = MatchRequest::decode(&*bytes).unwrap().photo.unwrap();
        assert_eq!((photo.source, photo.kind), (None, 1));
        let both = r#"{"photo":{"content":"","folderMediaId":"m"}}"#;
        method("RunMatch").request(both.as_bytes(), true, None).unwrap_err();
    }

    #[test]
    fn a_stream_goes_on_after_its_last_event() {
        let last = |text: &str| Some(LastEventId(text.to_owned()));
        let text = br#"{"matchId":"m","afterSequence":"1"}"#;
        let bytes = method("WatchMatch").request(text, false, last("7").as_ref()).unwrap();
        assert_eq!(WatchMatchRequest::decode(&*bytes).unwrap().after_sequence, 7);
        method("WatchMatch").request(text, false, last("token").as_ref()).unwrap_err();
        let bytes = method("WatchMatches").request(b"{}", false, last("token").as_ref()).unwrap();
        assert_eq!(WatchMatchesRequest::decode(&*bytes).unwrap().resume_token, "token");
    }

    #[test]
    fn the_parameters_of_a_url_are_the_fields_of_a_request() {
        let of = |name: &str, parameters: &[(&str, &str)]| {
            let owned =
                parameters.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            method(name).parameters(owned)
        };
        let text = of(
            "WatchMatch",
            &[("matchId", "m"), ("after_sequence", "3"), ("includeProgress", "true")],
        );
        let watch: WatchMatchRequest = request("WatchMatch", &text);
        assert_eq!(watch.id, Some(Id::MatchId("m".to_owned())));
        assert_eq!((watch.after_sequence, watch.include_progress), (3, true));
        let text = of(
            "WatchMatches",
            &[("folderId", "f"), ("labels[branch]", "riga"), ("labels[x]", "true")],
        );
        let all: WatchMatchesRequest = request("WatchMatches", &text);
        assert_eq!((all.folder_id.as_str(), all.labels.len()), ("f", 2));
        assert!(
            refused("WatchMatches", &of("WatchMatches", &[("colour", "red")]))
                .starts_with("colour")
        );
        assert!(
            refused("WatchMatch", &of("WatchMatch", &[("includeProgress", "perhaps")]))
                .starts_with("includeProgress")
        );
    }
}
