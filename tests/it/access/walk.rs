//! Every method of every service, without a credential and with each wrong one.

use std::fmt::Debug;

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::{Code, client::Grpc, metadata::MetadataValue};
use tonic_prost::ProstCodec;

use super::*;
use crate::support::Refusal;

/// The paths of the methods that a descriptor lists.
fn paths(descriptors: &[u8]) -> Vec<String> {
    let set = FileDescriptorSet::decode(descriptors).unwrap();
    let mut paths = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                paths.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    paths
}

fn ours() -> Vec<String> {
    paths(facematch::pb::FILE_DESCRIPTOR_SET)
}

fn reflection() -> Vec<String> {
    let mut all = paths(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET);
    all.extend(paths(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET));
    all
}

fn health() -> Vec<String> {
    paths(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Calls a method with an empty message and these `authorization` headers. Returns its refusal, or
/// `None` if the call got as far as an answer or an error of its handler.
async fn refusal(channel: &Channel, path: &str, headers: &[&str]) -> Option<Refusal> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let mut request = Request::new(());
    for header in headers {
        request.metadata_mut().append("authorization", MetadataValue::try_from(*header).unwrap());
    }
    let codec = ProstCodec::<(), ()>::default();
    let answered = grpc.server_streaming(request, path.parse().unwrap(), codec).await;
    let refusal = Refusal::of(answered.err()?);
    let is_ours = matches!(refusal.code, Code::Unauthenticated | Code::PermissionDenied);
    (is_ours || refusal.code == Code::Unimplemented).then_some(refusal)
}

#[track_caller]
fn assert_refused(refusal: Option<Refusal>, code: Code, reason: &str, what: impl Debug) {
    let refusal = refusal.unwrap_or_else(|| panic!("{what:?} isn't refused"));
    assert_eq!((refusal.code, refusal.reason()), (code, reason), "{what:?}");
}

fn callers() -> Callers {
    Callers::new("[tenant.bank]\n[tenant.shop]\n")
        .with("all", "bank", &["match", "read", "erase"])
        .with("matches", "bank", &["match"])
        .with("reads", "bank", &["read"])
        .with("erases", "bank", &["erase"])
        .with("other", "shop", &["match", "read", "erase"])
        .with_key("late", "bank", &["read"], ", expires = 2020-01-01")
}

#[tokio::test]
async fn no_method_but_health_answers_without_a_good_credential() {
    let callers = callers();
    let server =
        callers.serve(|config| config.reflection = facematch::config::Reflection::Callers).await;
    let channel = channel(&server).await;
    let key = callers.key("all");
    let bearer = format!("Bearer {key}");
    let flipped = format!("Bearer {}x", &key[..key.len() - 1]);
    let unknown = format!("Bearer {}", NewKey::make().unwrap().text());
    let late = format!("Bearer {}", callers.key("late"));
    let (basic, bare) = (format!("Basic {key}"), key.to_owned());
    let megabyte = format!("Bearer {}", "a".repeat(12_000));
    let none = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.";
    const MISSING: &str = "CREDENTIAL_MISSING";
    const INVALID: &str = "CREDENTIAL_INVALID";
    let wrong: [(&[&str], &str); 10] = [
        (&[], MISSING),
        (&["Bearer "], INVALID),
        (&["Bearer"], INVALID),
        (&[&basic], INVALID),
        (&[&bare], INVALID),
        (&[&flipped], INVALID),
        (&[&unknown], INVALID),
        (&[&megabyte], INVALID),
        (&[none], INVALID),
        (&[&bearer, &bearer], INVALID),
    ];
    for path in ours().into_iter().chain(reflection()) {
        for (headers, reason) in wrong {
            let refused = refusal(&channel, &path, headers).await;
            assert_refused(refused, Code::Unauthenticated, reason, (&path, headers.len(), reason));
        }
        let refused = refusal(&channel, &path, &[&late]).await;
        assert_refused(refused, Code::Unauthenticated, "CREDENTIAL_EXPIRED", &path);
        assert!(refusal(&channel, &path, &[&bearer]).await.is_none(), "{path}");
    }
    for path in health() {
        assert!(refusal(&channel, &path, &[]).await.is_none(), "{path}");
        assert!(refusal(&channel, &path, &[&flipped]).await.is_none(), "{path}");
    }
}

#[tokio::test]
async fn each_permission_allows_its_methods_and_no_others() {
    let callers = callers();
    let server = callers.serve(|_| {}).await;
    let channel = channel(&server).await;
    for path in ours() {
        let method = path.rsplit('/').next().unwrap();
        let needed = match method {
            "RunMatch" | "CreateMatch" | "CancelMatch" => "match",
            "DeleteMatch" => "erase",
            _ => "read",
        };
        for (name, has) in [("matches", "match"), ("reads", "read"), ("erases", "erase")] {
            let bearer = format!("bearer {}", callers.key(name));
            match refusal(&channel, &path, &[&bearer]).await {
                None => assert_eq!(has, needed, "{path}"),
                Some(refused) => {
                    assert_ne!(has, needed, "{path}");
                    assert_eq!(refused.metadata("permission"), Some(needed), "{path}");
                    assert_refused(
                        Some(refused),
                        Code::PermissionDenied,
                        "CALL_FORBIDDEN",
                        (&path, name),
                    );
                }
            }
        }
    }
    for path in reflection() {
        assert!(refusal(&channel, &path, &[]).await.is_none(), "{path} is open");
    }
}

#[tokio::test]
async fn reflection_can_be_switched_off() {
    let server = crate::support::TestServer::build_with(|config| {
        config.reflection = facematch::config::Reflection::Off;
    })
    .await;
    let channel = channel(&server).await;
    for path in reflection() {
        let refused = refusal(&channel, &path, &[]).await.expect("it is off");
        assert_eq!(refused.code, Code::Unimplemented, "{path}");
    }
    for path in ours().into_iter().chain(health()) {
        assert!(refusal(&channel, &path, &[]).await.is_none(), "{path}");
    }
}

/// Strangers can't take memory: nothing of a refused call's body is read.
#[tokio::test]
async fn strangers_hold_no_memory() {
    let callers = callers();
    let server = callers.serve(|_| {}).await;
    let mut stranger = with_header(&server, None).await;
    let request = || crate::support::portrait_request(&server.folder());
    for _ in 0..20 {
        let refused = Refusal::of(stranger.run_match(request()).await.unwrap_err());
        refused.assert(Code::Unauthenticated, "CREDENTIAL_MISSING");
    }
    assert_eq!((server.load.photo_bytes(), server.load.photos()), (0, 0));
    assert!(server.oz.record().is_empty());
}
