//! The caller's API key or token, from a file that is read again for each call: tokens expire, and
//! another program replaces them.
//!
//! It deliberately doesn't interpret the token. No error shows any of it.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use http::HeaderValue;

use crate::config;

/// The largest file, in bytes: far more than the 8 KiB that a server takes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A token in a file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Token(Arc<TokenInner>);

#[derive(Debug)]
struct TokenInner {
    path: PathBuf,
    /// What a pipe gave. A pipe can be read only once.
    of_pipe: OnceLock<HeaderValue>,
}

/// Why a file gives no token. The text is one line.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file can't be read.
    #[error("--token-file: can't read {0}: {1}")]
    Unreadable(String, io::Error),
    /// The file holds something else.
    #[error("--token-file: {0} {1}")]
    Unusable(String, &'static str),
}

impl Token {
    /// The token in this file, which is read once to check it.
    pub fn open(path: PathBuf) -> Result<Self, TokenFileError> {
        let token = Self(Arc::new(TokenInner { path, of_pipe: OnceLock::new() }));
        token.bearer().map(|_| token)
    }

    /// The value of an `authorization` header with the token that the file holds now. A line break
    /// at its end is dropped.
    pub fn bearer(&self) -> Result<HeaderValue, TokenFileError> {
        if let Some(bearer) = self.0.of_pipe.get() {
            return Ok(bearer.clone());
        }
        let named = || config::one_line(&self.0.path.display().to_string());
        let (bytes, is_pipe) =
            self.read().map_err(|failure| TokenFileError::Unreadable(named(), failure))?;
        let bearer = bearer(&bytes).map_err(|why| TokenFileError::Unusable(named(), why))?;
        if is_pipe {
            // Fails only if a concurrent call has set it; that call got the token.
            let _ = self.0.of_pipe.set(bearer.clone());
        }
        Ok(bearer)
    }

    fn read(&self) -> io::Result<(Vec<u8>, bool)> {
        let file = File::open(&self.0.path)?;
        let is_pipe = !file.metadata()?.is_file();
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 KiB"));
        }
        Ok((bytes, is_pipe))
    }
}

fn bearer(bytes: &[u8]) -> Result<HeaderValue, &'static str> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let token = line.strip_suffix(b"\r").unwrap_or(line);
    if token.is_empty() {
        return Err("is empty");
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        return Err("must hold one line of printable ASCII without spaces");
    }
    let header = HeaderValue::from_bytes(&[b"Bearer ", token].concat());
    let mut header = header.expect("printable ASCII is the value of a header");
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_call_gets_the_token_that_the_file_holds_now() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("token");
        fs::write(&path, "fm_k7_first\r\n").expect("a file");
        let token = Token::open(path.clone()).expect("a token");
        assert_eq!(token.bearer().expect("a token"), "Bearer fm_k7_first");
        fs::write(&path, "fm_k8_second").expect("a file");
        let second = token.bearer().expect("a token");
        assert_eq!(second, "Bearer fm_k8_second");
        assert!(!format!("{second:?} {token:?}").contains("second"));
    }

    #[test]
    fn an_unusable_file_is_named_without_what_it_holds() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("token");
        let refused =
            |path: &PathBuf| Token::open(path.clone()).expect_err("an unusable file").to_string();
        assert!(refused(&path).starts_with("--token-file: can't read "));
        for content in ["", "\n", "s3cret token", "s3cret\nmore\n", "\u{feff}s3cret"] {
            fs::write(&path, content).expect("a file");
            let told = refused(&path);
            assert!(told.starts_with("--token-file: ") && !told.contains("s3cret"), "{told}");
        }
        fs::write(&path, "x".repeat((64 << 10) + 1)).expect("a file");
        assert!(refused(&path).ends_with("it is larger than 64 KiB"));
    }
}
