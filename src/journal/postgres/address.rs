//! What a `postgres://` URL names: where the database is, and who we are there.
//!
//! It reads the URL and, for a URL without a user, the system's list of users. The environment is
//! read by `config` alone: the driver's own reading of `PGHOST`, `PGUSER`, `PGPASSWORD` and the like,
//! and of `~/.pgpass`, is undone here by naming each of these values. What the driver can't be told
//! to forget, `PGOPTIONS` and the files of `PGSSL…`, docs/operating.md lists.

use std::path::Path;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

const PORT: u16 = 5432;

/// Where PostgreSQL listens on the machine itself, by system.
const SOCKET_FOLDERS: [&str; 4] =
    ["/run/postgresql", "/var/run/postgresql", "/private/tmp", "/tmp"];

/// Where a URL leads, and what it asks of each session there.
pub(super) struct Address {
    /// How to connect.
    pub connect: PgConnectOptions,
    /// PostgreSQL's settings by `options`, name and value. They are set in each new session: a pooler
    /// such as PgBouncer refuses them among the parameters of the start.
    pub settings: Vec<(String, String)>,
}

/// A URL that can't be used: why, without repeating anything of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

/// The parts of a URL, as it spells them.
#[derive(Default)]
struct UrlParts {
    host: Option<String>,
    port: Option<String>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    ssl_mode: Option<String>,
    ssl_root_cert: Option<String>,
    ssl_cert: Option<String>,
    ssl_key: Option<String>,
    statement_cache: Option<String>,
    application: Option<String>,
    options: Vec<(String, String)>,
}

/// Where a URL leads.
///
/// # Errors
/// [`Malformed`] if it is no such URL.
pub(super) fn address(url: &str) -> Result<Address, Malformed> {
    let parts = parts(url)?;
    let port = match &parts.port {
        Some(digits) => {
            digits.parse().map_err(|_| Malformed("the port is no number up to 65535"))?
        }
        None => PORT,
    };
    let user = match parts.user.clone().or_else(system_user) {
        Some(user) => user,
        None => {
            return Err(Malformed(
                "it names no user, and the system has no name for the one that runs this: \
                 postgres://USER@HOST/DATABASE",
            ));
        }
    };
    let database = parts.database.clone().unwrap_or_else(|| user.clone());
    let options = PgConnectOptions::new_without_pgpass()
        .port(port)
        .username(&user)
        .password(parts.password.as_deref().unwrap_or_default())
        .database(&database)
        // PgBouncer refuses it, and no value here has that many digits.
        .extra_float_digits(None)
        .application_name(parts.application.as_deref().unwrap_or("facematch"));
    let connect = with_details(at(options, parts.host.as_deref(), port), &parts)?;
    Ok(Address { connect, settings: parts.options })
}

/// With the host, or the folder of the socket, or what there is on this machine.
fn at(options: PgConnectOptions, host: Option<&str>, port: u16) -> PgConnectOptions {
    let socket = format!(".s.PGSQL.{port}");
    let folder =
        || SOCKET_FOLDERS.into_iter().find(|folder| Path::new(folder).join(&socket).exists());
    match host.or_else(folder) {
        Some(folder) if folder.starts_with('/') => options.socket(folder),
        Some(host) => options.host(host),
        None => options.host("localhost"),
    }
}

fn with_details(
    options: PgConnectOptions,
    parts: &UrlParts,
) -> Result<PgConnectOptions, Malformed> {
    let mode = match parts.ssl_mode.as_deref() {
        Some(word) => {
            word.parse().map_err(|_| Malformed("sslmode has a word that is not known"))?
        }
        None => PgSslMode::default(),
    };
    let mut options = options.ssl_mode(mode);
    if let Some(file) = &parts.ssl_root_cert {
        options = options.ssl_root_cert(file);
    }
    if let Some(file) = &parts.ssl_cert {
        options = options.ssl_client_cert(file);
    }
    if let Some(file) = &parts.ssl_key {
        options = options.ssl_client_key(file);
    }
    if let Some(digits) = &parts.statement_cache {
        let size =
            digits.parse().map_err(|_| Malformed("statement-cache-capacity is no number"))?;
        options = options.statement_cache_capacity(size);
    }
    Ok(options)
}

