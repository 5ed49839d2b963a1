//! Every client command of the built program: its output, its errors and its exit code, on a
//! terminal and in a pipe.

mod credentials;
mod failing;
mod health;
mod json;
mod keys;
mod pages;
mod peers;
pub mod program;
mod reference;
mod repeating;
mod showing;
mod starting;
mod tls;
