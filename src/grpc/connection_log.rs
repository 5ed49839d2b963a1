//! The log of connections that are refused or broken off: which peer, why, and how often.
//!
//! A peer is an address as `addresses` counts it. Peers can reconnect at any rate, so each peer
//! gets a line for the first trouble of each kind, and a line with a count at the end of each
//! [`WINDOW`]. If there are very many peers, only the first ones get lines of their own. This
//! module deliberately decides nothing: limits are kept elsewhere. A connection that its peer or
//! the network ends gets no line, also after faults of the peer.

use std::{
    collections::{HashMap, hash_map::Entry},
    error::Error,
    mem,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tracing::{info, warn};

use crate::{clock::Clock, grpc::addresses::network, metrics::ConnectionMetrics, sync::lock};

/// How long equal troubles of a peer are counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// How many peers get lines of their own in a window, for each kind of trouble.
const NAMED_PEERS_MAX: usize = 32;

/// Why a connection is refused or broken off.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConnectionTrouble {
    /// Refused: the address holds as many connections as one address may.
    AddressFull,
    /// Broken off: the peer sent no complete connection preface in time.
    Silent,
    /// Broken off: the TLS handshake failed, or took too long. Holds the reason.
    Handshake(&'static str),
    /// Broken off: the peer speaks another protocol than HTTP/2.
    OtherProtocol,
    /// Broken off: the peer read nothing of what the server wrote.
    Unread,
    /// Broken off: the peer broke a rule or limit of HTTP/2. Holds the error's name and meaning.
    Http2(&'static str),
}

/// The log of the connections of both doors. Cheap to clone; clones share their counts.
#[derive(Clone)]
pub struct ConnectionLog(Arc<ConnectionLogInner>);

struct ConnectionLogInner {
    clock: Clock,
    metrics: ConnectionMetrics,
    /// How often each trouble of a peer occurred in this window without a line of its own. The
    /// peers beyond [`NAMED_PEERS_MAX`] are counted together, under `None`.
    counts: Mutex<HashMap<(ConnectionTrouble, Option<IpAddr>), u64>>,
}

/// The log's handle of one connection. Clones share it.
#[derive(Clone)]
pub struct PeerLog {
    log: ConnectionLog,
    peer: IpAddr,
    /// Whether a trouble has been noted. Only the first one counts: the others follow from it.
    is_noted: Arc<AtomicBool>,
}

impl ConnectionLog {
    /// Starts with an empty window.
    pub fn new(clock: Clock) -> Self {
        let metrics = ConnectionMetrics::default();
        Self(Arc::new(ConnectionLogInner { clock, metrics, counts: Mutex::default() }))
    }

    /// What the connections of this port count.
    pub fn metrics(&self) -> &ConnectionMetrics {
        &self.0.metrics
    }

    /// The handle of a new connection of a peer.
    pub fn of(&self, peer: IpAddr) -> PeerLog {
        PeerLog { log: self.clone(), peer: network(peer), is_noted: Arc::default() }
    }

    /// Logs the counts at the end of each window, until it is dropped.
    pub async fn log_counts_forever(self) {
        loop {
            self.0.clock.sleep(WINDOW).await;
            self.log_counts();
        }
    }

    /// Logs the counts of this window and begins a new one.
    pub fn log_counts(&self) {
        let untold = mem::take(&mut *self.untold());
        for ((trouble, peer), connections) in untold {
            if connections > 0 {
                trouble.tell_more(peer, connections);
            }
        }
    }

    /// The troubles that were noted in this window.
    #[cfg(test)]
    pub fn noted(&self) -> Vec<ConnectionTrouble> {
        self.untold().keys().map(|(trouble, _)| *trouble).collect()
    }

    fn untold(&self) -> MutexGuard<'_, HashMap<(ConnectionTrouble, Option<IpAddr>), u64>> {
        lock(&self.0.counts)
    }
}

impl PeerLog {
    /// Notes the error with which the transport ended the connection. An end by the peer or the
    /// network is ignored.
    pub fn note_if_broken(&self, failure: &hyper::Error) {
        let error = failure.source().and_then(|source| source.downcast_ref::<h2::Error>());
        if let Some(reason) = error.filter(|error| error.is_library()).and_then(h2::Error::reason) {
            self.note(ConnectionTrouble::Http2(http2_error(reason)));
        }
    }

    /// Notes why the connection is refused or broken off.
    pub fn note(&self, trouble: ConnectionTrouble) {
        if self.is_noted.swap(true, Ordering::Relaxed) {
            return;
        }
        trouble.count(self.log.metrics());
        let mut untold = self.log.untold();
        let is_named = untold.contains_key(&(trouble, Some(self.peer)))
            || untold.keys().filter(|(other, _)| *other == trouble).count() < NAMED_PEERS_MAX;
        match untold.entry((trouble, is_named.then_some(self.peer))) {
            Entry::Occupied(mut count) => *count.get_mut() += 1,
            Entry::Vacant(first) => {
                first.insert(0);
                drop(untold);
                trouble.tell(self.peer);
            }
        }
    }
}

impl ConnectionTrouble {
    fn count(self, metrics: &ConnectionMetrics) {
        match self {
            Self::Handshake(reason) => metrics.handshake_failed(reason),
            Self::AddressFull
            | Self::Silent
            | Self::OtherProtocol
            | Self::Unread
            | Self::Http2(_) => metrics.refused(self.reason()),
        }
    }

    /// Logs the first trouble of its kind and peer in a window.
    fn tell(self, peer: IpAddr) {
        match self {
            Self::AddressFull => {
                warn!(peer.address = %peer, reason = self.reason(), "connection refused");
            }
            Self::Silent
            | Self::Handshake(_)
            | Self::OtherProtocol
            | Self::Unread
            | Self::Http2(_) => {
                info!(peer.address = %peer, reason = self.reason(), "connection broken off");
            }
        }
    }

    /// Logs how often the trouble occurred again; for all unnamed peers together if `peer` is
    /// `None`.
    fn tell_more(self, peer: Option<IpAddr>, connections: u64) {
        let peer = peer.map(tracing::field::display);
        match self {
            Self::AddressFull => warn!(
                peer.address = peer,
                reason = self.reason(),
                connections,
                "more connections refused for the same reason"
            ),
            Self::Silent
            | Self::Handshake(_)
            | Self::OtherProtocol
            | Self::Unread
            | Self::Http2(_) => info!(
                peer.address = peer,
                reason = self.reason(),
                connections,
                "more connections broken off for the same reason"
            ),
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::AddressFull => {
                "the address holds as many connections as --max-connections-per-address allows"
            }
            Self::Silent => "it sent no HTTP/2 connection preface in time",
            Self::OtherProtocol => {
                "it speaks something else than HTTP/2 in plain text, such as TLS or HTTP/1.1"
            }
            Self::Unread => "it read nothing of what was written for too long",
            Self::Handshake(reason) | Self::Http2(reason) => reason,
        }
    }
}

/// The name and the meaning of an HTTP/2 error (RFC 9113, section 7).
const fn http2_error(reason: h2::Reason) -> &'static str {
    match reason {
        h2::Reason::PROTOCOL_ERROR => "PROTOCOL_ERROR: it broke HTTP/2's rules",
        h2::Reason::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR: it sent more than it may",
        h2::Reason::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT: it did not take the settings in time",
        h2::Reason::STREAM_CLOSED => "STREAM_CLOSED: it sent for a stream that is closed",
        h2::Reason::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR: it sent a frame of a wrong size",
        h2::Reason::COMPRESSION_ERROR => "COMPRESSION_ERROR: its headers can't be decoded",
        h2::Reason::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM: it flooded the connection",
        _ => "another error of HTTP/2",
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{
        domain::Timestamp,
        telemetry::captured::{CapturedLine, capture},
    };

    fn log() -> ConnectionLog {
        ConnectionLog::new(Clock::manual(Timestamp::default()).0)
    }

    fn peer(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    fn told(act: impl FnOnce()) -> Vec<(String, Option<String>, Option<String>)> {
        let field = |line: &CapturedLine, name| line.field(name).map(str::to_owned);
        let lines = capture(act).all();
        let told = lines.iter().map(|line| {
            (line.message.clone(), field(line, "peer.address"), field(line, "connections"))
        });
        told.collect()
    }

    #[test]
    fn a_peer_gets_a_line_for_its_first_trouble_and_a_count_at_the_end() {
        let log = log();
        let lines = told(|| {
            for number in [1, 2, 1, 1] {
                log.of(peer(number)).note(ConnectionTrouble::AddressFull);
            }
            log.of(peer(1)).note(ConnectionTrouble::Http2("ENHANCE_YOUR_CALM"));
            log.log_counts();
            log.of(peer(1)).note(ConnectionTrouble::AddressFull);
        });
        let line = |message: &str, peer: &str, count: Option<&str>| {
            (message.to_owned(), Some(peer.to_owned()), count.map(str::to_owned))
        };
        let expected = [
            line("connection refused", "10.0.0.1", None),
            line("connection refused", "10.0.0.2", None),
            line("connection broken off", "10.0.0.1", None),
            line("more connections refused for the same reason", "10.0.0.1", Some("2")),
            line("connection refused", "10.0.0.1", None),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn very_many_peers_get_few_lines_and_are_all_counted() {
        const PEERS: u32 = 10_000;
        let log = log();
        let lines = told(|| {
            for number in 0..PEERS {
                log.of(peer(number)).note(ConnectionTrouble::Silent);
                log.of(peer(number)).note(ConnectionTrouble::Silent);
            }
            log.log_counts();
            for number in 0..PEERS {
                log.of(peer(number)).note(ConnectionTrouble::Silent);
            }
        });
        let other = told(|| log.of(peer(PEERS)).note(ConnectionTrouble::AddressFull));
        assert_eq!(other[0].1.as_deref(), Some("10.0.39.16"), "each trouble names its peers");
        log.log_counts();
        let lines = &lines[..lines.len() - NAMED_PEERS_MAX - 1];
        assert!(lines.len() <= 2 * (NAMED_PEERS_MAX + 1), "{} lines", lines.len());
        let counts = lines.iter().filter_map(|(_, _, count)| count.as_ref()?.parse::<u32>().ok());
        let firsts = lines.iter().filter(|(_, _, count)| count.is_none()).count();
        assert_eq!(counts.sum::<u32>() + u32::try_from(firsts).unwrap(), 2 * PEERS);
        assert!(log.untold().is_empty());
    }
}
