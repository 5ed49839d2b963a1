//! The whole house, from outside: a real gRPC client, the service, and a simulated Oz.

mod documents;
mod house;
mod support;

mod bad_input;
mod bad_lookups;
mod errors;
mod flow;
mod limits;
mod promises;
mod starting;
mod transport;
mod watching;
