//! What `clients/` has of the server's own: the files that client libraries are generated from or
//! configured with agree with the server, and the command line can be driven like a library.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, BufRead, BufReader, Lines, PipeReader, PipeWriter, Write},
};

use facematch::{
    cli::conformance,
    domain::{Cause, Reason},
    grpc::ErrorReason,
    pb,
};
use prost::Message;
use prost_types::FileDescriptorSet;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tonic::Code;

use crate::{
    documents::{ERRORS, code_name, read},
    support::{TestServer, portrait},
};

const REASONS: &str = "clients/reasons.json";
const SERVICE_CONFIG: &str = "clients/service-config.json";

/// The methods that gRPC must not repeat: without a `request_id` a repeat makes a second match, and
/// a repeated deletion finds no match.
const NEVER_REPEATED: [&str; 3] = ["CreateMatch", "DeleteMatch", "RunMatch"];

/// The most attempts that gRPC makes; a larger number counts as this one.
const ATTEMPTS_MAX: u32 = 5;

/// `clients/reasons.json`, from which each library makes a class for each reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    #[expect(dead_code, reason = "for readers")]
    about: String,
    version: u32,
    domain: String,
    kinds: BTreeMap<String, String>,
    retry: BTreeMap<String, String>,
    unknown: UnknownWord,
    reasons: Vec<ReasonWord>,
    causes: Vec<CauseWord>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnknownWord {
    word: String,
    #[expect(dead_code, reason = "for readers")]
    sentence: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Clone)]
#[serde(deny_unknown_fields)]
struct ReasonWord {
    reason: String,
    kind: String,
    code: String,
    retry: String,
    sentence: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
struct CauseWord {
    cause: String,
    sentence: String,
}

fn words() -> Words {
    serde_json::from_str(&read(REASONS)).unwrap_or_else(|error| panic!("{REASONS}: {error}"))
}

/// The rule of a refused call. A call with a delay is repeated, and no other.
fn rule_of(reason: ErrorReason) -> &'static str {
    match (reason, reason.retry_after()) {
        (ErrorReason::UpdatesUnread, Some(_)) => "resume",
        (_, Some(_)) => "same_call",
        (ErrorReason::CredentialExpired, None) => "new_credential",
        (ErrorReason::TokenExpired, None) => "restart",
        (_, None) => "never",
    }
}

/// The words of the page of errors in the row of a word: its cell at `column`, as a sentence.
fn sentence(section: &str, word: &str, column: usize) -> String {
    let page = read(ERRORS);
    let section = page.split("\n## ").find(|it| it.starts_with(section)).expect("a section");
    let mut rows = section.lines().filter(|line| line.starts_with(&format!("| `{word}` |")));
    let row = rows.next().unwrap_or_else(|| panic!("{ERRORS}, {section:.30}: no row of {word}"));
    let cell = row.trim_end_matches(" |").split(" | ").nth(column).expect("a cell");
    let (first, rest) = cell.split_at(1);
    format!("{}{}.", first.to_uppercase(), without_links(rest))
}

/// A text of Markdown with the words of its links alone.
fn without_links(text: &str) -> String {
    let Some((before, rest)) = text.split_once('[') else { return text.to_owned() };
    let (words, rest) = rest.split_once("](").expect("a link");
    let (_, after) = rest.split_once(')').expect("its target");
    format!("{before}{words}{}", without_links(after))
}

fn of_call(reason: ErrorReason) -> ReasonWord {
    ReasonWord {
        reason: reason.as_str().to_owned(),
        kind: "call".to_owned(),
        code: code_name(reason.code()).to_owned(),
        retry: rule_of(reason).to_owned(),
        sentence: sentence("A call that is refused", reason.as_str(), 2),
    }
}

fn of_match(reason: Reason) -> ReasonWord {
    ReasonWord {
        reason: reason.as_str().to_owned(),
        kind: "match".to_owned(),
        code: code_name(Code::from_i32(reason.code() as i32)).to_owned(),
        retry: if reason.retryable() { "new_request_id" } else { "never" }.to_owned(),
        sentence: sentence("A match that FAILED", reason.as_str(), 3),
    }
}

fn of_cause(cause: Cause) -> CauseWord {
    let word = cause.as_str();
    CauseWord { cause: word.to_owned(), sentence: sentence("Transient trouble at Oz", word, 1) }
}

#[test]
fn the_reasons_file_has_every_reason_as_the_server_and_the_page_of_errors_have_it() {
    let calls = ErrorReason::ALL.into_iter().map(of_call);
    let server: BTreeSet<_> = calls.chain(Reason::ALL.into_iter().map(of_match)).collect();
    let listed = words().reasons;
    let file: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(file.len(), listed.len(), "an entry is there twice");
    let missing: Vec<_> = server.difference(&file).collect();
    let wrong: Vec<_> = file.difference(&server).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "missing: {missing:#?}\nwrong: {wrong:#?}");
}

