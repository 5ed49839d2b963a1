//! All metrics, each with its name, its type, its labels and its meaning.
//!
//! The code registers a metric by its entry here, and `docs/metrics.md` is made from the same
//! entries, so that a metric can't have two names or two meanings.

use std::fmt::Write;

/// What a metric is, and what it means.
#[derive(Debug)]
pub struct Metric {
    /// The name in a scrape; of a histogram, without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, without a full stop.
    pub help: &'static str,
}

/// How the values of a metric behave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A count that only grows while the process lives.
    Counter,
    /// A value of this moment.
    Gauge,
    /// Counts of observations by their size.
    Histogram,
}

impl Kind {
    /// The word of the kind in a scrape.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Declares the metrics and the table of all of them.
macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric =
                Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*

        /// All metrics, in the order of the documents.
        pub const TABLE: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    CALL_DURATION = Histogram "rpc_server_call_duration_seconds"
        ["rpc_system_name", "rpc_method", "rpc_status_code", "error_type", "door"]
        "How long calls took that have ended, streams included";
    CALLS_OPEN = Gauge "facematch_calls_open" ["rpc_method"]
        "Calls that are open at this moment";
    REQUESTS_REFUSED = Counter "facematch_requests_refused_total" ["reason", "tenant"]
        "Calls that ended with an error reason of the contract";
    CONNECTIONS = Gauge "facematch_connections" []
        "Connections of callers that are open, TLS handshakes included";
    CONNECTIONS_REFUSED = Counter "facematch_connections_refused_total" ["reason"]
        "Connections that were refused or broken off, by the first trouble of each";
    HANDSHAKE_FAILURES = Counter "facematch_handshake_failures_total" ["reason"]
        "TLS handshakes that failed";

    MATCHES_UNFINISHED = Gauge "facematch_matches_unfinished" ["state", "tenant"]
        "Matches that this replica drives at this moment";
    MATCHES_FINISHED = Counter "facematch_matches_finished_total"
        ["state", "resolution", "reason", "tenant"]
        "Matches whose end this replica has written";
    MATCH_DURATION = Histogram "facematch_match_duration_seconds" ["outcome"]
        "From the acceptance of a match to its end; outcome is the resolution, FAILED or CANCELLED";
    MATCH_PHASE = Histogram "facematch_match_phase_seconds" ["phase"]
        "How long matches took to be admitted, uploaded from there on, and analysed from there on";
    ADOPTED = Counter "facematch_adopted_total" []
        "Matches that this replica took over from another replica or an earlier start";
    FENCED_WRITES = Counter "facematch_fenced_writes_total" []
        "Writes without effect because another replica drives the match, or it has ended";
    ERASED = Counter "facematch_erased_total" []
        "Matches that this replica has erased, by call or at the end of their retention";

    PHOTO_BYTES = Gauge "facematch_photo_bytes" ["tenant"]
        "Memory that is taken for photos, those still being received included";
    PHOTO_BYTES_LIMIT = Gauge "facematch_photo_bytes_limit" []
        "The limit of that memory, --photo-memory";
    PHOTOS = Gauge "facematch_photos" ["tenant"]
        "Photos in memory that are not at Oz yet";
    QUOTA_USED = Gauge "facematch_quota_used_ratio" ["limit", "tenant"]
        "The used part of each limit that the callers file sets for a tenant; over 1 if the limit was \
         lowered since";

    QUEUE_WAIT = Histogram "facematch_queue_wait_seconds" ["tenant"]
        "How long requests to Oz waited for their permit";
    HTTP_DURATION = Histogram "http_client_request_duration_seconds"
        ["http_request_method", "url_template", "http_response_status_code", "error_type",
         "server_address"]
        "How long requests to Oz took, from sending to the end of the answer";
    OZ_CIRCUIT_OPEN = Gauge "facematch_oz_circuit_open" []
        "1 while the circuit breaker holds requests to Oz back, else 0";
    OZ_ATTEMPTS_FAILED = Counter "facematch_oz_attempts_failed_total" ["cause"]
        "Requests to Oz that failed without ending their match";
    OZ_POLLS = Counter "facematch_oz_polls_total" ["result"]
        "Polls of analyses, by what they found";
    OZ_LOGINS = Counter "facematch_oz_logins_total" ["result"]
        "Logins at Oz and renewals of the session";
    OZ_DUPLICATES = Counter "facematch_oz_duplicates_total" []
        "Photos and analyses at Oz beyond those of their match; they were ignored";
    OZ_REQUESTS_IN_FLIGHT = Gauge "facematch_oz_requests_in_flight" []
        "Requests to Oz that are in flight";
    OZ_REPEAT_BUDGET = Gauge "facematch_oz_repeat_budget" []
        "How many repeats of failed requests may be sent at once";

