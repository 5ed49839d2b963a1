//! The whole house, from outside: a real gRPC client, the service, and a simulated Oz.

mod documents;
mod house;
mod support;

mod bad_input;
mod flow;
mod promises;
mod watching;
