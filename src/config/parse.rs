//! Parses the texts of settings, with one function for each type.
//!
//! It deliberately reads no file and no environment, and doesn't know where a text came from.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use http::Uri;
use secrecy::SecretString;

use super::{
    AuditFailureMode, ClientAuth, LogFormat, Reflection, StoreLocation,
    error::{Problem, QuotedValue},
};
use crate::units;

const BAD_PORT: &str = "has a port that is not a number from 1 to 65535";

/// The character that some editors put at the beginning of a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A duration with a unit, within a range.
pub fn duration(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, Problem> {
    let value = units::duration(text)
        .ok_or_else(|| malformed(text, "a duration such as 1s, 500ms, 20m or 30d"))?;
    within(text, value, range, |limit| units::duration_text(*limit))
}

/// A number of bytes, with or without a unit, within a range.
pub fn size(text: &str, range: RangeInclusive<u64>) -> Result<u64, Problem> {
    let value = units::size(text).ok_or_else(|| malformed(text, "a size such as 10MiB or 1GiB"))?;
    within(text, value, range, |limit| units::size_text(*limit))
}

/// A whole number within a range.
pub fn count<T>(text: &str, range: RangeInclusive<T>) -> Result<T, Problem>
where
    T: FromStr + PartialOrd + ToString,
{
    let value = text.trim().parse().map_err(|_| malformed(text, "a whole number in range"))?;
    within(text, value, range, T::to_string)
}

/// An address to listen on.
pub fn address(text: &str) -> Result<SocketAddr, Problem> {
    text.parse().map_err(|_| malformed(text, "an IP address and port such as 127.0.0.1:50051"))
}

/// Origins as browsers send them, separated by commas, or `*` alone.
pub fn origins(text: &str) -> Result<Vec<String>, Problem> {
    let wanted = "origins such as https://desk.example, separated by commas, or *";
    let origins: Vec<_> = text.split(',').map(str::trim).map(str::to_owned).collect();
    let is_fine = match origins.as_slice() {
        [one] if one == "*" => true,
        all => all.iter().all(|origin| is_origin(origin)),
    };
    if is_fine { Ok(origins) } else { Err(malformed(text, wanted)) }
}

/// Whether a text is an origin in the form in which browsers send it, which is compared exactly:
/// in lower case, without a default port, and without anything after the port.
fn is_origin(text: &str) -> bool {
    let Ok(url) = http_url(text) else { return false };
    let default_port = if text.starts_with("https:") { ":443" } else { ":80" };
    let authority = authority(text);
    format!("{}://{authority}", url.scheme_str().unwrap_or_default()) == text
        && !authority.contains(['@', '*'])
        && !authority.ends_with(default_port)
        && text.bytes().all(|byte| !byte.is_ascii_uppercase())
}

/// The location of the journal. Errors never repeat a store's URL, which may hold a password.
pub fn store(text: &str) -> Result<StoreLocation, Problem> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return postgres(text);
    }
    match text.strip_prefix("sqlite:") {
        None => {
            Err(Problem::Unusable("must be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE"))
        }
        Some("") => Err(Problem::Unusable("lacks the path of the file after sqlite:")),
        Some(":memory:") => {
            Err(Problem::Unusable("must name a file: a journal in memory is lost with its process"))
        }
        Some(path) => Ok(StoreLocation::Sqlite(PathBuf::from(path))),
    }
}

/// The URL of a PostgreSQL database. Only its port is checked here; the journal checks the rest.
fn postgres(text: &str) -> Result<StoreLocation, Problem> {
    match port(authority(text)) {
        Port::Invalid => Err(Problem::Unusable(BAD_PORT)),
        Port::Default | Port::Given => Ok(StoreLocation::Postgres(SecretString::from(text))),
    }
}

