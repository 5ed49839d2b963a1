//! One record of the audit file: what is told of a call, and its line of JSON.
//!
//! It deliberately has no field for labels, request ids, scores or names of files.

use std::{
    borrow::Cow,
    net::SocketAddr,
    time::{Duration, UNIX_EPOCH},
};

use serde::Serialize;

use crate::{
    access::Grant,
    domain::{MatchId, Position, Timestamp},
};

/// The longest line, its line break included. Room for one such line is secured for each call.
pub(super) const LINE_BYTES_MAX: usize = 2048;

/// The longest texts in a line, in bytes of JSON. Longer ones are cut: a line must fit into the
/// room that was secured for it. The words of the service itself are shorter.
const TENANT_BYTES_MAX: usize = 128;
const CALLER_BYTES_MAX: usize = 256;
const CREDENTIAL_BYTES_MAX: usize = 768;
const WORD_BYTES_MAX: usize = 64;

/// The last time that RFC 3339 can express.
const LAST_MICROS: u64 = 253_402_300_799_999_999;

/// Stands at the end of a text that was cut.
const CUT: &str = "…";

/// What the audit file tells of one call, or of the end of one stream.
#[derive(Clone, Debug, Default)]
pub struct AuditRecord {
    /// Who called. `None` for a call without a good credential.
    pub grant: Option<Grant>,
    /// The address of the connection's other end.
    pub peer: Option<SocketAddr>,
    /// The word of the door through which the call has come.
    pub door: &'static str,
    /// The method's name without its service, such as `RunMatch`.
    pub rpc: &'static str,
    /// The match that the call is about, if known.
    pub match_id: Option<MatchId>,
    /// The gRPC code, such as `NOT_FOUND`.
    pub code: &'static str,
    /// The reason of a refusal.
    pub reason: Option<String>,
    /// The trace that the call belongs to, if it names one.
    pub trace_id: Option<String>,
    /// The positions of the first and the last update that a stream of all matches has shown.
    pub positions: Option<(Position, Position)>,
}

/// A line of the audit file. The order of the fields is the format's.
#[derive(Serialize)]
struct AuditLine<'a> {
    time: String,
    replica: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<SocketAddr>,
    door: &'static str,
    rpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    match_id: Option<String>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_position: Option<u64>,
    previous: &'a str,
}

impl AuditRecord {
    /// Appends the record's line without a line break to `text`. `previous` is the hash of the line
    /// before, in hex, or empty.
    pub(super) fn write_line(
        &self,
        text: &mut Vec<u8>,
        time: Timestamp,
        replica: &str,
        previous: &str,
    ) {
        let grant = self.grant.as_ref();
        let credential = grant.map(Grant::credential).filter(|credential| !credential.is_empty());
        let line = AuditLine {
            time: rfc3339(time),
            replica: fitting(replica, WORD_BYTES_MAX),
            tenant: grant.map(|grant| fitting(grant.tenant().as_str(), TENANT_BYTES_MAX)),
            caller: grant.map(|grant| fitting(grant.caller(), CALLER_BYTES_MAX)),
            credential: credential.map(|credential| fitting(credential, CREDENTIAL_BYTES_MAX)),
            peer: self.peer,
            door: self.door,
            rpc: self.rpc,
            match_id: self.match_id.map(|id| id.to_string()),
            code: self.code,
            reason: self.reason.as_deref().map(|reason| fitting(reason, WORD_BYTES_MAX)),
            trace_id: self.trace_id.as_deref().map(|trace| fitting(trace, WORD_BYTES_MAX)),
            first_position: self.positions.map(|(first, _)| first.0),
            last_position: self.positions.map(|(_, last)| last.0),
            previous,
        };
        serde_json::to_writer(text, &line).expect("a line of texts and numbers is JSON");
    }
}

/// A time as RFC 3339 in UTC, to the microsecond.
fn rfc3339(time: Timestamp) -> String {
    let micros = u64::try_from(time.as_micros()).unwrap_or(0).min(LAST_MICROS);
    humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_micros(micros)).to_string()
}

