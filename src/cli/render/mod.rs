//! How answers look: text for people, JSON for programs.
//!
//! Pure: it takes messages and gives strings. Who prints them where is the commands' business.

pub mod failure;
pub mod json;
pub mod text;

#[cfg(test)]
mod tests;
