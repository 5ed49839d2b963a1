//! The whole service, from outside: a real gRPC client, the service, and a simulated Oz.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod callers;
mod canary;
mod checker;
#[path = "../crowd/mod.rs"]
mod crowd;
mod documents;
mod faulty_store;
mod http1;
mod http2;
#[path = "../intercept/mod.rs"]
mod intercept;
#[path = "../invariants/mod.rs"]
mod invariants;
mod language;
mod layering;
#[cfg(feature = "mysql-tests")]
#[path = "../mysql/mod.rs"]
mod mysql;
#[path = "../oz_faults/mod.rs"]
mod oz_faults;
#[cfg(any(feature = "mysql-tests", feature = "postgres-tests"))]
#[path = "../postgres/mod.rs"]
mod postgres;
mod process;
mod signals;
mod support;

mod abuse;
mod access;
mod admin;
mod as_a_tester;
mod attacks;
mod audit;
#[cfg(unix)]
mod backup;
mod bad_input;
mod calls;
mod checking;
mod clients;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod clocks;
mod commands;
mod connections;
mod contract;
mod doctor;
mod errors;
mod examples;
mod flow;
mod full_disk;
mod kills;
mod library;
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
mod reloading;
#[cfg(feature = "postgres-tests")]
mod replicas;
mod resume_storm;
mod review;
mod runbook;
mod secrets;
mod service_manager;
mod soak;
mod starting;
mod tenants;
mod testserver;
mod tls;
mod traces;
mod transport;
mod watching;
mod web;

// `intercept` and `oz_faults` name them as `crate::domain` and `crate::journal`, as in the library.
use facematch::{domain, journal};
