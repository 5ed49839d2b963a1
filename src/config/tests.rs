//! Right settings and their values, and wrong settings and their errors.

use std::{fs, time::Duration};

use secrecy::ExposeSecret;
use tempfile::TempDir;

use crate::config::{
    ClientAuth, Config, Environment, Error, Flags, LogFormat, OzCredentials, Secrecy,
    StoreLocation, TABLE, load,
};

const LEAST: [(&str, &str); 2] = [("oz-url", "https://oz.example/"), ("oz-token", "t0ken")];

/// Loads the settings, with the required ones added unless the test gives them.
fn given(flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> Result<Config, Error> {
    let missing = |name: &str| flags.iter().all(|(flag, _)| *flag != name);
    let least = LEAST.iter().filter(|(name, _)| missing(name));
    loaded(&least.chain(flags).copied().collect::<Vec<_>>(), variables)
}

fn loaded(flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> Result<Config, Error> {
    let flags: Flags = flags.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    let environment: Environment = variables.iter().copied().collect();
    load(flags, environment).config
}

#[track_caller]
fn check_refused(result: Result<Config, Error>, expected: &str) {
    let text = result.expect_err("the settings are wrong").to_string();
    assert_eq!(text, expected);
    assert!(!text.contains('\n'), "an error is one line");
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory"))
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, content).expect("a temporary file");
        path.to_str().expect("a UTF-8 path").to_owned()
    }
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let config = given(&[], &[]).expect("the required settings are enough");
    assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
    assert!(
        matches!(config.store, StoreLocation::Sqlite(path) if path.as_os_str() == "facematch.db")
    );
    assert_eq!(config.oz.url, "https://oz.example");
    assert_eq!((config.oz.max_requests, config.oz.max_rate), (512, None));
    assert_eq!(config.poll_interval, Duration::from_secs(1));
    assert_eq!(config.retention, Duration::from_secs(30 * 24 * 60 * 60));
    assert_eq!(config.photo_memory, 512 << 20);
    assert_eq!((config.max_unfinished, config.max_streams), (100_000, 20_000));
    assert_eq!(config.max_header, 64 << 10);
    let patience = (config.keepalive, config.stream_stall);
    assert_eq!(patience, (Duration::from_secs(60), Duration::from_secs(120)));
    assert_eq!((config.log, config.log_level.as_str()), (LogFormat::Text, "info"));
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let folder = Folder::new();
    let file = folder.file("f.toml", "lease = '11s'\nheartbeat = '12s'\nretention = '13d'\n");
    let variables = [
        ("FACEMATCH_CONFIG", file.as_str()),
        ("FACEMATCH_LEASE", "21s"),
        ("FACEMATCH_HEARTBEAT", "22s"),
    ];
    let config = given(&[("lease", "31s")], &variables).expect("the settings are right");
    assert_eq!(config.lease, Duration::from_secs(31));
    assert_eq!(config.heartbeat, Duration::from_secs(22));
    assert_eq!(config.retention, Duration::from_secs(13 * 24 * 60 * 60));
    assert_eq!(config.oz_settle, Duration::from_secs(5));
}

