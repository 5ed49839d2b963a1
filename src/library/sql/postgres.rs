//! A library in a PostgreSQL database.
//!
//! Every read is one transaction, and everything that it sets holds for that transaction alone, and
//! no statement is prepared under a name: so it also works through a pooler that gives each
//! transaction another session.

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::ExposeSecret;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Either, Executor, PgConnection, Row,
    SqlSafeStr, Statement, Type, TypeInfo,
    postgres::{PgConnectOptions, PgRow, PgSslMode, PgStatement},
    query,
};

use crate::{
    database_url::postgres as database_url,
    domain::{LibraryFault, photo},
    library::{
        BadTerm, LibrarySource, SourceError, SourceKind, Term, TermFiles, Terms,
        sql::{
            self, Dialect, PhotoRow, Query, STATEMENT_TIMEOUT_S,
            key::{KeyValue, Parameter},
            source::DatabaseLibrary,
        },
    },
};

/// PostgreSQL.
struct Postgres;

/// A query that has been described.
#[derive(Clone)]
struct Described {
    parameter: Parameter,
    /// Our query.
    statement: PgStatement,
}

/// Opens the library that the terms name; connects to nothing.
pub(in crate::library) fn open(
    terms: &Terms,
    files: &TermFiles,
) -> Result<impl LibrarySource + use<>, BadTerm> {
    opened(terms, files)
}

fn opened(terms: &Terms, files: &TermFiles) -> Result<DatabaseLibrary<Postgres>, BadTerm> {
    let address = database_url::address(terms.url.expose_secret())
        .map_err(|why| Term::Url.bad(why.to_string()))?;
    sql::check_password(address.has_password, files.secret.is_some())?;
    let mut options = address.connect.disable_statement_logging();
    if let Some(secret) = &files.secret {
        options = options.password(secret.expose_secret());
    }
    if let Some(ca) = &files.ca {
        options = verified(options, ca)?;
    }
    let place = database_url::place(&options);
    let query = Query::of(terms, wrapped)?;
    Ok(DatabaseLibrary::new(options, query, begin(&address.settings), place))
}

#[async_trait]
impl Dialect for Postgres {
    const KIND: SourceKind = SourceKind::Postgres;
    type Database = sqlx::Postgres;
    type Described = Described;

    async fn describe(
        connection: &mut PgConnection,
        asked: &Query,
    ) -> Result<Described, SourceError> {
        let described = prepared(connection, asked).await;
        // sqlx prepares under names there, and only there. They go, whatever came out.
        let cleared = connection.clear_cached_statements().await;
        let described = described?;
        cleared.map_err(Self::explained)?;
        let explain = AssertSqlSafe(format!("EXPLAIN {}", asked.wrapped));
        let planned = query(explain).bind(described.parameter.null()).bind(0_i32).persistent(false);
        // A plan takes the rights to the tables.
        planned.fetch_all(connection).await.map_err(Self::explained)?;
        Ok(described)
    }

    async fn ask(
        connection: &mut PgConnection,
        _: &Query,
        described: &Described,
        key: &str,
        bytes_max: usize,
    ) -> Result<Vec<PhotoRow>, SourceError> {
        let Some(key) = described.parameter.value(key) else {
            return Err(sql::not_found("the key is no value of the parameter's type"));
        };
        let rows = rows(connection, &described.statement, key, bytes_max).await;
        rows.map_err(|error| unexplained(&error))
    }

    fn explained(error: sqlx::Error) -> SourceError {
        let why = match &error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                format!("PostgreSQL says: {} ({code})", error.message())
            }
            sqlx::Error::PoolTimedOut => "no connection could be made in time".to_owned(),
            other => other.to_string(),
        };
        SourceError::Fault(fault(&error), why)
    }
}

/// Describes the operator's query, and then ours with the same parameter.
async fn prepared(connection: &mut PgConnection, asked: &Query) -> Result<Described, SourceError> {
    let raw = AssertSqlSafe(asked.raw.as_str()).into_sql_str();
    let raw = connection.prepare(raw).await.map_err(Postgres::explained)?;
    let parameter = checked(&raw)?;
    let types = [parameter.type_info().clone(), <i32 as Type<sqlx::Postgres>>::type_info()];
    let wrapped = AssertSqlSafe(asked.wrapped.as_str()).into_sql_str();
    let statement = connection.prepare_with(wrapped, &types).await.map_err(Postgres::explained)?;
    Ok(Described { parameter, statement })
}

