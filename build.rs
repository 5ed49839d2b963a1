//! Compiles the contract: the proto is read by protox, so no `protoc` is needed on the machine.

use std::{env, error::Error, path::PathBuf};

const PROTO: &str = "proto/facematch/v1/face_match.proto";

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script its folder by OUT_DIR")]
fn main() -> Result<(), Box<dyn Error>> {
    // tonic-prost-build says nothing to cargo by itself when it is given descriptors.
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");

    let descriptors = protox::compile([PROTO], ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("facematch_descriptor.bin");
    std::fs::write(out, prost::Message::encode_to_vec(&descriptors))?;

    tonic_prost_build::configure()
        // Photos are handed on as they arrived: slices of the receive buffer, never copied.
        .bytes(".facematch.v1.ReferencePhoto.content")
        .compile_fds(descriptors)?;
    Ok(())
}
