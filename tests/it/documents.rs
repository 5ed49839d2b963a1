//! The documents agree with the code: the settings, the reasons and the causes.

use std::{collections::BTreeSet, fs, path::Path};

use facematch::{
    doctor::DoctorStep,
    domain::{Cause, Limit, Reason},
    grpc,
    simulator::Switches,
};
use tonic::Code;

/// The page that callers look errors up in.
pub const ERRORS: &str = "docs/errors.md";

/// The last line of the head of the packaged settings file.
const OTHER_SETTINGS: &str =
    "\n# Every other setting, with its default, or with a placeholder if it has none.\n\n";

/// What a reader sees of a product before deciding whether to go on.
const README_LINES_MAX: usize = 220;

#[test]
fn the_settings_page_shows_every_setting() {
    let table = facematch::config::settings_markdown();
    assert!(read("docs/settings.md").contains(&table), "the table of settings is now:\n{table}");
}

/// What Debian's package installs: a head that is written by hand, and every other setting.
#[test]
fn the_packaged_settings_file_shows_every_setting() {
    let file = read("deploy/debian/facematch.toml");
    let (head, listed) = file.split_once(OTHER_SETTINGS).expect("the other settings");
    let entries = head.lines().filter_map(|line| line.split_once(" = "));
    let named: Vec<_> = entries.map(|(name, _)| name.trim_start_matches('#')).collect();
    for name in &named {
        let about = facematch::config::TABLE.iter().find(|about| about.name == *name);
        assert!(about.is_some(), "there is no setting {name}");
    }
    let sample = facematch::config::settings_sample(&named);
    assert!(listed == sample, "the other settings are now:\n{sample}");
}

#[test]
fn the_operating_page_lists_the_settings_that_change_while_the_service_runs() {
    let page = read("docs/operating.md");
    let section = page.split("## Changing settings without a restart\n").nth(1).expect("a section");
    let section = section.split("\n## ").next().expect("its end");
    let rows: String = section.lines().filter(|line| line.starts_with("| `--")).collect();
    for name in facematch::config::live_settings() {
        assert!(rows.contains(&format!("`--{name}`")), "--{name} has no row");
    }
    let listed = rows.matches("`--").count();
    assert_eq!(listed, facematch::config::live_settings().count(), "{rows}");
}

#[test]
fn the_metrics_page_shows_every_metric() {
    let table = facematch::metrics::metrics_markdown();
    assert!(read("docs/metrics.md").contains(&table), "the table of metrics is now:\n{table}");
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "{lines} lines: move details to a page in docs/");
}

#[test]
fn the_readme_s_program_is_that_of_the_library() {
    let readme = read("README.md");
    let block = readme.split("```python\n").nth(1).expect("a block of Python");
    let block = block.split("```").next().expect("its end");
    // The library's own tests run the blocks of its page.
    assert!(read("clients/python/README.md").contains(&format!("```python\n{block}```")));
}

#[test]
fn the_errors_page_lists_every_error_reason_with_its_code() {
    for reason in grpc::ErrorReason::ALL {
        let code = code_name(reason.code());
        assert_row(reason.as_str(), &[code]);
    }
}

#[test]
fn the_errors_page_lists_every_reason_of_a_failed_match_with_its_code_and_whether_to_retry() {
    for reason in Reason::ALL {
        let code = code_name(Code::from_i32(reason.code() as i32));
        assert_row(reason.as_str(), &[code, if reason.retryable() { "yes" } else { "no" }]);
    }
}

#[test]
fn the_errors_page_lists_every_cause_of_trouble() {
    for cause in Cause::ALL {
        assert_row(cause.as_str(), &[]);
    }
}

#[test]
fn the_proto_lists_every_error_reason_with_its_code() {
    let proto = read("proto/facematch/v1/face_match.proto");
    for reason in grpc::ErrorReason::ALL {
        let row = format!("//   {:<19} {:<20}", reason.as_str(), code_name(reason.code()));
        assert!(proto.contains(&row), "the proto lacks {row:?}");
    }
}

#[test]
fn the_proto_and_the_errors_page_list_every_limit() {
    for limit in Limit::ALL {
        let proto = read("proto/facematch/v1/face_match.proto");
        assert!(proto.contains(&format!("\"{limit}\"")), "the proto lacks {limit}");
        assert!(read(ERRORS).contains(&format!("`{limit}`")), "{ERRORS} lacks {limit}");
    }
}

