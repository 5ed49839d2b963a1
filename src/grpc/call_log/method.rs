//! The methods of the port, by name: what callers ask for otherwise has no name here.

/// What a call of a method is, to the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// It changes matches.
    Change,
    /// It looks.
    Read,
    /// It asks whether the server is well, as probes do all day.
    Probe,
}

/// A method of the port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method {
    /// Its full name, as the log and the counts have it.
    pub name: &'static str,
    /// What its calls are.
    pub sort: Sort,
}

/// Whatever else is called.
pub const OTHER: usize = METHODS.len() - 1;

/// All methods, and one for what the port hasn't got.
pub static METHODS: [Method; 14] = [
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

/// The number of the method that a path names, in [`METHODS`].
pub fn number(path: &str) -> usize {
    let name = path.strip_prefix('/').unwrap_or(path);
    METHODS[..OTHER].iter().position(|method| method.name == name).unwrap_or(OTHER)
}

impl Method {
    /// Whether it is one of our own service.
    pub fn is_ours(&self) -> bool {
        self.name.starts_with("facematch.v1.")
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
            // Later versions of health have a call that this server doesn't answer.
            assert!(METHODS[number].name == name || name.ends_with("Health/List"), "{name}");
        }
    }

    #[test]
    fn what_the_port_has_not_is_other() {
        for path in
            ["", "/", "other", "/facematch.v1.FaceMatch/", "/facematch.v1.FaceMatch/RunMatchX"]
        {
            assert_eq!(METHODS[number(path)].name, "other", "{path}");
        }
    }
}
