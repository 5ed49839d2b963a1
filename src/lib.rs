//! FaceMatch: a gRPC service in front of the Oz Forensics REST API.

pub mod simulator;

pub mod pb {
    tonic::include_proto!("facematch.v1");
}
