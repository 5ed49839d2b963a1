//! The methods of the port, and how the log treats their calls.
//!
//! The table is deliberately closed: every unknown method is [`OTHER`], so that callers can't add
//! names to the log's counts.

/// How the log treats the calls of a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// The call changes matches: its end is logged at info.
    Change,
    /// The call only reads: its success is logged at debug.
    Read,
    /// The call is a health check, which is frequent: its end is always logged at debug.
    Probe,
}

/// A method of the port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method {
    /// The full name, as the log and the counts show it.
    pub name: &'static str,
    /// How the log treats its calls.
    pub sort: Sort,
}

/// The index in [`METHODS`] that stands for every unknown method.
pub const OTHER: usize = METHODS.len() - 1;

/// The beginning of the names of FaceMatch's methods.
const OURS: &str = "facematch.v1.FaceMatch/";

/// All methods of the port, and one entry for every method that it doesn't have.
pub static METHODS: [Method; 15] = [
    change("facematch.v1.FaceMatch/RunMatch"),
    change("facematch.v1.FaceMatch/CreateMatch"),
    read("facematch.v1.FaceMatch/GetMatch"),
    read("facematch.v1.FaceMatch/WaitMatch"),
    read("facematch.v1.FaceMatch/WatchMatch"),
    read("facematch.v1.FaceMatch/WatchMatches"),
    read("facematch.v1.FaceMatch/ListMatches"),
    change("facematch.v1.FaceMatch/CancelMatch"),
    change("facematch.v1.FaceMatch/DeleteMatch"),
    probe("grpc.health.v1.Health/Check"),
    probe("grpc.health.v1.Health/Watch"),
    read("grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
    read("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
    read("page/access"),
    read("other"),
];

const fn change(name: &'static str) -> Method {
    Method { name, sort: Sort::Change }
}

const fn read(name: &'static str) -> Method {
    Method { name, sort: Sort::Read }
}

const fn probe(name: &'static str) -> Method {
    Method { name, sort: Sort::Probe }
}

/// The index in [`METHODS`] of the method that a path names.
pub fn number(path: &str) -> usize {
    let name = path.strip_prefix('/').unwrap_or(path);
    METHODS[..OTHER].iter().position(|method| method.name == name).unwrap_or(OTHER)
}

/// The name of a method of the FaceMatch service, without the service; `None` for other paths.
pub fn rpc_of_ours(path: &str) -> Option<&'static str> {
    METHODS[number(path)].name.strip_prefix(OURS)
}

impl Method {
    /// The name in metrics: OpenTelemetry's word for every unknown method.
    pub fn metric_name(&self) -> &'static str {
        if self.name == METHODS[OTHER].name { "_OTHER" } else { self.name }
    }

    /// Whether the method belongs to the FaceMatch service.
    pub fn is_ours(&self) -> bool {
        self.name.starts_with(OURS)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::pb;

    #[test]
    fn every_method_of_the_port_has_its_name() {
        let sets = [
            pb::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let mut names = Vec::new();
        for file in sets.iter().flat_map(|set| FileDescriptorSet::decode(*set).unwrap().file) {
            for service in &file.service {
                let name = |method: &prost_types::MethodDescriptorProto| {
                    format!("{}.{}/{}", file.package(), service.name(), method.name())
                };
                names.extend(service.method.iter().map(name));
            }
        }
        for name in names {
            let number = number(&format!("/{name}"));
            // Later versions of the health service have a method that this server doesn't serve.
            assert!(METHODS[number].name == name || name.ends_with("Health/List"), "{name}");
        }
    }

    #[test]
    fn nine_methods_are_of_facematch() {
        let ours: Vec<_> =
            METHODS.iter().filter_map(|method| rpc_of_ours(&format!("/{}", method.name))).collect();
        assert_eq!((ours.len(), ours[0]), (9, "RunMatch"));
        assert_eq!(rpc_of_ours("/facematch.v1.FaceMatch/Nothing"), None);
    }

    #[test]
    fn an_unknown_method_is_other() {
        for path in
            ["", "/", "other", "/facematch.v1.FaceMatch/", "/facematch.v1.FaceMatch/RunMatchX"]
        {
            assert_eq!(METHODS[number(path)].name, "other", "{path}");
        }
    }
}
