//! Writes lines to standard error.

use std::io::{self, Write};

use crate::{cli::Exit, config};

/// Prints text for people. Line breaks stay; no other control character reaches the terminal.
pub fn people(text: &str) {
    let lines = text.lines().map(config::one_line);
    line(&format!("facematch: {}", lines.collect::<Vec<_>>().join("\n")));
}

/// Prints that the output can't be written. If the reader has closed the pipe, it prints nothing.
pub fn unwritable(error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Exit::ClosedPipe;
    }
    people(&format!("can't write the output: {error}"));
    Exit::Unwritable
}

/// Prints a line. A failure is ignored: standard error may be closed, and there is no other place
/// to report it.
pub fn line(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
