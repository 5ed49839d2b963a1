//! A library in a MySQL or MariaDB database.
//!
//! MySQL compares a text with a number in its own way, which must not find the photo of another
//! key. It takes `17x` for 17, and gives a warning then: a row that it finds with such a warning
//! counts as not found. It may also compare both as floating-point numbers, which differ only in
//! their first 53 bits: a query that does so with a key that is longer is refused.
//!
//! Which texts are equal, the column's collation decides.

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::ExposeSecret;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Either, Executor, MySql, MySqlConnection, Row,
    SqlSafeStr, Statement, TypeInfo,
    mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlRow, MySqlSslMode, MySqlStatement},
    query, raw_sql,
};

use crate::{
    database_url::{self, Malformed, UrlParts},
    domain::LibraryFault,
    library::{
        BadTerm, LibrarySource, SourceError, SourceKind, Term, TermFiles, Terms,
        sql::{self, Dialect, PhotoRow, Query, STATEMENT_TIMEOUT_S, source::DatabaseLibrary},
    },
};

const PORT: u16 = 3306;

/// The types that a photo's column may have.
const PHOTO_TYPES: [&str; 6] =
    ["TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB", "BINARY", "VARBINARY"];

/// The warning that a text was cut to make a value of the column's type of it.
const TRUNCATED: i64 = 1292;

/// MySQL and MariaDB.
struct Mysql;

/// Opens the library that the terms name; connects to nothing.
pub(in crate::library) fn open(
    terms: &Terms,
    files: &TermFiles,
) -> Result<impl LibrarySource + use<>, BadTerm> {
    opened(terms, files)
}

fn opened(terms: &Terms, files: &TermFiles) -> Result<DatabaseLibrary<Mysql>, BadTerm> {
    let bad_url = |why: Malformed| Term::Url.bad(why.to_string());
    let parts = database_url::parts(terms.url.expose_secret()).map_err(bad_url)?;
    sql::check_password(parts.password.is_some(), files.secret.is_some())?;
    let mut options = options(&parts).map_err(bad_url)?;
    if let Some(secret) = &files.secret {
        options = options.password(secret.expose_secret());
    }
    if let Some(ca) = &files.ca {
        options = verified(options, ca)?;
    }
    let place = place(&options);
    Ok(DatabaseLibrary::new(options, Query::of(terms, wrapped)?, begin(), place))
}

#[async_trait]
impl Dialect for Mysql {
    const KIND: SourceKind = SourceKind::Mysql;
    type Database = MySql;
    /// The server doesn't tell the parameter's type.
    type Described = ();

    async fn describe(connection: &mut MySqlConnection, query: &Query) -> Result<(), SourceError> {
        let raw = AssertSqlSafe(query.raw.as_str()).into_sql_str();
        let statement = connection.prepare(raw).await.map_err(Self::explained)?;
        check(&statement)?;
        // The server also checks the rights to the tables.
        let wrapped = AssertSqlSafe(query.wrapped.as_str()).into_sql_str();
        connection.prepare(wrapped).await.map_err(Self::explained)?;
        Ok(())
    }

    async fn ask(
        connection: &mut MySqlConnection,
        query: &Query,
        (): &(),
        key: &str,
        bytes_max: usize,
    ) -> Result<Vec<PhotoRow>, SourceError> {
        let rows = rows(connection, &query.wrapped, key, bytes_max).await;
        let rows = rows.map_err(|error| unexplained(&error))?;
        if rows.is_empty() {
            return Ok(rows);
        }
        let codes = warnings(connection).await.map_err(|error| unexplained(&error))?;
        if codes.contains(&TRUNCATED) {
            return Err(sql::not_found(
                "the key is no value of the type that the query compares (warning 1292)",
            ));
        }
        match is_approximate(connection, query, key, &rows, bytes_max).await {
            Ok(false) => Ok(rows),
            Ok(true) => Err(sql::bad_query(
                "compares the key as a floating-point number: write CAST(? AS SIGNED) instead of ?",
            )),
            Err(error) => Err(unexplained(&error)),
        }
    }

