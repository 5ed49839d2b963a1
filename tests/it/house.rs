//! Who may import whom, held by reading the sources. Upwards never, circles never.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each room and the rooms that it may import.
const TABLE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &["domain"]),
    ("outage", &["domain", "clock"]),
    ("journal", &["domain", "clock", "outage"]),
    ("oz", &["domain", "clock", "outage"]),
    ("worker", &["domain", "clock", "outage", "journal", "oz"]),
    ("watch", &["domain", "clock", "outage", "journal"]),
    ("grpc", &["domain", "worker", "watch", "pb", "clock", "outage"]),
    ("pb", &[]),
    ("config", &[]),
    ("telemetry", &["config"]),
    ("cli", &["config", "pb", "clock"]),
    ("simulator", &[]),
    ("fuzzing", &["config", "domain", "grpc", "oz", "watch"]),
];

/// What the halves may not take from the rooms whose traits they use: their engines.
const ENGINES: &[&str] = &["journal::postgres", "journal::sqlite", "oz::Client", "oz::client"];

/// Crates that the core must not know: no async, no IO, no logging, no transport, no store.
const NOT_IN_THE_CORE: &[&str] =
    &["tokio", "tonic", "reqwest", "sqlx", "tracing", "axum", "futures_util", "async_trait"];

#[test]
fn every_room_imports_only_what_its_row_says() {
    for (room, allowed) in TABLE {
        for (path, source) in sources(room) {
            for imported in rooms_in(&source) {
                let fine = imported == *room || allowed.contains(&imported.as_str());
                assert!(fine, "{} imports crate::{imported}", path.display());
            }
        }
    }
}

#[test]
fn every_room_has_a_row() {
    let rows: BTreeSet<&str> = TABLE.iter().map(|(room, _)| *room).collect();
    let lib = fs::read_to_string(root().join("lib.rs")).expect("src/lib.rs");
    let rooms = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for room in rooms.filter(|room| *room != "app") {
        assert!(rows.contains(room), "{room} has no row in the table");
    }
}

#[test]
fn the_halves_know_traits_and_no_engine() {
    for room in ["worker", "watch", "grpc"] {
        for (path, source) in sources(room) {
            let squeezed = source.replace(['\n', ' '], "");
            for engine in ENGINES {
                let name = format!("{engine}::");
                let found = squeezed.contains(&name) || squeezed.contains(&format!("{engine};"));
                assert!(!found, "{} knows {engine}", path.display());
            }
        }
    }
}

#[test]
fn the_core_knows_neither_time_nor_wires() {
    for (path, source) in sources("domain") {
        for name in NOT_IN_THE_CORE {
            let found =
                source.contains(&format!("{name}::")) || source.contains(&format!("use {name}"));
            assert!(!found, "{} knows {name}", path.display());
        }
        let tokens = ["async fn", ".await;", ".await?", ".await)", "SystemTime", "Instant"];
        for name in tokens.into_iter().chain(["std::env", "std::fs"]) {
            assert!(!source.contains(name), "{} has {name}", path.display());
        }
    }
}

#[test]
fn generated_code_stays_at_the_door_and_in_the_command_line() {
    for (room, allowed) in TABLE {
        if allowed.contains(&"pb") || *room == "pb" {
            continue;
        }
        for (path, source) in sources(room) {
            assert!(!source.contains("crate::pb"), "{} knows the wire", path.display());
        }
    }
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    for (path, source) in sources("") {
        assert!(source.starts_with("//! "), "{} doesn't", path.display());
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The sources of a room, a file or a folder, without their tests; all for an empty name.
fn sources(room: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let file = root().join(format!("{room}.rs"));
    if file.is_file() {
        found.push((file.clone(), read(&file)));
    }
    collect(&root().join(room), &mut found);
    assert!(!found.is_empty(), "there is no room {room}");
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

/// A source up to its tests, which may reach further.
fn read(path: &Path) -> String {
    let source = fs::read_to_string(path).expect("a source file");
    match source.find("#[cfg(test)]\nmod tests {") {
        Some(tests) => source[..tests].to_owned(),
        None => source,
    }
}

/// The rooms that a source names: `crate::room` and the lists in `use crate::{…}`.
fn rooms_in(source: &str) -> BTreeSet<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut rooms = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(heads(list)),
            None => rooms.extend(word(rest)),
        }
    }
    rooms
}

/// The first words of the items of a list, up to its closing brace.
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
