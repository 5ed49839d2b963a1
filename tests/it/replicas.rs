//! Many replicas over one PostgreSQL: what callers were promised holds while replicas are killed,
//! paused, cut off and replaced, and while the database goes away.
//!
//! The replicas are real processes, the PostgreSQL is a real one, and Oz's own record says what it
//! was asked. A lease is short here, so that nobody waits for its end for long.

mod cut;
mod failover;
pub mod fleet;
mod follower;
mod hanging;
mod moving;
mod outage;
mod pooled;
mod road;
mod rolling;
mod starting;
mod storm;
mod takeover;
mod unheard;
