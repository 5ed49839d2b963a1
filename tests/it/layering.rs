//! The layering of the modules, checked by reading the sources: no upward and no circular imports.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each module and the modules that it may import.
const ALLOWED_IMPORTS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("sync", &[]),
    ("text", &[]),
    ("units", &[]),
    ("metrics", &["domain"]),
    ("clock", &["domain", "sync"]),
    ("outage", &["domain", "clock", "sync"]),
    ("database_url", &[]),
    ("journal", &["domain", "clock", "database_url", "metrics", "outage", "sync"]),
    ("trace", &["domain", "clock"]),
    ("oz", &["domain", "clock", "metrics", "outage", "sync", "trace"]),
    ("library", &["domain", "clock", "database_url", "metrics", "sync", "trace"]),
    (
        "worker",
        &["domain", "clock", "metrics", "outage", "journal", "library", "oz", "sync", "trace"],
    ),
    ("watch", &["domain", "clock", "metrics", "outage", "journal", "sync"]),
    ("access", &["domain", "clock", "outage", "sync", "units", "text"]),
    (
        "grpc",
        &[
            "domain", "access", "worker", "watch", "pb", "clock", "metrics", "outage", "sync",
            "trace",
        ],
    ),
    ("web", &["grpc", "pb", "sync"]),
    ("admin", &["domain", "clock", "sync"]),
    ("pb", &[]),
    ("config", &["units", "text"]),
    ("telemetry", &["domain", "config", "clock", "outage", "sync", "trace"]),
    ("doctor", &["domain", "clock", "library", "oz", "text", "units"]),
    ("cli", &["access", "config", "pb", "clock", "sync"]),
    ("simulator", &[]),
    ("fuzzing", &["access", "config", "domain", "grpc", "oz", "watch", "web"]),
];

/// The files of `worker`, each with its folder, from bottom to top: a file imports only files that
/// stand before it.
const WORKER_FILES: &[&str] = &[
    "slots",
    "spare_buffers",
    "photo_memory",
    "limiter",
    "registry",
    "context",
    "driver",
    "standby",
    "supervisor",
    "housekeeping",
    "admit",
    "mod",
];

/// The engines: `worker`, `watch` and `grpc` use the traits of these modules and may not name them.
const ENGINES: &[&str] = &["journal::postgres", "journal::sqlite", "oz::Client", "oz::client"];

/// Crates that `domain` must not use: no async, no IO, no logging, no transport, no store.
const NOT_IN_THE_CORE: &[&str] =
    &["tokio", "tonic", "reqwest", "sqlx", "tracing", "axum", "futures_util", "async_trait"];

#[test]
fn every_module_imports_only_what_its_row_allows() {
    for (room, allowed) in ALLOWED_IMPORTS {
        for (path, source) in sources(room) {
            for imported in named_after("crate::", &source) {
                let fine = imported == *room || allowed.contains(&imported.as_str());
                assert!(fine, "{} imports crate::{imported}", path.display());
            }
        }
    }
}

#[test]
fn every_module_has_a_row() {
    let rows: BTreeSet<&str> = ALLOWED_IMPORTS.iter().map(|(room, _)| *room).collect();
    let lib = fs::read_to_string(root().join("lib.rs")).expect("src/lib.rs");
    let rooms = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for room in rooms.filter(|room| *room != "app") {
        assert!(rows.contains(room), "{room} has no row in the table");
    }
}

#[test]
fn every_file_of_the_worker_imports_only_files_below_it() {
    for (path, source) in sources("worker") {
        let place = path.strip_prefix(root().join("worker")).expect("a file of the worker");
        let first = Path::new(place.iter().next().expect("a file or a folder"));
        let file = first.file_stem().expect("a name").to_string_lossy();
        let floor = WORKER_FILES.iter().position(|name| *name == file);
        let below = &WORKER_FILES[..floor.unwrap_or_else(|| panic!("{file} has no row"))];
        assert!(!source.contains("super::"), "{} imports by super::", path.display());
        for imported in named_after("worker::", &source) {
            let is_below = imported == file || below.contains(&imported.as_str());
            assert!(is_below, "{} imports worker::{imported}", path.display());
        }
    }
}

#[test]
fn worker_watch_and_grpc_name_traits_and_no_engine() {
    for room in ["worker", "watch", "grpc"] {
        for (path, source) in sources(room) {
            let squeezed = source.replace(['\n', ' '], "");
            for engine in ENGINES {
                let name = format!("{engine}::");
                let found = squeezed.contains(&name) || squeezed.contains(&format!("{engine};"));
                assert!(!found, "{} names {engine}", path.display());
            }
        }
    }
}

#[test]
fn the_core_has_no_async_no_io_and_no_system_time() {
    for (path, source) in sources("domain") {
        for name in NOT_IN_THE_CORE {
            let found =
                source.contains(&format!("{name}::")) || source.contains(&format!("use {name}"));
            assert!(!found, "{} names {name}", path.display());
        }
        let tokens = ["async fn", ".await;", ".await?", ".await)", "SystemTime", "Instant"];
        for name in tokens.into_iter().chain(["std::env", "std::fs"]) {
            assert!(!source.contains(name), "{} contains {name}", path.display());
        }
    }
}

#[test]
fn only_grpc_and_the_command_line_use_generated_code() {
    for (room, allowed) in ALLOWED_IMPORTS {
        if allowed.contains(&"pb") || *room == "pb" {
            continue;
        }
        for (path, source) in sources(room) {
            assert!(!source.contains("crate::pb"), "{} uses generated code", path.display());
        }
    }
}

#[test]
fn every_file_opens_with_its_purpose() {
    for (path, source) in sources("") {
        assert!(source.starts_with("//! "), "{} doesn't begin with //!", path.display());
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The sources of a module (a file, a folder or both) without its tests; all for an empty name.
fn sources(room: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let file = root().join(format!("{room}.rs"));
    if file.is_file() {
        found.push((file.clone(), read(&file)));
    }
    collect(&root().join(room), &mut found);
    assert!(!found.is_empty(), "there is no module {room}");
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.expect("a directory entry").path()) {
        let is_test = path.file_stem().is_some_and(|name| name == "tests" || name == "suite");
        if path.is_dir() && !is_test {
            collect(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !is_test {
            let source = read(&path);
            found.push((path, source));
        }
    }
}

/// A source up to its test module, which may import more.
fn read(path: &Path) -> String {
    let source = fs::read_to_string(path).expect("a source file");
    match source.find("#[cfg(test)]\nmod tests {") {
        Some(tests) => source[..tests].to_owned(),
        None => source,
    }
}

/// What a source names after a prefix such as `crate::`: single names, and the lists in braces.
fn named_after(prefix: &str, source: &str) -> BTreeSet<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut names = BTreeSet::new();
    for (start, _) in code.match_indices(prefix) {
        let rest = &code[start + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(heads(list)),
            None => names.extend(word(rest)),
        }
    }
    names
}

/// The first path segments of the items in a list, up to its closing brace.
fn heads(list: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0_usize;
    let mut item = String::new();
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.extend(word(std::mem::take(&mut item).trim())),
            _ => {}
        }
        if depth == 0 && character != ',' {
            item.push(character);
        }
    }
    heads.extend(word(item.trim()));
    heads
}

fn word(text: &str) -> Option<String> {
    let word: String = text
        .chars()
        .take_while(|character| character.is_alphanumeric() || *character == '_')
        .collect();
    (!word.is_empty()).then_some(word)
}
