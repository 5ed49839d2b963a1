//! FaceMatch: a gRPC service in front of the Oz Forensics REST API.

pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;

pub mod pb {
    tonic::include_proto!("facematch.v1");
}
