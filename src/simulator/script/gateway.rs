//! A gateway in front of the simulated Oz: an ingress, a WAF or a load balancer that answers
//! instead of it.

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::simulator::Endpoint;
use crate::simulator::script::Action;

/// The gateway's name among the rules of a request, in the record and in the log.
pub const GATEWAY: &str = "gateway";

/// Longest `for_ms` of a gateway, in milliseconds: a day, like the waits of rules.
const FOR_MS_MAX: u64 = 24 * 3_600 * 1_000;

/// A gateway: its answer, and the endpoints that it answers for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// The HTTP status of its answers, 200 to 599.
    pub status: u16,
    /// The body: a string as it is, any other value as JSON; unset, an HTML page like nginx's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// `Content-Type`; unset, HTML for a page or a string, JSON for any other body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The endpoints that it answers for; an empty list means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// How long it stays, in milliseconds by the simulator's clock, from the first request that it
    /// answers; unset, until the switch changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Whether Oz still acts on the request: the gateway then only loses the answer.
    #[serde(default)]
    pub act: bool,
}

impl Gateway {
    /// A gateway that answers for all endpoints with this status and an HTML page, until the switch
    /// changes.
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

    /// The same, for these endpoints only.
    pub fn before(self, endpoints: impl IntoIterator<Item = Endpoint>) -> Gateway {
        Gateway { endpoints: endpoints.into_iter().collect(), ..self }
    }

    pub(in crate::simulator) fn stands_before(&self, endpoint: Endpoint) -> bool {
        self.endpoints.is_empty() || self.endpoints.contains(&endpoint)
    }

    pub(in crate::simulator) fn is_there(&self, began_ms: u64, now_ms: u64) -> bool {
        self.for_ms.is_none_or(|for_ms| now_ms < began_ms.saturating_add(for_ms))
    }

    /// The action on a request that it answers.
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
                Err(format!("{key}.content_type: not a valid header value"))
            }
            _ => Ok(()),
        }
    }
}