#[test]
fn the_lists_of_words_are_complete() {
    let refusals: BTreeSet<_> = grpc::ErrorReason::ALL.map(|reason| reason.as_str().into()).into();
    assert_eq!(words_in(&read("src/grpc/reason.rs")), refusals);
    let reasons = Reason::ALL.iter().map(|reason| reason.as_str().to_owned());
    let causes = Cause::ALL.iter().map(|cause| cause.as_str().to_owned());
    // Shown in place of a word that only a later version knows.
    let unknown = [Reason::Unknown.as_str().to_owned()];
    let words = reasons.chain(causes).chain(unknown).collect();
    assert_eq!(words_in(&read("src/domain/reason.rs")), words);
    assert!(read(ERRORS).contains("`UNKNOWN`"));
}

#[test]
fn the_doctor_s_page_explains_every_line() {
    let page = read("docs/doctor.md");
    for subject in DoctorStep::ALL {
        let row = format!("| `{}` |", subject.as_str());
        assert!(page.contains(&row), "docs/doctor.md lacks {}", subject.as_str());
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for document in documents() {
        let folder = root().join(&document).parent().expect("a folder").to_owned();
        for link in links_in(&read(&document)) {
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let there = folder.join(path);
            let is_there = heading.is_empty() || has_heading(&there, heading);
            assert!(there.exists() && is_there, "{document} links to {link}");
        }
    }
}

#[test]
fn the_simulator_s_page_names_every_key_and_default_of_its_script() {
    let page = read("docs/simulator.md");
    let switches = serde_json::to_value(Switches::default()).expect("switches are JSON");
    for (key, default) in switches.as_object().expect("an object") {
        assert!(page.contains(&format!("`{key}`")), "docs/simulator.md lacks the switch {key}");
        if let Some(on) = default.as_bool() {
            assert!(page.contains(&format!("| `{key}` | {on} |")), "{key} is {on} by default");
        }
    }
    for source in ["rule.rs", "outcome.rs"] {
        for key in public_fields(&read(&format!("src/simulator/script/{source}"))) {
            let key = if key == "when" { "match" } else { &key };
            assert!(page.contains(&format!("`{key}`")), "docs/simulator.md lacks {key}");
        }
    }
}

/// The names of the public fields in a source.
fn public_fields(source: &str) -> Vec<String> {
    let fields = source.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "));
    let names = fields.map(|(name, _)| name.to_owned());
    names.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect()
}

/// The quoted words in capitals in a source, such as `"OZ_PROTOCOL"`.
fn words_in(source: &str) -> BTreeSet<String> {
    let is_word =
        |text: &&str| text.len() > 3 && text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let quoted = source.split('"').skip(1).step_by(2).filter(is_word);
    // The name of a serde case, not a word of the contract.
    quoted.filter(|text| *text != "SCREAMING_SNAKE_CASE").map(str::to_owned).collect()
}

/// Checks that the page of errors has a row for a word whose next cells begin with `cells`.
#[track_caller]
fn assert_row(word: &str, cells: &[&str]) {
    let page = read(ERRORS);
    let of_word = |line: &&str| line.starts_with(&format!("| `{word}` |"));
    let has_cells = |line: &str| {
        line.split(" | ").skip(1).zip(cells).all(|(cell, wanted)| cell.starts_with(wanted))
    };
    let mut rows = page.lines().filter(of_word);
    assert!(rows.any(has_cells), "{ERRORS} has no row of {word} with {cells:?}");
}

/// gRPC's name of a code.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Whether a document has a heading with this anchor.
fn has_heading(document: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(document).unwrap_or_default();
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|it| it.is_alphanumeric() || [' ', '-', '_'].contains(it));
        kept.collect::<String>().replace(' ', "-") == anchor
    })
}

/// The targets of a document's links within the repository.
fn links_in(document: &str) -> Vec<String> {
    let targets = document.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    local.map(str::to_owned).collect()
}

/// Every document for people: those of the root and of `docs/`.
fn documents() -> Vec<String> {
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(root().join(folder)).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| format!("{folder}{}", name.to_string_lossy()));
        names.filter(|name| name.ends_with(".md")).collect()
    };
    let documents = [names(""), names("docs/")].concat();
    assert!(documents.len() > 10, "{documents:?}");
    documents
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
