//! The `authorization` header: no credential, one bearer credential, or a mistake.

use http::{HeaderMap, header::AUTHORIZATION};

use super::Denied;

const SCHEME: &str = "Bearer";

/// The bearer credential of a call: an API key or a token. `None` if the call has no
/// `authorization` header.
///
/// # Errors
/// `Invalid` for two headers, another scheme, and a credential that is empty or holds other
/// characters than printable ASCII without spaces.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Denied> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().ok().and_then(credential).map(Some).ok_or(Denied::Invalid)
        }
        (Some(_), Some(_)) => Err(Denied::Invalid),
    }
}

fn credential(value: &str) -> Option<&str> {
    let (scheme, rest) = value.trim_matches(' ').split_once(' ')?;
    let credential = rest.trim_start_matches(' ');
    let is_plain = credential.bytes().all(|byte| byte.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case(SCHEME) && is_plain && !credential.is_empty())
        .then_some(credential)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<String>, Denied> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        bearer(&headers).map(|credential| credential.map(str::to_owned))
    }

    #[test]
    fn the_scheme_has_no_case_and_the_credential_is_taken_as_it_is() {
        assert_eq!(read(&[]), Ok(None));
        for value in ["Bearer aB.c", "bearer aB.c", "BEARER   aB.c", "Bearer aB.c "] {
            assert_eq!(read(&[value.as_bytes()]), Ok(Some("aB.c".into())), "{value:?}");
        }
    }

    #[test]
    fn everything_else_is_invalid() {
        let wrong: [&[u8]; 10] = [
            b"",
            b"Bearer",
            b"Bearer ",
            b"Basic dTpw",
            b"aB.c",
            b"Bearer a b",
            b"Bearer a, Bearer b",
            b"Bearer\ta",
            b"Bearer a\xe9",
            b"BearerToken a",
        ];
        for value in wrong {
            assert_eq!(read(&[value]), Err(Denied::Invalid), "{value:?}");
        }
        assert_eq!(read(&[b"Bearer a", b"Bearer a"]), Err(Denied::Invalid));
    }
}
