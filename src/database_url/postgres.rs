//! Parses a `postgres://` URL: where the database is, and the role that a replica has there.
//!
//! It reads the URL and, for a URL without a user, the system's list of users. It deliberately
//! ignores the environment, which `config` alone reads: sqlx's own reading of `PGHOST`, `PGUSER`,
//! `PGPASSWORD` and the like, and of `~/.pgpass`, is overridden by setting each of these values.
//! sqlx can't be told to ignore `PGOPTIONS` and the files of `PGSSL…`; docs/operating.md lists
//! these.

use std::{mem, path::Path};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::database_url::{self, Malformed, UrlParts};

const PORT: u16 = 5432;

/// The folders of PostgreSQL's Unix socket on the usual systems.
const SOCKET_FOLDERS: [&str; 4] =
    ["/run/postgresql", "/var/run/postgresql", "/private/tmp", "/tmp"];

/// A URL's address, and the settings that it asks for in each session.
pub struct Address {
    /// How to connect.
    pub connect: PgConnectOptions,
    /// Whether the URL holds a password.
    pub has_password: bool,
    /// PostgreSQL's settings from `options`, name and value. A statement sets them in each new
    /// session: a pooler such as PgBouncer refuses them as startup parameters.
    pub settings: Vec<(String, String)>,
}

/// The parameters of a URL that are no parts of the address.
#[derive(Default)]
struct Details {
    ssl_mode: Option<String>,
    ssl_root_cert: Option<String>,
    ssl_cert: Option<String>,
    ssl_key: Option<String>,
    statement_cache: Option<String>,
    application: Option<String>,
    options: Vec<(String, String)>,
}

/// Parses a URL.
///
/// # Errors
/// [`Malformed`] if the URL can't be used.
pub fn address(url: &str) -> Result<Address, Malformed> {
    let mut parts = database_url::parts(url)?;
    let details = details(&mut parts)?;
    let port = database_url::port_or(&parts, PORT)?;
    let user = match parts.user.or_else(system_user) {
        Some(user) => user,
        None => {
            return Err(Malformed(
                "it names no user, and the system has no name for this process's user: \
                 postgres://USER@HOST/DATABASE",
            ));
        }
    };
    let database = parts.database.unwrap_or_else(|| user.clone());
    let options = PgConnectOptions::new_without_pgpass()
        .port(port)
        .username(&user)
        .password(parts.password.as_deref().unwrap_or_default())
        .database(&database)
        // PgBouncer refuses this parameter, and no value here has that many digits.
        .extra_float_digits(None)
        .application_name(details.application.as_deref().unwrap_or("facematch"));
    let connect = with_details(at(options, parts.host.as_deref(), port), &details)?;
    Ok(Address { connect, has_password: parts.password.is_some(), settings: details.options })
}

/// A database's URL without the user and the password, for messages.
pub fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_default();
    if let Some(socket) = options.get_socket() {
        return format!("postgres:///{database}?host={}", socket.display());
    }
    let host = match options.get_host() {
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    format!("postgres://{host}:{}/{database}", options.get_port())
}

/// The statement that applies these settings to a session, or only to its present transaction.
pub fn set_config(settings: &[(String, String)], is_local: bool) -> String {
    // An E'' literal means the same whatever `standard_conforming_strings` is.
    let literal = |text: &str| format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    let set = |(name, value): &(String, String)| {
        format!("set_config({}, {}, {is_local})", literal(name), literal(value))
    };
    format!("SELECT {}", settings.iter().map(set).collect::<Vec<_>>().join(", "))
}

/// Sets the host or the socket's folder. Without either in the URL: a socket that exists on this
/// machine, or else `localhost`.
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
    details: &Details,
) -> Result<PgConnectOptions, Malformed> {
    let mode = match details.ssl_mode.as_deref() {
        Some(word) => word.parse().map_err(|_| Malformed("sslmode has an unknown value"))?,
        None => PgSslMode::default(),
    };
    let mut options = options.ssl_mode(mode);
    if let Some(file) = &details.ssl_root_cert {
        options = options.ssl_root_cert(file);
    }
    if let Some(file) = &details.ssl_cert {
        options = options.ssl_client_cert(file);
    }
    if let Some(file) = &details.ssl_key {
        options = options.ssl_client_key(file);
    }
    if let Some(digits) = &details.statement_cache {
        let size =
            digits.parse().map_err(|_| Malformed("statement-cache-capacity is not a number"))?;
        options = options.statement_cache_capacity(size);
    }
    Ok(options)
}