#[test]
fn the_files_of_tls_are_given_together() {
    let pair = [("tls-cert-file", "c.pem"), ("tls-key-file", "k.pem")];
    let with = |more: &[(&'static str, &'static str)]| given(&[&pair, more].concat(), &[]);
    let auth = |more: &[(&'static str, &'static str)]| {
        with(more).map(|config| config.tls.expect("a certificate is given").client_auth)
    };
    assert_eq!(given(&[], &[]).map(|config| config.tls), Ok(None));
    assert_eq!(auth(&[]), Ok(ClientAuth::Off));
    let ca = ("tls-client-ca-file", "ca.pem");
    assert_eq!(auth(&[ca]), Ok(ClientAuth::Required));
    assert_eq!(auth(&[ca, ("tls-client-crl-file", "crl.pem")]), Ok(ClientAuth::Required));
    assert_eq!(auth(&[ca, ("tls-client-auth", "optional")]), Ok(ClientAuth::Optional));
    assert_eq!(auth(&[ca, ("tls-client-auth", "off")]), Ok(ClientAuth::Off));
    assert_eq!(auth(&[("tls-client-auth", "off")]), Ok(ClientAuth::Off));
    for (refused, setting, other) in [
        (given(&pair[..1], &[]), "tls-cert-file", "tls-key-file"),
        (given(&pair[1..], &[]), "tls-key-file", "tls-cert-file"),
        (given(&[ca], &[]), "tls-client-ca-file", "tls-cert-file"),
        (with(&[("tls-client-auth", "required")]), "tls-client-auth", "tls-client-ca-file"),
        (with(&[("tls-client-auth", "optional")]), "tls-client-auth", "tls-client-ca-file"),
        (with(&[("tls-client-crl-file", "crl")]), "tls-client-crl-file", "tls-client-ca-file"),
    ] {
        check_refused(refused, &format!("--{setting}: needs --{other} (from the command line)"));
    }
    check_refused(
        with(&[ca, ("tls-client-auth", "maybe")]),
        "--tls-client-auth: \"maybe\" is not off, optional or required (from the command line)",
    );
}

#[test]
fn an_address_other_than_the_loopback_needs_tls_and_callers() {
    for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        given(&[("listen", address)], &[]).expect("it is a loopback address");
    }
    let tls = [("tls-cert-file", "c.pem"), ("tls-key-file", "k.pem")];
    let (callers, anonymous) = ([("callers-file", "callers.toml")], [("allow-anonymous", "true")]);
    let plain = [("allow-plaintext", "true")];
    for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
        let with = |more: &[&[(&'static str, &'static str)]]| {
            given(&[&[("listen", address)], more.concat().as_slice()].concat(), &[])
        };
        for allowed in [[&tls[..], &callers], [&plain, &callers], [&tls, &anonymous]] {
            with(&allowed).expect("what is missing is allowed");
        }
        for (refused, named, unnamed) in [
            (with(&[]), &["--allow-plaintext", "--allow-anonymous"][..], "[from"),
            (with(&[&tls]), &["--allow-anonymous", "--callers-file"], "--allow-plaintext"),
            (with(&[&callers]), &["--allow-plaintext", "--tls-cert-file"], "--allow-anonymous"),
        ] {
            let said = refused.expect_err("the port would be open").to_string();
            assert!(said.starts_with(&format!("--listen: {address} is not a loopback address")));
            assert!(named.iter().all(|name| said.contains(name)), "{said}");
            assert!(!said.contains(unnamed) && !said.contains('\n'), "{said}");
        }
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let config = given(&[], &[("FACEMATCH_OZ_PROXY", ""), ("FACEMATCH_LEASE", "")]);
    assert_eq!(config.expect("the settings are right").lease, Duration::from_secs(10));
}

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
fn sizes_and_durations_have_units() {
    let photo_memory = |text| given(&[("photo-memory", text)], &[]).map(|c| c.photo_memory);
    assert_eq!(photo_memory("64MiB"), Ok(64 << 20));
    assert_eq!(photo_memory("1 GiB"), Ok(1 << 30));
    assert_eq!(photo_memory("20000KiB"), Ok(20_000 << 10));
    assert_eq!(photo_memory("100MB"), Ok(100_000_000));
    assert_eq!(photo_memory("33554432"), Ok(32 << 20));
    assert_eq!(photo_memory("33554432B"), Ok(32 << 20));
    let match_timeout = |text| given(&[("match-timeout", text)], &[]).map(|c| c.match_timeout);
    assert_eq!(match_timeout("1h 30m"), Ok(Duration::from_secs(90 * 60)));
    assert_eq!(match_timeout("1500ms"), Ok(Duration::from_millis(1_500)));
}

