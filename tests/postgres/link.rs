//! A proxy between clients and a server, which a test cuts, silences or closes.
//!
//! It knows only as much of PostgreSQL's protocol as shows where a request and an answer end, and
//! deliberately nothing of TLS. It has threads of its own, so that its user may block.

use std::{
    io::{self, ErrorKind},
    mem,
    net::{self, Ipv4Addr},
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::postgres::{free_port, url, wait_until};

/// The codes of requests for encryption, which a first message has in the place of a version.
const ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];

/// The most bytes on the way to the server at once, and the size of the largest piece.
const WIRE_BYTES: usize = 64 * 1024;

/// The lengths of a first message that a server accepts, in bytes.
const FIRST_MESSAGE: RangeInclusive<u32> = 8..=10_000;

/// A proxy to a server. Dropping it cuts all of its connections.
pub struct Link {
    /// `None` once the link is dropped.
    runtime: Option<Runtime>,
    port: u16,
    line: Arc<Line>,
    /// The task that accepts connections. `None` while they are refused.
    acceptor: Mutex<Option<Tasks>>,
}

/// A message that is lost together with its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// A request: it doesn't reach the server.
    Request,
    /// An answer: the server has carried out the request, and the answer doesn't reach the client.
    /// A statement has one more answer when it is prepared for the first time.
    Answer,
    /// An answer that says `COMMIT`.
    Commit,
}

/// What all connections of a link share.
struct Line {
    server: AtomicU16,
    silent: watch::Sender<bool>,
    /// How many answers are left until the link falls silent, if it is to.
    answers_left: Mutex<Option<usize>>,
    loss: Mutex<Option<(Loss, usize)>>,
    losses: AtomicUsize,
    /// How many requests have reached the server.
    requests: AtomicUsize,
    /// By how much each piece to the server is delayed: the latency of a whole round trip.
    delay: Mutex<Duration>,
    connections: Mutex<Tasks>,
}

/// Tasks that are ended together.
#[derive(Default)]
struct Tasks {
    end: CancellationToken,
    running: TaskTracker,
}

impl Link {
    /// A link to the server on a port of the loopback.
    pub fn to(server: u16) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let line = Line {
            server: AtomicU16::new(server),
            silent: watch::Sender::new(false),
            answers_left: Mutex::default(),
            loss: Mutex::default(),
            losses: AtomicUsize::default(),
            requests: AtomicUsize::default(),
            delay: Mutex::default(),
            connections: Mutex::default(),
        };
        let (runtime, line) = (Some(runtime.expect("a runtime")), Arc::new(line));
        let link = Self { runtime, port: free_port(), line, acceptor: Mutex::default() };
        link.open();
        link
    }

    /// The URL of a database through this link.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// Cuts all connections, and returns once they are cut. New ones are made as before.
    pub fn cut(&self) {
        let cut = mem::take(&mut *locked(&self.line.connections));
        cut.end();
    }

    /// Refuses new connections until [`Self::heal`]. Existing ones stay.
    pub fn refuse(&self) {
        if let Some(door) = locked(&self.acceptor).take() {
            door.end();
        }
    }

    /// Refuses new connections until [`Self::heal`], and cuts all others.
    pub fn cut_off(&self) {
        self.refuse();
        self.cut();
    }

    /// Holds everything back until [`Self::heal`]. Connections stay, and new ones are accepted.
    pub fn silence(&self) {
        self.line.silent.send_replace(true);
    }

    /// Falls silent, as by [`Self::silence`], at the n-th answer from now, over all connections.
    /// The first is 1; the messages that set up a connection don't count.
    pub fn silence_at(&self, nth: usize) {
        assert!(nth > 0, "the first is 1");
        *locked(&self.line.answers_left) = Some(nth);
    }

    /// Whether the link holds everything back.
    pub fn is_silent(&self) -> bool {
        *self.line.silent.borrow()
    }

    /// Leads new connections to another server. Existing ones stay.
    pub fn lead_to(&self, server: u16) {
        self.line.server.store(server, Ordering::SeqCst);
    }

    /// Loses the n-th request or answer from now, over all connections, and cuts its connection.
    /// The first is 1; the messages that set up a connection don't count.
    pub fn lose(&self, what: Loss, nth: usize) {
        assert!(nth > 0, "the first is 1");
        *locked(&self.line.loss) = Some((what, nth));
    }

    /// How many requests and answers have been lost so far.
    pub fn losses(&self) -> usize {
        self.line.losses.load(Ordering::SeqCst)
    }

    /// Makes each round trip so much longer, over connections that are made from now on. Concurrent
    /// round trips don't delay each other.
    pub fn delay(&self, trip: Duration) {
        *locked(&self.line.delay) = trip;
    }

    /// How many requests have come through so far, which is the number of round trips.
    pub fn requests(&self) -> usize {
        self.line.requests.load(Ordering::SeqCst)
    }

    /// Lets everything through again: what was held back, new connections, and a message that was
    /// still to be lost.
    pub fn heal(&self) {
        *locked(&self.line.loss) = None;
        *locked(&self.line.answers_left) = None;
        self.line.silent.send_replace(false);
        self.open();
    }

    /// Accepts connections, unless it does already.
    fn open(&self) {
        let mut door = locked(&self.acceptor);
        if door.is_some() {
            return;
        }
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, self.port));
        let listener = listener.expect("its port is its own");
        listener.set_nonblocking(true).expect("a socket that doesn't block");
        let runtime = self.runtime.as_ref().expect("it isn't dropped").handle();
        let _inside = runtime.enter();
        let listener = TcpListener::from_std(listener).expect("a listener");
        door.insert(Tasks::default()).spawn(accept(listener, self.line.clone()));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // In the background: a blocking shutdown would panic in an asynchronous test.
        self.runtime.take().expect("it is dropped once").shutdown_background();
    }
}

