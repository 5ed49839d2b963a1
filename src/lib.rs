//! FaceMatch: a gRPC service in front of the Oz Forensics REST API.

pub mod clock;
pub mod domain;
pub mod grpc;
pub mod journal;
pub mod oz;
pub mod pb;
pub mod watch;
pub mod worker;
