//! Human-readable output: answers on standard output, everything else on standard error.

use std::fs::File;

use facematch::simulator::sample;
use tempfile::NamedTempFile;

use crate::{
    commands::program::{Program, Ran},
    support::{TestServer, portrait},
};

/// A file with the sample portrait.
pub fn photo() -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), portrait()).expect("it is written");
    file
}

/// `facematch match` against a test server.
pub fn matching(house: &TestServer, photo: &NamedTempFile, more: &str) -> Program {
    let (folder, server) = (house.folder(), &house.address);
    let photo = photo.path().display();
    Program::new(&format!("match --server {server} --folder {folder} --photo {photo}{more}"))
}

/// Fails unless a text has this many lines and each contains its words.
#[track_caller]
pub fn assert_lines(text: &str, lines: &[&str]) {
    let is_like = text.lines().count() == lines.len()
        && text.lines().zip(lines).all(|(line, words)| line.contains(words));
    assert!(is_like, "{text}\nis not like {lines:#?}");
}

#[track_caller]
fn assert_plain(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains('\u{1b}') && !text.contains(r"\n"), "{text:?}");
    }
}

#[tokio::test]
async fn each_command_shows_its_answer_and_nothing_else() {
    let house = TestServer::build().await;
    let (photo, server) = (photo(), house.address.clone());
    let states = ["ACCEPTED", "UPLOADED", "PROCESSING", "FINISHED    SUCCESS, similarity"];

    let ran = matching(&house, &photo, " --request-id r").piped().await;
    ran.assert_code(0);
    assert_lines(&ran.stdout, &states);
    assert_eq!(ran.stderr, "");
    assert_plain(&ran);

    for (command, lines) in [
        ("watch --request-id r", &states[..]),
        ("watch --request-id r --after 3", &states[3..]),
        ("list", &["FINISHED"]),
    ] {
        let ran = Program::new(&format!("{command} --server {server}")).piped().await;
        ran.assert_code(0);
        assert_lines(&ran.stdout, lines);
        assert_eq!(ran.stderr, "");
        assert_plain(&ran);
    }

    let ran = Program::new(&format!("get --request-id r --server {server}")).piped().await;
    ran.assert_code(0);
    assert!(ran.stdout.contains("\nrequest id  r\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nending      SUCCESS, similarity"), "{}", ran.stdout);
    assert_plain(&ran);
    let id = ran.stdout.lines().next().and_then(|line| line.split(' ').next_back());
    let id = id.expect("the first line has the id").to_owned();

    let ran = Program::new(&format!("cancel {id} --server {server}")).piped().await;
    ran.assert_code(4);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.starts_with("facematch: FAILED_PRECONDITION MATCH_ENDED: "), "{ran:?}");
    assert_plain(&ran);

    let ran = Program::new(&format!("delete --request-id r --server {server}")).piped().await;
    ran.assert_code(0);
    assert_lines(&ran.stdout, &[&format!("match {id} is erased; its photo stays at Oz: ")]);
    assert_eq!(ran.stderr, "");
    let ran = Program::new(&format!("get {id} --server {server}")).piped().await;
    ran.assert_code(4);
    assert!(ran.stderr.starts_with("facematch: NOT_FOUND MATCH_NOT_FOUND: "), "{ran:?}");
}

#[tokio::test]
async fn the_verdict_is_the_exit_code() {
    let house = TestServer::build().await;
    let other = NamedTempFile::new().expect("a temporary file");
    std::fs::write(other.path(), sample::stranger_jpeg()).expect("it is written");
    let ran = matching(&house, &other, "").piped().await;
    ran.assert_code(1);
    assert!(ran.stdout.contains("FINISHED    DECLINED, similarity"), "{}", ran.stdout);

    house.oz.switch(|switches| switches.processing_ms = 600_000);
    let ran = matching(&house, &other, " --timeout 300ms").piped().await;
    ran.assert_code(3);
    assert!(ran.stdout.contains("FAILED      MATCH_TIMED_OUT: "), "{}", ran.stdout);
}

#[tokio::test]
async fn on_a_terminal_a_progress_line_appears_and_is_removed() {
    let house = TestServer::build().await;
    let (photo, states) = (photo(), ["ACCEPTED", "UPLOADED", "PROCESSING", "FINISHED"]);
    let ran = matching(&house, &photo, "").variable("TERM", "xterm").on_terminals().await;
    ran.assert_code(0);
    assert_lines(&ran.stdout, &states);
    assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
    assert!(ran.stderr.contains('\u{1b}'), "no progress line: {:?}", ran.stderr);
    assert!(ran.stderr.ends_with("\r\u{1b}[2K"), "the progress line stays: {:?}", ran.stderr);
    // A colour is a sequence that ends in m.
    let is_colour =
        |rest: &str| rest.trim_start_matches(|c: char| "0123456789;[".contains(c)).starts_with('m');
    assert!(!ran.stderr.split('\u{1b}').skip(1).any(is_colour), "{:?}", ran.stderr);

    for variables in [&[("TERM", "dumb")][..], &[]] {
        let dumb = variables.iter().fold(matching(&house, &photo, ""), |program, (name, value)| {
            program.variable(name, *value)
        });
        let ran = dumb.on_terminals().await;
        ran.assert_code(0);
        assert_lines(&ran.stdout, &states);
        assert_eq!(ran.stderr, "", "{variables:?}");
    }
    let json = matching(&house, &photo, " --output json").variable("TERM", "xterm");
    let ran = json.on_terminals().await;
    ran.assert_code(0);
    assert_eq!((Ran::json(&ran.stdout).len(), ran.stderr.as_str()), (4, ""));
}

