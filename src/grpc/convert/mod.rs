//! Converts between protobuf messages and the domain's types.
//!
//! A request is parsed once, and refused with all of its violations together. An update is
//! converted one to one; nothing is decided here.

pub mod request;
pub mod time;
pub mod update;