#[test]
fn limits_are_accepted_and_values_beyond_them_are_refused() {
    for (name, below, least, most, beyond) in [
        ("max-connections", "0", "1", "1000000", "1000001"),
        ("max-connections-per-address", "0", "1", "1000000", "1000001"),
        ("max-connection-age", "99ms", "100ms", "30days", "30days 1ms"),
        ("idle-timeout", "99ms", "100ms", "1day", "1day 1ms"),
        ("max-streams", "0", "1", "1000000", "1000001"),
        ("max-header", "4095", "4KiB", "16MiB", "16777217"),
        ("keepalive", "99ms", "100ms", "1h", "1h 1ms"),
        ("stream-stall", "99ms", "100ms", "1day", "1day 1ms"),
        ("photo-memory", "1023", "1KiB", "1TiB", "1099511627777"),
        ("max-unfinished", "0", "1", "10000000", "10000001"),
        ("oz-max-requests", "0", "1", "65536", "65537"),
        ("oz-max-rate", "0", "1", "1000000", "1000001"),
    ] {
        for within in [least, most] {
            given(&[(name, within)], &[])
                .unwrap_or_else(|error| panic!("{name} {within}: {error}"));
        }
        for outside in [below, beyond] {
            check_refused(
                given(&[(name, outside)], &[]),
                &format!(
                    "--{name}: {outside:?} is out of range, {least} to {most} (from the command line)"
                ),
            );
        }
    }
}

#[test]
fn an_address_may_hold_half_of_the_connections_by_default() {
    let of_one = |flags: &[(&'static str, &'static str)]| {
        given(flags, &[]).expect("the settings are right").max_connections_per_address()
    };
    assert_eq!(of_one(&[]), 5_000);
    assert_eq!(of_one(&[("max-connections", "1")]), 1);
    assert_eq!(of_one(&[("max-connections", "7")]), 4);
    assert_eq!(of_one(&[("max-connections-per-address", "10000")]), 10_000);
}

