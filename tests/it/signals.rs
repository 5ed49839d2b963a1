//! Sends signals to processes by the system call: a minimal Debian has no program `kill`.

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to a process of the tests, and returns whether the process existed.
pub fn send(id: u32, signal: Signal) -> bool {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).expect("the id of a process");
    kill_process(id, signal).is_ok()
}
