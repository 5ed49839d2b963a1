//! A gateway in front of this Oz: an ingress, a WAF or a load balancer that answers in its place.

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::simulator::Endpoint;
use crate::simulator::script::Action;

/// How the record and the log call it, among the rules of a request.
pub const GATEWAY: &str = "gateway";

/// Longest time that a gateway may stand there, in milliseconds: a day, as rules may wait.
const FOR_MS_MAX: u64 = 24 * 3_600 * 1_000;

/// What it answers, and before which endpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// The status of its answers.
    pub status: u16,
    /// The body: a string as it is, anything else as JSON; unset, a page like nginx's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// `Content-Type`; unset, HTML for a page or a string, JSON for anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The endpoints that it stands before; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// Only for so many milliseconds by the simulator's clock, from the first request it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Oz acts on the request all the same: the gateway loses the answer.
    #[serde(default)]
    pub act: bool,
}

impl Gateway {
    /// A gateway before everything that answers this status with a page, until it is taken away.
    pub fn answering(status: u16) -> Gateway {
        Gateway {
            status,
            body: None,
            content_type: None,
            endpoints: Vec::new(),
            for_ms: None,
            act: false,
        }
    }

    /// The same, before these endpoints only.
    pub fn before(self, endpoints: impl IntoIterator<Item = Endpoint>) -> Gateway {
        Gateway { endpoints: endpoints.into_iter().collect(), ..self }
    }

    pub(in crate::simulator) fn stands_before(&self, endpoint: Endpoint) -> bool {
        self.endpoints.is_empty() || self.endpoints.contains(&endpoint)
    }

    pub(in crate::simulator) fn is_there(&self, began_ms: u64, now_ms: u64) -> bool {
        self.for_ms.is_none_or(|for_ms| now_ms < began_ms.saturating_add(for_ms))
    }

    /// What becomes of a request that it answers.
    pub(in crate::simulator) fn action(&self) -> Action {
        let is_text = matches!(&self.body, Some(Value::String(_)));
        let content_type =
            self.content_type.clone().or_else(|| is_text.then(|| "text/html".into()));
        Action {
            html: Some(self.status),
            body: self.body.clone(),
            content_type,
            act: self.act,
            ..Action::default()
        }
    }

    pub(super) fn check(&self, key: &str) -> Result<(), String> {
        if !(200..600).contains(&self.status) {
            return Err(format!("{key}.status: {} is not within 200 and 599", self.status));
        }
        if self.for_ms.is_some_and(|for_ms| for_ms > FOR_MS_MAX) {
            return Err(format!("{key}.for_ms: longer than a day"));
        }
        match &self.content_type {
            Some(value) if HeaderValue::from_str(value).is_err() => {
                Err(format!("{key}.content_type: no valid header value"))
            }
            _ => Ok(()),
        }
    }
}
