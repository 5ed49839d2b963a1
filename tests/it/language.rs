//! How the repository is written: plain English whose subjects are components and roles, and type
//! names that mean one thing.
//!
//! `cargo test --test it language -- --nocapture` prints the figures.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Indefinite persons: a sentence with one hides which component acts.
const PERSONS: &[&str] = &[
    "anybody",
    "anyone",
    "everybody",
    "everyone",
    "nobody",
    "somebody",
    "someone",
    "whoever",
    "whomever",
];

/// The same in two words.
const PAIRS: &[[&str; 2]] = &[["no", "one"], ["those", "who"], ["one", "that"], ["one", "who"]];

/// How many indefinite persons a group of texts may have.
const PER_THOUSAND_WORDS: f64 = 0.5;

/// How many types may share their name with another type. mini-redis has 16 %, sqlx 3 %.
const SHARED_NAMES_MAX: f64 = 0.15;

/// What isn't written by hand, or keeps words as they were found.
const SKIPPED: &[&str] =
    &["target", ".git", "corpus", "Cargo.lock", "requirements.txt", "node_modules", "dist"];

#[test]
fn sentences_name_the_component_that_acts() {
    let mut groups: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for path in files(root()) {
        let place = path.strip_prefix(root()).expect("a file below the root").to_owned();
        groups.entry(group(&place)).or_default().push((place, read(&path)));
    }
    let mut over = Vec::new();
    for (group, sources) in groups {
        let mut words = 0;
        let mut found = Vec::new();
        for (place, source) in &sources {
            for (line, text) in texts(place, source) {
                let spoken = words_in(&text);
                words += spoken.len();
                found
                    .extend(persons(&spoken).map(|it| format!("{}:{line}: {it}", place.display())));
            }
        }
        println!("{words:7} words, {:3} indefinite persons: {group}", found.len());
        if found.len() as f64 * 1_000.0 > words as f64 * PER_THOUSAND_WORDS {
            over.extend(found);
        }
    }
    assert!(over.is_empty(), "name the component or the role instead:\n{}", over.join("\n"));
}

#[test]
fn few_types_share_their_name_with_another() {
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let sources = files(&root().join("src")).into_iter().filter(|path| is_production(path));
    for path in sources.filter(|path| path.extension().is_some_and(|it| it == "rs")) {
        let source = read(&path);
        let production = source.split("#[cfg(test)]\nmod tests {").next().expect("a first part");
        for name in types_in(production) {
            places.entry(name).or_default().push(path.clone());
        }
    }
    let all: usize = places.values().map(Vec::len).sum();
    let shared: usize = places.values().map(Vec::len).filter(|count| *count > 1).sum();
    for (name, places) in places.iter().filter(|(_, places)| places.len() > 1) {
        println!("{:2} × {name}", places.len());
    }
    let share = shared as f64 / all as f64;
    println!("{shared} of {all} types share their name with another: {:.1} %", share * 100.0);
    assert!(share <= SHARED_NAMES_MAX, "{shared} of {all} types share their name with another");
}

/// The room of a source, the document itself, or the folder of other files.
fn group(place: &Path) -> String {
    let parts: Vec<_> = place.iter().map(|part| part.to_string_lossy()).collect();
    let is_document = place.extension().is_some_and(|ending| ending == "md");
    let depth = match parts[0].as_ref() {
        _ if is_document => parts.len(),
        "src" => 2,
        "tests" if parts.len() > 2 => 2,
        _ => 1,
    };
    parts[..depth].join("/").trim_end_matches(".rs").to_owned()
}

/// What is written for people in a file: comments, messages, or the whole document.
fn texts(place: &Path, source: &str) -> Vec<(usize, String)> {
    let ending = place.extension().unwrap_or_default().to_string_lossy();
    let mark = match ending.as_ref() {
        "md" => return numbered(source).map(|(n, line)| (n, prose(line))).collect(),
        "rs" | "proto" | "c" => "//",
        "sql" => "--",
        "json" | "svg" | "explained" | "dict" => return Vec::new(),
        _ => "#",
    };
    let mut texts = Vec::new();
    for (number, line) in numbered(source) {
        let (code, comment) = match line.split_once(mark) {
            Some((code, comment)) => (code, comment),
            None => (line, ""),
        };
        texts.push((number, comment.trim_start_matches(['/', '!', '-', '#']).to_owned()));
        if ending == "rs" && place.starts_with("src") {
            let quoted = code.split('"').skip(1).step_by(2);
            let messages = quoted.filter(|text| text.matches(' ').count() >= 2);
            texts.extend(messages.map(|text| (number, text.to_owned())));
        }
    }
    texts
}

/// A line of Markdown without its code.
fn prose(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

fn numbered(source: &str) -> impl Iterator<Item = (usize, &str)> {
    source.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn words_in(text: &str) -> Vec<String> {
    let words = text.split(|it: char| !it.is_ascii_alphabetic() && it != '\'');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// The indefinite persons among the words of a line.
fn persons(words: &[String]) -> impl Iterator<Item = String> {
    let single = words.iter().filter(|word| PERSONS.contains(&word.as_str())).cloned();
    let is_pair = |pair: &&[String]| PAIRS.iter().any(|[a, b]| pair[0] == *a && pair[1] == *b);
    single.chain(words.windows(2).filter(is_pair).map(|pair| pair.join(" ")))
}

/// The names of the structs, enums, traits and aliases that a source defines.
fn types_in(source: &str) -> Vec<String> {
    let defined = source.lines().filter_map(|line| {
        let item = line.trim_start();
        let item = match item.strip_prefix("pub") {
            Some(rest) => rest.split_once(' ').map_or(item, |(_, rest)| rest),
            None => item,
        };
        let (kind, rest) = item.split_once(' ')?;
        // Deeper, an alias is an associated type, which a trait names.
        let is_alias = kind == "type" && !line.starts_with(' ');
        (["struct", "enum", "trait", "union"].contains(&kind) || is_alias).then_some(rest)
    });
    let named = defined.map(|rest| {
        rest.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect::<String>()
    });
    named.filter(|name| name.starts_with(|it: char| it.is_ascii_uppercase())).collect()
}

fn is_production(path: &Path) -> bool {
    let place = path.strip_prefix(root()).expect("a file below the root");
    let tests = ["tests", "suite", "simulation", "fuzzing"];
    place.iter().all(|part| {
        let name = part.to_string_lossy();
        !tests.contains(&name.trim_end_matches(".rs"))
    })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A file's text; nothing of a picture.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
