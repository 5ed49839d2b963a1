//! Opens a library by the operator's terms: which kind it is, where it is, and what it needs.
//!
//! Nothing is connected here: a library that is out must not keep the service from starting.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

#[cfg(feature = "library-clouds")]
use crate::library::object::{Bucket, Cloud};
#[cfg(feature = "library-mysql")]
use crate::library::sql::mysql;
use crate::library::{Folder, LibrarySource, http::WebService, sql::postgres};

/// The longest file of a secret or of certificates, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The environment variables of the clouds, by their names.
pub type CloudVariables = BTreeMap<String, SecretString>;

/// What the operator says about a library.
#[derive(Clone)]
pub struct Terms {
    /// Where the photos are. May hold a password.
    pub url: SecretString,
    /// The SQL query that finds a photo, for a library in a database.
    pub query: Option<String>,
    /// The file with the library's secret.
    pub secret_file: Option<PathBuf>,
    /// The file with the certificates to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
}

/// The parts of the terms, for errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Term {
    /// [`Terms::url`]
    Url,
    /// [`Terms::query`]
    Query,
    /// [`Terms::secret_file`]
    SecretFile,
    /// [`Terms::ca_file`]
    CaFile,
}

/// Terms that can't be used. The text never repeats the URL, which may hold a password.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{why}")]
pub struct BadTerm {
    /// The part that is wrong.
    pub term: Term,
    /// Why.
    pub why: String,
}

/// The files that the terms name, as they were read.
#[derive(Clone, Default)]
pub struct TermFiles {
    /// The secret, without the line break at its end.
    pub secret: Option<SecretString>,
    /// The certificates, in PEM.
    pub ca: Option<Vec<u8>>,
}

impl Term {
    /// Its key in a tenant's table of the callers file.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Query => "query",
            Self::SecretFile => "secret-file",
            Self::CaFile => "ca-file",
        }
    }

    /// The setting for the library of the whole process.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Url => "library",
            Self::Query => "library-query",
            Self::SecretFile => "library-secret-file",
            Self::CaFile => "library-ca-file",
        }
    }

    pub(super) fn bad(self, why: impl Into<String>) -> BadTerm {
        BadTerm { term: self, why: why.into() }
    }
}

impl PartialEq for Terms {
    fn eq(&self, other: &Self) -> bool {
        self.url.expose_secret() == other.url.expose_secret()
            && self.query == other.query
            && self.secret_file == other.secret_file
            && self.ca_file == other.ca_file
    }
}

impl PartialEq for TermFiles {
    fn eq(&self, other: &Self) -> bool {
        let secret = |files: &Self| files.secret.as_ref().map(|s| s.expose_secret().to_owned());
        secret(self) == secret(other) && self.ca == other.ca
    }
}

impl Terms {
    /// Reads the files that the terms name.
    ///
    /// # Errors
    /// [`BadTerm`] for a file that can't be read.
    pub fn read_files(&self) -> Result<TermFiles, BadTerm> {
        let read = |path: &Option<PathBuf>, term: Term| {
            path.as_deref().map(|path| read(path).map_err(|why| term.bad(why))).transpose()
        };
        let secret = read(&self.secret_file, Term::SecretFile)?;
        Ok(TermFiles {
            secret: secret.map(|bytes| secret_line(&bytes)).transpose()?,
            ca: read(&self.ca_file, Term::CaFile)?,
        })
    }

    /// Opens the library that the terms name, with the files that they name, and the variables of
    /// the clouds.
    ///
    /// # Errors
    /// [`BadTerm`].
    pub fn open(
        &self,
        files: &TermFiles,
        #[cfg_attr(not(feature = "library-clouds"), expect(unused_variables))]
        cloud: &CloudVariables,
    ) -> Result<Arc<dyn LibrarySource>, BadTerm> {
        let Ok(url) = Url::parse(self.url.expose_secret()) else {
            return Err(Term::Url.bad("is no URL such as file:///srv/photos or s3://bucket/prefix"));
        };
        match url.scheme() {
            "file" => {
                self.only(&[])?;
                Ok(Arc::new(Folder::open(&url)?))
            }
            #[cfg(feature = "library-clouds")]
            "s3" => self.bucket(Cloud::S3, &url, files, cloud),
            #[cfg(feature = "library-clouds")]
            "gs" => self.bucket(Cloud::Gcs, &url, files, cloud),
            #[cfg(feature = "library-clouds")]
            "azure" => self.bucket(Cloud::Azure, &url, files, cloud),
            #[cfg(not(feature = "library-clouds"))]
            "s3" | "gs" | "azure" => Err(not_built("library-clouds")),
            "https" | "http" => {
                self.only(&[Term::SecretFile, Term::CaFile])?;
                Ok(Arc::new(WebService::open(self.url.expose_secret(), files)?))
            }
            "postgres" | "postgresql" => Ok(Arc::new(postgres::open(self, files)?)),
            #[cfg(feature = "library-mysql")]
            "mysql" | "mariadb" => Ok(Arc::new(mysql::open(self, files)?)),
            #[cfg(not(feature = "library-mysql"))]
            "mysql" | "mariadb" => Err(not_built("library-mysql")),
            _ => Err(Term::Url.bad(
                "must begin with file://, s3://, gs://, azure://, https://, postgres:// or mysql://",
            )),
        }
    }

