//! URLs of databases: their parts, and what connecting takes.
//!
//! It deliberately connects to nothing. No error repeats a part of a URL, which may hold a password.

pub mod postgres;

/// Why a URL can't be used. The message repeats no part of the URL, which may hold a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// The parts of a URL, decoded. A part that the URL leaves out, or leaves empty, is `None`.
#[derive(Default)]
pub struct UrlParts {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: Option<String>,
    /// Digits, by which any number may be spelled.
    pub port: Option<String>,
    /// The user's name.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The database's name.
    pub database: Option<String>,
    /// The parameters, name and value, in their order.
    pub parameters: Vec<(String, String)>,
}

/// Splits a URL into its parts, and refuses a URL that would be split in the wrong places: part of
/// a password with a slash in it would be shown as the database's name.
///
/// # Errors
/// [`Malformed`].
pub fn parts(url: &str) -> Result<UrlParts, Malformed> {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let is_taken_apart = url.contains('#')
        || path.contains(['@', '/'])
        || parameters.contains('@')
        || authority.matches('@').count() > 1;
    if is_taken_apart {
        return Err(Malformed(
            "characters such as / ? # @ in a user name or password must be written %2F %3F %23 %40",
        ));
    }
    let mut parts = UrlParts { database: given(path)?, ..UrlParts::default() };
    let place = match authority.split_once('@') {
        Some((login, place)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (parts.user, parts.password) = (given(user)?, given(password)?);
            place
        }
        None => authority,
    };
    let (host, port) = host_and_port(place)?;
    (parts.host, parts.port) = (given(host)?, given(port)?);
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        parts.parameters.push((decoded(name)?, decoded(value)?));
    }
    Ok(parts)
}

/// The port of the parts, or the usual one.
///
/// # Errors
/// [`Malformed`] if it is no port.
pub fn port_or(parts: &UrlParts, usual: u16) -> Result<u16, Malformed> {
    match &parts.port {
        Some(digits) => {
            digits.parse().map_err(|_| Malformed("the port is not a number up to 65535"))
        }
        None => Ok(usual),
    }
}

/// Splits off the port. An IPv6 address is in brackets, which are not part of the host.
fn host_and_port(place: &str) -> Result<(&str, &str), Malformed> {
    let unclosed = Malformed("an IPv6 address must be in brackets: [::1]");
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(unclosed)?;
        return Ok((host, rest.strip_prefix(':').unwrap_or(rest)));
    }
    match place.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(unclosed),
        Some((host, port)) => Ok((host, port)),
        None if place.contains(',') => Err(Malformed("it names more than one host")),
        None => Ok((place, "")),
    }
}

fn given(text: &str) -> Result<Option<String>, Malformed> {
    if text.is_empty() { Ok(None) } else { decoded(text).map(Some) }
}

/// Decodes `%2F` and the like.
fn decoded(text: &str) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (code, after) = rest.split_at_checked(2).ok_or(UNREADABLE)?;
        let code = str::from_utf8(code).map_err(|_| UNREADABLE)?;
        bytes.push(u8::from_str_radix(code, 16).map_err(|_| UNREADABLE)?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| UNREADABLE)
}

const UNREADABLE: Malformed = Malformed("a % in it is not followed by a character's code");
