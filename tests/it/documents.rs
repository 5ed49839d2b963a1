//! The documents say what the code says: the settings, the reasons and the causes.

use std::{collections::BTreeSet, fs, path::Path};

/// Where refusals and ends get their words.
const WORDS: &[&str] = &["src/domain/reason.rs", "src/grpc/status.rs"];

#[test]
fn the_readme_shows_every_setting() {
    let table = facematch::config::settings_markdown();
    assert!(read("README.md").contains(&table), "the table of settings is now:\n{table}");
}

#[test]
fn the_readme_lists_every_reason_and_cause() {
    let readme = read("README.md");
    for word in WORDS.iter().flat_map(|path| words_in(&read(path))) {
        assert!(readme.contains(&format!("| `{word}` |")), "README.md lacks {word}");
    }
}

#[test]
fn documents_link_to_what_is_there() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        for link in links_in(&read(document)) {
            assert!(root().join(&link).exists(), "{document} links to {link}");
        }
    }
}

/// The quoted words in capitals of a source, such as `"OZ_PROTOCOL"`.
fn words_in(source: &str) -> BTreeSet<String> {
    let is_word =
        |text: &&str| text.len() > 3 && text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let quoted = source.split('"').skip(1).step_by(2).filter(is_word);
    // serde's name for the form, not a word of that form.
    quoted.filter(|text| *text != "SCREAMING_SNAKE_CASE").map(str::to_owned).collect()
}

/// Where a document's links lead within the repository.
fn links_in(document: &str) -> Vec<String> {
    let targets = document.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    local.map(str::to_owned).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
