//! The simulator's answers before they become HTTP: a reply, or a refusal in Oz's words.

use bytes::Bytes;
use serde_json::{Value, json};

/// A reply of Oz.
#[derive(Clone, Debug, PartialEq)]
pub enum OzReply {
    /// A JSON document.
    Json(u16, Value),
    /// A status without a body.
    Empty(u16),
    /// The bytes of a medium.
    File {
        /// The MIME type of the upload.
        content_type: String,
        bytes: Bytes,
    },
}

/// A refusal of Oz: status, `error_code` and `error_message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// Oz's `error_code`.
    pub code: u16,
    /// Oz's `error_message`, for people.
    pub message: String,
}

impl Refusal {
    fn new(status: u16, code: u16, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into() }
    }

    /// The path exists, but not with this method.
    pub fn not_allowed() -> Refusal {
        Refusal::new(405, 1, "HTTP method not allowed on this endpoint")
    }

    /// A feature that Oz has and the simulator lacks.
    pub fn not_realized(what: &str) -> Refusal {
        Refusal::new(501, 2, format!("{what} is declared but not realized by this simulator"))
    }

    /// The body lacks a part, or has the wrong shape.
    pub fn structure(message: impl Into<String>) -> Refusal {
        Refusal::new(400, 3, message)
    }

    /// The body lacks a key. The text is that of the framework below Oz.
    pub fn missing(key_path: &str) -> Refusal {
        Refusal::structure(format!(
            "Could not locate field for key_path {key_path} from provided dict data"
        ))
    }

    /// A value is out of range.
    pub fn value(message: impl Into<String>) -> Refusal {
        Refusal::new(400, 4, message)
    }

    /// The request has no token.
    pub fn auth_missing() -> Refusal {
        Refusal::new(401, 6, "User auth token is not provided")
    }

    /// The token belongs to no session.
    pub fn auth_invalid() -> Refusal {
        Refusal::new(401, 7, "User auth token is not valid")
    }

    /// The session has expired.
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

    /// The `expire_token` belongs to another user.
    pub fn session_foreign() -> Refusal {
        Refusal::new(403, 9, "You have not access to refresh this session")
    }

    /// The user has no right to this.
    pub fn forbidden() -> Refusal {
        Refusal::new(403, 9, "You have not access to this resource")
    }

    /// Oz has no licence for this type of analysis. The words are made up.
    pub fn unlicensed() -> Refusal {
        Refusal::new(403, 9, UNLICENSED)
    }

    /// The object or the path does not exist.
    pub fn not_exist() -> Refusal {
        Refusal::new(404, 10, "Object not exist")
    }

    /// The JSON body of the error, in the documented dialect.
    pub fn body(&self) -> Value {
        json!({"error_code": self.code, "error_message": self.message, "details": null})
    }
}

/// What an Oz without a licence for face matching says.
pub const UNLICENSED: &str = "License does not allow biometry";

/// Oz's error body for a status that a rule sets.
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

/// The HTML page of a proxy in front of Oz, like nginx's.
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
