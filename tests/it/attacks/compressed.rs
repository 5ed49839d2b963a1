//! Decompression bombs, and honest compressed requests.

use std::io::Write;

use bytes::Bytes;
use facematch::pb::ListMatchesRequest;
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use prost::Message;

use crate::{
    attacks::{ALLOWANCE_KIB, Calls, Target, every_call},
    support::portrait_request,
    transport,
};

const GZIP: [(&str, &str); 1] = [("grpc-encoding", "gzip")];
/// The inflated size of a bomb.
const INFLATED_BYTES: usize = 48 << 20;
const BOMBS: usize = 100;

fn compressed(message: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(message).unwrap();
    let compressed = encoder.finish().unwrap();
    let length = u32::try_from(compressed.len()).unwrap().to_be_bytes();
    [&[1], &length[..], &compressed].concat().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decompression_bomb_is_refused_by_every_method() {
    let target = Target::start(&[]).await;
    // One field of zeros that no message type defines.
    let mut bomb = vec![0; INFLATED_BYTES];
    bomb[..5].copy_from_slice(b"\x7a\xfb\xff\xff\x17");
    let bomb = compressed(&bomb);
    assert!(bomb.len() < 64 * 1024, "{} bytes", bomb.len());
    for path in every_call() {
        let channel = target.channel().await;
        let mut calls = Calls::default();
        for _ in 0..BOMBS {
            calls.call(&channel, &path, &GZIP, stream::iter([Ok(bomb.clone())]));
        }
        target.assert_others_are_served(&path).await;
        calls.wait_for(BOMBS).await;
        let told = calls.ended().into_keys().collect::<Vec<_>>();
        assert_eq!(told, ["FIELD_INVALID"], "{path}");
        target.assert_grown_at_most(ALLOWANCE_KIB, &path);
        calls.end().await;
    }
    target.process.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_accepts_compressed_requests() {
    let target = Target::start(&[]).await;
    let folder = target.oz.add_folder(facematch::simulator::sample::liveness_folder(
        facematch::simulator::sample::portrait_jpeg(),
    ));
    let list = ListMatchesRequest { page_size: 3, ..Default::default() }.encode_to_vec();
    for (path, message) in [
        ("/facematch.v1.FaceMatch/CreateMatch", portrait_request(&folder).encode_to_vec()),
        ("/facematch.v1.FaceMatch/RunMatch", portrait_request(&folder).encode_to_vec()),
        ("/facematch.v1.FaceMatch/ListMatches", list),
        ("/grpc.health.v1.Health/Check", vec![]),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", b"\x3a\0".to_vec()),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", b"\x3a\0".to_vec()),
    ] {
        let mut channel = target.channel().await;
        let body = || stream::iter([Ok(compressed(&message))]);
        let answer = transport::answer(&mut channel, path, body(), &GZIP).await.unwrap();
        assert_eq!(answer.headers()["grpc-accept-encoding"], "gzip,identity", "{path}");
        drop(answer);
        let told = transport::call_at(&mut channel, path, body(), &GZIP).await;
        told.unwrap_or_else(|status| panic!("{path}: {status:?}"));
        let zstd = [("grpc-encoding", "zstd")];
        let told = transport::call_at(&mut channel, path, body(), &zstd).await.unwrap_err();
        assert_eq!(told.code(), tonic::Code::Unimplemented, "{path}");
        let supported = told.metadata().get("grpc-accept-encoding").expect("the known encodings");
        assert_eq!(supported, "gzip,identity");
    }
    target.process.stop();
}