fn details(parts: &mut UrlParts) -> Result<Details, Malformed> {
    let mut details = Details::default();
    for (name, value) in mem::take(&mut parts.parameters) {
        details.take(parts, &name, value)?;
    }
    Ok(details)
}

impl Details {
    /// Takes a parameter that sqlx knows, and refuses any other. sqlx itself would ignore an
    /// unknown parameter and log its value, which may be a piece of a password.
    fn take(&mut self, parts: &mut UrlParts, name: &str, value: String) -> Result<(), Malformed> {
        let option = name.strip_prefix("options[").and_then(|name| name.strip_suffix(']'));
        if let Some(option) = option {
            self.options.push((option.to_owned(), value));
            return Ok(());
        }
        let place = match name {
            "application_name" => &mut self.application,
            "dbname" => &mut parts.database,
            "host" | "hostaddr" => &mut parts.host,
            "password" => &mut parts.password,
            "port" => &mut parts.port,
            "ssl-ca" | "ssl-root-cert" | "sslrootcert" => &mut self.ssl_root_cert,
            "ssl-cert" | "sslcert" => &mut self.ssl_cert,
            "ssl-key" | "sslkey" => &mut self.ssl_key,
            "ssl-mode" | "sslmode" => &mut self.ssl_mode,
            "statement-cache-capacity" => &mut self.statement_cache,
            "user" => &mut parts.user,
            "options" => {
                self.options.extend(command_line(&value)?);
                return Ok(());
            }
            _ => return Err(Malformed("it has an unknown parameter")),
        };
        *place = Some(value);
        Ok(())
    }
}

/// Parses `options`, written as on PostgreSQL's command line: `-c name=value` or `--name=value`.
fn command_line(text: &str) -> Result<Vec<(String, String)>, Malformed> {
    const REFUSED: Malformed = Malformed("options must have the form -c name=value");
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

/// The name of the user that runs this process, libpq's default. `None` if the system has none.
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
    fn an_ipv6_address_is_used_without_its_brackets() {
        let options = read("postgres://u@[::1]:5433/db");
        assert_eq!((options.get_host(), options.get_port()), ("::1", 5433));
        assert_eq!((options.get_username(), options.get_database()), ("u", Some("db")));
    }

    #[test]
    fn parts_that_a_url_leaves_out_have_postgresqls_defaults() {
        let options = read("postgres://u@db.example");
        assert_eq!((options.get_host(), options.get_port()), ("db.example", 5432));
        assert_eq!(options.get_database(), Some("u"));
        assert_eq!(options.get_application_name(), Some("facematch"));
    }

    #[test]
    fn parameters_and_percent_codes_are_decoded() {
        let Address { connect: options, settings, has_password } = read_all(
            "postgresql://u%40corp:s%2Fcret@/d%20b?host=/run/pg&port=7&sslmode=require\
             &options[search_path]=fm&options=-c%20lock_timeout%3D5s%20--geqo%3Doff",
        );
        assert_eq!((options.get_username(), options.get_database()), ("u@corp", Some("d b")));
        assert!(has_password);
        assert_eq!(options.get_socket().map(|path| path.as_path()), Some(Path::new("/run/pg")));
        assert_eq!(options.get_port(), 7);
        let settings: Vec<_> = settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(settings, [("search_path", "fm"), ("lock_timeout", "5s"), ("geqo", "off")]);
    }

    #[test]
    fn a_malformed_url_is_refused_without_repeating_any_of_it() {
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
    fn the_name_of_the_systems_user_is_found_by_its_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nfm:x:998:998::/:/bin/false\n";
        assert_eq!(user_of(users, 998), Some("fm".to_owned()));
        assert_eq!(user_of(users, 99), None);
    }
}
