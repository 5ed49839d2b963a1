//! Compiles the proto, with protox, so that the machine needs no `protoc`.

use std::{env, error::Error, path::PathBuf};

const PROTO: &str = "proto/facematch/v1/face_match.proto";

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script its folder and features by variables"
)]
fn main() -> Result<(), Box<dyn Error>> {
    // tonic-prost-build emits no `rerun-if-changed` when it is given descriptors.
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");

    let descriptors = protox::compile([PROTO], ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let encoded = prost::Message::encode_to_vec(&descriptors);
    std::fs::write(out.join("facematch_descriptor.bin"), encoded)?;

    tonic_prost_build::configure()
        .build_client(env::var_os("CARGO_FEATURE_CLI").is_some())
        // Photos are slices of the receive buffer, never copied.
        .bytes(".facematch.v1.ReferencePhoto.content")
        .compile_fds(descriptors.clone())?;

    // The server once more, for `grpc`: with a codec whose buffers are small.
    let server = out.join("server");
    std::fs::create_dir_all(&server)?;
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".facematch.v1", "crate::pb")
        .codec_path("crate::grpc::encoded::Codec")
        .out_dir(server)
        .compile_fds(descriptors)?;
    Ok(())
}
