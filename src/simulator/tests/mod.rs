//! The simulator as its callers see it, over real HTTP.

mod client;
mod flow;