/// Asks by a statement without a name. Because it is described already, sqlx sends no further
/// statement, which would replace this one, to learn about a type of the operator's own.
async fn rows(
    connection: &mut PgConnection,
    statement: &PgStatement,
    key: KeyValue,
    bytes_max: usize,
) -> sqlx::Result<Vec<PhotoRow>> {
    let bytes_max = i32::try_from(bytes_max).unwrap_or(i32::MAX);
    let asked = statement.query().bind(key).bind(bytes_max).persistent(false);
    asked.fetch_all(connection).await?.iter().map(photo_row).collect()
}

fn photo_row(row: &PgRow) -> sqlx::Result<PhotoRow> {
    let length: Option<i32> = row.try_get(0)?;
    let photo: Option<&[u8]> = row.try_get(1)?;
    Ok(PhotoRow {
        length: length.and_then(|length| length.try_into().ok()),
        photo: photo.map(Bytes::copy_from_slice),
    })
}

/// The operator's query in ours. The line break ends a comment at its end.
fn wrapped(raw: &str) -> String {
    format!(
        "SELECT octet_length(p), CASE WHEN octet_length(p) <= $2 THEN p END FROM ({raw}\n) AS q (p) \
         LIMIT 2"
    )
}

/// Begins a transaction that can't write, and whose statements all see the same rows. The URL's
/// settings come last, so that they may be stricter.
fn begin(settings: &[(String, String)]) -> String {
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
         SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'"
    );
    match settings {
        [] => begin,
        settings => format!("{begin}; {}", database_url::set_config(settings, true)),
    }
}

/// The options with TLS and these certificates.
fn verified(options: PgConnectOptions, ca: &[u8]) -> Result<PgConnectOptions, BadTerm> {
    sql::check_certificates(ca)?;
    match options.get_ssl_mode() {
        PgSslMode::Disable | PgSslMode::Allow => {
            Err(Term::CaFile.bad("needs TLS, and the URL's sslmode allows none"))
        }
        _ if options.get_socket().is_some() => {
            Err(Term::CaFile.bad("is of no use to a database at a socket of this machine"))
        }
        _ => Ok(options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert_from_pem(ca.to_vec())),
    }
}

/// The parameter of a query that is as it must be.
fn checked(statement: &PgStatement) -> Result<Parameter, SourceError> {
    let parameters = match statement.parameters() {
        Some(Either::Left(types)) => types,
        _ => &[],
    };
    let columns = statement.columns();
    sql::check_counts(parameters.len(), columns.len(), "$1")?;
    check_photo_type(columns[0].type_info().name())?;
    Parameter::of(&parameters[0]).ok_or_else(|| {
        let name = parameters[0].name().to_lowercase();
        sql::bad_query(format!(
            "has a parameter of type {name}, which a key can't have: write CAST($1::text AS {name}) \
             instead of $1"
        ))
    })
}

fn check_photo_type(name: &str) -> Result<(), SourceError> {
    let hint = match name {
        "BYTEA" => return Ok(()),
        "OID" => "; lo_get(COLUMN) is the large object of a column",
        "TEXT" | "VARCHAR" => "; decode(COLUMN, 'base64') is the photo of a column in Base64",
        _ => "",
    };
    let name = name.to_lowercase();
    Err(sql::bad_query(format!("has a column of type {name}: the photo must be bytea{hint}")))
}

/// An error of a statement with a key, which PostgreSQL's words may repeat: only its code is shown.
fn unexplained(error: &sqlx::Error) -> SourceError {
    let fault = fault(error);
    let why = match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            format!("{} (SQLSTATE {code})", meaning(&code, fault))
        }
        // What can't be decoded is quoted.
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            "a row can't be decoded".to_owned()
        }
        other => other.to_string(),
    };
    SourceError::Fault(fault, why)
}

/// What a code says, in our words.
const fn meaning(code: &str, fault: LibraryFault) -> &'static str {
    match (code.as_bytes(), fault) {
        (b"57014", _) => "the query took too long, or was cancelled",
        (b"25006", _) => "the query writes, which it may not",
        (b"42501", _) => "the role has no right to what the query reads",
        (_, LibraryFault::NotFound) => "the key is no value of the type that the query compares",
        (_, LibraryFault::Ambiguous) => "the query finds more than one row for the key",
        (_, LibraryFault::Unreachable) => "PostgreSQL can't answer at present",
        _ => "PostgreSQL refuses the query",
    }
}