    LIBRARY_READS = Counter "facematch_library_reads_total" ["source", "result"]
        "Reads of photos from the photo library, by how they ended";
    LIBRARY_READ_SECONDS = Histogram "facematch_library_read_seconds" ["source"]
        "How long reads from the photo library took";
    LIBRARY_CIRCUIT_OPEN = Gauge "facematch_library_circuit_open" ["source", "tenant"]
        "1 while the circuit breaker holds reads from a tenant's photo library back, else 0";

    JOURNAL_UP = Gauge "facematch_journal_up" []
        "1 if the store answered the last check, else 0";
    JOURNAL_COMMIT = Histogram "facematch_journal_commit_seconds" []
        "How long commits of the journal took";
    JOURNAL_COMMITS = Counter "facematch_journal_commits_total" []
        "Commits that have written events";
    JOURNAL_LOST_RACES = Counter "facematch_journal_lost_races_total" []
        "Statements that were sent again because another replica's commit came first";
    JOURNAL_BYTES = Gauge "facematch_journal_bytes" []
        "The size of the SQLite file and its write-ahead log";
    LEASES_LOST = Counter "facematch_leases_lost_total" []
        "Leases that this replica has lost to other replicas or to a clock";
    LEASE_AGE = Gauge "facematch_lease_age_seconds" []
        "How long ago the lease of this replica was renewed";
    REPLICAS = Gauge "facematch_replicas" []
        "Live replicas that share the journal, as this replica sees them";

    WATCHERS = Gauge "facematch_watchers" ["kind"]
        "Streams of updates that are open, of one match or of all, and calls that wait for an update";
    WATCH_LAG = Histogram "facematch_watch_lag_seconds" []
        "From the commit of an update to its sending, on streams that were open before";
    STREAM_STALLS = Counter "facematch_stream_stalls_total" []
        "Streams that were ended because their caller read nothing";

    CERTIFICATE_NOT_AFTER = Gauge "facematch_certificate_not_after_timestamp_seconds" []
        "When the server's certificate expires";
    RELOADS = Counter "facematch_reloads_total" ["kind", "result"]
        "Files that were read again with a change";
    RELOAD_LAST_SUCCESS = Gauge "facematch_reload_last_success_timestamp_seconds" ["kind"]
        "When a changed file was last put to use; 0 before the first time";
    SPANS_DROPPED = Counter "facematch_spans_dropped_total" []
        "Spans of traces that were lost because their collector didn't take them";
    AUDIT_UP = Gauge "facematch_audit_up" []
        "1 if the last audit record could be written, else 0";

    INVARIANT_VIOLATIONS = Counter "facematch_invariant_violations_total" ["invariant"]
        "Promises that this process has found broken: a bug of the service or a damaged store";
    PANICS = Counter "facematch_panics_total" []
        "Panics of this process: each is a bug";

    BUILD_INFO = Gauge "facematch_build_info" ["version", "store"]
        "1, with the version of the program and the kind of its store";
    ALLOCATED_BYTES = Gauge "facematch_allocated_bytes" []
        "Memory that the allocator has given out";
    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "User and system time of this process";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" []
        "Resident memory of this process";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" []
        "Virtual memory of this process";
    PROCESS_OPEN_FDS = Gauge "process_open_fds" []
        "Open file descriptors of this process";
    PROCESS_MAX_FDS = Gauge "process_max_fds" []
        "The limit of open file descriptors";
    PROCESS_START = Gauge "process_start_time_seconds" []
        "When this process started";
}

/// The table as `docs/metrics.md` has it.
pub fn metrics_markdown() -> String {
    let mut text = "| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for Metric { name, kind, labels, help } in TABLE {
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>();
        let (kind, labels) = (kind.as_str(), labels.join(", "));
        // Writing into a string can't fail.
        let _ = writeln!(text, "| `{name}` | {kind} | {labels} | {help} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_counters_end_with_total() {
        let names: HashSet<_> = TABLE.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for metric in TABLE {
            let is_counter = metric.kind == Kind::Counter;
            assert_eq!(metric.name.ends_with("_total"), is_counter, "{}", metric.name);
            assert!(!metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}
