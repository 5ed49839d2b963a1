//! Secrets: where they come from, and that no error shows them.

use super::*;

#[test]
fn secrets_come_from_files_without_their_line_break() {
    let folder = Folder::new();
    let file = folder.file("password", "pass word\r\n");
    let variables = [("FACEMATCH_OZ_LOGIN", "me"), ("FACEMATCH_OZ_PASSWORD_FILE", file.as_str())];
    let config = loaded(&LEAST[..1], &variables).expect("the settings are right");
    let OzCredentials::Login { login, password } = config.oz.credentials else {
        panic!("an account was given");
    };
    assert_eq!((login.as_str(), password.expose_secret()), ("me", "pass word"));
}

#[test]
fn characters_that_an_editor_adds_to_a_secret_are_refused() {
    let folder = Folder::new();
    for (content, problem) in [
        ("\u{feff}s3cret\n", "begins with a byte order mark"),
        ("s3cret\n\n", "holds more than one line"),
        ("s3cret\r\n\r\n", "holds more than one line"),
        ("s3cret\nsecond\n", "holds more than one line"),
        ("s3cret\rsecond", "holds more than one line"),
        ("\n", "is empty"),
        ("", "is empty"),
    ] {
        let file = folder.file("secret", content);
        let password = [LEAST[0], ("oz-login", "me"), ("oz-password-file", &file)];
        let store = ("store", "postgres://me@db/facematch");
        for (name, refused) in [
            ("oz-password-file", loaded(&password, &[])),
            ("oz-token-file", loaded(&[LEAST[0], ("oz-token-file", &file)], &[])),
            ("store-password-file", given(&[store, ("store-password-file", &file)], &[])),
        ] {
            check_refused(refused, &format!("--{name}: {problem} (from the command line)"));
        }
    }
    check_refused(
        loaded(&[LEAST[0], ("oz-login", "me")], &[("FACEMATCH_OZ_PASSWORD", "s3cret\n")]),
        "--oz-password: holds more than one line (from the environment, FACEMATCH_OZ_PASSWORD)",
    );
}

/// The settings read the file, and the watch over changed secrets reads it again.
#[test]
#[cfg(unix)]
fn a_secret_from_a_pipe_is_kept() {
    let folder = Folder::new();
    let pipe = folder.0.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let writes = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::write(pipe, "t0ken\n")
    });
    let (url, pipe) = (LEAST[0], pipe.to_str().expect("a UTF-8 path"));
    let config = loaded(&[url, ("oz-token-file", pipe)], &[]).expect("the settings are right");
    writes.join().expect("the writer ends").expect("it was read");
    let file = config.oz.secret_file.expect("a file was given");
    assert!(file.is_pipe());
    for _ in 0..2 {
        assert_eq!(file.read().expect("it holds one").expose_secret(), "t0ken");
    }
}

#[test]
fn the_password_of_the_database_comes_from_a_file_or_the_url_but_not_both() {
    let folder = Folder::new();
    let file = folder.file("password", "pass/word\n");
    let with =
        |store: &str| given(&[("store", store)], &[("FACEMATCH_STORE_PASSWORD_FILE", &file)]);
    let config = with("postgres://me@db/facematch").expect("the settings are right");
    let password = config.store_password_file.expect("a file was given").read();
    assert_eq!(password.expect("it holds one").expose_secret(), "pass/word");
    for url in ["postgres://me:s3cret@db/facematch", "postgres://me@db/f?password=s3cret"] {
        check_refused(
            with(url),
            "--store-password-file: can't be combined with a password in the URL of --store \
             (from the environment, FACEMATCH_STORE_PASSWORD_FILE)",
        );
    }
    check_refused(
        with("sqlite:facematch.db"),
        "--store-password-file: is for a postgres:// store only (from the environment, \
         FACEMATCH_STORE_PASSWORD_FILE)",
    );
}

#[test]
fn a_secret_file_can_be_read_again() {
    let folder = Folder::new();
    let file = folder.file("token", "first\n");
    let config = loaded(&[LEAST[0], ("oz-token-file", &file)], &[]);
    let config = config.expect("the settings are right");
    let secret_file = config.oz.secret_file.expect("a file was given");
    folder.file("token", "second\n");
    assert_eq!(secret_file.read().expect("it holds one").expose_secret(), "second");
    folder.file("token", "");
    let error = secret_file.read().expect_err("it is half-written").to_string();
    assert_eq!(error, "--oz-token-file: is empty (from the command line)");
    assert!(given(&[], &[]).expect("a token was given").oz.secret_file.is_none());
}

