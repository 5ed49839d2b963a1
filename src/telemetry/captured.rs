//! Captures the lines that a test logs.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

use crate::sync::lock;

/// The captured lines. Clones share them.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<CapturedLine>>>);

/// One line of the log.
#[derive(Clone, Debug)]
pub struct CapturedLine {
    /// The level.
    pub level: Level,
    /// The message, without the fields.
    pub message: String,
    fields: BTreeMap<&'static str, String>,
}

/// Runs `work`, and returns the lines that this thread logs meanwhile, at all levels.
pub fn capture(work: impl FnOnce()) -> Lines {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::registry().with(lines.clone());
    tracing::subscriber::with_default(subscriber, work);
    lines
}

impl Lines {
    /// All lines, in order.
    pub fn all(&self) -> Vec<CapturedLine> {
        lock(&self.0).clone()
    }
}

impl CapturedLine {
    /// The value of a field, as text; `None` if the line has no such field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let line = CapturedLine { level: *event.metadata().level(), message, fields: fields.0 };
        lock(&self.0).push(line);
    }
}

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}
