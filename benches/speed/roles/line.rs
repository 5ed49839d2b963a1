//! A proxy between the service and Oz, which notes when an answer ends an analysis.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

use crate::Result;

/// How much is passed on at once: an answer to a poll is far smaller.
const PIECE_BYTES: usize = 64 * 1024;
/// The text that ends an analysis in an answer, and the text before the analysis's id.
const ENDED: &str = "\"state\":\"FINISHED\"";
const ID: &str = "\"analyse_id\":\"";
const ID_BYTES: usize = 36;

/// The proxy: it passes requests on to Oz, and reads Oz's answers in passing.
pub struct Line {
    url: String,
    answers: Arc<Answers>,
    _running: JoinSet<()>,
}

/// When an answer first said that an analysis has ended, by its id.
#[derive(Default)]
struct Answers(Mutex<HashMap<String, Instant>>);

impl Line {
    pub async fn to(oz: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (answers, mut running) = (Arc::<Answers>::default(), JoinSet::new());
        let oz = oz.trim_start_matches("http://").trim_end_matches('/').to_owned();
        running.spawn(run(listener, oz, Arc::clone(&answers)));
        Ok(Self { url, answers, _running: running })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// How long before `told` Oz answered that an analysis has ended.
    pub fn since_answer(&self, analysis_id: &str, told: Instant) -> Result<Duration> {
        let answers = self.answers.0.lock().expect("no holder of the lock panics");
        let answered = answers.get(analysis_id).ok_or("an analysis that Oz has not ended")?;
        Ok(told.saturating_duration_since(*answered))
    }
}

async fn run(listener: TcpListener, oz: String, answers: Arc<Answers>) {
    let mut connections = JoinSet::new();
    while let Ok((service, _)) = listener.accept().await {
        connections.spawn(connection(service, oz.clone(), Arc::clone(&answers)));
        while connections.try_join_next().is_some() {}
    }
}

/// When one direction ends, for whatever reason, both connections close.
async fn connection(service: TcpStream, oz: String, answers: Arc<Answers>) {
    let Ok(there) = TcpStream::connect(oz).await else { return };
    let _ = (service.set_nodelay(true), there.set_nodelay(true));
    let ((mut from_service, to_service), (from_oz, mut to_oz)) =
        (service.into_split(), there.into_split());
    tokio::select! {
        _ = copy(&mut from_service, &mut to_oz) => {}
        _ = witness(from_oz, to_service, &answers) => {}
    }
}

async fn witness(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    answers: &Answers,
) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let bytes = from.read(&mut piece).await?;
        if bytes == 0 {
            return Ok(());
        }
        answers.note(&piece[..bytes]);
        to.write_all(&piece[..bytes]).await?;
    }
}

impl Answers {
    fn note(&self, piece: &[u8]) {
        let text = String::from_utf8_lossy(piece);
        // An answer about a folder lists analyses too, beside its media.
        if !text.contains(ENDED) || text.contains("\"media\"") {
            return;
        }
        let id = text.split_once(ID).and_then(|(_, rest)| rest.get(..ID_BYTES));
        if let Some(id) = id {
            let mut answers = self.0.lock().expect("no holder of the lock panics");
            answers.entry(id.to_owned()).or_insert_with(Instant::now);
        }
    }
}