impl Tasks {
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        self.running.spawn(async move { end.run_until_cancelled(work).await });
    }

    /// Ends all tasks, and returns once they have dropped what they held.
    fn end(&self) {
        self.end.cancel();
        wait_until("a link's tasks have ended", || self.running.is_empty());
    }
}

impl Line {
    /// Waits while the link is silent.
    async fn wait_while_silent(&self) {
        let mut silent = self.silent.subscribe();
        silent.wait_for(|silent| !silent).await.expect("the line is alive");
    }

    /// Counts an answer that is about to be delivered. The link may fall silent at it.
    fn count_answer(&self) {
        let mut left = locked(&self.answers_left);
        *left = left.map(|left| left - 1);
        if *left == Some(0) {
            *left = None;
            self.silent.send_replace(true);
        }
    }

    /// Whether a message is to be lost.
    fn is_risky(&self) -> bool {
        locked(&self.loss).is_some()
    }

    /// Counts a request or an answer that is about to be delivered. Returns whether it is lost.
    fn loses(&self, held: &Held) -> bool {
        let mut loss = locked(&self.loss);
        let Some((_, left)) = loss.as_mut().filter(|(what, _)| held.is(*what)) else {
            return false;
        };
        *left -= 1;
        if *left > 0 {
            return false;
        }
        *loss = None;
        self.losses.fetch_add(1, Ordering::SeqCst);
        true
    }
}

async fn accept(listener: TcpListener, line: Arc<Line>) {
    loop {
        let (client, _) = listener.accept().await.expect("a client");
        let connection = connect(client, line.clone());
        locked(&line.connections).spawn(async {
            // A connection that fails is cut, and its error doesn't matter.
            let _ = connection.await;
        });
    }
}

/// Forwards a connection until one of its ends is closed, or one of its messages is lost.
async fn connect(mut client: TcpStream, line: Arc<Line>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = start_up(&mut client, &line).await?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let delay = *locked(&line.delay);
    let (from_wire, to_wire) = tokio::io::simplex(WIRE_BYTES);
    tokio::select! {
        ended = forward(from_client, to_wire, Way::ToServer, &line) => ended,
        ended = lag(from_wire, to_server, delay) => ended,
        ended = forward(from_server, to_client, Way::ToClient, &line) => ended,
    }
}

/// Forwards each piece so much later.
#[expect(clippy::disallowed_methods, reason = "a distance takes real time")]
async fn lag(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) -> io::Result<()> {
    let (late, mut pieces) = mpsc::unbounded_channel();
    let reading = async move {
        loop {
            let mut piece = vec![0; WIRE_BYTES];
            let bytes = from.read(&mut piece).await?;
            piece.truncate(bytes);
            if bytes == 0 || late.send((Instant::now() + delay, piece)).is_err() {
                return Ok::<(), io::Error>(());
            }
        }
    };
    let writing = async move {
        while let Some((due, piece)) = pieces.recv().await {
            if !delay.is_zero() {
                sleep_until(due).await;
            }
            to.write_all(&piece).await?;
        }
        Ok(())
    };
    tokio::try_join!(reading, writing).map(drop)
}

