//! The settings file: its values, and its errors.

use super::*;

#[test]
fn numbers_of_the_file_need_no_quotes() {
    let folder = Folder::new();
    let file =
        folder.file("f.toml", "oz-max-requests = 7\noz-max-rate = 30\nphoto-memory = 33554432\n");
    let config = given(&[("config", &file)], &[]).expect("the settings are right");
    assert_eq!((config.oz.max_requests, config.oz.max_rate), (7, Some(30)));
    assert_eq!(config.photo_memory, 32 << 20);
}

#[test]
fn the_error_of_a_wrong_value_in_the_file_names_the_file() {
    let folder = Folder::new();
    let file = folder.file("f.toml", "lease = 'x'\n");
    check_refused(
        given(&[("config", &file)], &[]),
        &format!(
            "--lease: \"x\" is not a duration such as 1s, 500ms, 20m or 30d (from the file {file})"
        ),
    );
    let file = folder.file("g.toml", "lease = true\n");
    check_refused(
        given(&[("config", &file)], &[]),
        &format!("--lease: must be a string or a whole number (from the file {file})"),
    );
}

#[test]
fn an_unknown_key_of_the_file_is_refused_and_a_similar_one_suggested() {
    let folder = Folder::new();
    for (key, suggestion) in [
        ("oz_url", "; did you mean \"oz-url\"?"),
        ("oz-ulr", "; did you mean \"oz-url\"?"),
        ("config", ""),
        ("foo", ""),
        ("lgo", ""),
        ("lisen", "; did you mean \"listen\"?"),
        ("something-else", ""),
    ] {
        let file = folder.file("f.toml", &format!("{key} = 'x'\n"));
        check_refused(
            given(&[("config", &file)], &[]),
            &format!(
                "--config: {file} has the unknown key {key:?}{suggestion} (from the command line)"
            ),
        );
    }
}

#[test]
fn a_long_unknown_key_is_cut_in_its_error() {
    let folder = Folder::new();
    let file = folder.file("f.toml", &format!("{} = 1\n", "k".repeat(5000)));
    let shown = "k".repeat(80);
    check_refused(
        given(&[("config", &file)], &[]),
        &format!("--config: {file} has the unknown key \"{shown}\" (from the command line)"),
    );
}

#[test]
fn the_error_of_a_file_that_is_not_toml_names_the_line_without_its_text() {
    let folder = Folder::new();
    let file = folder.file("f.toml", "oz-url = 'https://oz.example'\noz-password = 's3cret\n");
    let error = given(&[("config", &file)], &[]).expect_err("not TOML").to_string();
    assert!(error.starts_with(&format!("--config: {file} is not valid TOML, line 2: ")), "{error}");
    assert!(!error.contains("s3cret") && !error.contains('\n'), "{error}");
}

#[test]
fn a_missing_settings_file_is_an_error() {
    check_refused(
        given(&[], &[("FACEMATCH_CONFIG", "/nowhere/f.toml")]),
        "--config: can't read /nowhere/f.toml: No such file or directory (os error 2) \
         (from the environment, FACEMATCH_CONFIG)",
    );
}

#[test]
fn the_error_of_a_file_with_a_line_break_in_its_name_is_one_line() {
    let folder = Folder::new();
    let (toml, key, port) = (
        folder.file("toml\n.toml", "heartbeat"),
        folder.file("key\r\n.toml", "heartbeet = \"20s\"\n"),
        folder.file("port\u{85}.toml", "listen = \"everywhere\"\n"),
    );
    let table = [
        (("oz-password-file", "/nowhere/a\nb"), "can't read /nowhere/a\\nb: "),
        (("oz-ca-file", "/nowhere/a\u{1b}[31m"), "can't read /nowhere/a\\u{1b}[31m: "),
        (("config", &toml), "toml\\n.toml is not valid TOML, line 1: "),
        (("config", &key), "key\\r\\n.toml has the unknown key \"heartbeet\""),
        (("config", &port), "port\\u{85}.toml)"),
    ];
    for (flag, expected) in table {
        let text = given(&[flag], &[]).expect_err("the settings are wrong").to_string();
        assert!(text.contains(expected), "{text:?}");
        assert!(!text.contains(char::is_control), "{text:?} is not one line");
    }
}
