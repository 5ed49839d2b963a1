//! Input that HTTP/2, gRPC or protobuf refuses, and requests refused before they are read.

use bytes::Bytes;
use prost::Message;
use tonic::Code;

use super::{Call, Case, Expected, Sent, framed, uuid};
use crate::{support::portrait_request, transport::announced};

/// All rows of this file.
pub fn cases() -> Vec<Case> {
    let unknown = Case::call(
        "an unknown method",
        "RunMatches",
        vec![framed(b"")],
        Expected::Untold(Code::Unimplemented),
    );
    let mut all = vec![unknown, megabyte_of_header("ListMatches"), megabyte_of_header("RunMatch")];
    all.extend(malformed_messages());
    all.extend(announced_too_long());
    all.extend(large_without_the_photo());
    all.extend(second_messages());
    all.extend(no_http2());
    all
}

fn malformed_messages() -> impl Iterator<Item = Case> {
    let table: [(&str, Vec<Bytes>, Code); 10] = [
        ("no message", vec![], Code::InvalidArgument),
        ("half a prefix", vec![Bytes::from_static(b"\0\0")], Code::InvalidArgument),
        ("not protobuf", vec![framed(&[0xff; 5])], Code::InvalidArgument),
        (
            "an endless number",
            vec![framed(&[&[0x08][..], &[0xff; 20]].concat())],
            Code::InvalidArgument,
        ),
        ("a field longer than its message", vec![framed(b"\x0a\x7f")], Code::InvalidArgument),
        ("a field of another type", vec![framed(b"\x09\0\0\0\0\0\0\0\0")], Code::InvalidArgument),
        ("ten thousand nested groups", vec![framed(&[0x7b; 10_000])], Code::InvalidArgument),
        ("less than announced", vec![announced(100, b"so far")], Code::InvalidArgument),
        (
            "compressed without an encoding",
            vec![Bytes::from_static(b"\x01\0\0\0\x01a")],
            Code::InvalidArgument,
        ),
        ("an unknown flag", vec![Bytes::from_static(b"\x07\0\0\0\x01a")], Code::InvalidArgument),
    ];
    table.into_iter().flat_map(|(name, pieces, code)| {
        ["RunMatch", "CreateMatch", "GetMatch", "ListMatches"]
            .map(|rpc| Case::call(name, rpc, pieces.clone(), Expected::Untold(code)))
    })
}

fn announced_too_long() -> impl Iterator<Item = Case> {
    let table = [
        ("RunMatch", 11 << 20, "PHOTO_TOO_LARGE", "photo.content"),
        ("CreateMatch", 11 << 20, "PHOTO_TOO_LARGE", "photo.content"),
        ("CreateMatch", u32::MAX, "PHOTO_TOO_LARGE", "photo.content"),
        ("GetMatch", 1 << 20, "FIELD_INVALID", "request"),
        ("WaitMatch", u32::MAX, "FIELD_INVALID", "request"),
        ("WatchMatches", u32::MAX, "FIELD_INVALID", "request"),
    ];
    table.into_iter().map(|(rpc, bytes, reason, field)| {
        let pieces = vec![announced(bytes, b"so far")];
        let call = Call { rpc, header: None, pieces, is_open: true };
        let name = format!("{rpc}: {bytes} bytes announced");
        let expected = Expected::named(reason, &[field], "");
        Case { name, sent: Sent::Call(call), expected }
    })
}

/// Requests that are large beside the photo: a million file names, photos or unknown fields.
fn large_without_the_photo() -> impl Iterator<Item = Case> {
    let names = [b"\x1a\x80\x89\x7a".as_slice(), &b"\x2a\0".repeat(1_000_000)].concat();
    let table = [
        ("a million file names", names),
        ("a million photos", b"\x1a\x03\x0a\x01p".repeat(1_000_000)),
        ("a million unknown fields", b"\xf8\x07\x01".repeat(1_000_000)),
    ];
    table.into_iter().flat_map(|(name, message)| {
        ["RunMatch", "CreateMatch"]
            .map(|rpc| Case::call(name, rpc, vec![framed(&message)], Expected::field("request")))
    })
}

fn second_messages() -> impl Iterator<Item = Case> {
    let message = framed(&portrait_request(&uuid()).encode_to_vec());
    ["RunMatch", "CreateMatch"].into_iter().map(move |rpc| {
        let twice = vec![message.clone(), message.clone()];
        Case::call("two messages", rpc, twice, Expected::field("request"))
    })
}

/// The transport resets the stream, or closes the connection if it can't skip the header.
fn megabyte_of_header(rpc: &'static str) -> Case {
    let header = Some(("x-large", "x".repeat(1024 * 1024)));
    let call = Call { rpc, header, pieces: vec![framed(b"")], is_open: false };
    let name = format!("{rpc}: a header of 1 MB");
    Case { name, sent: Sent::Call(call), expected: Expected::Untold(Code::Unknown) }
}

fn no_http2() -> impl Iterator<Item = Case> {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let noise = |bytes: u32| -> Vec<u8> {
        (0..bytes).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    };
    let table: [(&str, Vec<u8>); 8] = [
        ("HTTP/1", b"GET / HTTP/1.1\r\nHost: facematch\r\n\r\n".to_vec()),
        (
            "a gRPC call over HTTP/1",
            b"POST /facematch.v1.FaceMatch/GetMatch HTTP/1.1\r\n\r\n".to_vec(),
        ),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on, and so on".to_vec()),
        ("SSH", b"SSH-2.0-OpenSSH_9.2 and so on, and so on\r\n".to_vec()),
        ("noise", noise(4096)),
        ("a megabyte of noise", noise(1 << 20)),
        ("noise after the preface", [&preface[..], &[0xaa; 4096]].concat()),
        ("the preface twice", [&preface[..], preface].concat()),
    ];
    table.into_iter().map(|(name, bytes)| Case {
        name: name.to_owned(),
        sent: Sent::Bytes(bytes),
        expected: Expected::Closed,
    })
}