#[test]
fn the_reasons_file_has_every_cause() {
    let server: BTreeSet<_> = Cause::ALL.into_iter().map(of_cause).collect();
    let listed = words().causes;
    let count = listed.len();
    let file: BTreeSet<_> = listed.into_iter().collect();
    assert_eq!(file.len(), count, "an entry is there twice");
    let missing: Vec<_> = server.difference(&file).collect();
    let wrong: Vec<_> = file.difference(&server).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "missing: {missing:#?}\nwrong: {wrong:#?}");
}

/// Libraries make one class for each reason, whatever its kind.
#[test]
fn no_word_is_a_reason_of_two_kinds() {
    let words = words();
    let distinct: BTreeSet<_> = words.reasons.iter().map(|reason| &reason.reason).collect();
    assert_eq!(distinct.len(), words.reasons.len());
}

#[test]
fn the_reasons_file_defines_exactly_the_words_that_it_uses() {
    let words = words();
    assert_eq!((words.version, words.domain.as_str()), (1, "facematch"));
    assert_eq!(words.unknown.word, Reason::Unknown.as_str());
    assert_eq!(words.unknown.word, Cause::Unknown.as_str());
    let used: BTreeSet<_> = words.reasons.iter().map(|reason| reason.kind.clone()).collect();
    assert_eq!(words.kinds.into_keys().collect::<BTreeSet<_>>(), used);
    let used: BTreeSet<_> = words.reasons.iter().map(|reason| reason.retry.clone()).collect();
    assert_eq!(words.retry.into_keys().collect::<BTreeSet<_>>(), used);
}

