//! Between the wire and the domain: requests are parsed once, with all violations at once;
//! updates are written one to one.

pub mod request;
pub mod time;
pub mod update;