    #[cfg(feature = "library-clouds")]
    fn bucket(
        &self,
        cloud: Cloud,
        url: &Url,
        files: &TermFiles,
        variables: &CloudVariables,
    ) -> Result<Arc<dyn LibrarySource>, BadTerm> {
        self.only(&[Term::CaFile])?;
        Ok(Arc::new(Bucket::open(cloud, url, files, variables)?))
    }

    /// Refuses the terms that this kind of library makes no use of.
    fn only(&self, used: &[Term]) -> Result<(), BadTerm> {
        let given = [
            (Term::Query, self.query.is_some()),
            (Term::SecretFile, self.secret_file.is_some()),
            (Term::CaFile, self.ca_file.is_some()),
        ];
        match given.into_iter().find(|(term, is_given)| *is_given && !used.contains(term)) {
            Some((term, _)) => Err(term.bad("is of no use to a library of this kind")),
            None => Ok(()),
        }
    }
}

#[cfg(not(all(feature = "library-clouds", feature = "library-mysql")))]
fn not_built(feature: &str) -> BadTerm {
    Term::Url.bad(format!(
        "names a kind of library that this program was built without: it needs the feature {feature}"
    ))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    read_limited(path).map_err(|error| format!("can't read {}: {error}", path.display()))
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// The one line of a secret's file.
fn secret_line(bytes: &[u8]) -> Result<SecretString, BadTerm> {
    let text = str::from_utf8(bytes).map_err(|_| Term::SecretFile.bad("holds no UTF-8 text"))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line {
        "" => Err(Term::SecretFile.bad("is empty")),
        line if line.contains(['\n', '\r']) => {
            Err(Term::SecretFile.bad("holds more than one line"))
        }
        line => Ok(SecretString::from(line)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn terms(url: &str) -> Terms {
        Terms { url: url.into(), query: None, secret_file: None, ca_file: None }
    }

    fn refused(terms: &Terms) -> String {
        let opened =
            terms.read_files().and_then(|files| terms.open(&files, &CloudVariables::new()));
        let refused = opened.err().expect("it is refused");
        format!("{}: {refused}", refused.term.key())
    }

    #[test]
    fn bad_terms_name_their_part_and_no_password() {
        for (url, expected) in [
            ("photos", "url: is no URL such as file:///srv/photos or s3://bucket/prefix"),
            ("file://host/photos", "url: must name a folder of this machine: file:///srv/photos"),
            ("file:///photos?x=hunter2", "url: must have neither a query nor a fragment"),
            (
                "s3://hunter2@photos",
                "url: must have a bucket and a prefix only: credentials come from the environment",
            ),
            (
                "https://anna:hunter2@host/{key}",
                "url: must hold no password: a bearer token comes from the secret file",
            ),
            (
                "ftp://hunter2@host/",
                "url: must begin with file://, s3://, gs://, azure://, https://, postgres:// or \
                 mysql://",
            ),
        ] {
            assert_eq!(refused(&terms(url)), expected, "{url}");
        }
        let query = Terms { query: Some("SELECT 1".into()), ..terms("file:///photos") };
        assert_eq!(refused(&query), "query: is of no use to a library of this kind");
        let file = TempDir::new().unwrap();
        let secret_file = file.path().join("secret");
        fs::write(&secret_file, "hunter2").unwrap();
        let secret = Terms { secret_file: Some(secret_file), ..terms("s3://photos/bank-a") };
        assert_eq!(refused(&secret), "secret-file: is of no use to a library of this kind");
    }

    #[test]
    fn files_that_cannot_be_read_are_refused() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("secret");
        let terms = Terms { secret_file: Some(path.clone()), ..terms("file:///photos") };
        assert!(refused(&terms).starts_with("secret-file: can't read "));
        for (content, expected) in [
            (&b""[..], "secret-file: is empty"),
            (b"\n", "secret-file: is empty"),
            (b"two\nlines", "secret-file: holds more than one line"),
            (b"\xff", "secret-file: holds no UTF-8 text"),
        ] {
            fs::write(&path, content).unwrap();
            assert_eq!(refused(&terms), expected);
        }
        fs::write(&path, "secret\r\n").unwrap();
        assert_eq!(terms.read_files().unwrap().secret.unwrap().expose_secret(), "secret");
    }
}
