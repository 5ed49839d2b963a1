//! The whole service, from outside: a real gRPC client, the service, and a simulated Oz.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod callers;
mod canary;
mod checker;
#[path = "../crowd/mod.rs"]
mod crowd;
mod documents;
mod faulty_store;
mod http2;
#[path = "../intercept/mod.rs"]
mod intercept;
mod language;
mod layering;
#[cfg(feature = "postgres-tests")]
#[path = "../postgres/mod.rs"]
mod postgres;
mod process;
mod signals;
mod support;

mod abuse;
mod access;
mod as_a_tester;
mod attacks;
mod audit;
#[cfg(unix)]
mod backup;
mod bad_input;
mod calls;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod clocks;
mod commands;
mod connections;
mod contract;
mod errors;
mod examples;
mod flow;
mod full_disk;
mod kills;
mod limits;
#[cfg(feature = "postgres-tests")]
mod links;
mod lists;
mod logging;
mod next_version;
#[cfg(feature = "postgres-tests")]
mod postgres_clusters;
mod promises;
mod races;
#[cfg(feature = "postgres-tests")]
mod replicas;
mod resume_storm;
mod review;
mod secrets;
mod soak;
mod starting;
mod tenants;
mod tls;
mod transport;
mod watching;

// `intercept` names them as `crate::domain` and `crate::journal`, as in the library.
use facematch::{domain, journal};
