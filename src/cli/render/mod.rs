//! How answers look: text for people, JSON for programs.
//!
//! Pure: it takes messages and gives strings. Where they are printed is the commands' business.

pub mod failure;
pub mod json;
pub mod notice;
pub mod text;

#[cfg(test)]
mod tests;