/// `clients/service-config.json`, for callers that use bare stubs. Unknown keys are refused: gRPC
/// would ignore a misspelt one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ServiceConfig {
    load_balancing_config: Vec<BTreeMap<String, BTreeMap<String, String>>>,
    health_check_config: HealthCheckConfig,
    retry_throttling: RetryThrottling,
    method_config: Vec<MethodConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HealthCheckConfig {
    service_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RetryThrottling {
    max_tokens: u32,
    token_ratio: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct MethodConfig {
    name: Vec<MethodName>,
    retry_policy: RetryPolicy,
}

/// Both are required: a name without a method means all methods.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodName {
    service: String,
    method: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RetryPolicy {
    max_attempts: u32,
    initial_backoff: String,
    max_backoff: String,
    backoff_multiplier: f64,
    retryable_status_codes: Vec<String>,
}

/// The full name of the service, and its methods.
fn contract() -> (String, BTreeSet<String>) {
    let set = FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).unwrap();
    let file = set.file.iter().find(|file| file.package() == "facematch.v1").unwrap();
    let [service] = &file.service[..] else { panic!("one service") };
    let methods = service.method.iter().map(|method| method.name().to_owned());
    (format!("{}.{}", file.package(), service.name()), methods.collect())
}

#[test]
fn the_service_config_repeats_every_call_but_those_that_make_or_erase_matches() {
    let config: ServiceConfig = serde_json::from_str(&read(SERVICE_CONFIG)).unwrap();
    let (service, mut methods) = contract();
    for method in NEVER_REPEATED {
        assert!(methods.remove(method), "there is no method {method}");
    }
    let names: Vec<_> = config.method_config.iter().flat_map(|methods| &methods.name).collect();
    assert!(names.iter().all(|name| name.service == service), "{names:?}");
    let named: BTreeSet<_> = names.iter().map(|name| name.method.clone()).collect();
    assert_eq!((named.len(), named), (names.len(), methods));
    assert_eq!(config.health_check_config.service_name, service);
    let policies: Vec<_> = config.load_balancing_config.iter().flat_map(BTreeMap::keys).collect();
    assert_eq!(policies, ["round_robin"], "the health of a server is asked for by this policy");
}

#[test]
fn the_service_config_repeats_as_the_server_asks_and_no_more() {
    let config: ServiceConfig = serde_json::from_str(&read(SERVICE_CONFIG)).unwrap();
    for MethodConfig { retry_policy: policy, .. } in &config.method_config {
        assert_eq!(policy.retryable_status_codes, ["UNAVAILABLE"]);
        assert!((2..=ATTEMPTS_MAX).contains(&policy.max_attempts), "{policy:?}");
        assert!(policy.backoff_multiplier > 1.0, "{policy:?}");
        let seconds = |text: &str| text.strip_suffix('s').unwrap().parse::<f64>().unwrap();
        assert!(seconds(&policy.initial_backoff) < seconds(&policy.max_backoff), "{policy:?}");
    }
    let RetryThrottling { max_tokens, token_ratio } = config.retry_throttling;
    assert!((1..=1_000).contains(&max_tokens) && token_ratio > 0.0, "gRPC refuses others");
}

/// A driver of the conformance suite, which runs in this process.
struct Driver {
    commands: Option<PipeWriter>,
    events: Lines<BufReader<PipeReader>>,
    driving: JoinHandle<io::Result<()>>,
}

impl Driver {
    #[expect(clippy::disallowed_methods, reason = "the test joins it at its end")]
    fn start() -> Self {
        let (input, commands) = io::pipe().unwrap();
        let (events, output) = io::pipe().unwrap();
        let reasons = words().reasons.into_iter().map(|known| known.reason).collect();
        let driving = tokio::spawn(conformance::drive(BufReader::new(input), output, reasons));
        let events = BufReader::new(events).lines();
        let mut driver = Self { commands: Some(commands), events, driving };
        assert_eq!(driver.next()["protocol"], 1);
        driver
    }

    fn send(&mut self, command: &Value) {
        writeln!(self.commands.as_mut().unwrap(), "{command}").unwrap();
    }

    /// The next event. Blocks: the driver runs on another thread.
    fn next(&mut self) -> Value {
        serde_json::from_str(&self.events.next().expect("an event").unwrap()).unwrap()
    }

    /// Events up to and including one of this kind.
    fn until(&mut self, event: &str) -> Vec<Value> {
        let mut seen = vec![self.next()];
        while seen[seen.len() - 1]["event"] != event {
            seen.push(self.next());
        }
        seen
    }

    async fn end(mut self) {
        drop(self.commands.take());
        self.driving.await.unwrap().unwrap();
        assert!(self.events.next().is_none(), "it prints nothing more");
    }
}

/// The suite itself is run by `clients/conformance/run`.
#[tokio::test(flavor = "multi_thread")]
async fn the_driver_of_the_command_line_obeys_the_conformance_protocol() {
    let house = TestServer::build().await;
    let photo = tempfile::NamedTempFile::new().unwrap();
    fs::write(photo.path(), portrait()).unwrap();
    let request = json!({
        "folder_id": house.folder(), "photo": { "path": photo.path(), "as": "stream" },
    });
    let target = house.address.trim_start_matches("http://");
    let mut driver = Driver::start();
    driver.send(&json!({ "do": "open", "client": "c", "target": target, "options": {} }));
    assert_eq!(driver.next()["event"], "opened");

    let run = json!({
        "do": "call", "call": "1", "client": "c", "verb": "run",
        "request": request, "pause_after": [0, 2],
    });
    driver.send(&run);
    let begun = driver.until("paused");
    let words: Vec<_> = begun.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(words, ["request_id", "paused"], "nothing is sent before it goes on");
    driver.send(&json!({ "do": "go", "call": "1" }));
    let kinds: Vec<_> = driver.until("paused").iter().map(|it| it["kind"].clone()).collect();
    assert_eq!(kinds, [json!("accepted"), json!("photo_uploaded"), Value::Null]);
    driver.send(&json!({ "do": "cancel", "call": "1" }));
    let ended = driver.next();
    assert_eq!((&ended["kind"], &ended["match_continues"]), (&json!("cancelled"), &json!(true)));

    driver.send(&json!({
        "do": "call", "call": "2", "client": "c", "verb": "match", "request": request,
    }));
    let verdict = driver.next();
    assert_eq!((&verdict["event"], &verdict["resolution"]), (&json!("result"), &json!("SUCCESS")));
    driver.send(&json!({
        "do": "call", "call": "3", "client": "c", "verb": "watch",
        "id": { "match_id": "no match" }, "after_sequence": 4,
    }));
    let refused = driver.next();
    assert_eq!((&refused["kind"], &refused["call"]), (&json!("refused"), &json!("3")));
    assert_eq!(refused["is"], json!([refused["reason"]]));

    for (unknown, whose) in [
        (json!({ "do": "open", "client": "d", "target": target, "options": { "a": 1 } }), "d"),
        (json!({ "do": "open", "client": "d", "target": target, "more": 1 }), "d"),
        (json!({ "do": "close", "client": "d", "more": 1 }), "d"),
    ] {
        driver.send(&unknown);
        let answer = driver.next();
        assert_eq!((&answer["event"], &answer["client"]), (&json!("unsupported"), &json!(whose)));
    }
    for more in [json!({ "verb": "wait" }), json!({ "verb": "get", "more": 1 })] {
        let mut call = json!({ "do": "call", "call": "4", "client": "c" });
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        driver.send(&call);
        let answer = driver.next();
        assert_eq!((&answer["event"], &answer["call"]), (&json!("unsupported"), &json!("4")));
    }
    driver.send(&json!({ "do": "close", "client": "c" }));
    assert_eq!(driver.next()["event"], "closed");
    driver.end().await;
}
