//! Many replicas over one PostgreSQL: callers' guarantees hold while replicas are killed, paused,
//! cut off and replaced, and while the database is unavailable.
//!
//! The replicas are real processes, PostgreSQL is real, and the simulator's record shows the
//! requests to Oz. Leases are short here, so that tests needn't wait long for their end.

mod checking;
mod cut;
mod failover;
pub mod fleet;
mod follower;
mod hanging;
mod lost_messages;
mod moving;
mod outage;
mod oz_proxy;
mod pooled;
mod readiness;
mod rolling;
mod starting;
mod storm;
mod takeover;
mod traces;