/// Takes a URL apart, and refuses what would be taken apart in the wrong places: a password with a
/// slash in it would be shown as the name of a database.
fn parts(url: &str) -> Result<UrlParts, Malformed> {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let is_taken_apart = url.contains('#')
        || path.contains(['@', '/'])
        || parameters.contains('@')
        || authority.matches('@').count() > 1;
    if is_taken_apart {
        return Err(Malformed(
            "characters such as / ? # @ in a user's name or password are written %2F %3F %23 %40",
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
        parts.take(&decoded(name)?, decoded(value)?)?;
    }
    Ok(parts)
}

/// An address of IPv6 stands in brackets, which are no part of it.
fn host_and_port(place: &str) -> Result<(&str, &str), Malformed> {
    let unclosed = Malformed("an IPv6 address stands in brackets: [::1]");
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

impl UrlParts {
    /// Takes a parameter: what sqlx knows, and nothing else. Of anything else sqlx would log the
    /// value, which may be a piece of a password, and go on without.
    fn take(&mut self, name: &str, value: String) -> Result<(), Malformed> {
        let option = name.strip_prefix("options[").and_then(|name| name.strip_suffix(']'));
        if let Some(option) = option {
            self.options.push((option.to_owned(), value));
            return Ok(());
        }
        let place = match name {
            "application_name" => &mut self.application,
            "dbname" => &mut self.database,
            "host" | "hostaddr" => &mut self.host,
            "password" => &mut self.password,
            "port" => &mut self.port,
            "ssl-ca" | "ssl-root-cert" | "sslrootcert" => &mut self.ssl_root_cert,
            "ssl-cert" | "sslcert" => &mut self.ssl_cert,
            "ssl-key" | "sslkey" => &mut self.ssl_key,
            "ssl-mode" | "sslmode" => &mut self.ssl_mode,
            "statement-cache-capacity" => &mut self.statement_cache,
            "user" => &mut self.user,
            "options" => {
                self.options.extend(command_line(&value)?);
                return Ok(());
            }
            _ => return Err(Malformed("it has a parameter that is not known here")),
        };
        *place = Some(value);
        Ok(())
    }
}

/// What `options` says, as PostgreSQL's command line does: `-c name=value`, also `--name=value`.
fn command_line(text: &str) -> Result<Vec<(String, String)>, Malformed> {
    const REFUSED: Malformed = Malformed("options must be such as -c name=value");
    let mut options = Vec::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let option = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next().ok_or(REFUSED)?,
            Some(option) => option,
            None => return Err(REFUSED),
        };
        let (name, value) = option.split_once('=').ok_or(REFUSED)?;
        options.push((name.to_owned(), value.to_owned()));
    }
    Ok(options)
}

fn given(text: &str) -> Result<Option<String>, Malformed> {
    if text.is_empty() { Ok(None) } else { decoded(text).map(Some) }
}

/// The text with `%2F` and the like read.
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

const UNREADABLE: Malformed = Malformed("a % in it is not followed by the code of a character");

/// The name of the user that this process runs as, as libpq takes it, if the system knows one.
#[cfg(unix)]
fn system_user() -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    user_of(&users, rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
fn system_user() -> Option<String> {
    None
}

/// The name of a user in the text of `/etc/passwd`.
fn user_of(users: &str, id: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        number.parse().is_ok_and(|number: u32| number == id).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> PgConnectOptions {
        read_all(url).connect
    }

    fn read_all(url: &str) -> Address {
        address(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn an_address_of_ipv6_is_used_without_its_brackets() {
        let options = read("postgres://u@[::1]:5433/db");
        assert_eq!((options.get_host(), options.get_port()), ("::1", 5433));
        assert_eq!((options.get_username(), options.get_database()), ("u", Some("db")));
    }

    #[test]
    fn what_a_url_leaves_out_is_postgresqls_default() {
        let options = read("postgres://u@db.example");
        assert_eq!((options.get_host(), options.get_port()), ("db.example", 5432));
        assert_eq!(options.get_database(), Some("u"));
        assert_eq!(options.get_application_name(), Some("facematch"));
    }

    #[test]
    fn parameters_and_codes_are_read() {
        let Address { connect: options, settings } = read_all(
            "postgresql://u%40corp:s%2Fcret@/d%20b?host=/run/pg&port=7&sslmode=require\
             &options[search_path]=fm&options=-c%20lock_timeout%3D5s%20--geqo%3Doff",
        );
        assert_eq!((options.get_username(), options.get_database()), ("u@corp", Some("d b")));
        assert_eq!(options.get_socket().map(|path| path.as_path()), Some(Path::new("/run/pg")));
        assert_eq!(options.get_port(), 7);
        let settings: Vec<_> = settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(settings, [("search_path", "fm"), ("lock_timeout", "5s"), ("geqo", "off")]);
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_repeating_it() {
        for url in [
            "postgres://u:s3cret/@db/facematch",
            "postgres://u:s3#cret@db/facematch",
            "postgres://u:s3@cret@db/facematch",
            "postgres://u:s3cret%@db/facematch",
            "postgres://u@::1/facematch",
            "postgres://u@[::1/facematch",
            "postgres://u@one,two/facematch",
            "postgres://u@db:99999/facematch",
            "postgres://u@db/facematch?s3cret=1",
            "postgres://u@db/facematch?sslmode=s3cret",
            "postgres://u@db/facematch?options=s3cret",
        ] {
            let error = address(url).err().expect(url).to_string();
            assert!(!error.contains("s3"), "{error}");
        }
    }

    #[test]
    fn the_systems_user_is_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nfm:x:998:998::/:/bin/false\n";
        assert_eq!(user_of(users, 998), Some("fm".to_owned()));
        assert_eq!(user_of(users, 99), None);
    }
}
