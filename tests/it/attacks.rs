//! Attacks on the built program: what one caller can hold, and what other callers notice of it.

mod unread_watchers;