    fn explained(error: sqlx::Error) -> SourceError {
        let number = number(&error).unwrap_or_default();
        let why = match &error {
            sqlx::Error::Database(error) => {
                format!("the server says: {} ({number})", error.message())
            }
            sqlx::Error::PoolTimedOut => "no connection could be made in time".to_owned(),
            sqlx::Error::Configuration(_) => {
                "the account's authentication plugin sends the password only over TLS: the server \
                 has none, or the URL's ssl-mode allows none"
                    .to_owned()
            }
            other => other.to_string(),
        };
        SourceError::Fault(fault(&error), why)
    }
}

async fn rows(
    connection: &mut MySqlConnection,
    wrapped: &str,
    key: &str,
    bytes_max: usize,
) -> sqlx::Result<Vec<PhotoRow>> {
    let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
    let asked = query(AssertSqlSafe(wrapped)).bind(key).bind(bytes_max);
    asked.fetch_all(connection).await?.iter().map(photo_row).collect()
}

/// Whether these rows with their photo are found by another number as well, because the query
/// compares floating-point numbers.
async fn is_approximate(
    connection: &mut MySqlConnection,
    query: &Query,
    key: &str,
    found: &[PhotoRow],
    bytes_max: usize,
) -> sqlx::Result<bool> {
    let has_photo = found.iter().any(|row| row.photo.as_ref().is_some_and(|it| !it.is_empty()));
    let Some(twin) = twin(key).filter(|_| has_photo) else { return Ok(false) };
    Ok(rows(connection, &query.wrapped, &twin, bytes_max).await? == found)
}

/// Another number that equals a key's as a floating-point number. `None` for a key that is no
/// number, and for a number that no other equals, such as all of 15 digits.
fn twin(key: &str) -> Option<String> {
    let number: i128 = key.parse().ok()?;
    let neighbours = [number.checked_sub(1), number.checked_add(1)];
    let twin = neighbours.into_iter().flatten().find(|it| rounded(*it) == rounded(number));
    twin.map(|twin| twin.to_string())
}

#[expect(clippy::cast_precision_loss, reason = "the loss is what is looked for")]
const fn rounded(number: i128) -> u64 {
    (number as f64).to_bits()
}

/// The types are not compared: the server gives an expression one by rules of its own.
fn photo_row(row: &MySqlRow) -> sqlx::Result<PhotoRow> {
    let length: Option<i64> = row.try_get_unchecked(0)?;
    let photo: Option<&[u8]> = row.try_get_unchecked(1)?;
    Ok(PhotoRow {
        length: length.and_then(|length| length.try_into().ok()),
        photo: photo.map(Bytes::copy_from_slice),
    })
}

/// The codes of the warnings that the last statement gave.
async fn warnings(connection: &mut MySqlConnection) -> sqlx::Result<Vec<i64>> {
    let warnings = raw_sql("SHOW WARNINGS").fetch_all(connection).await?;
    warnings.iter().map(|warning| warning.try_get_unchecked("Code")).collect()
}

/// The operator's query in ours, as MySQL from 8.0.1 and MariaDB from 10.2 know it. MariaDB has no
/// names of columns after a derived table. The line break ends a comment at the query's end.
fn wrapped(raw: &str) -> String {
    format!(
        "WITH q (p) AS ({raw}\n) SELECT octet_length(p), \
         CASE WHEN octet_length(p) <= ? THEN p END FROM q LIMIT 2"
    )
}

/// Begins a transaction that can't write. MariaDB alone reads the first comment, and MySQL alone
/// the second: their settings have other names and units.
fn begin() -> String {
    let milliseconds = STATEMENT_TIMEOUT_S * 1_000;
    format!(
        "SET SESSION max_error_count = 64 /*M! , max_statement_time = {STATEMENT_TIMEOUT_S} */ \
         /*!50704 , max_execution_time = {milliseconds} */; START TRANSACTION READ ONLY"
    )
}

fn options(parts: &UrlParts) -> Result<MySqlConnectOptions, Malformed> {
    let (Some(user), Some(database)) = (&parts.user, &parts.database) else {
        return Err(Malformed("it names no user or no database: mysql://USER@HOST/DATABASE"));
    };
    let mut options = MySqlConnectOptions::new()
        .host(parts.host.as_deref().unwrap_or("localhost"))
        .port(database_url::port_or(parts, PORT)?)
        .username(user)
        .database(database)
        // What the operator's query means, the server's own settings decide.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .disable_statement_logging();
    if let Some(password) = &parts.password {
        options = options.password(password);
    }
    for (name, value) in &parts.parameters {
        options = match name.as_str() {
            "socket" => options.socket(value),
            "ssl-mode" | "sslmode" => options
                .ssl_mode(value.parse().map_err(|_| Malformed("ssl-mode has an unknown value"))?),
            _ => return Err(Malformed("it has an unknown parameter")),
        };
    }
    Ok(options)
}