#[test]
fn the_error_of_a_wrong_value_names_its_setting_and_its_origin() {
    check_refused(
        given(&[], &[("FACEMATCH_OZ_POLL_INTERVAL", "fast")]),
        "--oz-poll-interval: \"fast\" is not a duration such as 1s, 500ms, 20m or 30d \
         (from the environment, FACEMATCH_OZ_POLL_INTERVAL)",
    );
    check_refused(
        given(&[("photo-memory", "100")], &[]),
        "--photo-memory: \"100\" is out of range, 1KiB to 1TiB (from the command line)",
    );
    check_refused(
        given(&[("photo-memory", "99999999999TiB")], &[]),
        "--photo-memory: \"99999999999TiB\" is not a size such as 10MiB or 1GiB \
         (from the command line)",
    );
    check_refused(
        given(&[("oz-poll-interval", "2m")], &[]),
        "--oz-poll-interval: \"2m\" is out of range, 10ms to 1m (from the command line)",
    );
    check_refused(
        given(&[("max-streams", "-1")], &[]),
        "--max-streams: \"-1\" is not a whole number in range (from the command line)",
    );
    check_refused(
        given(&[("listen", "localhost")], &[]),
        "--listen: \"localhost\" is not an IP address and port such as 127.0.0.1:50051 \
         (from the command line)",
    );
    check_refused(
        given(&[("log", "xml\nx")], &[]),
        "--log: \"xml\\nx\" is not text or json (from the command line)",
    );
    check_refused(
        given(&[("log-level", "loud")], &[]),
        "--log-level: \"loud\" is not off, error, warn, info, debug, trace, or such as \
         warn,facematch=debug (from the command line)",
    );
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

#[test]
fn a_flag_given_twice_is_refused() {
    check_refused(
        given(&[("lease", "10s"), ("lease", "20s")], &[]),
        "--lease: is given more than once (from the command line)",
    );
}

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
fn unusable_stores_are_refused() {
    check_refused(
        given(&[("store", "facematch.db")], &[]),
        "--store: must be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE (from the command line)",
    );
    let store = [("store", "postgres://me:s3cret@db/facematch")];
    let config = given(&store, &[]).expect("the settings are right");
    assert!(matches!(config.store, StoreLocation::Postgres(_)));
    assert!(!format!("{config:?}").contains("s3cret"));
    check_refused(
        given(&[("store", "sqlite::memory:")], &[]),
        "--store: must name a file: a journal in memory is lost with its process \
         (from the command line)",
    );
}

#[test]
fn unusable_base_urls_are_refused() {
    for url in ["oz.example", "ftp://oz.example", "https://", "/api", "https://oz example"] {
        let error = given(&[("oz-url", url)], &[]).expect_err("no base URL").to_string();
        assert!(error.contains("is not a URL such as https://oz.example"), "{error}");
    }
    check_refused(
        given(&[("oz-url", "https://oz.example/?a=b")], &[]),
        "--oz-url: must be a base URL, without a query or fragment (from the command line)",
    );
}

#[test]
fn the_error_of_an_invalid_port_names_its_setting_but_not_the_url() {
    for (name, url) in [
        ("store", "postgres://me:s3cret@db:99999/facematch"),
        ("store", "postgres://me@[::1]:0/facematch"),
        ("store", "postgres://me@db:x/facematch"),
        ("oz-url", "https://oz.example:99999"),
        ("oz-url", "https://oz.example:0/api"),
        ("oz-proxy", "http://me:s3cret@proxy:99999"),
    ] {
        check_refused(
            given(&[(name, url)], &[]),
            &format!(
                "--{name}: has a port that is not a number from 1 to 65535 (from the command line)"
            ),
        );
    }
    for url in ["postgres://me@[::1]:5432/f", "postgres://me@[::1]/f", "postgres://me:a@db/f"] {
        given(&[("store", url)], &[]).expect("the port is valid");
    }
}

#[test]
fn unknown_variables_with_the_prefix_are_warned_of() {
    let flags: Flags = LEAST.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    let variables = [("FACEMATCH_OZ_ULR", "x"), ("FACEMATCH_SERVICE", "x"), ("HOME", "x")];
    let loaded = load(flags, variables.into_iter().collect());
    loaded.config.expect("the settings are right");
    assert_eq!(
        loaded.warnings,
        [
            "unknown environment variable FACEMATCH_OZ_ULR; did you mean \"FACEMATCH_OZ_URL\"?",
            "unknown environment variable FACEMATCH_SERVICE",
            "--oz-token on the command line holds a secret that every user of this machine can read",
        ]
    );
}

#[test]
fn the_variables_of_a_kubernetes_service_are_not_warned_of() {
    let names = [
        "FACEMATCH_PORT",
        "FACEMATCH_PORT_50051_TCP",
        "FACEMATCH_PORT_50051_TCP_ADDR",
        "FACEMATCH_SERVICE_HOST",
        "FACEMATCH_SERVICE_PORT",
        "FACEMATCH_SERVICE_PORT_GRPC",
    ];
    let variables = names.into_iter().map(|name| (name, "tcp://10.0.0.1:50051"));
    assert_eq!(load(Flags::new(), variables.collect()).warnings, [""; 0]);
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

#[test]
fn warnings_are_given_even_if_the_settings_are_wrong() {
    let variables = [("FACEMATCH_OZ_PASWORD", "s3cret"), ("FACEMATCH_FOO", "x")];
    let flags: Flags = vec![("oz-login", "me".to_owned())];
    let unknown = [
        "unknown environment variable FACEMATCH_FOO",
        "unknown environment variable FACEMATCH_OZ_PASWORD; did you mean \
         \"FACEMATCH_OZ_PASSWORD\"?",
    ];
    let loaded = load(flags.clone(), variables.into_iter().collect());
    loaded.config.expect_err("there is no password");
    assert_eq!(loaded.warnings, unknown);
    let unread = variables.into_iter().chain([("FACEMATCH_CONFIG", "/nowhere/f.toml")]);
    let loaded = load(flags, unread.collect());
    loaded.config.expect_err("there is no such file");
    assert_eq!(loaded.warnings, unknown);
}

#[test]
fn the_table_names_each_setting_once() {
    let names: Vec<&str> = TABLE.iter().map(|about| about.name).collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
    let markdown = super::settings_markdown();
    assert_eq!(markdown.lines().count(), names.len() + 2);
    assert!(markdown.contains("| `--oz-poll-interval` | `FACEMATCH_OZ_POLL_INTERVAL` | `1s` | "));
}
