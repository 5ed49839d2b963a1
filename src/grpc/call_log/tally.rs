//! Counts the calls that have ended, and decides which refusals get a log line of their own.
//!
//! A flood of equal refusals must not flood the log: the first few get a line each, and the others
//! one line with their number in each [`WINDOW`]. Every call is counted. It deliberately writes no
//! line itself.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tonic::Code;

use crate::{
    domain::Timestamp,
    grpc::call_log::method::{METHODS, OTHER},
    sync::lock,
};

/// How long equal refusals are counted together: short enough to follow an attack.
pub const WINDOW: Duration = Duration::from_secs(10);
/// How many equal refusals get a line of their own before the others are only counted.
pub const LINES_MAX: u32 = 5;
/// The most kinds of refusals that are counted separately: far more than exist, since methods,
/// codes and reasons are all the server's own words.
const KINDS_MAX: usize = 1024;

/// What equal ends of calls have in common.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EndKind {
    /// The index of the method in [`METHODS`].
    pub method: usize,
    /// The gRPC code.
    pub code: Code,
    /// The word from `ErrorInfo`; `None` if the status has none.
    pub reason: Option<String>,
}

/// The number of calls of one kind that have ended since the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndedCalls {
    /// The method's full name, such as `facematch.v1.FaceMatch/GetMatch`, or `other`.
    pub method: &'static str,
    /// The gRPC code, such as `NOT_FOUND`.
    pub code: &'static str,
    /// The word from `ErrorInfo`; empty if the status has none.
    pub reason: String,
    /// The number of calls.
    pub calls: u64,
}

/// The refusals of one kind that got no line of their own in one window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Untold {
    /// Their kind.
    pub kind: EndKind,
    /// Their number.
    pub calls: u64,
}

/// The counts of all calls that have ended.
pub struct Tally {
    /// The numbers of calls that ended as OK, by method.
    ok: [AtomicU64; METHODS.len()],
    others: Mutex<HashMap<EndKind, CallCount>>,
}

struct CallCount {
    calls: u64,
    window_began: Timestamp,
    in_window: u32,
    suppressed: u64,
    /// How many calls of this window get a line: none while a flood continues.
    lines: u32,
}

impl Tally {
    /// Starts with no calls.
    pub fn new() -> Self {
        Self { ok: std::array::from_fn(|_| AtomicU64::new(0)), others: Mutex::default() }
    }

    /// Counts a call that ended as OK.
    pub fn ok(&self, method: usize) {
        self.ok[method].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a refused call, and returns whether it gets a line of its own.
    pub fn refused(&self, kind: EndKind, now: Timestamp) -> bool {
        let mut others = self.others();
        let is_known = others.len() < KINDS_MAX || others.contains_key(&kind);
        let kind = if is_known { kind } else { EndKind { method: OTHER, reason: None, ..kind } };
        let count = others.entry(kind).or_insert_with(|| CallCount::new(now));
        count.calls += 1;
        count.in_window = count.in_window.saturating_add(1);
        let is_told = count.in_window <= count.lines;
        count.suppressed += u64::from(!is_told);
        is_told
    }

    /// Counts a call that ended otherwise without being refused. It gets no line from here.
    pub fn left(&self, kind: EndKind, now: Timestamp) {
        self.others().entry(kind).or_insert_with(|| CallCount::new(now)).calls += 1;
    }

    /// Takes the refusals that got no line of their own in the windows that have ended by now, or,
    /// if `all` is set, in all windows.
    pub fn take_suppressed(&self, now: Timestamp, all: bool) -> Vec<Untold> {
        let mut untold = Vec::new();
        for (kind, count) in self.others().iter_mut() {
            if all || now.since(count.window_began) >= WINDOW {
                let calls = count.next_window(now);
                untold.extend((calls > 0).then(|| Untold { kind: kind.clone(), calls }));
            }
        }
        untold
    }

    /// All counts since the start, in no order.
    pub fn ended(&self) -> Vec<EndedCalls> {
        let ok = self.ok.iter().enumerate().map(|(method, calls)| {
            let kind = EndKind { method, code: Code::Ok, reason: None };
            EndedCalls::new(&kind, calls.load(Ordering::Relaxed))
        });
        let mut ended: Vec<_> = ok.filter(|ended| ended.calls > 0).collect();
        ended.extend(self.others().iter().map(|(kind, count)| EndedCalls::new(kind, count.calls)));
        ended
    }

    fn others(&self) -> MutexGuard<'_, HashMap<EndKind, CallCount>> {
        lock(&self.others)
    }
}