/// The options with TLS and these certificates.
fn verified(options: MySqlConnectOptions, ca: &[u8]) -> Result<MySqlConnectOptions, BadTerm> {
    sql::check_certificates(ca)?;
    match options.get_ssl_mode() {
        MySqlSslMode::Disabled => {
            Err(Term::CaFile.bad("needs TLS, and the URL's ssl-mode allows none"))
        }
        _ if options.get_socket().is_some() => {
            Err(Term::CaFile.bad("is of no use to a database at a socket of this machine"))
        }
        _ => Ok(options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca_from_pem(ca.to_vec())),
    }
}

/// A database's URL without the user and the password.
fn place(options: &MySqlConnectOptions) -> String {
    let database = options.get_database().unwrap_or_default();
    if let Some(socket) = options.get_socket() {
        return format!("mysql:///{database}?socket={}", socket.display());
    }
    let host = match options.get_host() {
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    format!("mysql://{host}:{}/{database}", options.get_port())
}

/// Checks that a query is as it must be. The server doesn't know the parameter's type.
fn check(statement: &MySqlStatement) -> Result<(), SourceError> {
    let parameters = match statement.parameters() {
        Some(Either::Right(count)) => count,
        Some(Either::Left(types)) => types.len(),
        None => 0,
    };
    let columns = statement.columns();
    sql::check_counts(parameters, columns.len(), "?")?;
    match columns[0].type_info().name() {
        name if PHOTO_TYPES.contains(&name) => Ok(()),
        name => Err(sql::bad_query(format!(
            "has a column of type {name}: the photo must be a BLOB, BINARY or VARBINARY"
        ))),
    }
}

/// An error of a statement with a key, which the server's words may repeat: only its number is
/// shown.
fn unexplained(error: &sqlx::Error) -> SourceError {
    let fault = fault(error);
    let why = match error {
        sqlx::Error::Database(_) => {
            format!("{} (error {})", meaning(fault), number(error).unwrap_or_default())
        }
        // What can't be decoded is quoted.
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            "a row can't be decoded".to_owned()
        }
        other => other.to_string(),
    };
    SourceError::Fault(fault, why)
}

/// What a fault says, in our words.
const fn meaning(fault: LibraryFault) -> &'static str {
    match fault {
        LibraryFault::Forbidden => "the account has no right to what the query reads",
        LibraryFault::NotFound => "the key is no value of the type that the query compares",
        LibraryFault::Ambiguous => "the query finds more than one row for the key",
        LibraryFault::Unreachable => "the query took too long, or the server can't answer",
        LibraryFault::Protocol | LibraryFault::Unreadable | LibraryFault::TooLarge => {
            "the server refuses the query"
        }
    }
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}

