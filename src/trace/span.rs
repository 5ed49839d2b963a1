//! A span that has ended, as a plain value.

use std::borrow::Cow;

use crate::domain::{Timestamp, TraceContext};

/// Which end of a request a span shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanKind {
    /// A call that was received.
    Server,
    /// A request that was sent.
    Client,
    /// Work inside the service.
    Internal,
}

/// The value of an attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AttributeValue {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
    /// A yes or no.
    Flag(bool),
}

/// Attributes, by name.
pub type Attributes = Vec<(&'static str, AttributeValue)>;

/// Something that happened during a span.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanEvent {
    /// What happened.
    pub name: &'static str,
    /// When.
    pub time: Timestamp,
    /// Its details.
    pub attributes: Attributes,
}

/// The span that a span belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParentSpan {
    /// Its id.
    pub span_id: [u8; 8],
    /// Whether another process made it.
    pub is_remote: bool,
}

/// A span that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndedSpan {
    /// Its ids.
    pub context: TraceContext,
    /// The span that it belongs to; `None` for the first span of a trace.
    pub parent: Option<ParentSpan>,
    /// Which end of a request it shows.
    pub kind: SpanKind,
    /// Its name.
    pub name: &'static str,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Its attributes.
    pub attributes: Attributes,
    /// What happened meanwhile.
    pub events: Vec<SpanEvent>,
    /// How many events were left out.
    pub events_left_out: u32,
    /// Spans of other traces that it belongs together with.
    pub links: Vec<TraceContext>,
    /// Whether it ended with an error.
    pub is_error: bool,
}

impl From<&'static str> for AttributeValue {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for AttributeValue {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for AttributeValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
