//! Photos in a database, found by the operator's query.
//!
//! The query has one parameter, the key, and one binary column, the photo. It runs inside of a
//! query of ours, which keeps a photo that is too large from crossing the network, and in a
//! transaction that can't write. The key is only ever bound as a parameter.
//!
//! A photo is read in two steps: first its length, then, once there is room for exactly that, the
//! photo itself. With one step, each read would need room for the largest photo, although a usual
//! one has a hundredth of that. The second step costs a round trip and a look-up by the key, both
//! small beside the upload of the photo. Both see the same state of the database.

mod connections;
mod key;
#[cfg(feature = "library-mysql")]
pub(super) mod mysql;
pub(super) mod postgres;
mod source;

use async_trait::async_trait;
use bytes::Bytes;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sqlx::Database;

use crate::{
    domain::LibraryFault,
    library::{BadTerm, Room, SourceError, SourceKind, Term, Terms, body},
};

/// How many connections one library has at most.
pub const CONNECTIONS_MAX: u32 = 4;

/// How long one statement may run, in seconds: the database ends it before the read is given up
/// ([`READ_TIMEOUT`](crate::library::READ_TIMEOUT)), so that no session works for nothing.
pub const STATEMENT_TIMEOUT_S: u32 = 20;

/// The operator's query.
struct Query {
    /// As the operator wrote it, without a semicolon at its end.
    raw: String,
    /// The query that is run: its row has the length of the photo, and the photo if it is no longer
    /// than the second parameter says.
    wrapped: String,
}

/// A row of the wrapped query. Both are `None` if the operator's column is NULL.
#[derive(PartialEq, Eq)]
struct PhotoRow {
    length: Option<u64>,
    photo: Option<Bytes>,
}

type ConnectionOf<D> = <<D as Dialect>::Database as Database>::Connection;

/// What differs between the kinds of databases.
#[async_trait]
trait Dialect: Send + Sync + 'static {
    /// The kind.
    const KIND: SourceKind;
    type Database: Database;
    /// What is known of the query once it has been described.
    type Described: Clone + Send + Sync;

    /// Describes the query, and refuses it if it isn't as it must be.
    async fn describe(
        connection: &mut ConnectionOf<Self>,
        query: &Query,
    ) -> Result<Self::Described, SourceError>;

    /// The first two rows for a key, with photos of at most so many bytes. No error shows the key.
    async fn ask(
        connection: &mut ConnectionOf<Self>,
        query: &Query,
        described: &Self::Described,
        key: &str,
        bytes_max: usize,
    ) -> Result<Vec<PhotoRow>, SourceError>;

    /// An error of a statement without a key, in the database's own words.
    fn explained(error: sqlx::Error) -> SourceError;
}

/// A key that is asked for over one connection.
#[async_trait]
trait Asked: Send {
    /// The first two rows, with photos of at most so many bytes.
    async fn ask(&mut self, bytes_max: usize) -> Result<Vec<PhotoRow>, SourceError>;
}

impl Query {
    /// Takes the query of the terms. `wrap` puts the raw query into ours.
    fn of(terms: &Terms, wrap: impl FnOnce(&str) -> String) -> Result<Self, BadTerm> {
        let Some(text) = &terms.query else {
            return Err(Term::Query.bad(
                "is needed for a library in a database, such as SELECT photo FROM customers \
                 WHERE id = $1 (? instead of $1 in MySQL)",
            ));
        };
        let raw = text.trim().trim_end_matches(|c: char| c == ';' || c.is_whitespace());
        if raw.is_empty() || raw.contains('\0') {
            return Err(Term::Query.bad("holds no query"));
        }
        Ok(Self { raw: raw.to_owned(), wrapped: wrap(raw) })
    }
}

/// Reads a photo in two steps.
async fn read(asked: &mut impl Asked, room: &mut dyn Room) -> Result<Bytes, SourceError> {
    let (length, _) = only(asked.ask(0).await?)?;
    let bytes = body::checked_length(length)?;
    if !room.grow_to(bytes) {
        return Err(SourceError::NoRoom);
    }
    match only(asked.ask(bytes).await?)? {
        (again, Some(photo)) if again == length && photo.len() == bytes => Ok(photo),
        _ => Err(unreachable("the photo changed while it was read")),
    }
}

/// The length and the photo of the only row.
fn only(rows: Vec<PhotoRow>) -> Result<(u64, Option<Bytes>), SourceError> {
    let mut rows = rows.into_iter();
    match (rows.next(), rows.next()) {
        (None, _) => Err(not_found("the query has no row for the key")),
        (Some(_), Some(_)) => Err(SourceError::Fault(
            LibraryFault::Ambiguous,
            "the query has more than one row for the key".into(),
        )),
        (Some(PhotoRow { length: None, .. }), None) => {
            Err(not_found("the photo in the row for the key is NULL"))
        }
        (Some(PhotoRow { length: Some(length), photo }), None) => Ok((length, photo)),
    }
}

/// Whether the connection is used again after this outcome: the database has answered, and nothing
/// has to be set up in another way.
fn is_answer<T>(outcome: &Result<T, SourceError>) -> bool {
    match outcome {
        Ok(_) | Err(SourceError::NoRoom) => true,
        Err(SourceError::Fault(fault, _)) => match fault {
            LibraryFault::NotFound
            | LibraryFault::Ambiguous
            | LibraryFault::Unreadable
            | LibraryFault::TooLarge => true,
            LibraryFault::Unreachable | LibraryFault::Forbidden | LibraryFault::Protocol => false,
        },
    }
}