/// A text that takes at most `bytes_max` bytes of JSON: itself, or its beginning and a mark.
fn fitting(text: &str, bytes_max: usize) -> Cow<'_, str> {
    // Fast path: no character takes more than six bytes of JSON for each of its own.
    if text.len() * 6 <= bytes_max {
        return text.into();
    }
    let (mut bytes, mut kept) = (0, 0);
    for (start, character) in text.char_indices() {
        bytes += match character {
            '"' | '\\' => 2,
            '\0'..='\x1f' => 6,
            character => character.len_utf8(),
        };
        if bytes > bytes_max {
            return format!("{}{CUT}", &text[..kept]).into();
        }
        if bytes + CUT.len() <= bytes_max {
            kept = start + character.len_utf8();
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{access::Permissions, domain::TenantId};

    fn grant(tenant: &str, caller: &str, credential: &str) -> Grant {
        let (tenant, withdrawn) = (TenantId::from_stored(tenant), CancellationToken::new());
        Grant::new(tenant, caller, credential, Permissions::all(), None, withdrawn)
    }

    fn line(record: &AuditRecord, previous: &str) -> String {
        let mut text = Vec::new();
        let time = Timestamp::from_micros(1_764_000_000_512_345);
        record.write_line(&mut text, time, "00c0ffee00c0ffee", previous);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_line_has_the_fields_of_the_format_in_its_order() {
        let record = AuditRecord {
            grant: Some(grant("retail", "kyc", "k7")),
            peer: Some("192.0.2.7:4711".parse().unwrap()),
            door: "grpc",
            rpc: "WatchMatches",
            match_id: Some("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()),
            code: "UNAVAILABLE",
            reason: Some("SERVER_DRAINING".into()),
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
            positions: Some((Position(7), Position(9))),
        };
        let expected = concat!(
            r#"{"time":"2025-11-24T16:00:00.512345Z","replica":"00c0ffee00c0ffee","#,
            r#""tenant":"retail","caller":"kyc","credential":"k7","peer":"192.0.2.7:4711","#,
            r#""door":"grpc","rpc":"WatchMatches","match_id":"01890a5d-ac96-774b-bcce-b302099a8057","#,
            r#""code":"UNAVAILABLE","reason":"SERVER_DRAINING","#,
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","#,
            r#""first_position":7,"last_position":9,"previous":"ab"}"#,
        );
        assert_eq!(line(&record, "ab"), expected);
    }

    #[test]
    fn a_field_without_a_value_is_absent_except_previous() {
        let record =
            AuditRecord { door: "web", rpc: "GetMatch", code: "OK", ..AuditRecord::default() };
        let expected = concat!(
            r#"{"time":"2025-11-24T16:00:00.512345Z","replica":"00c0ffee00c0ffee","#,
            r#""door":"web","rpc":"GetMatch","code":"OK","previous":""}"#,
        );
        assert_eq!(line(&record, ""), expected);
    }

    #[test]
    fn the_longest_line_fits_into_the_room_that_is_secured_for_it() {
        for piece in ["x", "\u{1}", "\"", "é", "🙂"] {
            let long = piece.repeat(10_000);
            let record = AuditRecord {
                grant: Some(grant(&long, &long, &long)),
                peer: Some(
                    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535".parse().unwrap(),
                ),
                door: "grpc",
                rpc: "WatchMatches",
                match_id: Some("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()),
                code: "FAILED_PRECONDITION",
                reason: Some(long.clone()),
                trace_id: Some(long.clone()),
                positions: Some((Position(u64::MAX), Position(u64::MAX))),
            };
            let mut text = Vec::new();
            record.write_line(&mut text, Timestamp::MAX, &long, &"f".repeat(64));
            assert!(text.len() < LINE_BYTES_MAX, "{} bytes of {piece:?}", text.len());
            let parsed: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let caller = parsed["caller"].as_str().unwrap();
            assert!(caller.starts_with(piece) && caller.ends_with(CUT), "{caller}");
        }
    }

    #[test]
    fn a_text_that_fits_is_not_cut() {
        assert_eq!(fitting(&"x".repeat(256), 256), "x".repeat(256));
        assert_eq!(fitting(&"x".repeat(257), 256), format!("{}{CUT}", "x".repeat(253)));
        assert_eq!(fitting("", 0), "");
    }
}
