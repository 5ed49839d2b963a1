//! Tests of the client over real connections.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::*;

#[test]
fn plain_http_is_for_this_machine_only() {
    for (url, expected) in [
        ("https://photos.example", true),
        ("http://127.0.0.1:8080/", true),
        ("http://127.8.8.8/", true),
        ("http://[::1]:8080/", true),
        ("http://localhost/", true),
        ("http://photos.example/", false),
        ("http://localhost.example/", false),
        ("http://10.0.0.1/", false),
        ("http://169.254.169.254/", false),
        ("http://0x7f000001/", true),
        ("ftp://127.0.0.1/", false),
    ] {
        assert_eq!(is_safe(&Url::parse(url).unwrap()), expected, "{url}");
    }
}

#[test]
fn a_status_has_one_meaning() {
    for (status, fault) in [
        (204, LibraryFault::Protocol),
        (301, LibraryFault::Protocol),
        (302, LibraryFault::Protocol),
        (304, LibraryFault::Protocol),
        (400, LibraryFault::Protocol),
        (401, LibraryFault::Forbidden),
        (403, LibraryFault::Forbidden),
        (404, LibraryFault::NotFound),
        (405, LibraryFault::Protocol),
        (408, LibraryFault::Unreachable),
        (410, LibraryFault::NotFound),
        (425, LibraryFault::Unreachable),
        (429, LibraryFault::Unreachable),
        (500, LibraryFault::Unreachable),
        (503, LibraryFault::Unreachable),
    ] {
        assert_eq!(status_fault(StatusCode::from_u16(status).unwrap()), fault, "{status}");
    }
}

#[test]
fn certificates_that_cannot_be_used_are_refused() {
    let broken = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    for (pem, why) in [
        ("", "holds no certificate in PEM"),
        ("no PEM", "holds no certificate in PEM"),
        (broken, "holds a certificate that can't be read"),
    ] {
        let bad = build(Some(pem.as_bytes()), true).unwrap_err();
        assert_eq!((bad.term, bad.why.as_str()), (Term::CaFile, why), "{pem}");
    }
}

/// A server with a certificate of its own.
struct TlsServer {
    /// Its certificate in PEM.
    ca: String,
    url: String,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl TlsServer {
    /// Sends the beginning of an answer on one connection, and says goodbye, or is gone.
    fn serve(with_close_notify: bool) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let private = PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config
            .with_single_cert(vec![key.cert.der().clone()], PrivateKeyDer::Pkcs8(private))
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/17", listener.local_addr().unwrap().port());
        let thread = thread::spawn(move || {
            let (socket, _) = listener.accept()?;
            let connection = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = StreamOwned::new(connection, socket);
            let _ = stream.read(&mut [0; 4096])?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut")?;
            if with_close_notify {
                stream.conn.send_close_notify();
            }
            stream.flush()
        });
        Self { ca: key.cert.pem(), url, thread }
    }
}

/// The fault of an answer over TLS that lacks most of its body.
async fn cut_off(with_close_notify: bool) -> SourceError {
    let server = TlsServer::serve(with_close_notify);
    let http = build(Some(server.ca.as_bytes()), true).unwrap();
    let answer = http.get(&server.url).send().await.unwrap();
    let error = answer.bytes().await.unwrap_err().without_url();
    server.thread.join().unwrap().unwrap();
    transport_fault(&error, true)
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_trusted() {
    let server = TlsServer::serve(true);
    let another = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let http = build(Some(another.cert.pem().as_bytes()), true).unwrap();
    let error = http.get(&server.url).send().await.unwrap_err().without_url();
    let SourceError::Fault(fault, text) = transport_fault(&error, false) else { panic!("a fault") };
    assert_eq!(fault, LibraryFault::Unreachable);
    assert!(text.contains("certificate"), "{text}");
    assert!(server.thread.join().unwrap().is_err(), "nothing was sent");
}

#[tokio::test]
async fn an_answer_that_a_crash_cuts_off_is_no_lie() {
    let SourceError::Fault(fault, text) = cut_off(false).await else { panic!("a fault") };
    assert_eq!(fault, LibraryFault::Unreachable, "{text}");
    let SourceError::Fault(fault, text) = cut_off(true).await else { panic!("a fault") };
    assert_eq!(fault, LibraryFault::Protocol, "{text}");
}

#[tokio::test]
async fn a_library_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let http = build(None, false).unwrap();
    let error = http.get(format!("http://{address}/customer-17")).send().await.unwrap_err();
    let SourceError::Fault(fault, text) = transport_fault(&error.without_url(), false) else {
        panic!("a fault")
    };
    assert_eq!(fault, LibraryFault::Unreachable);
    assert!(text.starts_with("could not connect: ") && !text.contains("customer"), "{text}");
}
