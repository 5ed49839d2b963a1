//! Right settings and their values, and wrong settings and their errors.

mod file;
mod secrets;

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
fn the_variables_of_clouds_are_kept_and_not_shown() {
    let variables = [
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "bank"),
        ("GOOGLE_BASE_URL", "https://gcs.example"),
        ("AWSX", "1"),
        ("HTTPS_PROXY", "http://proxy.example"),
    ];
    let config = given(&[], &variables).expect("variables of clouds are no settings");
    let names: Vec<_> = config.cloud_variables.keys().collect();
    assert_eq!(names, ["AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_NAME", "GOOGLE_BASE_URL"]);
    assert!(!format!("{config:?}").contains("hunter2"));
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
fn the_port_for_browsers_follows_the_rule_of_the_first_one() {
    assert!(given(&[], &[]).expect("the settings are right").web.is_none());
    let web = given(&[("web-listen", "127.0.0.1:0"), ("web-read-only", "true")], &[]);
    let web = web.expect("the loopback").web.expect("it is on");
    assert!(web.read_only && web.origins.is_empty());
    let open = given(&[("web-listen", "0.0.0.0:1")], &[]).expect_err("the port would be open");
    assert!(open.to_string().starts_with("--web-listen: 0.0.0.0:1 is not a loopback address"));
    for alone in [("web-origins", "https://desk.example"), ("web-read-only", "true")] {
        let said = format!("--{}: needs --web-listen (from the command line)", alone.0);
        check_refused(given(&[alone], &[]), &said);
    }
}

#[test]
fn origins_are_exact_and_every_page_is_admitted_only_without_callers() {
    let with = |origins: &'static str, more: &[(&'static str, &'static str)]| {
        let web = [("web-listen", "127.0.0.1:0"), ("web-origins", origins)];
        given(&[&web, more].concat(), &[]).map(|config| config.web.expect("it is on").origins)
    };
    let two = with("https://desk.example, http://localhost:8080", &[]).expect("two origins");
    assert_eq!(two, ["https://desk.example", "http://localhost:8080"]);
    assert_eq!(with("*", &[]).expect("every origin"), ["*"]);
    for wrong in [
        "desk.example",
        "https://desk.example/",
        "https://desk.example/page",
        "https://Desk.example",
        "https://desk.example:443",
        "http://desk.example:80",
        "https://user@desk.example",
        "https://*.example",
        "ftp://desk.example",
        "null",
        "*,https://desk.example",
        "https://desk.example,",
    ] {
        let said = with(wrong, &[]).expect_err("no origin").to_string();
        assert!(
            said.starts_with("--web-origins: ") && said.contains("is not origins such as"),
            "{said}"
        );
    }
    let said = with("*", &[("callers-file", "callers.toml")]).expect_err("credentials").to_string();
    assert!(said.contains("can't be combined with --callers-file"), "{said}");
}

#[test]
fn the_admin_port_is_off_unless_it_has_an_address_which_needs_neither_tls_nor_callers() {
    assert_eq!(given(&[], &[]).expect("the settings are right").admin_listen, None);
    let config = given(&[("admin-listen", "0.0.0.0:50052")], &[]).expect("any address will do");
    assert_eq!(config.admin_listen, "0.0.0.0:50052".parse().ok());
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let config = given(&[], &[("FACEMATCH_OZ_PROXY", ""), ("FACEMATCH_LEASE", "")]);
    assert_eq!(config.expect("the settings are right").lease, Duration::from_secs(10));
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
fn a_flag_given_twice_is_refused() {
    check_refused(
        given(&[("lease", "10s"), ("lease", "20s")], &[]),
        "--lease: is given more than once (from the command line)",
    );
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
