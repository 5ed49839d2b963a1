//! A table of bad input: what a client sends, and the error specified for it.
//!
//! Each row uses a connection of its own, gets exactly the expected error, causes no request to Oz,
//! leaves nothing in memory or in the journal, and affects no other connected caller. Faults that
//! take time are tested elsewhere: unread streams in `watching/unread.rs`, too many streams in
//! `watching/connection.rs`, senders that stop half-way in `limits.rs` and `transport.rs`.

mod accepted;
mod fields;
mod lookups;
mod photos;
mod tokens;
mod wire;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::{Code, Status};

use crate::{
    canary::FILE_NAME,
    support::{PATIENCE, Refusal, TestServer, last_match, portrait_request},
    transport::{self, announced},
    watching,
};

/// A row: the input, and the expected outcome.
#[derive(Debug)]
pub struct Case {
    name: String,
    sent: Sent,
    expected: Expected,
}

/// The input, sent on a connection of its own.
#[derive(Debug)]
enum Sent {
    Call(Call),
    /// Raw bytes that are not HTTP/2.
    Bytes(Vec<u8>),
}

/// A call with a raw body.
#[derive(Debug)]
struct Call {
    rpc: &'static str,
    header: Option<(&'static str, String)>,
    pieces: Vec<Bytes>,
    /// Whether the body stays open after the pieces.
    is_open: bool,
}

/// The expected outcome.
#[derive(Debug)]
enum Expected {
    /// INVALID_ARGUMENT with this reason, exactly these fields, and these words in its message.
    Named { reason: &'static str, fields: Vec<String>, words: &'static str },
    /// This code, with this reason.
    Told(Code, &'static str),
    /// The transport's own error, without a reason.
    Untold(Code),
    /// The connection is closed.
    Closed,
}

impl Case {
    /// A well-formed request with invalid contents.
    fn request(
        name: impl Into<String>,
        rpc: &'static str,
        request: &impl Message,
        expected: Expected,
    ) -> Self {
        Self::call(name, rpc, vec![framed(&request.encode_to_vec())], expected)
    }

    /// A call with a malformed body.
    fn call(
        name: impl Into<String>,
        rpc: &'static str,
        pieces: Vec<Bytes>,
        expected: Expected,
    ) -> Self {
        let call = Call { rpc, header: None, pieces, is_open: false };
        Self { name: format!("{rpc}: {}", name.into()), sent: Sent::Call(call), expected }
    }

    /// Sends the input to the service at an address, and checks the outcome.
    pub async fn check(&self, address: &str) {
        match &self.sent {
            Sent::Call(call) => {
                let ended = timeout(PATIENCE, call.make(address)).await;
                let ended = ended.unwrap_or_else(|_| panic!("{}: the call doesn't end", self.name));
                let Err(status) = ended else { panic!("{}: the call succeeds", self.name) };
                self.expected.check(&self.name, status);
            }
            Sent::Bytes(bytes) => {
                assert!(matches!(self.expected, Expected::Closed), "{}", self.name);
                let closed = timeout(PATIENCE, until_closed(address, bytes)).await;
                assert!(closed.is_ok(), "{}: the connection stays open", self.name);
            }
        }
    }
}

impl Call {
    async fn make(&self, address: &str) -> Result<(), Status> {
        let mut channel = transport::channel(address).await;
        let headers: Vec<_> =
            self.header.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let pieces = stream::iter(self.pieces.clone().into_iter().map(Ok));
        if self.is_open {
            let body = pieces.chain(stream::pending());
            transport::call_with(&mut channel, self.rpc, body, &headers).await
        } else {
            transport::call_with(&mut channel, self.rpc, pieces, &headers).await
        }
    }
}

impl Expected {
    /// One invalid field.
    fn field(name: &str) -> Self {
        Self::fields(&[name])
    }

    /// All invalid fields, in order.
    fn fields(names: &[&str]) -> Self {
        Self::named("FIELD_INVALID", names, "")
    }

    fn named(reason: &'static str, names: &[&str], words: &'static str) -> Self {
        let fields = names.iter().map(|name| (*name).to_owned()).collect();
        Self::Named { reason, fields, words }
    }

    fn check(&self, name: &str, status: Status) {
        match self {
            Self::Named { reason, fields, words } => {
                let refusal = Refusal::of(status);
                let told = (refusal.code, refusal.reason(), refusal.fields());
                let fields = fields.iter().map(String::as_str).collect();
                assert_eq!(told, (Code::InvalidArgument, *reason, fields), "{name}: {refusal:?}");
                assert!(refusal.message.contains(words), "{name}: {}", refusal.message);
                let retry = refusal.details.retry_info();
                assert!(retry.is_none(), "{name}: a retry would fail as well");
            }
            Self::Told(code, reason) => {
                let refusal = Refusal::of(status);
                assert_eq!((refusal.code, refusal.reason()), (*code, *reason), "{name}");
            }
            Self::Untold(code) => {
                assert_eq!(status.code(), *code, "{name}: {status:?}");
                assert!(status.details().is_empty(), "{name}: {status:?}");
            }
            Self::Closed => panic!("{name}: a call has a status: {status:?}"),
        }
    }
}

/// A message with its gRPC length prefix.
fn framed(message: &[u8]) -> Bytes {
    announced(u32::try_from(message.len()).expect("a message's length"), message)
}

/// Sends bytes on a new connection, and reads until the service closes it.
async fn until_closed(address: &str, bytes: &[u8]) {
    let mut connection = connect(address).await;
    // The service may close it before all bytes are written.
    let _ = connection.write_all(bytes).await;
    let _ = connection.read_to_end(&mut Vec::new()).await;
}

async fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address.trim_start_matches("http://")).await.expect("the service listens")
}

/// A file name of `characters` characters.
fn long_name(characters: usize) -> String {
    format!("{FILE_NAME}{}", "ж".repeat(characters - FILE_NAME.len()))
}

fn uuid() -> String {
    "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1".into()
}

/// Every row except those about tokens, which need a running service.
pub fn cases() -> Vec<Case> {
    [fields::cases(), photos::cases(), lookups::cases(), wire::cases()]
        .into_iter()
        .flatten()
        .collect()
}

#[tokio::test]
async fn every_bad_input_is_refused_as_specified_and_affects_no_other_caller() {
    let mut house = TestServer::build().await;
    let mut cases = tokens::cases(&mut house).await;
    cases.extend(self::cases());
    house.oz.clear_record();
    let mut bystander = watching::all_after(&house, "").await;
    let mut refused = 0;
    for case in &cases {
        case.check(&house.address).await;
        house.assert_untouched(&case.name).await;
        refused += 1;
    }
    let run = house.run(portrait_request(&house.folder())).await;
    assert_eq!(watching::take(&mut bystander, run.len()).await, run);
    assert!(last_match(&run).result.is_some(), "{run:?}");
    println!("bad inputs: {refused}, all refused as specified");
}
