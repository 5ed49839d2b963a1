//! Bad input, a row each: what a stranger sends, and what is stated for it.
//!
//! Each row goes over a connection of its own, gets just what it says, asks nothing of Oz, leaves
//! nothing behind, and harms nobody who is connected meanwhile. What is wrong only in the long run
//! is elsewhere: streams that nobody reads in `watching/unread.rs`, too many of them in
//! `watching/connection.rs`, senders that stop half-way in `limits.rs` and `transport.rs`.

mod fields;
mod lookups;
mod photos;
mod taken;
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
    support::{House, PATIENCE, Refusal, last, portrait_request},
    transport::{self, announced},
    watching,
};

/// A row: what is sent, and what comes of it.
#[derive(Debug)]
pub struct Case {
    name: String,
    sent: Sent,
    expected: Expected,
}

/// What a stranger sends, on a connection of its own.
#[derive(Debug)]
enum Sent {
    Call(Call),
    /// Whatever this is instead of HTTP/2.
    Bytes(Vec<u8>),
}

/// A call with a body as it is.
#[derive(Debug)]
struct Call {
    rpc: &'static str,
    header: Option<(&'static str, String)>,
    pieces: Vec<Bytes>,
    /// Whether more seems to come, and never does.
    is_open: bool,
}

/// What is stated for it.
#[derive(Debug)]
enum Expected {
    /// INVALID_ARGUMENT for this reason, which names just these fields, and has these words.
    Named { reason: &'static str, fields: Vec<String>, words: &'static str },
    /// This code, for this reason.
    Told(Code, &'static str),
    /// The transport's own error.
    Untold(Code),
    /// The connection is closed.
    Closed,
}

impl Case {
    /// A request that is wrong in what it says.
    fn request(
        name: impl Into<String>,
        rpc: &'static str,
        request: &impl Message,
        expected: Expected,
    ) -> Self {
        Self::call(name, rpc, vec![framed(&request.encode_to_vec())], expected)
    }

    /// A call that is wrong below what it says.
    fn call(
        name: impl Into<String>,
        rpc: &'static str,
        pieces: Vec<Bytes>,
        expected: Expected,
    ) -> Self {
        let call = Call { rpc, header: None, pieces, is_open: false };
        Self { name: format!("{rpc}: {}", name.into()), sent: Sent::Call(call), expected }
    }

    /// Sends it to the service at an address, and checks what comes of it.
    pub async fn check(&self, address: &str) {
        match &self.sent {
            Sent::Call(call) => {
                let ended = timeout(PATIENCE, call.make(address)).await;
                let ended = ended.unwrap_or_else(|_| panic!("{}: it goes on", self.name));
                let Err(status) = ended else { panic!("{}: it is taken", self.name) };
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
    /// One field that is wrong.
    fn field(name: &str) -> Self {
        Self::fields(&[name])
    }

    /// All fields that are wrong, in order.
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
                assert!(retry.is_none(), "{name}: the same again is as wrong");
            }
            Self::Told(code, reason) => {
                let refusal = Refusal::of(status);
                assert_eq!((refusal.code, refusal.reason()), (*code, *reason), "{name}");
            }
            Self::Untold(code) => {
                assert_eq!(status.code(), *code, "{name}: {status:?}");
                assert!(status.details().is_empty(), "{name}: {status:?}");
            }
            Self::Closed => panic!("{name}: a call has an answer: {status:?}"),
        }
    }
}

/// A message with its prefix.
fn framed(message: &[u8]) -> Bytes {
    announced(u32::try_from(message.len()).expect("a message's length"), message)
}

/// Says something on a connection, and listens until the other side closes it.
async fn until_closed(address: &str, bytes: &[u8]) {
    let mut connection = connect(address).await;
    // It may be closed before all is written.
    let _ = connection.write_all(bytes).await;
    let _ = connection.read_to_end(&mut Vec::new()).await;
}

async fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address.trim_start_matches("http://")).await.expect("the service listens")
}

/// A file's name of so many characters.
fn long_name(characters: usize) -> String {
    format!("{FILE_NAME}{}", "ж".repeat(characters - FILE_NAME.len()))
}

fn uuid() -> String {
    "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1".into()
}

/// Every row that goes without a token.
pub fn cases() -> Vec<Case> {
    [fields::cases(), photos::cases(), lookups::cases(), wire::cases()]
        .into_iter()
        .flatten()
        .collect()
}

#[tokio::test]
async fn every_bad_input_is_refused_as_stated_and_harms_nobody() {
    let mut house = House::build().await;
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
    assert!(last(&run).result.is_some(), "{run:?}");
    println!("bad inputs: {refused}, all refused as stated");
}