/// Classifies an error. The numbers are from MySQL's "Server Error Message Reference" and MariaDB's
/// "Error Codes", which agree below 1900.
fn fault(error: &sqlx::Error) -> LibraryFault {
    if matches!(error, sqlx::Error::Configuration(_)) {
        return LibraryFault::Forbidden;
    }
    match number(error) {
        None => LibraryFault::Unreachable,
        // Who may connect, and what an account may read; expired passwords and locked accounts.
        Some(
            1044 | 1045 | 1130 | 1142 | 1143 | 1227 | 1251 | 1356 | 1370 | 1524 | 1698 | 1820
            | 1862 | 3118 | 3878 | 4151,
        ) => LibraryFault::Forbidden,
        // A key that is no value of the column's type, or has characters that its character set
        // hasn't.
        Some(1267 | 1292 | 1366 | 1411 | 1525 | 1690 | 3854) => LibraryFault::NotFound,
        // A subquery with several rows.
        Some(1242) => LibraryFault::Ambiguous,
        // Memory, disk and connections; no such database, as while it is restored; shutdown;
        // network; locks; statements that took too long or were cancelled.
        Some(
            1021
            | 1030
            | 1037..=1041
            | 1049
            | 1053
            | 1077..=1080
            | 1105
            | 1129
            | 1135
            | 1152..=1161
            | 1180
            | 1184
            | 1203
            | 1205
            | 1213
            | 1226
            | 1317
            | 1927
            | 1969
            | 3024
            | 3169,
        ) => LibraryFault::Unreachable,
        Some(_) => LibraryFault::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(url: &str, files: &TermFiles) -> Result<DatabaseLibrary<Mysql>, String> {
        let query = Some("SELECT photo FROM customers WHERE id = ?".to_owned());
        let terms = Terms { url: url.into(), query, secret_file: None, ca_file: None };
        super::opened(&terms, files).map_err(|bad| format!("{}: {bad}", bad.term.key()))
    }

    fn place_of(url: &str) -> String {
        opened(url, &TermFiles::default()).unwrap().place().to_owned()
    }

    #[test]
    fn a_url_names_a_server_a_user_and_a_database() {
        assert_eq!(place_of("mysql://u:s3cret@db/bank"), "mysql://db:3306/bank");
        assert_eq!(place_of("mysql://u@[::1]:3307/bank"), "mysql://[::1]:3307/bank");
        let socket = place_of("mysql://u@localhost/bank?socket=/run/mysqld/mysqld.sock");
        assert_eq!(socket, "mysql:///bank?socket=/run/mysqld/mysqld.sock");
        for url in [
            "mysql://db/bank",
            "mysql://u@db",
            "mysql://u@db/bank?s3cret=1",
            "mysql://u@db/bank?ssl-mode=s3cret",
            "mysql://u:s3#cret@db/bank",
            "mysql://u@db:99999/bank",
        ] {
            let refused = opened(url, &TermFiles::default()).err().expect(url);
            assert!(refused.starts_with("url: ") && !refused.contains("s3"), "{refused}");
        }
    }

    #[test]
    fn long_numbers_have_a_twin() {
        assert_eq!(twin("9007199254740993").as_deref(), Some("9007199254740992"));
        assert_eq!(twin("9007199254740992").as_deref(), Some("9007199254740993"));
        assert_eq!(twin("9223372036854775807").as_deref(), Some("9223372036854775806"));
        assert_eq!(twin("-9007199254740993").as_deref(), Some("-9007199254740992"));
        assert!(twin(&i128::MAX.to_string()).is_some() && twin(&i128::MIN.to_string()).is_some());
        for key in ["17", "999999999999999", "9007199254740991", "17x", "", "9007199254740993.0"] {
            assert_eq!(twin(key), None, "{key}");
        }
    }

    #[test]
    fn a_password_is_given_once() {
        let files = TermFiles { secret: Some("hunter2".into()), ca: None };
        assert!(opened("mysql://u@db/bank", &files).is_ok());
        assert_eq!(
            opened("mysql://u:x@db/bank", &files).err().unwrap(),
            "secret-file: gives a password, and the URL has one too: remove one"
        );
    }

    #[test]
    fn certificates_to_trust_require_tls() {
        let made = rcgen::generate_simple_self_signed(["db".to_owned()]).unwrap().cert;
        let files = TermFiles { secret: None, ca: Some(made.pem().into_bytes()) };
        for (url, expected) in [
            (
                "mysql://u@db/bank?ssl-mode=DISABLED",
                "ca-file: needs TLS, and the URL's ssl-mode allows none",
            ),
            (
                "mysql://u@db/bank?socket=/run/s",
                "ca-file: is of no use to a database at a socket of this machine",
            ),
        ] {
            assert_eq!(opened(url, &files).err().unwrap(), expected);
        }
        let empty = TermFiles { secret: None, ca: Some(b"# none yet".to_vec()) };
        let refused = opened("mysql://u@db/bank", &empty).err().unwrap();
        assert_eq!(refused, "ca-file: holds no certificates in PEM");
        let parts = database_url::parts("mysql://u@db/bank").unwrap();
        let verified = verified(options(&parts).unwrap(), made.pem().as_bytes()).unwrap();
        assert!(matches!(verified.get_ssl_mode(), MySqlSslMode::VerifyIdentity));
    }
}
