//! What an operator is told to search for exists: the messages of the log and the panels of the
//! dashboard that the operating page names. Whether an alert fires is for `tests/python`.

use std::{collections::BTreeSet, fs, path::Path};

const PAGE: &str = "docs/operating.md";
const DASHBOARD: &str = "deploy/grafana/facematch.json";

/// What `outage.rs` appends to the name of a component.
const OUTAGES: [&str; 3] = [" fails", " still fails", " works again"];

#[test]
fn every_message_and_panel_that_the_operating_page_quotes_exists() {
    let (page, sources, panels) = (prose(), sources(), panels());
    let quotes: Vec<_> = page.split('"').skip(1).step_by(2).collect();
    assert!(quotes.len() > 50, "{quotes:?}");
    let missing: Vec<_> = quotes
        .into_iter()
        .filter(|quote| !panels.contains(*quote) && !is_written(quote, &sources))
        .collect();
    assert!(missing.is_empty(), "{PAGE} quotes what is no message and no panel: {missing:?}");
}

#[test]
fn every_panel_that_a_section_of_an_alert_names_exists() {
    let (page, panels) = (prose(), panels());
    let (_, alerts) = page.split_once("\n## Metrics and alerts\n").expect("the section");
    let (alerts, _) = alerts.split_once("\n## ").expect("its end");
    // Such as: the panels "Commits" and "Phases, p95".
    let named: Vec<_> = alerts
        .match_indices("panel")
        .flat_map(|(at, _)| {
            alerts[at..].lines().next().expect("a line").split(['.', ':', ';']).next()
        })
        .flat_map(|clause| clause.split('"').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 5, "{named:?}");
    for panel in named {
        assert!(panels.contains(panel), "{DASHBOARD} has no panel {panel:?}");
    }
}

/// The page without its blocks and its code, which have quotes of their own.
fn prose() -> String {
    let page = read(PAGE);
    let text: String = page.split("```").step_by(2).collect();
    text.split('`').step_by(2).collect()
}

/// The sources as one text, with continued literals in one line.
fn sources() -> String {
    let mut all = String::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                all.push_str(&fs::read_to_string(&path).expect("a source"));
            }
        }
    }
    let parts: Vec<_> = all.split("\\\n").collect();
    parts
        .iter()
        .enumerate()
        .map(|(at, part)| if at == 0 { part } else { part.trim_start() })
        .collect()
}

/// Whether the program can write this text: alone, before a colon, or before a value.
fn is_written(quote: &str, sources: &str) -> bool {
    let is_literal =
        ["\"", ": ", " {"].iter().any(|end| sources.contains(&format!("\"{quote}{end}")));
    let outage = OUTAGES.iter().find_map(|end| quote.strip_suffix(end));
    is_literal || outage.is_some_and(|what| sources.contains(&format!("Outage::new(\"{what}\"")))
}

fn panels() -> BTreeSet<String> {
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    panels.filter_map(|panel| Some(panel["title"].as_str()?.to_owned())).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