/// Connects to the server and forwards a client's first messages, which have no type: the requests
/// for encryption, each answered by one byte, and the startup message.
async fn start_up(client: &mut TcpStream, line: &Line) -> io::Result<TcpStream> {
    let mut first = read_first(client).await?;
    line.wait_while_silent().await;
    let mut server =
        TcpStream::connect((Ipv4Addr::LOCALHOST, line.server.load(Ordering::SeqCst))).await?;
    server.set_nodelay(true)?;
    while asks_for_encryption(&first) {
        server.write_all(&first).await?;
        let answer = server.read_u8().await?;
        line.wait_while_silent().await;
        client.write_u8(answer).await?;
        first = read_first(client).await?;
        line.wait_while_silent().await;
    }
    server.write_all(&first).await?;
    Ok(server)
}

fn asks_for_encryption(first: &[u8]) -> bool {
    ENCRYPTION.iter().any(|code| first[4..].starts_with(&code.to_be_bytes()))
}

/// Reads a message without a type, which begins with its length.
async fn read_first(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = client.read_u32().await?;
    if !FIRST_MESSAGE.contains(&length) {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut message = length.to_be_bytes().to_vec();
    message.resize(length as usize, 0);
    client.read_exact(&mut message[4..]).await?;
    Ok(message)
}

/// The direction of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

impl Way {
    /// Whether a message of this type ends a request (Sync, Query), or an answer (ReadyForQuery).
    fn is_end(self, kind: u8) -> bool {
        match self {
            Self::ToServer => matches!(kind, b'S' | b'Q'),
            Self::ToClient => kind == b'Z',
        }
    }

    /// Whether a message of this type is part of neither: Terminate; NotificationResponse,
    /// NoticeResponse, ParameterStatus.
    fn is_apart(self, kind: u8) -> bool {
        match self {
            Self::ToServer => kind == b'X',
            Self::ToClient => matches!(kind, b'A' | b'N' | b'S'),
        }
    }
}

/// The part of a request or an answer that has arrived. It is held back while it may get lost.
struct Held {
    way: Way,
    bytes: Vec<u8>,
    commits: bool,
}

impl Held {
    fn is(&self, what: Loss) -> bool {
        match what {
            Loss::Request => self.way == Way::ToServer,
            Loss::Answer => self.way == Way::ToClient,
            Loss::Commit => self.commits,
        }
    }
}

/// Forwards typed messages one way.
async fn forward(
    from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    line: &Line,
) -> io::Result<()> {
    let mut from = BufReader::new(from);
    if way == Way::ToClient {
        while deliver(&mut from, &mut to, line).await? != b'Z' {}
    }
    let mut held = Held { way, bytes: Vec::new(), commits: false };
    loop {
        let message = read_message(&mut from).await?;
        let kind = message[0];
        line.wait_while_silent().await;
        if way.is_apart(kind) {
            to.write_all(&message).await?;
            continue;
        }
        held.commits |= way == Way::ToClient && kind == b'C' && &message[5..] == b"COMMIT\0";
        held.bytes.extend_from_slice(&message);
        if way.is_end(kind) {
            if way == Way::ToClient {
                line.count_answer();
                line.wait_while_silent().await;
            }
            if way == Way::ToServer {
                line.requests.fetch_add(1, Ordering::SeqCst);
            }
            if line.loses(&held) {
                return Ok(());
            }
            held.commits = false;
        } else if line.is_risky() {
            continue;
        }
        to.write_all(&mem::take(&mut held.bytes)).await?;
    }
}

/// Forwards a message without counting it, and returns its type.
async fn deliver(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    line: &Line,
) -> io::Result<u8> {
    let message = read_message(from).await?;
    line.wait_while_silent().await;
    to.write_all(&message).await?;
    Ok(message[0])
}

/// Reads a message: its type, its length without the type, and the rest.
async fn read_message(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let (kind, length) = (from.read_u8().await?, from.read_u32().await?);
    let mut message = vec![kind];
    message.extend_from_slice(&length.to_be_bytes());
    let rest = length.checked_sub(4).ok_or(ErrorKind::InvalidData)?;
    message.resize(message.len() + rest as usize, 0);
    from.read_exact(&mut message[5..]).await?;
    Ok(message)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
