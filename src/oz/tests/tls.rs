//! Oz over TLS: which certificates are trusted, and the kind of a failed handshake.

use super::*;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// A certificate authority for these tests only, valid from 2020 to 2099.
const CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBRjCB7aADAgECAgEBMAoGCCqGSM49BAMCMBIxEDAOBgNVBAMMB3Rlc3QgQ0Ew
IBcNMjAwMTAxMDAwMDAwWhgPMjA5OTEyMzEwMDAwMDBaMBIxEDAOBgNVBAMMB3Rl
c3QgQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASvmzV7cLZIq1QXqChftkBV
JkbzK4zCQ/Fv3oTtHknI4V1PUXmYRIrsLxFOAYNSRT5yO29bNPeJr8qlpF18kcDf
ozIwMDAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBQlqyH/TjRM2MyLzTsHDNBL
8lhYkTAKBggqhkjOPQQDAgNIADBFAiAScVbvy8Zqb/7K4y6j/JqUybs0nSat7H1t
Wqvcez5oCgIhAKak1mXiwzxthwsmv3oQdcj27h9TuwBi6oonb/lBRf2X
-----END CERTIFICATE-----
";

/// Its certificate for localhost and 127.0.0.1, valid for the same time.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBiTCCATCgAwIBAgIBAjAKBggqhkjOPQQDAjASMRAwDgYDVQQDDAd0ZXN0IENB
MCAXDTIwMDEwMTAwMDAwMFoYDzIwOTkxMjMxMDAwMDAwWjAUMRIwEAYDVQQDDAls
b2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASpdQHHN08wxfixeO6t
jq319ENy0EZ6dJMI7Odh66VIDIgsCPQMg7NITl3uRFfr/Mf6lj7psLLe204pDfge
p0tro3MwcTAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwEwYDVR0lBAwwCgYI
KwYBBQUHAwEwHQYDVR0OBBYEFJUvlgQdf4S77CUAgNP7S/eqYudAMB8GA1UdIwQY
MBaAFCWrIf9ONEzYzIvNOwcM0EvyWFiRMAoGCCqGSM49BAMCA0cAMEQCIBKvf4wX
j96BAvegMtbKIeNXH++wVjFD8H8kK+/+8WL+AiB4n5psx7NEO/AReKpsqUf3yGhO
ZENZ5OI5MzFrD9Epxw==
-----END CERTIFICATE-----
";

/// The private key of that certificate; it is used nowhere else.
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtnnNQxCg32qUaQ2Y
NxC2XQARLRgYnpmNky9bdNTdoluhRANCAASpdQHHN08wxfixeO6tjq319ENy0EZ6
dJMI7Odh66VIDIgsCPQMg7NITl3uRFfr/Mf6lj7psLLe204pDfgep0tr
-----END PRIVATE KEY-----
";

/// A file with the authority's certificate, as an operator would provide it.
pub fn ca_file() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(CA.as_bytes()).unwrap();
    file
}

/// Serves one connection over TLS with this answer, and returns its address.
fn serve_once(answer: Answer) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = ServerConnection::new(server_config()).unwrap();
        speak(StreamOwned::new(connection, stream), &answer.bytes());
    });
    (url, server)
}

fn server_config() -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

/// Reads the head of a request and answers. A client that doesn't trust this server leaves before.
fn speak(mut stream: StreamOwned<ServerConnection, TcpStream>, answer: &[u8]) {
    let mut head = vec![];
    let mut buffer = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => head.extend(&buffer[..count]),
            Ok(0) | Err(_) => return,
        }
    }
    stream.write_all(answer).unwrap();
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

#[tokio::test]
async fn a_given_authority_is_trusted() {
    let (url, server) = serve_once(Answer::json(200, finished()));
    let file = ca_file();
    let config = Config { ca_file: Some(file.path().into()), ..settings(&url) };
    perform(&client(config), &read_analysis()).await.unwrap();
    server.join().unwrap();
}

#[tokio::test]
async fn an_unknown_authority_is_not_trusted() {
    let (url, server) = serve_once(Answer::json(200, finished()));
    // A valid certificate, but not the issuer of the server's certificate.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(CERTIFICATE.as_bytes()).unwrap();
    let config = Config { ca_file: Some(file.path().into()), ..settings(&url) };
    let failure = perform(&client(config), &read_analysis()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.message.contains("certificate"), "{}", failure.message);
    server.join().unwrap();
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_unreachable() {
    // The server accepts the connection and never completes the handshake.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let file = ca_file();
    let config = Config {
        ca_file: Some(file.path().into()),
        connect_timeout: Duration::from_millis(100),
        ..settings(&url)
    };
    let failure = perform(&client(config), &read_analysis()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
}
