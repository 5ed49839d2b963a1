//! What the simulator answers before it becomes HTTP: a reply, or a refusal in Oz's words.

use bytes::Bytes;
use serde_json::{Value, json};

/// A reply of Oz.
#[derive(Clone, Debug, PartialEq)]
pub enum OzReply {
    /// A JSON document.
    Json(u16, Value),
    /// A status alone.
    Empty(u16),
    /// The bytes of a medium.
    File {
        /// As it was uploaded.
        content_type: String,
        /// The medium itself.
        bytes: Bytes,
    },
}

/// A refusal of Oz: status, `error_code` and `error_message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Oz's own number.
    pub code: u16,
    /// For people.
    pub message: String,
}

impl Refusal {
    fn new(status: u16, code: u16, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into() }
    }

    /// The path is known, the method is not.
    pub fn not_allowed() -> Refusal {
        Refusal::new(405, 1, "HTTP method not allowed on this endpoint")
    }

    /// Oz can do it, the simulator can't.
    pub fn not_realized(what: &str) -> Refusal {
        Refusal::new(501, 2, format!("{what} is declared but not realized by this simulator"))
    }

    /// The body lacks something, or isn't what it should be.
    pub fn structure(message: impl Into<String>) -> Refusal {
        Refusal::new(400, 3, message)
    }

    /// The body lacks a key, in the framework's own words.
    pub fn missing(key_path: &str) -> Refusal {
        Refusal::structure(format!(
            "Could not locate field for key_path {key_path} from provided dict data"
        ))
    }

    /// A value is out of range.
    pub fn value(message: impl Into<String>) -> Refusal {
        Refusal::new(400, 4, message)
    }

    /// There is no token.
    pub fn auth_missing() -> Refusal {
        Refusal::new(401, 6, "User auth token is not provided")
    }

    /// Nobody knows the token.
    pub fn auth_invalid() -> Refusal {
        Refusal::new(401, 7, "User auth token is not valid")
    }

    /// The session is over.
    pub fn auth_expired() -> Refusal {
        Refusal::new(401, 8, "Provided user auth token has expired")
    }

    /// The e-mail or the password is wrong.
    pub fn login(code: u16) -> Refusal {
        Refusal::new(401, code, "Invalid auth credentials")
    }

    /// No session has this `expire_token`.
    pub fn session_unknown() -> Refusal {
        Refusal::new(401, 7, "Session not found")
    }

    /// The `expire_token` belongs to somebody else.
    pub fn session_foreign() -> Refusal {
        Refusal::new(403, 9, "You have not access to refresh this session")
    }

    /// This user may not do this.
    pub fn forbidden() -> Refusal {
        Refusal::new(403, 9, "You have not access to this resource")
    }

    /// There is no such thing.
    pub fn not_exist() -> Refusal {
        Refusal::new(404, 10, "Object not exist")
    }

    /// The body of an error, as documented.
    pub fn body(&self) -> Value {
        json!({"error_code": self.code, "error_message": self.message, "details": null})
    }
}

/// The body of an error that a rule asks for by its status alone.
pub fn body_for(status: u16) -> Value {
    let (code, message) = match status {
        400 => (4, "Invalid param value"),
        401 => (7, "User auth token is not valid"),
        403 => (9, "You have not access to this resource"),
        404 => (10, "Object not exist"),
        405 => (1, "HTTP method not allowed on this endpoint"),
        429 => (101, "Too many requests"),
        501 => (2, "Required method or service declared but not realized"),
        502 => (11, "Failed to communicate with external system"),
        _ => (0, "Unknown server side error occurred"),
    };
    json!({"error_code": code, "error_message": message, "details": null})
}

/// The page that a proxy in front of Oz answers with.
pub fn proxy_page(status: u16) -> String {
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    format!(
        "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n\
         <center><h1>{status} {reason}</h1></center>\r\n<hr><center>nginx</center>\r\n\
         </body>\r\n</html>\r\n"
    )
}
