//! The calls of every service on the port, by their paths, as the descriptors list them.
//!
//! A call that no descriptor lists is none: it is refused before anything of it is read.

use std::collections::HashMap;

use prost::Message;
use prost_types::FileDescriptorSet;

use crate::pb;

/// The calls whose request may bring a photo.
const WITH_PHOTO: [&str; 2] =
    ["/facematch.v1.FaceMatch/RunMatch", "/facematch.v1.FaceMatch/CreateMatch"];

const LIST: &str = "/facematch.v1.FaceMatch/ListMatches";

/// What a call's request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestKind {
    /// One message.
    Single,
    /// One message that may bring a photo.
    Photo,
    /// Messages one after the other, each answered as it comes.
    Stream,
}

/// What is known of a call by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MethodLimits {
    pub kind: RequestKind,
    /// Whether its answers are its own. The updates of a stream are shared with others.
    pub owns_answer: bool,
    /// Whether it reads a list, for which calls wait in turn.
    pub is_list: bool,
}

/// Every call there is.
#[derive(Debug)]
pub struct Methods(HashMap<String, MethodLimits>);

impl Methods {
    /// Those of all services.
    pub fn of_all_services() -> Self {
        let sets = [
            pb::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        Self(sets.into_iter().flat_map(methods).collect())
    }

    /// What is known of a call; nothing if there is no such call.
    pub fn find(&self, path: &str) -> Option<MethodLimits> {
        self.0.get(path).copied()
    }
}

fn methods(descriptors: &[u8]) -> Vec<(String, MethodLimits)> {
    let set =
        FileDescriptorSet::decode(descriptors).expect("the descriptors are made by the build");
    let mut all = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let kind = kind(&path, method.client_streaming());
                let owns_answer = method.client_streaming() || !method.server_streaming();
                let is_list = path == LIST;
                all.push((path, MethodLimits { kind, owns_answer, is_list }));
            }
        }
    }
    all
}

fn kind(path: &str, is_stream: bool) -> RequestKind {
    match is_stream {
        true => RequestKind::Stream,
        false if WITH_PHOTO.contains(&path) => RequestKind::Photo,
        false => RequestKind::Single,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_the_port_has_its_kind() {
        let methods = Methods::of_all_services();
        for (path, kind) in [
            (WITH_PHOTO[0], Some(RequestKind::Photo)),
            (WITH_PHOTO[1], Some(RequestKind::Photo)),
            ("/facematch.v1.FaceMatch/GetMatch", Some(RequestKind::Single)),
            ("/facematch.v1.FaceMatch/WatchMatches", Some(RequestKind::Single)),
            ("/grpc.health.v1.Health/Check", Some(RequestKind::Single)),
            ("/grpc.health.v1.Health/Watch", Some(RequestKind::Single)),
            (
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                Some(RequestKind::Stream),
            ),
            (
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                Some(RequestKind::Stream),
            ),
            ("/facematch.v1.FaceMatch/RunMatches", None),
            ("/another.Service/RunMatch", None),
        ] {
            assert_eq!(methods.find(path).map(|method| method.kind), kind, "{path}");
        }
    }
}
