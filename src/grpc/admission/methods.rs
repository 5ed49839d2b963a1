//! The methods of every service on the port, by their paths, from the protobuf descriptors.
//!
//! A call of a method that no descriptor lists is refused before any of its body is read.

use std::collections::HashMap;

use prost::Message;
use prost_types::FileDescriptorSet;

use crate::{access::Permission, pb};

/// The methods whose request may hold a photo.
const WITH_PHOTO: [&str; 2] =
    ["/facematch.v1.FaceMatch/RunMatch", "/facematch.v1.FaceMatch/CreateMatch"];

const LIST: &str = "/facematch.v1.FaceMatch/ListMatches";
/// The paths of FaceMatch begin with this.
const FACE_MATCH: &str = "/facematch.v1.FaceMatch/";
/// The paths of reflection, of both versions, begin with this.
const REFLECTION: &str = "/grpc.reflection.";

/// What the calls of a method demand of their caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Demand {
    /// Nothing: health checks are always open.
    Nothing,
    /// What the settings say about reflection.
    Reflection,
    /// A caller, whatever it may do.
    Credential,
    /// A caller with a permission.
    Permission(Permission),
}

/// The form of a method's request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestKind {
    /// One message.
    Single,
    /// One message that may hold a photo.
    Photo,
    /// A stream of messages, each answered as it arrives.
    Stream,
}

/// How admission control treats the calls of a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MethodLimits {
    /// The form of its request.
    pub kind: RequestKind,
    /// Whether a call's answers are counted as its own memory. The updates of a stream are not,
    /// because all streams share them.
    pub owns_answer: bool,
    /// Whether it is ListMatches, whose calls wait for each other.
    pub is_list: bool,
    /// Whether it is a call of FaceMatch that streams updates.
    pub streams_updates: bool,
    /// What its calls demand of their caller.
    pub demand: Demand,
}

/// Every method of the port, by path.
#[derive(Debug)]
pub struct Methods(HashMap<String, MethodLimits>);

impl Methods {
    /// The methods of FaceMatch, health and reflection.
    pub fn of_all_services() -> Self {
        let sets = [
            pb::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        Self(sets.into_iter().flat_map(methods).collect())
    }

    /// The limits of the method at a path; `None` if there is no such method.
    pub fn find(&self, path: &str) -> Option<MethodLimits> {
        self.0.get(path).copied()
    }

    /// The names of the methods of FaceMatch whose demands are met, in alphabetical order.
    pub fn of_face_match(&self, is_met: impl Fn(Demand) -> bool) -> Vec<String> {
        let names = self.0.iter().filter_map(|(path, limits)| {
            let name = path.strip_prefix(FACE_MATCH)?;
            is_met(limits.demand).then(|| name.to_owned())
        });
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }
}

fn methods(descriptors: &[u8]) -> Vec<(String, MethodLimits)> {
    let set =
        FileDescriptorSet::decode(descriptors).expect("the build generates valid descriptors");
    let mut all = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let kind = kind(&path, method.client_streaming());
                let owns_answer = method.client_streaming() || !method.server_streaming();
                let demand = demand(&path, service.name(), method.name());
                let is_ours = matches!(demand, Demand::Permission(_));
                let limits = MethodLimits {
                    kind,
                    owns_answer,
                    is_list: path == LIST,
                    streams_updates: is_ours && method.server_streaming(),
                    demand,
                };
                all.push((path, limits));
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

/// A method that is unknown here demands the permission that fewest callers have.
fn demand(path: &str, service: &str, method: &str) -> Demand {
    match (service, method) {
        ("Health", _) => Demand::Nothing,
        _ if path.starts_with(REFLECTION) => Demand::Reflection,
        (_, "RunMatch" | "CreateMatch" | "CancelMatch") => Demand::Permission(Permission::Match),
        (_, "GetMatch" | "WaitMatch" | "WatchMatch" | "WatchMatches" | "ListMatches") => {
            Demand::Permission(Permission::Read)
        }
        _ => Demand::Permission(Permission::Erase),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_demands_what_the_contract_says() {
        let methods = Methods::of_all_services();
        let ours =
            |method: &str| methods.find(&format!("/facematch.v1.FaceMatch/{method}")).unwrap();
        for (permission, names) in [
            (Permission::Match, &["RunMatch", "CreateMatch", "CancelMatch"][..]),
            (
                Permission::Read,
                &["GetMatch", "WaitMatch", "WatchMatch", "WatchMatches", "ListMatches"],
            ),
            (Permission::Erase, &["DeleteMatch"]),
        ] {
            for name in names {
                assert_eq!(ours(name).demand, Demand::Permission(permission), "{name}");
            }
        }
        let others = methods.0.iter().filter(|(path, _)| !path.contains("FaceMatch"));
        for (path, limits) in others {
            let demand = if path.contains("Health") { Demand::Nothing } else { Demand::Reflection };
            assert_eq!((limits.demand, limits.streams_updates), (demand, false), "{path}");
        }
        let streams = ["RunMatch", "WatchMatch", "WatchMatches"];
        let ours = methods.0.iter().filter(|(path, _)| path.contains("FaceMatch"));
        for (path, limits) in ours {
            let streams = streams.iter().any(|name| path.ends_with(&format!("/{name}")));
            assert_eq!(limits.streams_updates, streams, "{path}");
        }
    }

    #[test]
    fn the_methods_of_face_match_are_told_by_their_demands() {
        let methods = Methods::of_all_services();
        assert_eq!(methods.of_face_match(|_| true).len(), 9);
        let erasing = |demand| demand == Demand::Permission(Permission::Erase);
        assert_eq!(methods.of_face_match(erasing), ["DeleteMatch"]);
    }

    #[test]
    fn every_method_of_the_port_has_its_kind() {
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
