//! A TCP proxy between a replica and Oz, which a test can cut off and which counts requests.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// Bytes per read.
const PIECE_BYTES: usize = 16 * 1024;

/// A proxy to Oz. Dropping it breaks all of its connections.
pub struct OzProxy {
    address: SocketAddr,
    way: Arc<Way>,
    _keeper: JoinSet<()>,
}

struct Way {
    oz: SocketAddr,
    is_open: watch::Sender<bool>,
    asked: AtomicU64,
}

impl OzProxy {
    /// Starts an open proxy.
    pub async fn to(oz: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (is_open, asked) = (watch::Sender::new(true), AtomicU64::new(0));
        let way = Arc::new(Way { oz, is_open, asked });
        let mut keeper = JoinSet::new();
        keeper.spawn(keep(listener, Arc::clone(&way)));
        Self { address, way, _keeper: keeper }
    }

    /// The URL for the replica's `--oz-url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Refuses new connections until [`Self::heal`], and cuts all others.
    pub fn cut_off(&self) {
        self.way.is_open.send_replace(false);
    }

    /// Accepts connections again.
    pub fn heal(&self) {
        self.way.is_open.send_replace(true);
    }

    /// The activity so far: the number of connections, refused ones included, and of pieces of
    /// requests.
    pub fn activity(&self) -> u64 {
        self.way.asked.load(Ordering::SeqCst)
    }
}

/// Accepts connections; they end when this future is dropped.
async fn keep(listener: TcpListener, way: Arc<Way>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            client = listener.accept() => {
                let (client, _) = client.expect("a client");
                let way = Arc::clone(&way);
                connections.spawn(async move { way.carry(client).await });
            }
            // The error of a broken connection is of no interest.
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Way {
    async fn carry(&self, client: TcpStream) -> io::Result<()> {
        self.count();
        let mut is_open = self.is_open.subscribe();
        tokio::select! {
            biased;
            _ = is_open.wait_for(|open| !open) => Err(ErrorKind::ConnectionReset.into()),
            ended = self.connect(client) => ended,
        }
    }

    async fn connect(&self, mut client: TcpStream) -> io::Result<()> {
        let mut oz = TcpStream::connect(self.oz).await?;
        client.set_nodelay(true)?;
        oz.set_nodelay(true)?;
        let (from_client, mut to_client) = client.split();
        let (mut from_oz, to_oz) = oz.split();
        tokio::select! {
            ended = self.ask(from_client, to_oz) => ended,
            ended = copy(&mut from_oz, &mut to_client) => ended.map(drop),
        }
    }

    async fn ask(&self, mut client: ReadHalf<'_>, mut oz: WriteHalf<'_>) -> io::Result<()> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let length = client.read(&mut piece).await?;
            if length == 0 {
                return Ok(());
            }
            self.count();
            oz.write_all(&piece[..length]).await?;
        }
    }

    fn count(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
    }
}
