//! A TCP proxy in front of Oz that keeps what the service sends.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A running proxy.
pub struct Recorder {
    pub url: String,
    sent: Arc<Mutex<Vec<u8>>>,
    _serving: JoinSet<()>,
}

impl Recorder {
    pub async fn to(oz: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sent = Arc::<Mutex<Vec<u8>>>::default();
        let (mut serving, record) = (JoinSet::new(), Arc::clone(&sent));
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                connections.spawn(pass(socket, oz, Arc::clone(&record)));
            }
        });
        Self { url, sent, _serving: serving }
    }

    /// The values of a header in all requests so far.
    pub fn values(&self, header: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.sent.lock().unwrap()).into_owned();
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(name, _)| *name == header).map(|(_, value)| value.to_owned()).collect()
    }
}

/// Passes one connection on. Each request's head comes before the next request's, because a
/// connection to Oz has one request at a time.
async fn pass(mut socket: TcpStream, oz: SocketAddr, record: Arc<Mutex<Vec<u8>>>) {
    let Ok(mut onward) = TcpStream::connect(oz).await else { return };
    let (mut from, mut back) = socket.split();
    let (mut answers, mut on) = onward.split();
    let forward = async {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(bytes @ 1..) = from.read(&mut piece).await {
            record.lock().unwrap().extend_from_slice(&piece[..bytes]);
            if on.write_all(&piece[..bytes]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = forward => {}
        _ = copy(&mut answers, &mut back) => {}
    }
}
