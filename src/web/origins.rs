//! The origins whose pages may call the second door, which may change while the service runs.

use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// Stands for every origin.
const EVERY: &str = "*";

/// The origins of this moment. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub struct LiveOrigins(Arc<Mutex<PageOrigins>>);

/// A list of origins, each in the form in which browsers send it.
#[derive(Clone, Default, Debug)]
pub struct PageOrigins(Arc<[String]>);

impl LiveOrigins {
    /// Begins with these origins; `*` stands for all.
    pub fn new(origins: &[String]) -> Self {
        Self(Arc::new(Mutex::new(PageOrigins::new(origins))))
    }

    /// Changes the origins, for requests that begin from now on.
    pub fn set(&self, origins: &[String]) {
        *lock(&self.0) = PageOrigins::new(origins);
    }

    /// The origins of this moment.
    pub fn now(&self) -> PageOrigins {
        lock(&self.0).clone()
    }
}

impl PageOrigins {
    /// A list of origins; `*` stands for all.
    pub fn new(origins: &[String]) -> Self {
        Self(origins.into())
    }

    /// Whether every page may call, and every name is known.
    pub fn is_every(&self) -> bool {
        self.0.iter().any(|origin| origin == EVERY)
    }

    /// Whether a page of this origin may call.
    pub fn has(&self, origin: &str) -> bool {
        self.is_every() || self.0.iter().any(|listed| listed == origin)
    }

    /// Whether an origin of the list has this host, in lower case and without a port.
    pub fn has_host(&self, host: &str) -> bool {
        self.is_every() || self.0.iter().any(|origin| host_of(origin) == Some(host))
    }
}

fn host_of(origin: &str) -> Option<&str> {
    let (_, authority) = origin.split_once("://")?;
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(host),
        Some(_) | None => Some(authority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_known_by_its_exact_text_and_a_host_by_its_name() {
        let origins = ["https://desk.example:8443", "http://[::1]"].map(str::to_owned);
        let live = LiveOrigins::new(&origins);
        let known = live.now();
        assert!(known.has("https://desk.example:8443") && known.has_host("desk.example"));
        assert!(known.has_host("[::1]"));
        for other in ["https://desk.example", "http://desk.example:8443", "desk.example", "null"] {
            assert!(!known.has(other), "{other}");
        }
        assert!(!known.has_host("example") && !known.has_host("desk.example:8443"));
        live.set(&["*".to_owned()]);
        assert!(live.now().has("null") && live.now().has_host("any.example"));
        assert!(!known.has("null"), "a request keeps the origins of its beginning");
    }
}