#[test]
fn a_secret_and_its_file_in_one_source_are_refused_and_otherwise_precedence_decides() {
    let folder = Folder::new();
    let file = folder.file("token", "from-file\n");
    let url = LEAST[0];
    check_refused(
        loaded(&[url, ("oz-token", "s3cret"), ("oz-token-file", &file)], &[]),
        "--oz-token: can't be combined with --oz-token-file (from the command line)",
    );
    let config = loaded(&[url, ("oz-token-file", &file)], &[("FACEMATCH_OZ_TOKEN", "s3cret")]);
    let OzCredentials::Token(token) = config.expect("the settings are right").oz.credentials else {
        panic!("a token was given");
    };
    assert_eq!(token.expose_secret(), "from-file");
}

#[test]
fn missing_incomplete_and_doubled_credentials_are_refused() {
    let url = LEAST[0];
    check_refused(
        loaded(&[url], &[]),
        "--oz-login: is required (with --oz-password or its file; or --oz-token or its file \
         instead)",
    );
    check_refused(
        loaded(&[url, ("oz-login", "me")], &[]),
        "--oz-login: needs --oz-password or --oz-password-file (from the command line)",
    );
    check_refused(
        loaded(&[url], &[("FACEMATCH_OZ_PASSWORD", "s3cret")]),
        "--oz-password: needs --oz-login (from the environment, FACEMATCH_OZ_PASSWORD)",
    );
    check_refused(
        loaded(&[url, ("oz-login", "me")], &[("FACEMATCH_OZ_TOKEN", "s3cret")]),
        "--oz-login: can't be combined with --oz-token (from the environment, \
         FACEMATCH_OZ_TOKEN) (from the command line)",
    );
    check_refused(
        loaded(&[url, ("oz-login", "me"), ("oz-token", "s3cret")], &[]),
        "--oz-login: can't be combined with --oz-token (from the command line)",
    );
    check_refused(
        loaded(&[LEAST[1]], &[]),
        "--oz-url: is required (the base URL of the Oz API, such as https://oz.example)",
    );
}

#[test]
fn no_error_and_no_debug_text_holds_a_secret() {
    let folder = Folder::new();
    let bad_token = folder.file("token", "s3cret s3cret\n");
    let many: [&[(&'static str, &str)]; 6] = [
        &[("oz-token", "s3cret s3cret")],
        &[("oz-token", "s3cret"), ("oz-token", "s3cret")],
        &[("oz-token", ""), ("oz-token-file", &bad_token)],
        &[("store", "mysql://me:s3cret@db")],
        &[("oz-proxy", "ftp://me:s3cret@proxy")],
        &[("oz-url", "https://me:s3cret@oz.example")],
    ];
    for flags in many {
        let error = given(flags, &[]).expect_err("the settings are wrong");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
    let right = [("oz-token", "s3cret"), ("oz-proxy", "http://me:s3cret@proxy:3128")];
    let config = given(&right, &[]).expect("the settings are right");
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn a_flag_whose_value_holds_a_secret_is_warned_of() {
    let warned = |name: &'static str, text: &str| {
        let warnings = load(vec![(name, text.to_owned())], Environment::default()).warnings;
        let about_flag = |warning: &&String| warning.starts_with(&format!("--{name} "));
        let found = warnings.iter().filter(about_flag).count();
        assert!(warnings.iter().all(|warning| !warning.contains("s3cret")), "{warnings:?}");
        found == 1
    };
    for (name, text) in [
        ("oz-password", "s3cret"),
        ("oz-token", "s3cret"),
        ("store", "postgres://u:s3cret@db/facematch"),
        ("store", "postgres://u:s3/cret@db/facematch"),
        ("store", "postgres://u@db/facematch?password=s3cret"),
        ("oz-proxy", "http://a:s3cret@proxy:3128"),
        ("oz-url", "https://a:s3cret@oz.example"),
    ] {
        assert!(warned(name, text), "--{name} {text}");
    }
    for (name, text) in [
        ("store", "sqlite:u:p@ss.db"),
        ("store", "postgres://u@[::1]:5432/facematch"),
        ("oz-proxy", "http://proxy:3128"),
        ("oz-url", "https://oz.example:8443"),
        ("oz-login", "me@example.com"),
        ("oz-password-file", "/run/secrets/oz"),
    ] {
        assert!(!warned(name, text), "--{name} {text}");
    }
}

#[test]
fn each_setting_of_a_secret_or_a_url_declares_its_secrecy() {
    for about in TABLE {
        let hides = match about.value {
            "LOGIN" => Secrecy::Account,
            "PASSWORD" | "TOKEN" | "SECRET" => Secrecy::Secret,
            "URL" | "STORE" => Secrecy::PasswordInUrl,
            _ => Secrecy::Open,
        };
        assert_eq!(about.secrecy, hides, "--{}", about.name);
    }
}
