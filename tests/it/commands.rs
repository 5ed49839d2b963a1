//! Every client command of the built program: what it writes to either output and how it ends, on a
//! terminal and in a pipe.

mod failing;
mod json;
mod pages;
mod peers;
mod program;
mod showing;
mod starting;
mod tls;
