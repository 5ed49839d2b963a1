//! The generated code, and nothing else. Only `grpc` and `cli` may use it.

#![allow(missing_docs, clippy::all, reason = "generated code, documented in the proto")]

tonic::include_proto!("facematch.v1");

/// The encoded descriptor set of the contract, as reflection serves it.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/facematch_descriptor.bin"));
