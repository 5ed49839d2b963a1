//! A client of gRPC-Web that writes and reads the frames itself.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use prost::Message;
use tonic::Status;

use crate::{
    support::PATIENCE,
    web::http::{begin, begin_http2, request},
};

/// The protocol and the mode of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Binary,
    Text,
    /// Binary over HTTP/2.
    Http2,
}

pub const MODES: [Mode; 3] = [Mode::Binary, Mode::Text, Mode::Http2];

impl Mode {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Binary | Self::Http2 => "application/grpc-web+proto",
            Self::Text => "application/grpc-web-text",
        }
    }

    fn encoded(self, frame: Vec<u8>) -> Bytes {
        match self {
            Self::Binary | Self::Http2 => frame.into(),
            Self::Text => STANDARD.encode(frame).into(),
        }
    }
}

/// A client at an address.
#[derive(Clone)]
pub struct Client {
    pub address: String,
    pub mode: Mode,
    pub headers: Vec<(&'static str, String)>,
}

/// The answer to a call, read frame by frame.
pub struct Stream {
    pub headers: HeaderMap,
    mode: Mode,
    body: Incoming,
    text: BytesMut,
    bytes: BytesMut,
    is_over: bool,
}

impl Client {
    pub fn new(address: &str, mode: Mode) -> Self {
        Self { address: address.to_owned(), mode, headers: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Begins a call of a method of FaceMatch.
    pub async fn begin(&self, method: &str, message: &impl Message) -> Stream {
        let message = message.encode_to_vec();
        let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
        let frame = self.mode.encoded([&[0], &length[..], &message].concat());
        let path = format!("/facematch.v1.FaceMatch/{method}");
        let mut request = request("POST", &self.address, &path)
            .header("content-type", self.mode.content_type())
            .header("x-grpc-web", "1");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(frame)).expect("a request");
        let answer = match self.mode {
            Mode::Http2 => begin_http2(&self.address, request).await,
            Mode::Binary | Mode::Text => begin(&self.address, request).await,
        };
        assert_eq!(answer.status(), 200, "{:?}", answer.headers());
        let (parts, body) = answer.into_parts();
        let kind = parts.headers["content-type"].to_str().expect("text");
        assert_eq!(kind.contains("-text"), self.mode == Mode::Text, "{kind}");
        let (text, bytes) = (BytesMut::new(), BytesMut::new());
        Stream { headers: parts.headers, mode: self.mode, body, text, bytes, is_over: false }
    }

    /// Calls a unary method.
    pub async fn call<M: Message + Default>(
        &self,
        method: &str,
        message: &impl Message,
    ) -> Result<M, Status> {
        let mut stream = self.begin(method, message).await;
        let answer = stream.next().await?;
        let answer = answer.expect("a message");
        assert!(stream.next::<M>().await?.is_none(), "one message");
        Ok(answer)
    }

    /// Calls a streaming method and reads all messages.
    pub async fn all<M: Message + Default>(
        &self,
        method: &str,
        message: &impl Message,
    ) -> Result<Vec<M>, Status> {
        let mut stream = self.begin(method, message).await;
        let mut all = Vec::new();
        while let Some(message) = stream.next().await? {
            all.push(message);
        }
        Ok(all)
    }
}

impl Stream {
    /// The next message; `None` after a status of OK.
    pub async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        if self.is_over {
            return Ok(None);
        }
        // A refusal has its status in the headers.
        if let Some(status) = Status::from_header_map(&self.headers) {
            self.is_over = true;
            return Err(status);
        }
        let (flag, frame) = self.frame().await;
        match flag {
            0 => Ok(Some(M::decode(frame).expect("a message"))),
            0x80 => {
                self.is_over = true;
                let status = Status::from_header_map(&trailers(&frame)).expect("a status");
                if status.code() == tonic::Code::Ok { Ok(None) } else { Err(status) }
            }
            other => panic!("a frame with the flag {other}"),
        }
    }

    async fn frame(&mut self) -> (u8, Bytes) {
        loop {
            if self.bytes.len() >= 5 {
                let length = (&self.bytes[1..5]).get_u32() as usize;
                if self.bytes.len() >= 5 + length {
                    let flag = self.bytes[0];
                    self.bytes.advance(5);
                    return (flag, self.bytes.split_to(length).freeze());
                }
            }
            let next = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let next = next.expect("a frame in time").expect("the answer has its trailers");
            let data = next.expect("it isn't cut").into_data().expect("the body has no trailers");
            match self.mode {
                Mode::Binary | Mode::Http2 => self.bytes.extend_from_slice(&data),
                Mode::Text => self.decode(&data),
            }
        }
    }

    fn decode(&mut self, data: &[u8]) {
        self.text.extend_from_slice(data);
        let whole = self.text.split_to(self.text.len() / 4 * 4);
        for group in whole.chunks(4) {
            self.bytes.extend_from_slice(&STANDARD.decode(group).expect("base64"));
        }
    }
}

fn trailers(frame: &[u8]) -> HeaderMap {
    let text = std::str::from_utf8(frame).expect("text");
    let lines = text.split_terminator("\r\n").map(|line| line.split_once(':').expect("a trailer"));
    lines
        .map(|(name, value)| {
            let name: http::HeaderName = name.parse().expect("a name");
            (name, value.parse().expect("a value"))
        })
        .collect()
}