/// Classifies an error. The codes are from the appendix "PostgreSQL Error Codes" of PostgreSQL's
/// manual.
fn fault(error: &sqlx::Error) -> LibraryFault {
    let sqlx::Error::Database(error) = error else {
        return LibraryFault::Unreachable;
    };
    let code = error.code().unwrap_or_default();
    match &*code {
        // A text that is no number, date or UUID, or out of range; characters that the database's
        // encoding hasn't; no_data_found of a function.
        "22P02" | "22003" | "22007" | "22008" | "22021" | "22P05" | "P0002" => {
            LibraryFault::NotFound
        }
        // cardinality_violation of a subquery; too_many_rows of a function.
        "21000" | "P0003" => LibraryFault::Ambiguous,
        "42501" => LibraryFault::Forbidden,
        code if code.starts_with("28") => LibraryFault::Forbidden,
        // invalid_catalog_name: no such database, as while it is restored; a lock; a pooler that has
        // changed the session.
        "3D000" | "55P03" | "26000" | "42P05" => LibraryFault::Unreachable,
        // Connections; deadlocks and the like; resources; an operator's intervention; the system;
        // internal errors.
        code if ["08", "40", "53", "57", "58", "XX"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            LibraryFault::Unreachable
        }
        _ => LibraryFault::Protocol,
    }
}

// The length of a photo is compared as PostgreSQL's integer.
const _: () = assert!(photo::BYTES_MAX < i32::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(url: &str) -> Terms {
        let query = Some("SELECT photo FROM customers WHERE id = $1".to_owned());
        Terms { url: url.into(), query, secret_file: None, ca_file: None }
    }

    fn opened(url: &str, files: &TermFiles) -> Result<DatabaseLibrary<Postgres>, String> {
        super::opened(&terms(url), files).map_err(|bad| format!("{}: {bad}", bad.term.key()))
    }

    #[test]
    fn a_password_is_given_once() {
        let files = TermFiles { secret: Some("hunter2".into()), ca: None };
        assert!(opened("postgres://u@db/bank", &files).is_ok());
        assert!(opened("postgres://u:hunter2@db/bank", &TermFiles::default()).is_ok());
        for url in ["postgres://u:x@db/bank", "postgres://u@db/bank?password=x"] {
            let refused = opened(url, &files).err().unwrap();
            assert_eq!(
                refused,
                "secret-file: gives a password, and the URL has one too: remove one"
            );
        }
    }

    #[test]
    fn certificates_to_trust_require_tls() {
        let made = rcgen::generate_simple_self_signed(["db".to_owned()]).unwrap().cert;
        let files = TermFiles { secret: None, ca: Some(made.pem().into_bytes()) };
        for (url, expected) in [
            (
                "postgres://u@db/bank?sslmode=disable",
                "ca-file: needs TLS, and the URL's sslmode allows none",
            ),
            (
                "postgres://u@/bank?host=/run/postgresql",
                "ca-file: is of no use to a database at a socket of this machine",
            ),
        ] {
            assert_eq!(opened(url, &files).err().unwrap(), expected);
        }
        let empty = TermFiles { secret: None, ca: Some(b"# none yet".to_vec()) };
        let refused = opened("postgres://u@db/bank", &empty).err().unwrap();
        assert_eq!(refused, "ca-file: holds no certificates in PEM");
        assert!(opened("postgres://u@db/bank?sslmode=require", &files).is_ok());
        let options = database_url::address("postgres://u@db/bank").unwrap().connect;
        assert!(matches!(
            verified(options, made.pem().as_bytes()).unwrap().get_ssl_mode(),
            PgSslMode::VerifyFull
        ));
    }

    #[test]
    fn a_transaction_writes_nothing_and_ends_in_time() {
        let plain = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                     SET LOCAL statement_timeout = '20s'";
        assert_eq!(begin(&[]), plain);
        let settings = [("search_path".to_owned(), "bank".to_owned())];
        assert_eq!(
            begin(&settings),
            format!("{plain}; SELECT set_config(E'search_path', E'bank', true)")
        );
    }

    #[test]
    fn errors_of_the_url_repeat_nothing_of_it() {
        let refused = opened("postgres://u:hun#ter2@db/bank", &TermFiles::default()).err().unwrap();
        assert!(refused.starts_with("url: ") && !refused.contains("ter2"), "{refused}");
    }
}
