//! A server on the loopback interface that gives scripted answers and records its requests.
//!
//! It deliberately knows nothing of Oz: the test supplies the answers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use http::HeaderMap;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Its path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// What a connection does once it has received the head of a request.
#[derive(Clone)]
pub enum Answer {
    /// Reads the body, writes these bytes and closes.
    Raw(Vec<u8>),
    /// Writes these bytes at once, then reads and discards the body.
    Early(Vec<u8>),
    /// Reads the body and closes.
    Hangup,
    /// Reads the body and doesn't answer.
    Silence,
    /// Reads nothing more and doesn't answer.
    Deafness,
    /// Waits for a permit, then gives the answer.
    Held(Arc<Semaphore>, Box<Answer>),
}

impl Answer {
    /// A complete answer.
    pub fn http(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        Self::Raw([head.as_bytes(), body].concat())
    }

    pub fn json(status: u16, body: Value) -> Self {
        Self::http(status, &[("Content-Type", "application/json")], body.to_string())
    }

    /// The bytes that it writes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Raw(bytes) | Self::Early(bytes) => bytes.clone(),
            Self::Hangup | Self::Silence | Self::Deafness | Self::Held(..) => vec![],
        }
    }
}

type Handler = dyn Fn(&Request) -> Answer + Send + Sync;

/// The server. It stops when it is dropped.
pub struct Mock {
    pub url: String,
    seen: watch::Receiver<Vec<Request>>,
    left: watch::Receiver<usize>,
    _connections: JoinSet<()>,
}

impl Mock {
    /// Gives these answers in order; each further request gets a 599.
    pub async fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let queue = Mutex::new(VecDeque::from_iter(answers));
        Self::serving(move |_| {
            queue.lock().unwrap().pop_front().unwrap_or(Answer::http(599, &[], "unexpected"))
        })
        .await
    }

    /// Gives the answers that `handler` returns for the heads of requests.
    pub async fn serving(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (record, seen) = watch::channel(vec![]);
        let (leaver, left) = watch::channel(0);
        let mut connections = JoinSet::new();
        let log = Log { record, leaver };
        connections.spawn(accept(listener, Arc::new(handler), Arc::new(log)));
        Self { url, seen, left, _connections: connections }
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.borrow().clone()
    }

    /// Returns once there have been `count` requests like that.
    pub async fn saw(&self, count: usize, like: impl Fn(&Request) -> bool) {
        let mut seen = self.seen.clone();
        let enough =
            |seen: &Vec<Request>| seen.iter().filter(|request| like(request)).count() >= count;
        seen.wait_for(enough).await.unwrap();
    }

    /// Returns once a client that got no answer, or an early one, has closed its connection.
    pub async fn left(&self) {
        self.left.clone().wait_for(|left| *left > 0).await.unwrap();
    }

    pub fn count(&self, like: impl Fn(&Request) -> bool) -> usize {
        self.seen.borrow().iter().filter(|request| like(request)).count()
    }
}

struct Log {
    record: watch::Sender<Vec<Request>>,
    leaver: watch::Sender<usize>,
}

async fn accept(listener: TcpListener, handler: Arc<Handler>, log: Arc<Log>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&handler), Arc::clone(&log)));
    }
}

async fn serve(mut stream: TcpStream, handler: Arc<Handler>, log: Arc<Log>) {
    let Some((mut request, early)) = read_head(&mut stream).await else { return };
    let mut answer = handler(&request);
    if matches!(answer, Answer::Early(_) | Answer::Deafness) {
        log.record.send_modify(|seen| seen.push(request.clone()));
    } else {
        let length = length_of(&request);
        request.body = read_body(&mut stream, early, length).await;
        log.record.send_modify(|seen| seen.push(request));
    }
    while let Answer::Held(gate, held) = answer {
        gate.acquire().await.unwrap().forget();
        answer = *held;
    }
    match answer {
        Answer::Raw(bytes) => drop(stream.write_all(&bytes).await),
        Answer::Early(bytes) => {
            let _ = stream.write_all(&bytes).await;
            swallow(&mut stream, &log).await;
        }
        Answer::Silence => swallow(&mut stream, &log).await,
        Answer::Deafness => std::future::pending().await,
        Answer::Hangup | Answer::Held(..) => {}
    }
}

/// Reads until the client closes the connection.
async fn swallow(stream: &mut TcpStream, log: &Log) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
    log.leaver.send_modify(|left| *left += 1);
}

async fn read_head(stream: &mut TcpStream) -> Option<(Request, Vec<u8>)> {
    let mut bytes = vec![];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())
    };
    let request = Request {
        method: first.next()?.to_owned(),
        path: first.next()?.to_owned(),
        headers: lines.map(header).collect(),
        body: vec![],
    };
    Some((request, bytes[end + 4..].to_vec()))
}

fn length_of(request: &Request) -> usize {
    let length = request.headers.get("content-length");
    length.map_or(0, |length| length.to_str().unwrap().parse().unwrap())
}

async fn read_body(stream: &mut TcpStream, mut body: Vec<u8>, length: usize) -> Vec<u8> {
    while body.len() < length && matches!(stream.read_buf(&mut body).await, Ok(1..)) {}
    body
}