/// A query that has to be written in another way.
fn bad_query(why: impl Into<String>) -> SourceError {
    SourceError::Fault(LibraryFault::Protocol, why.into())
}

fn not_found(why: &str) -> SourceError {
    SourceError::Fault(LibraryFault::NotFound, why.into())
}

fn unreachable(why: &str) -> SourceError {
    SourceError::Fault(LibraryFault::Unreachable, why.into())
}

/// Checks that the query has one parameter and one column.
fn check_counts(parameters: usize, columns: usize, parameter: &str) -> Result<(), SourceError> {
    match (parameters, columns) {
        (1, 1) => Ok(()),
        (1, _) => {
            Err(bad_query(format!("has {columns} columns: it must have one, which is the photo")))
        }
        _ => Err(bad_query(format!(
            "has {parameters} parameters: it must have one, {parameter}, which is the key"
        ))),
    }
}

/// Checks the file of certificates to trust: sqlx ignores a file without any.
fn check_certificates(pem: &[u8]) -> Result<(), BadTerm> {
    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        Ok(_) | Err(_) => Err(Term::CaFile.bad("holds no certificates in PEM")),
    }
}

/// The password of the terms: from the secret's file or in the URL, and never both.
fn check_password(has_password: bool, has_secret: bool) -> Result<(), BadTerm> {
    match has_password && has_secret {
        true => Err(Term::SecretFile.bad("gives a password, and the URL has one too: remove one")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::tests::Memory;

    /// Lengths and photos.
    type Rows = Vec<(Option<u64>, Option<&'static [u8]>)>;

    /// Answers the first question with one set of rows, and the second with another.
    struct Scripted(Vec<Rows>);

    #[async_trait]
    impl Asked for Scripted {
        async fn ask(&mut self, bytes_max: usize) -> Result<Vec<PhotoRow>, SourceError> {
            let rows = self.0.remove(0).into_iter().map(|(length, photo)| PhotoRow {
                length,
                photo: photo.filter(|it| it.len() <= bytes_max).map(Bytes::from_static),
            });
            Ok(rows.collect())
        }
    }

    async fn outcome(
        first: Rows,
        second: Rows,
        room: usize,
    ) -> (Result<Bytes, SourceError>, usize) {
        let mut memory = Memory::of(room);
        let outcome = read(&mut Scripted(vec![first, second]), &mut memory).await;
        (outcome, memory.bytes)
    }

    fn fault(outcome: Result<Bytes, SourceError>) -> Option<LibraryFault> {
        match outcome {
            Err(SourceError::Fault(fault, _)) => Some(fault),
            Ok(_) | Err(SourceError::NoRoom) => None,
        }
    }

    fn query(text: &str) -> Result<String, String> {
        let terms = Terms {
            url: "postgres://u@db/bank".into(),
            query: (!text.is_empty()).then(|| text.to_owned()),
            secret_file: None,
            ca_file: None,
        };
        let query = Query::of(&terms, |raw| format!("({raw})"));
        query.map(|query| query.wrapped).map_err(|bad| bad.to_string())
    }

    #[tokio::test]
    async fn a_photo_takes_exactly_its_room() {
        let row: Rows = vec![(Some(5), Some(b"photo"))];
        let (photo, bytes) = outcome(row.clone(), row.clone(), 5).await;
        assert_eq!((photo.unwrap(), bytes), (Bytes::from_static(b"photo"), 5));
        let (photo, bytes) = outcome(row.clone(), row, 4).await;
        assert_eq!((photo, bytes), (Err(SourceError::NoRoom), 0));
    }

    #[tokio::test]
    async fn only_one_row_with_a_photo_will_do() {
        let one: Rows = vec![(Some(5), Some(b"photo"))];
        for (rows, expected) in [
            (vec![], LibraryFault::NotFound),
            (vec![(None, None)], LibraryFault::NotFound),
            (vec![(None, None), (Some(5), None)], LibraryFault::Ambiguous),
            (vec![(Some(5), None), (Some(5), None)], LibraryFault::Ambiguous),
            (vec![(Some(10 * 1024 * 1024 + 1), None)], LibraryFault::TooLarge),
            (vec![(Some(u64::MAX), None)], LibraryFault::TooLarge),
        ] {
            let (outcome, bytes) = outcome(rows, one.clone(), usize::MAX).await;
            assert_eq!((fault(outcome), bytes), (Some(expected), 0));
        }
    }

    #[tokio::test]
    async fn a_photo_that_changes_between_the_steps_is_read_again_later() {
        let rows: [Rows; 3] =
            [vec![(Some(6), None)], vec![(Some(4), Some(b"four"))], vec![(Some(5), Some(b"four"))]];
        for second in rows {
            let (outcome, _) = outcome(vec![(Some(5), None)], second, 5).await;
            assert_eq!(fault(outcome), Some(LibraryFault::Unreachable));
        }
        let (outcome, _) = outcome(vec![(Some(5), None)], vec![], 5).await;
        assert_eq!(fault(outcome), Some(LibraryFault::NotFound));
    }

    #[test]
    fn a_query_loses_its_semicolon_and_nothing_else() {
        assert_eq!(query(" SELECT 1;\n; ").unwrap(), "(SELECT 1)");
        assert_eq!(query("SELECT ';' -- x").unwrap(), "(SELECT ';' -- x)");
        for empty in [" ; ", ";", "\n"] {
            assert_eq!(query(empty).unwrap_err(), "holds no query");
        }
        assert!(query("").unwrap_err().starts_with("is needed for a library in a database"));
    }
}
