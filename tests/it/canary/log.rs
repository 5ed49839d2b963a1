//! Searches the log as it is written, without keeping it.

use std::{
    cell::RefCell,
    fmt::{Debug, Write},
    io::{ErrorKind, Read},
    sync::Once,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use crate::canary::{
    FOUND, Findings,
    needles::{Search, Secret, search},
};

/// The service logs at every level, its dependencies at all but `trace`: their `trace` would add
/// half the run time of all tests. `promises/secrets.rs` searches that level for one service.
pub const LEVELS: &str = "facematch=trace,debug";

/// Bytes per read of another process's log.
const PIECE_BYTES: usize = 64 * 1024;

/// Searches everything that this process logs from now on.
pub fn search_all() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let searched = subscriber(LEVELS, &FOUND);
        tracing::subscriber::set_global_default(searched).expect("no other subscriber is set");
    });
}

/// The result of searching another process's log.
pub struct Log {
    pub bytes: usize,
    pub secret: Option<Secret>,
}

/// Searches another process's log to its end.
pub fn search_log(log: impl Read) -> Log {
    search_by(Search::default(), log)
}

/// Searches a file of a store.
pub fn search_stored(file: impl Read) -> Log {
    search_by(Search::of_store(), file)
}

fn search_by(mut search: Search, mut log: impl Read) -> Log {
    let mut piece = vec![0; PIECE_BYTES];
    let (mut bytes, mut secret) = (0, None);
    loop {
        match log.read(&mut piece) {
            Ok(0) => return Log { bytes, secret },
            // Reads on after a finding, so that the writing process never blocks.
            Ok(length) => {
                bytes += length;
                secret = secret.or(search.feed(&piece[..length]));
            }
            Err(failure) if failure.kind() == ErrorKind::Interrupted => {}
            Err(failure) => panic!("a log can't be read: {failure}"),
        }
    }
}

/// A subscriber that searches the log at these levels.
pub fn subscriber(levels: &str, found: &'static Findings) -> impl Subscriber + Send + Sync {
    let filter = EnvFilter::try_new(levels).expect("levels");
    tracing_subscriber::registry().with(Lines { found }.with_filter(filter))
}

struct Lines {
    found: &'static Findings,
}

impl Lines {
    fn search(&self, of: &Metadata<'_>, record: impl FnOnce(&mut Line<'_>)) {
        thread_local! {
            static LINE: RefCell<String> = const { RefCell::new(String::new()) };
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            record(&mut Line(line));
            if let Some(secret) = search(line.as_bytes()) {
                let at = of.file().zip(of.line()).map(|(file, line)| format!("{file}:{line}"));
                let place = format!("the log of {}, {}", of.target(), at.unwrap_or_default());
                self.found.report(secret, place);
            }
        });
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.search(event.metadata(), |line| event.record(line));
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.search(attributes.metadata(), |line| attributes.record(line));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(metadata) = context.metadata(id) else { return };
        self.search(metadata, |line| values.record(line));
    }
}

/// All fields of a log record, in one string.
struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").expect("a string takes it");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, "{field}={value} ").expect("a string takes it");
    }
}
