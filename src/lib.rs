//! FaceMatch: is the person in this photo the person who proved to be alive in that Oz folder?
//!
//! A gRPC service in front of the Oz Forensics REST API: a caller sends a photo and the id of a
//! folder and receives the states of the analysis as a stream, the verdict last.
//!
//! ```text
//!    caller                                                            caller
//!      │ MatchRequest                                                     ▲ MatchUpdate*
//!      ▼                                                                  │
//!  grpc::convert    wire -> domain, all violations at once            grpc::convert
//!      ▼                                                                  │
//!  journal.admit    event 1, idempotency key, claim: one commit           │
//!      ▼                                                                  │
//!  worker           next_step(state)          pure: what to ask of Oz     watch
//!      ▼                                                                  ▲
//!  oz.perform       the only remote call                                  │
//!      ▼                                                                  │
//!  worker           settle(state, reply, now) pure: which fact it is      │
//!      ▼                                                                  │
//!  journal.append ─────────────▶  T H E   J O U R N A L  ─────────────────┘
//! ```
//!
//! The modules, in reading order: [`domain`] is what a match is; [`journal`] where matches live;
//! [`oz`] Oz as we use it; [`library`] the operator's photos; [`worker`] the left half, which moves
//! matches forward; [`watch`] the right half, which follows the journal; [`access`] who may call;
//! [`grpc`] the front door; [`web`] the second door, for browsers and curl; [`admin`] the port for
//! operators. [`app`] puts them together. [`doctor`]
//! tries an installation of Oz and a photo library; [`simulator`] is an Oz of our own, and knows no
//! other module.

pub mod domain;

pub mod journal;
pub mod library;
pub mod oz;

pub mod worker;

pub mod watch;

pub mod access;
pub mod admin;
pub mod grpc;
pub mod pb;
pub mod web;

pub mod cli;
pub mod config;

pub mod doctor;

#[cfg(feature = "simulator")]
pub mod simulator;

pub mod app;
pub mod clock;
pub mod database_url;
pub mod metrics;
pub mod outage;
mod sync;
pub mod telemetry;
mod text;
pub mod trace;
mod units;

#[cfg(all(test, not(all(feature = "cli", feature = "simulator"))))]
compile_error!("the tests need the features `cli` and `simulator`");

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

#[cfg(test)]
mod simulation;

#[cfg(test)]
#[path = "../tests/crowd/mod.rs"]
mod crowd;
#[cfg(test)]
#[path = "../tests/intercept/mod.rs"]
mod intercept;
#[cfg(test)]
#[path = "../tests/invariants/mod.rs"]
mod invariants;
#[cfg(test)]
#[path = "../tests/oz_faults/mod.rs"]
mod oz_faults;
#[cfg(all(test, feature = "postgres-tests"))]
#[path = "../tests/postgres/mod.rs"]
mod postgres;
