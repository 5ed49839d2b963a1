//! An HTTP server of photos in the test's own process, which misbehaves on cue.
//!
//! It deliberately knows no service: it sends bytes, whatever they mean.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The longest head of a request that is read, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The size of a piece of an endless body.
static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// What the server does with a request.
pub enum Answer {
    /// Sends these bytes, and keeps the connection.
    Bytes(Vec<u8>),
    /// Sends these bytes, and closes the connection.
    LastBytes(Vec<u8>),
    /// Sends this head, and then chunks without an end.
    Endless(String),
    /// Sends nothing until the client leaves.
    Hang,
}

/// A request, as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The path and query.
    pub path: String,
    /// The whole head, with its names in lower case as they are sent.
    pub head: String,
}

type Answers = Box<dyn Fn(&Asked) -> Answer + Send>;

/// The server; it ends when it is dropped.
pub struct PhotoServer {
    address: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    answers: Mutex<Answers>,
    asked: Mutex<Vec<Asked>>,
    endless_bytes: AtomicU64,
}

impl PhotoServer {
    /// Starts with these answers.
    pub async fn start(answers: impl Fn(&Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            answers: Mutex::new(Box::new(answers)),
            asked: Mutex::default(),
            endless_bytes: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _tasks: tasks }
    }

    /// Its address: `http://` and a port of the loopback.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Answers requests in another way from now on.
    pub fn set_answers(&self, answers: impl Fn(&Asked) -> Answer + Send + 'static) {
        *self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(answers);
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many bytes of endless bodies the clients have taken.
    pub fn endless_bytes(&self) -> u64 {
        self.shared.endless_bytes.load(Ordering::Relaxed)
    }
}

/// A whole answer with a length.
pub fn answer(status: &str, headers: &str, body: &[u8]) -> Answer {
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    Answer::Bytes([head.as_bytes(), body].concat())
}

/// An answer with a photo.
pub fn photo(bytes: &[u8]) -> Answer {
    answer("200 OK", "content-type: image/jpeg\r\n", bytes)
}

/// An answer whose headers say this, before its body, and after which the connection is closed.
pub fn lie(headers: &str, body: &[u8]) -> Answer {
    Answer::LastBytes([format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n").as_bytes(), body].concat())
}

/// The bytes as one chunk of a chunked body.
pub fn chunked(body: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // An error means that the client has left.
            let _ = serve(connection, &shared).await;
        });
    }
}

async fn serve(mut connection: TcpStream, shared: &Shared) -> std::io::Result<()> {
    while let Some(asked) = request(&mut connection).await? {
        shared.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        let answer = shared.answers.lock().unwrap_or_else(PoisonError::into_inner)(&asked);
        match answer {
            Answer::Bytes(bytes) => connection.write_all(&bytes).await?,
            Answer::LastBytes(bytes) => return connection.write_all(&bytes).await,
            Answer::Endless(head) => return endless(connection, &head, shared).await,
            Answer::Hang => return connection.read_u8().await.map(drop),
        }
    }
    Ok(())
}

/// The next request; `None` if the client has left.
async fn request(connection: &mut TcpStream) -> std::io::Result<Option<Asked>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        let mut byte = [0];
        if connection.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a head is text");
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    Ok(Some(Asked { path, head }))
}

async fn endless(mut connection: TcpStream, head: &str, shared: &Shared) -> std::io::Result<()> {
    connection.write_all(head.as_bytes()).await?;
    loop {
        connection.write_all(format!("{:x}\r\n", PIECE.len()).as_bytes()).await?;
        connection.write_all(&PIECE).await?;
        connection.write_all(b"\r\n").await?;
        shared.endless_bytes.fetch_add(PIECE.len() as u64, Ordering::Relaxed);
    }
}
