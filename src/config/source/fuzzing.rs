//! The properties of settings files that hold for any bytes.
//!
//! Files that the settings name are deliberately not opened: only their paths are checked.

use std::{collections::BTreeMap, path::Path, time::Duration};

use secrecy::ExposeSecret;

use super::{Environment, Flags, Sources, ValueOrigin, settings_in};
use crate::config::{
    Config, Error, OzCredentials, Problem, StoreLocation, TABLE,
    settings::{OZ_CA_FILE, OZ_PASSWORD_FILE, OZ_TOKEN_FILE, STORE_PASSWORD_FILE},
};

const FILE: &str = "facematch.toml";

/// The value of secret settings, which no error may show.
const SECRET: &str = "correct-horse-battery";

/// Lines that hold the secret: valid ones, refused ones, and ones that aren't TOML.
const SECRET_LINES: [&str; 11] = [
    r#"oz-password = "correct-horse-battery""#,
    r#"oz-token = "correct-horse-battery""#,
    r#"oz-token = "not correct-horse-battery""#,
    r#"oz-token = ["correct-horse-battery"]"#,
    r#"oz-proxy = "ftp://u:correct-horse-battery@proxy""#,
    r#"oz-proxy = "http://u:correct-horse-battery@proxy:port""#,
    r#"oz-url = "https://u:correct-horse-battery@oz.example""#,
    r#"store = "postgres://u:correct-horse-battery@db/facematch""#,
    r#"oz-password = "correct-horse-battery"#,
    r#"oz-password = """correct-horse-battery"#,
    r#"oz-password = correct-horse-battery"#,
];

/// The longest error, in characters: it shows up to 80 characters of a value, each possibly
/// escaped.
const ERROR_CHARACTERS_MAX: usize = 1200;

/// Reads bytes as a settings file. One file in three is read again with a line that holds a secret.
pub fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match read(text) {
        Ok(config) => {
            check_keys(text);
            check_limits(&config);
            check_oz(&config);
        }
        Err(error) => check_error(&error, text),
    }
    if bytes.len().is_multiple_of(3) {
        check_secret(text);
    }
}

/// The settings in a file, with the required settings added if the file lacks them.
fn read(text: &str) -> Result<Config, Error> {
    let mut values = settings_in(text, Path::new(FILE), ValueOrigin::CommandLine)?;
    for setting in [&OZ_CA_FILE, &OZ_PASSWORD_FILE, &OZ_TOKEN_FILE, &STORE_PASSWORD_FILE] {
        if values.contains_key(setting.about.name) {
            of(values.clone()).find(setting)?;
            values.remove(setting.about.name);
        }
    }
    values.entry("oz-url".into()).or_insert_with(|| "https://oz.example".into());
    if !["oz-login", "oz-password"].iter().any(|name| values.contains_key(*name)) {
        values.entry("oz-token".into()).or_insert_with(|| "t0ken".into());
    }
    super::super::config(&of(values))
}

fn of(values: BTreeMap<String, String>) -> Sources {
    let file = Some((FILE.into(), values));
    Sources { flags: Flags::new(), environment: Environment::default(), file }
}

/// Checks that an error is one line that names a setting, and the line if the file isn't TOML.
fn check_error(error: &Error, text: &str) {
    let shown = error.to_string();
    assert!(TABLE.iter().any(|about| about.name == error.setting), "{shown:?}");
    assert!(shown.starts_with(&format!("--{}: ", error.setting)), "{shown:?}");
    assert!(!shown.contains(char::is_control), "{shown:?} is not one line");
    assert!(shown.chars().count() <= ERROR_CHARACTERS_MAX, "{} long", shown.chars().count());
    if let Problem::NotToml { line, .. } = &*error.problem {
        assert!((1..=1 + text.matches('\n').count()).contains(line), "there is no line {line}");
    }
}

fn check_secret(text: &str) {
    // A text that happens to hold the secret itself may show it in an error.
    if text.contains("correct-horse") {
        return;
    }
    let line = SECRET_LINES[text.len() / 3 % SECRET_LINES.len()];
    let last = text.bytes().last().is_some_and(|byte| byte.is_multiple_of(2));
    let text = if last { format!("{text}\n{line}\n") } else { format!("{line}\n{text}") };
    if let Err(error) = read(&text) {
        check_error(&error, &text);
        assert!(!error.to_string().contains(SECRET), "{error}");
        assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    }
}

/// Checks that neither an unknown key nor the name of another file was accepted.
fn check_keys(text: &str) {
    let table: toml::Table = toml::from_str(text).expect("an accepted file is TOML");
    for key in table.keys() {
        let known = TABLE.iter().any(|about| about.name == key) && key != "config";
        assert!(known, "the key {key:?} was accepted");
    }
}

fn check_limits(config: &Config) {
    let ms = Duration::from_millis;
    let day = ms(86_400_000);
    for (value, least, most) in [
        (config.poll_interval, ms(10), ms(60_000)),
        (config.oz.timeout, ms(100), ms(600_000)),
        (config.oz.connect_timeout, ms(100), ms(60_000)),
        (config.oz_settle, ms(0), ms(600_000)),
        (config.match_timeout, ms(1), day),
        (config.photo_grace, ms(0), day),
        (config.retention, ms(1), 3650 * day),
        (config.heartbeat, ms(100), ms(300_000)),
        (config.lease, ms(1000), ms(300_000)),
        (config.drain_timeout, ms(0), ms(3_600_000)),
        (config.drain_delay, ms(0), ms(600_000)),
    ] {
        assert!((least..=most).contains(&value), "{value:?} is beyond {least:?} to {most:?}");
    }
    assert!((1..=10_000_000).contains(&config.max_unfinished));
    assert!((1024..=1 << 40).contains(&config.photo_memory));
    assert!((1..=1_000_000).contains(&config.max_streams));
    assert!((1..=65_536).contains(&config.oz.max_requests));
    assert!(config.oz.max_rate.is_none_or(|rate| (1..=1_000_000).contains(&rate)));
}

fn check_oz(config: &Config) {
    let url = &config.oz.url;
    assert!(!url.ends_with('/') && !url.contains(['@', '?', '#']), "{url:?}");
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    assert!(scheme.is_some_and(|scheme| scheme == "http" || scheme == "https"), "{url:?}");
    if let OzCredentials::Login { login, .. } = &config.oz.credentials {
        assert!(!login.is_empty());
    }
    match &config.store {
        StoreLocation::Sqlite(path) => assert!(!path.as_os_str().is_empty()),
        StoreLocation::Postgres(url) => assert!(url.expose_secret().contains("://")),
    }
    assert!(!format!("{config:?}").contains(SECRET), "a secret is shown");
}
