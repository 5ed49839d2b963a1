//! Starting `demo`, `sim` and `serve` from a shell: their output, and the errors of failed starts.

use crate::commands::{
    program::{Program, Ran},
    showing::assert_lines,
};

#[tokio::test]
async fn the_demo_shows_both_verdicts_and_a_match_by_key_and_exits() {
    let demo = || Program::new("demo --once --listen 127.0.0.1:0").variable("TERM", "xterm");
    let (piped, shown) = tokio::join!(demo().piped(), demo().on_terminals());
    for Ran { code, stdout, stderr } in [piped, shown] {
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        assert!(stdout.contains("FINISHED    SUCCESS, similarity"), "{stdout}");
        assert!(stdout.contains("FINISHED    DECLINED, similarity"), "{stdout}");
        let (_, by_key) = stdout.split_once(", by its key in the photo library:").expect("a title");
        assert_lines(
            by_key.trim_start(),
            &["ACCEPTED", "UPLOADED", "PROCESSING", "FINISHED    SUCCESS"],
        );
        assert!(!stdout.contains('\u{1b}'), "{stdout:?}");
    }
}

#[tokio::test]
async fn the_demo_takes_a_free_port_if_its_own_is_taken_and_says_so() {
    // If another process has the port, it is taken all the same.
    let _taken = std::net::TcpListener::bind("127.0.0.1:50051");
    let Ran { code, stdout, stderr } = Program::new("demo --once").piped().await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.starts_with("127.0.0.1:50051 is taken: "), "{stdout}");
    assert!(stdout.contains("FINISHED    DECLINED, similarity"), "{stdout}");
}

#[tokio::test]
async fn a_failed_start_gives_its_reason_in_one_line() {
    let secret = [("FACEMATCH_OZ_TOKEN", "t")];
    for (line, variables, code, words) in [
        ("serve", &[][..], 64, "facematch: --oz-url: is required"),
        ("serve --oz-url oz.example", &secret, 64, "facematch: --oz-url: "),
        ("serve --oz-url http://h --listen 127.0.0.1:99999", &secret, 64, "facematch: --listen: "),
        ("serve --oz-url http://h --store sqlite:/nowhere/f.db", &secret, 1, "--store: "),
        ("serve --oz-url http://h --log-level loud,,=", &secret, 64, "--log-level: "),
        ("sim --script /nowhere/script.json", &[], 64, "facematch: --script: /nowhere/script.json"),
        ("sim --listen 192.0.2.1:1", &[], 1, "facematch: --listen: 192.0.2.1:1: "),
        ("demo --once /nowhere/me.jpg", &[], 64, "can't read the photo /nowhere/me.jpg: "),
        ("demo --once --listen 192.0.2.1:1", &[], 1, "--listen: "),
    ] {
        let program = variables
            .iter()
            .fold(Program::new(line), |program, (name, value)| program.variable(name, *value));
        let (piped, shown) = tokio::join!(
            program.clone().piped(),
            program.variable("TERM", "xterm").variable("NO_COLOR", "1").on_terminals()
        );
        for ran in [piped, shown] {
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{line}: {ran:?}");
            assert_lines(&ran.stderr, &[words]);
            assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
        }
    }
}

/// Uses a start that logs a warning before it fails.
#[tokio::test]
async fn the_log_has_colours_only_on_a_terminal_that_wants_them() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = directory.path().join("journal.db").display().to_string();
    let line = "serve --listen 192.0.2.1:1 --allow-plaintext --allow-anonymous --oz-url \
                http://127.0.0.1:1 --oz-token t --store";
    let program = Program::new(line).arg(format!("sqlite:{store}")).variable("TERM", "xterm");
    let piped = program.clone().piped().await;
    let shown = program.clone().on_terminals().await;
    let plain = program.variable("NO_COLOR", "1").on_terminals().await;
    for (ran, is_coloured) in [(piped, false), (shown, true), (plain, false)] {
        ran.assert_code(1);
        assert!(ran.stderr.contains("WARN") && ran.stderr.contains("--oz-token"), "{ran:?}");
        assert_eq!(ran.stderr.contains('\u{1b}'), is_coloured, "{:?}", ran.stderr);
    }
}