/// The base URL of Oz, returned without trailing slashes.
pub fn oz_url(text: &str) -> Result<String, Problem> {
    let url = http_url(text)?;
    if text.contains('@') {
        return Err(Problem::Unusable("must not hold a login; see --oz-login and --oz-token"));
    }
    if url.query().is_some() || text.contains('#') {
        return Err(Problem::Unusable("must be a base URL, without a query or fragment"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The address of a trace collector. A login in it would not be sent.
pub fn otlp_endpoint(text: &str) -> Result<String, Problem> {
    http_url(text)?;
    match text.contains('@') {
        true => Err(Problem::Unusable("must not hold a login; see OTEL_EXPORTER_OTLP_HEADERS")),
        false => Ok(text.to_owned()),
    }
}

/// The URL of a proxy. Errors never repeat it, because it may hold a password.
pub fn proxy(text: &str) -> Result<SecretString, Problem> {
    match http_url(text) {
        Ok(_) => Ok(SecretString::from(text)),
        Err(Problem::Unusable(BAD_PORT)) => Err(Problem::Unusable(BAD_PORT)),
        Err(_) => Err(Problem::Unusable("must be a URL such as http://proxy.example:3128")),
    }
}

/// The URL of a photo library. Only its presence is checked here; the library checks the rest.
pub fn library(value: &str) -> Result<SecretString, Problem> {
    text(value).map(SecretString::from)
}

/// Any text but an empty one.
pub fn text(text: &str) -> Result<String, Problem> {
    if text.is_empty() { Err(Problem::Unusable("is empty")) } else { Ok(text.to_owned()) }
}

/// A secret, which is one line of text. A byte order mark or a line break was added by an editor or
/// a shell; Oz or the database would refuse it as a wrong secret.
pub fn secret(value: &str) -> Result<SecretString, Problem> {
    if value.starts_with(BYTE_ORDER_MARK) {
        return Err(Problem::Unusable("begins with a byte order mark"));
    }
    if value.contains(['\n', '\r']) {
        return Err(Problem::Unusable("holds more than one line"));
    }
    text(value).map(SecretString::from)
}

/// A secret that is sent in a header. Characters that a header can't carry are refused here
/// already.
pub fn token(value: &str) -> Result<SecretString, Problem> {
    let token = secret(value)?;
    if value.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(token)
    } else {
        Err(Problem::Unusable("must be printable ASCII without spaces"))
    }
}

/// The path of a file.
pub fn path(value: &str) -> Result<PathBuf, Problem> {
    text(value).map(PathBuf::from)
}

/// A switch: true or false.
pub fn switch(text: &str) -> Result<bool, Problem> {
    text.parse().map_err(|_| malformed(text, "true or false"))
}

/// A switch with words.
pub fn on_or_off(text: &str) -> Result<bool, Problem> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(malformed(text, "on or off")),
    }
}

/// What happens to calls without an audit record.
pub fn audit_failure(text: &str) -> Result<AuditFailureMode, Problem> {
    match text {
        "refuse" => Ok(AuditFailureMode::Refuse),
        "log" => Ok(AuditFailureMode::Log),
        _ => Err(malformed(text, "refuse or log")),
    }
}

/// Whether callers have to present a client certificate.
pub fn client_auth(text: &str) -> Result<ClientAuth, Problem> {
    match text {
        "off" => Ok(ClientAuth::Off),
        "optional" => Ok(ClientAuth::Optional),
        "required" => Ok(ClientAuth::Required),
        _ => Err(malformed(text, "off, optional or required")),
    }
}

/// The format of the log.
pub fn log_format(text: &str) -> Result<LogFormat, Problem> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(malformed(text, "text or json")),
    }
}

/// Who may use reflection.
pub fn reflection(text: &str) -> Result<Reflection, Problem> {
    match text {
        "open" => Ok(Reflection::Open),
        "callers" => Ok(Reflection::Callers),
        "off" => Ok(Reflection::Off),
        _ => Err(malformed(text, "open, callers or off")),
    }
}

/// The filter of the log: a level, or a list such as `warn,facematch=debug`.
pub fn log_level(text: &str) -> Result<String, Problem> {
    if text.split(',').all(is_directive) {
        Ok(text.to_owned())
    } else {
        Err(malformed(
            text,
            "off, error, warn, info, debug, trace, or such as warn,facematch=debug",
        ))
    }
}

fn is_directive(text: &str) -> bool {
    let (target, level) = text.split_once('=').unwrap_or(("any", text));
    let named = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    !target.is_empty() && target.chars().all(named) && LEVELS.contains(&level)
}

fn http_url(text: &str) -> Result<Uri, Problem> {
    // An error never repeats a URL that may hold a login.
    let refused = || match text.contains('@') {
        true => Problem::Unusable("is not a URL such as https://oz.example"),
        false => malformed(text, "a URL such as https://oz.example"),
    };
    let url: Uri = text.parse().map_err(|_| refused())?;
    if matches!(port(authority(text)), Port::Invalid) {
        return Err(Problem::Unusable(BAD_PORT));
    }
    let known = matches!(url.scheme_str(), Some("http" | "https"));
    if known && url.host().is_some_and(|host| !host.is_empty()) { Ok(url) } else { Err(refused()) }
}

/// Whether a URL holds a password, after the user's name or as a parameter.
pub fn url_holds_password(text: &str) -> bool {
    if !text.contains("://") {
        return false;
    }
    let login = authority(text).rsplit_once('@').map_or("", |(login, _)| login);
    let parameters = text.split_once('?').map_or("", |(_, parameters)| parameters);
    login.contains(':') || parameters.split('&').any(|given| given.starts_with("password="))
}

/// The authority of a URL: login, host and port. It includes the whole password, even if the
/// password holds a slash.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let login = rest.rfind('@').map_or(0, |at| at + 1);
    let end = rest[login..].find(['/', '?', '#']).map_or(rest.len(), |length| login + length);
    &rest[..end]
}

/// The port of an authority.
enum Port {
    Default,
    Given,
    Invalid,
}

fn port(authority: &str) -> Port {
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    // Colons within brackets belong to an IPv6 address.
    let after_host = place.rsplit_once(']').map_or(place, |(_, rest)| rest);
    match after_host.rsplit_once(':') {
        None | Some((_, "")) => Port::Default,
        Some((_, digits)) if digits.parse().is_ok_and(|port: u16| port > 0) => Port::Given,
        Some(_) => Port::Invalid,
    }
}

fn within<T: PartialOrd>(
    text: &str,
    value: T,
    range: RangeInclusive<T>,
    show: impl Fn(&T) -> String,
) -> Result<T, Problem> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (show(range.start()), show(range.end()));
    Err(Problem::OutOfRange { shown: QuotedValue::new(text), least, most })
}

fn malformed(text: &str, wanted: &'static str) -> Problem {
    Problem::Malformed { shown: QuotedValue::new(text), wanted }
}
