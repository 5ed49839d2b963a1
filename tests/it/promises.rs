//! The guarantees that callers rely on: each of the contract's, tested with an Oz that misbehaves.

mod at_once;
mod calls;
mod cancelling;
mod deadlines;
mod draining;
mod gateway;
mod one_of_each;
mod repeating;
mod restarting;
mod secrets;
mod trouble;
