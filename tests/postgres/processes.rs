//! Finds a cluster's processes by their command lines: once the postmaster has ended, it is no
//! longer their parent.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// All processes of the cluster in a directory. A process that is ending is missed: it has no
/// command line any more, although it may still have the cluster's memory.
pub fn of(directory: &Path) -> Vec<u32> {
    let name = directory.file_name().and_then(|name| name.to_str()).expect("a name");
    // The postmaster, and its children right after the fork, have the first in their command lines.
    let called = [format!("{}/data", directory.display()), format!("postgres: {name}: ")];
    all().filter(|id| called.iter().any(|called| command_line(*id).contains(called))).collect()
}

/// The children of a process, for as long as it lives.
pub fn children(parent: u32) -> Vec<u32> {
    let is_child = |id: &u32| fields(*id).is_some_and(|fields| fields.parent == parent);
    all().filter(is_child).collect()
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("the processes").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Sends a signal to processes. Processes that have ended meanwhile are ignored.
pub fn signal(name: &str, ids: &[u32]) {
    if ids.is_empty() {
        return;
    }
    // The shell's built-in kill exists everywhere.
    let mut kill = Command::new("sh");
    kill.args(["-c", r#"kill -s "$@""#, "sh", name]).args(ids.iter().map(u32::to_string));
    kill.stderr(Stdio::null()).status().expect("a shell runs");
}

/// Whether a process has ended and released its resources. It may still be a zombie.
pub fn has_ended(id: u32) -> bool {
    fields(id).is_none_or(|fields| matches!(fields.state, 'Z' | 'X'))
}

/// Whether a process is stopped, or has ended.
pub fn is_paused(id: u32) -> bool {
    has_ended(id) || fields(id).is_some_and(|fields| fields.state == 'T')
}

/// A process's command line. Empty if the process has ended.
fn command_line(id: u32) -> String {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).into_owned()
}

/// A process's fields in `/proc`.
struct Fields {
    state: char,
    parent: u32,
}

/// Reads the fields, which come after the name. The name is in parentheses and may be anything.
fn fields(id: u32) -> Option<Fields> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some(Fields { state: fields.next()?.chars().next()?, parent: fields.next()?.parse().ok()? })
}