impl CallCount {
    const fn new(now: Timestamp) -> Self {
        Self { calls: 0, window_began: now, in_window: 0, suppressed: 0, lines: LINES_MAX }
    }

    /// Begins a new window, and returns how many calls got no line in the last one. While a flood
    /// continues, the log gets only numbers.
    fn next_window(&mut self, now: Timestamp) -> u64 {
        self.lines = if self.in_window > LINES_MAX { 0 } else { LINES_MAX };
        self.window_began = now;
        self.in_window = 0;
        std::mem::take(&mut self.suppressed)
    }
}

impl EndedCalls {
    fn new(kind: &EndKind, calls: u64) -> Self {
        let reason = kind.reason.clone().unwrap_or_default();
        Self { method: METHODS[kind.method].name, code: word(kind.code), reason, calls }
    }
}

/// The name of a code as the gRPC specification spells it.
pub const fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(reason: &str) -> EndKind {
        EndKind { method: 2, code: Code::NotFound, reason: Some(reason.to_owned()) }
    }

    fn told(tally: &Tally, calls: u32, now: Timestamp) -> usize {
        (0..calls).filter(|_| tally.refused(kind("MATCH_NOT_FOUND"), now)).count()
    }

    #[test]
    fn a_flood_gets_a_few_lines_and_then_a_number_in_each_window() {
        let (tally, began) = (Tally::new(), Timestamp::default());
        assert_eq!(told(&tally, 1000, began), 5);
        assert_eq!(tally.take_suppressed(began, false), [], "the window hasn't ended");
        let mut now = began.after(WINDOW);
        let untold = |calls| [Untold { kind: kind("MATCH_NOT_FOUND"), calls }];
        assert_eq!(tally.take_suppressed(now, false), untold(995));
        assert_eq!(told(&tally, 1000, now), 0, "the flood continues");
        now = now.after(WINDOW);
        assert_eq!(tally.take_suppressed(now, false), untold(1000));
        now = now.after(WINDOW);
        assert_eq!(tally.take_suppressed(now, false), []);
        assert_eq!(told(&tally, 3, now), 3, "the flood is over");
        assert_eq!(tally.ended().iter().map(|ended| ended.calls).collect::<Vec<_>>(), [2003]);
    }

    #[test]
    fn each_kind_is_counted_separately() {
        let (tally, now) = (Tally::new(), Timestamp::default());
        told(&tally, 1000, now);
        assert!(tally.refused(kind("TOKEN_INVALID"), now));
        assert!(tally.refused(EndKind { method: 3, ..kind("MATCH_NOT_FOUND") }, now));
        assert!(tally.refused(EndKind { code: Code::Internal, ..kind("MATCH_NOT_FOUND") }, now));
    }

    #[test]
    fn the_number_of_kinds_is_bounded() {
        let (tally, now) = (Tally::new(), Timestamp::default());
        for number in 0..10 * KINDS_MAX {
            tally.refused(kind(&format!("REASON_{number}")), now);
        }
        let ended = tally.ended();
        assert_eq!(ended.len(), KINDS_MAX + 1);
        assert_eq!(ended.iter().map(|ended| ended.calls).sum::<u64>(), 10 * KINDS_MAX as u64);
    }

    #[test]
    fn ok_calls_are_counted_by_method() {
        let tally = Tally::new();
        tally.ok(0);
        tally.ok(0);
        tally
            .left(EndKind { method: 4, code: Code::Cancelled, reason: None }, Timestamp::default());
        let named = |method, code, calls| EndedCalls { method, code, reason: String::new(), calls };
        assert_eq!(
            tally.ended(),
            [
                named("facematch.v1.FaceMatch/RunMatch", "OK", 2),
                named("facematch.v1.FaceMatch/WatchMatch", "CANCELLED", 1)
            ]
        );
    }
}
