//! Formats answers: as text for people, and as JSON for programs.
//!
//! Pure: it turns messages into strings. The commands print them.

pub mod failure;
pub mod json;
pub mod notice;
pub mod text;

#[cfg(test)]
mod tests;
