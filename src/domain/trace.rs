//! A trace context, as W3C's Trace Context defines it: which trace a call belongs to, and by which
//! span.
//!
//! It is parsed, printed and stored here. It deliberately makes no ids and decides nothing about
//! sampling.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 0x01;
/// The flags that a context is passed on with: sampled, and random trace id.
const KNOWN_FLAGS: u8 = 0x03;
/// The longest `tracestate` that is passed on, in bytes. Every system must pass on that much.
const STATE_BYTES_MAX: usize = 512;
/// The length of the longest id, in bytes.
const ID_BYTES_MAX: usize = 16;
const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// The most entries of a `tracestate`.
const STATE_ENTRIES_MAX: usize = 32;

/// A span of a trace, as the header `traceparent` names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
}

impl TraceContext {
    /// A span of ours. Neither id may be all zeros.
    pub const fn new(trace_id: [u8; 16], span_id: [u8; 8], sampled: bool) -> Self {
        Self { trace_id, span_id, flags: if sampled { SAMPLED } else { 0 } }
    }

    /// The context of a `traceparent` (version, trace, parent, flags). `None` if it is invalid.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let [version, trace, parent, flags] = [(); 4].map(|()| parts.next());
        let [version] = from_hex::<1>(version?)?;
        // Version 00 has exactly four parts; later versions may add some.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let (trace_id, span_id) = (from_hex::<16>(trace?)?, from_hex::<8>(parent?)?);
        let [flags] = from_hex::<1>(flags?)?;
        let is_valid = trace_id != [0; 16] && span_id != [0; 8];
        is_valid.then_some(Self { trace_id, span_id, flags: flags & KNOWN_FLAGS })
    }

    /// The id of the trace.
    pub const fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The id of the span.
    pub const fn span_id(&self) -> [u8; 8] {
        self.span_id
    }

    /// Whether the trace is recorded, as far as its participants are asked.
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The id of the trace, as logs and headers show it.
    pub const fn shown_trace(&self) -> Hex<16> {
        Hex(self.trace_id)
    }

    /// The id of the span, as logs and headers show it.
    pub const fn shown_span(&self) -> Hex<8> {
        Hex(self.span_id)
    }
}

/// The form of a `traceparent`: 55 characters.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.shown_trace(), self.shown_span(), self.flags)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({self})")
    }
}

/// An id in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex<const N: usize>([u8; N]);

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 2 * ID_BYTES_MAX];
        for (place, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            place
                .copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        f.write_str(std::str::from_utf8(&digits[..2 * N]).unwrap_or_default())
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(digits[0])? << 4 | digit(digits[1])?;
    }
    Some(bytes)
}

/// The value of a digit. Capital letters are not allowed.
const fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

/// The `tracestate` beside a `traceparent`: what tracing systems tell each other about a trace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceState(Box<str>);

impl TraceState {
    /// A `tracestate` of the standard form and at most 512 bytes; any other is dropped, as the
    /// standard allows.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        let entries = text.split(',');
        let fits = (1..=STATE_BYTES_MAX).contains(&text.len())
            && entries.clone().count() <= STATE_ENTRIES_MAX
            && entries.map(|entry| entry.trim_matches([' ', '\t'])).all(is_entry);
        fits.then(|| Self(text.into()))
    }

    /// The text of the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether an entry has the form key=value. Empty ones are allowed.
fn is_entry(entry: &str) -> bool {
    let Some((key, value)) = entry.split_once('=') else { return entry.is_empty() };
    let in_key =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
    let in_value = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    !key.is_empty() && key.bytes().all(in_key) && value.bytes().all(in_value)
}

/// The trace of the call that has created a match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatorTrace {
    /// The span of the call, or its caller's where calls have no spans.
    pub context: TraceContext,
    /// What the caller sent beside it. Deliberately not stored: only the replica that has received
    /// it passes it on.
    pub state: Option<TraceState>,
}

impl From<TraceContext> for CreatorTrace {
    fn from(context: TraceContext) -> Self {
        Self { context, state: None }
    }
}

impl Serialize for CreatorTrace {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&self.context)
    }
}

/// Reads the stored form. Any other is dropped: a trace is no reason not to read a match.
pub(crate) fn stored<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<CreatorTrace>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum StoredTrace<'a> {
        Text(#[serde(borrow)] Cow<'a, str>),
        Other(serde::de::IgnoredAny),
    }
    Ok(match StoredTrace::deserialize(input)? {
        StoredTrace::Text(text) => TraceContext::parse(&text).map(CreatorTrace::from),
        StoredTrace::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn a_context_is_parsed_from_a_valid_traceparent_only() {
        for (valid, sampled) in [
            (format!("00-{TRACE}-{PARENT}-01"), true),
            (format!("00-{TRACE}-{PARENT}-00"), false),
            (format!("00-{TRACE}-{PARENT}-02"), false),
            (format!("cc-{TRACE}-{PARENT}-ff-more"), true),
        ] {
            let context = TraceContext::parse(&valid).expect(&valid);
            assert_eq!(context.shown_trace().to_string(), TRACE, "{valid}");
            assert_eq!(context.shown_span().to_string(), PARENT, "{valid}");
            assert_eq!(context.is_sampled(), sampled, "{valid}");
        }
        let zeros = "0".repeat(32);
        for wrong in [
            String::new(),
            TRACE.to_owned(),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{zeros}-{PARENT}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{}-{PARENT}-01", &TRACE[1..]),
            format!("00-{TRACE}-{PARENT}-0é"),
            format!("00-{TRACE}-{PARENT}-+1"),
        ] {
            assert_eq!(TraceContext::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_context_is_printed_as_it_came_without_flags_that_are_not_known() {
        let text = format!("00-{TRACE}-{PARENT}-03");
        assert_eq!(TraceContext::parse(&text).unwrap().to_string(), text);
        let later = TraceContext::parse(&format!("01-{TRACE}-{PARENT}-ff-more")).unwrap();
        assert_eq!(later.to_string(), text);
    }

    #[test]
    fn a_state_is_passed_on_if_it_has_the_form_of_one() {
        for state in ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "a@b=c d", "a=,,b=1"] {
            assert_eq!(TraceState::parse(state).unwrap().as_str(), state);
        }
        let long = format!("a={}", "x".repeat(511));
        let many = ["a=b"; 33].join(",");
        for wrong in ["", " ", "a", "A=b", "a=é", "a=b\r\nc=d", "a=b=c", "=b", &long, &many] {
            assert_eq!(TraceState::parse(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_parsed_again(trace: [u8; 16], span: [u8; 8], sampled: bool) {
            let context = TraceContext::new(trace, span, sampled);
            let is_valid = trace != [0; 16] && span != [0; 8];
            let parsed = TraceContext::parse(&context.to_string());
            proptest::prop_assert_eq!(parsed, is_valid.then_some(context));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = (TraceContext::parse(&text), TraceState::parse(&text));
        }
    }
}
