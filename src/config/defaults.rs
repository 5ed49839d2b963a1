//! Default settings, for code that starts the service itself: the demo, and tests.
//!
//! It deliberately reads neither the environment nor a file.

use std::{collections::BTreeMap, path::PathBuf};

use crate::config::{
    Changed, Config, Environment, Flags, Origins, OzConfig, OzCredentials, StoreLocation,
    settings as s, source::Sources,
};

/// The reason why a default can't be refused.
const SOUND: &str = "the table's defaults are within its own limits";

impl Config {
    /// Every setting at its default, except the journal's file and the access to Oz.
    pub fn new(store: PathBuf, oz: OzConfig) -> Self {
        let defaults = defaults();
        Self {
            listen: defaults.get(&s::LISTEN).expect(SOUND),
            tls: None,
            callers_file: None,
            web: None,
            library: None,
            cloud_variables: BTreeMap::new(),
            store: StoreLocation::Sqlite(store),
            store_password_file: None,
            oz,
            poll_interval: defaults.get(&s::OZ_POLL_INTERVAL).expect(SOUND),
            oz_settle: defaults.get(&s::OZ_SETTLE).expect(SOUND),
            match_timeout: defaults.get(&s::MATCH_TIMEOUT).expect(SOUND),
            photo_grace: defaults.get(&s::PHOTO_GRACE).expect(SOUND),
            retention: defaults.get(&s::RETENTION).expect(SOUND),
            max_unfinished: defaults.get(&s::MAX_UNFINISHED).expect(SOUND),
            photo_memory: defaults.get(&s::PHOTO_MEMORY).expect(SOUND),
            max_connections: defaults.get(&s::MAX_CONNECTIONS).expect(SOUND),
            max_connections_per_address: None,
            max_connection_age: defaults.get(&s::MAX_CONNECTION_AGE).expect(SOUND),
            idle_timeout: defaults.get(&s::IDLE_TIMEOUT).expect(SOUND),
            max_streams: defaults.get(&s::MAX_STREAMS).expect(SOUND),
            max_header: defaults.get(&s::MAX_HEADER).expect(SOUND),
            keepalive: defaults.get(&s::KEEPALIVE).expect(SOUND),
            max_calls: defaults.get(&s::MAX_CALLS).expect(SOUND),
            request_memory: defaults.get(&s::REQUEST_MEMORY).expect(SOUND),
            receive_timeout: defaults.get(&s::RECEIVE_TIMEOUT).expect(SOUND),
            reflection: defaults.get(&s::REFLECTION).expect(SOUND),
            stream_stall: defaults.get(&s::STREAM_STALL).expect(SOUND),
            heartbeat: defaults.get(&s::HEARTBEAT).expect(SOUND),
            lease: defaults.get(&s::LEASE).expect(SOUND),
            drain_timeout: defaults.get(&s::DRAIN_TIMEOUT).expect(SOUND),
            drain_delay: defaults.get(&s::DRAIN_DELAY).expect(SOUND),
            admin_listen: None,
            audit_file: None,
            audit_failure: defaults.get(&s::AUDIT_FAILURE).expect(SOUND),
            allow_core_dumps: defaults.get(&s::ALLOW_CORE_DUMPS).expect(SOUND),
            traces: None,
            log: defaults.get(&s::LOG).expect(SOUND),
            log_level: defaults.get(&s::LOG_LEVEL).expect(SOUND),
            changed: Changed::default(),
            origins: Origins::default(),
        }
    }
}

impl OzConfig {
    /// Every setting at its default, except Oz's URL and the credentials.
    pub fn new(url: String, credentials: OzCredentials) -> Self {
        let defaults = defaults();
        Self {
            url,
            credentials,
            secret_file: None,
            ca_file: None,
            proxy: None,
            timeout: defaults.get(&s::OZ_TIMEOUT).expect(SOUND),
            connect_timeout: defaults.get(&s::OZ_CONNECT_TIMEOUT).expect(SOUND),
            trace_headers: defaults.get(&s::OZ_TRACE_HEADERS).expect(SOUND),
            max_requests: defaults.get(&s::OZ_MAX_REQUESTS).expect(SOUND),
            max_rate: None,
        }
    }
}

/// The sources without flags, environment or file: only the table's defaults.
fn defaults() -> Sources {
    Sources::open(Flags::new(), Environment::default())
        .expect("nothing is given, so nothing is wrong")
}
