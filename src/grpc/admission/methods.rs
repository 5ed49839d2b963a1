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
pub enum Kind {
    /// One message.
    Single,
    /// One message that may bring a photo.
    Photo,
    /// Messages one after the other, each answered as it comes.
    Stream,
}

/// What is known of a call by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method {
    pub kind: Kind,
    /// Whether its answers are its own. The updates of a stream are shared with others.
    pub owns_answer: bool,
    /// Whether it reads a list, for which calls wait in turn.
    pub is_list: bool,
}

/// Every call there is.
#[derive(Debug)]
pub struct Methods(HashMap<String, Method>);

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
    pub fn find(&self, path: &str) -> Option<Method> {
        self.0.get(path).copied()
    }
}

fn methods(descriptors: &[u8]) -> Vec<(String, Method)> {
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
                all.push((path, Method { kind, owns_answer, is_list }));
            }
        }
    }
    all
}

fn kind(path: &str, is_stream: bool) -> Kind {
    match is_stream {
        true => Kind::Stream,
        false if WITH_PHOTO.contains(&path) => Kind::Photo,
        false => Kind::Single,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_the_port_has_its_kind() {
        let methods = Methods::of_all_services();
        for (path, kind) in [
            (WITH_PHOTO[0], Some(Kind::Photo)),
            (WITH_PHOTO[1], Some(Kind::Photo)),
            ("/facematch.v1.FaceMatch/GetMatch", Some(Kind::Single)),
            ("/facematch.v1.FaceMatch/WatchMatches", Some(Kind::Single)),
            ("/grpc.health.v1.Health/Check", Some(Kind::Single)),
            ("/grpc.health.v1.Health/Watch", Some(Kind::Single)),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Some(Kind::Stream)),
            ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Some(Kind::Stream)),
            ("/facematch.v1.FaceMatch/RunMatches", None),
            ("/another.Service/RunMatch", None),
        ] {
            assert_eq!(methods.find(path).map(|method| method.kind), kind, "{path}");
        }
    }
}