/// What remains on a terminal: plain lines, without the progress lines that were erased.
fn remaining(text: &str) -> String {
    text.replace("\r\n", "\n")
        .split('\n')
        .map(|line| line.rsplit("\r\u{1b}[2K").next().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn each_command_writes_the_same_to_terminals_and_pipes() {
    let house = TestServer::build().await;
    let (photo, server) = (photo(), house.address.clone());
    let command = |line: &str| Program::new(&format!("{line} --server {server}"));
    for name in ["r", "erased-at-once"] {
        matching(&house, &photo, &format!(" --request-id {name}")).piped().await.assert_code(0);
    }
    for line in [
        "get --request-id r",
        "get --request-id r --output json",
        "get --request-id absent",
        "list",
        "list --label a=b",
        "watch --request-id r",
        "watch --request-id r --after 99",
        "cancel --request-id r",
        "delete --request-id absent",
    ] {
        let piped = command(line).piped().await;
        let shown = command(line).variable("TERM", "xterm").on_terminals().await;
        assert_eq!(shown.code, piped.code, "{line}");
        assert_eq!(remaining(&shown.stdout), piped.stdout, "{line}");
        assert_eq!(remaining(&shown.stderr), piped.stderr, "{line}");
    }
    let erased = command("delete --request-id erased-at-once").variable("TERM", "xterm");
    let erased = erased.on_terminals().await;
    erased.assert_code(0);
    assert_lines(&erased.stdout, &["is erased; its photo stays at Oz: "]);
}

/// A second command cancels the match of a running one.
#[tokio::test]
async fn a_command_can_cancel_a_running_match() {
    let house = TestServer::build().await;
    house.oz.switch(|switches| switches.processing_ms = 600_000);
    let (photo, server) = (photo(), house.address.clone());
    for (name, is_shown) in [("piped", false), ("shown", true)] {
        let run = async |program: Program| match is_shown {
            false => program.piped().await,
            true => program.variable("TERM", "xterm").on_terminals().await,
        };
        let running = run(matching(&house, &photo, &format!(" --request-id {name}")));
        let cancelling = async {
            let line = format!("cancel --request-id {name} --server {server}");
            loop {
                let ran = run(Program::new(&line)).await;
                if ran.code != Some(4) {
                    break ran;
                }
            }
        };
        let (ran, cancelled) = tokio::join!(running, cancelling);
        cancelled.assert_code(0);
        assert!(remaining(&cancelled.stdout).contains("CANCELLED"), "{cancelled:?}");
        assert_eq!(remaining(&cancelled.stderr), "");
        ran.assert_code(3);
        assert!(remaining(&ran.stdout).lines().last().unwrap().contains("CANCELLED"), "{ran:?}");
    }
}

#[tokio::test]
async fn help_has_colours_only_on_a_terminal_that_wants_them() {
    let help = |command: &str| Program::new(&format!("{command} --help"));
    let commands =
        ["serve", "demo", "sim", "match", "watch", "get", "list", "cancel", "delete", "man"];
    for command in commands {
        let ran = help(command).piped().await;
        ran.assert_code(0);
        assert!(ran.stdout.contains("Usage: facematch ") && ran.stderr.is_empty(), "{ran:?}");
        assert_plain(&ran);
    }
    let coloured = help("match").variable("TERM", "xterm").on_terminals().await;
    assert!(coloured.stdout.contains('\u{1b}'), "{:?}", coloured.stdout);
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let ran = help("match").variable("TERM", "xterm").variable(name, value);
        assert_plain(&ran.on_terminals().await);
    }
    let wrong = Program::new("match --foldr x").variable("TERM", "xterm").variable("NO_COLOR", "1");
    let ran = wrong.on_terminals().await;
    ran.assert_code(64);
    assert_plain(&ran);
}

#[tokio::test]
async fn a_photo_may_come_from_standard_input() {
    let house = TestServer::build().await;
    let server = &house.address;
    for path in ["-", "/dev/stdin"] {
        let folder = house.folder();
        let line = format!("match --server {server} --folder {folder} --photo {path}");
        let ran = Program::new(&line).input(portrait().to_vec()).piped().await;
        ran.assert_code(0);
    }
    let line = format!("match --server {server} --folder {} --photo -", house.folder());
    let ran = Program::new(&line).input(vec![7; (10 << 20) + 1]).piped().await;
    ran.assert_code(64);
    assert_eq!(ran.stderr, "facematch: the photo from standard input is larger than 10 MiB\n");
}

#[tokio::test]
async fn a_closed_pipe_ends_a_command_quietly() {
    let house = TestServer::build().await;
    let (photo, server) = (photo(), house.address.clone());
    matching(&house, &photo, " --request-id r").piped().await.assert_code(0);
    for command in [
        "get --request-id r",
        "list",
        "list --output json",
        "watch --request-id r",
        "completions bash",
    ] {
        let more =
            if command.starts_with("comp") { String::new() } else { format!(" --server {server}") };
        let ran = Program::new(&format!("{command}{more}")).into_closed_pipe().await;
        ran.assert_code(141);
        assert_eq!(ran.stderr, "", "{command}");
    }
    let ran = matching(&house, &photo, " --request-id other").into_closed_pipe().await;
    ran.assert_code(141);
    assert!(ran.stderr.starts_with("facematch: the match goes on; to follow or to end it:\n  facematch watch --request-id other"), "{ran:?}");

    let full = File::options().write(true).open("/dev/full").expect("a device of Linux");
    let ran = Program::new(&format!("list --server {server}")).into(full).await;
    ran.assert_code(74);
    assert!(ran.stderr.starts_with("facematch: can't write the output: "), "{ran:?}");
}
