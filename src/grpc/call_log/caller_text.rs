//! Filters the text of callers' headers for the log: short, from a small set of characters, on one
//! line, and without anything that looks like a secret.
//!
//! Any caller can write anything into a header. Text of the wrong form is deliberately left out and
//! never repaired, since half an id finds nothing.

use http::{HeaderMap, HeaderValue};

use crate::domain::{TraceContext, TraceState};

/// The headers that name a call's trace.
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// The longest `x-request-id` that is logged, in bytes: a UUID has 36, and the ids that proxies
/// generate have at most this many.
const REQUEST_ID_BYTES_MAX: usize = 64;
/// The longest `user-agent` that is logged, in bytes; further words are cut off.
const USER_AGENT_BYTES_MAX: usize = 96;
/// The longest word of a `user-agent` that is logged: `grpc-java-netty/1.58.0` has 22 bytes, while
/// keys and tokens have more.
const WORD_BYTES_MAX: usize = 32;
/// The longest path of an unknown method that is logged, in bytes.
const PATH_BYTES_MAX: usize = 80;
/// The placeholder for a word that is not logged.
const WITHHELD: &str = "[withheld]";
/// The beginnings of callers' keys and of JSON web tokens.
const SECRET_PREFIXES: [&str; 2] = ["fm_", "eyJ"];

/// The trace context in the headers of a call. `None` if there is none, or an invalid one.
pub fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let (parent, further) = (parents.next()?, parents.next());
    TraceContext::parse(parent.to_str().ok()?).filter(|_| further.is_none())
}

/// The `tracestate` in the headers of a call, which may be several headers.
pub fn trace_state(headers: &HeaderMap) -> Option<TraceState> {
    let parts = headers.get_all(TRACESTATE).iter().map(HeaderValue::to_str);
    TraceState::parse(&parts.collect::<Result<Vec<_>, _>>().ok()?.join(","))
}

/// An `x-request-id`. `None` if it is too long, has other characters or looks like a secret.
pub fn request_id(header: &HeaderValue) -> Option<&str> {
    let text = header.to_str().ok()?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=".contains(&byte);
    let fits = (1..=REQUEST_ID_BYTES_MAX).contains(&text.len());
    (fits && text.bytes().all(allowed) && !looks_secret(text)).then_some(text)
}

/// A `user-agent`, with a placeholder for each word that can't be a client's name or version.
/// `None` if no word is left.
pub fn user_agent(header: &HeaderValue) -> Option<String> {
    let text = header.to_str().ok()?;
    let mut agent = String::new();
    for word in text.split_ascii_whitespace().map(shown) {
        if agent.len() + 1 + word.len() > USER_AGENT_BYTES_MAX {
            break;
        }
        if !agent.is_empty() {
            agent.push(' ');
        }
        agent.push_str(word);
    }
    (!agent.is_empty()).then_some(agent)
}

fn shown(word: &str) -> &str {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./+();:,".contains(&byte);
    let fits = word.len() <= WORD_BYTES_MAX && word.bytes().all(allowed) && !looks_secret(word);
    if fits { word } else { WITHHELD }
}

/// The path of an unknown method. `None` if it doesn't have the form of a method's path.
pub fn path(path: &str) -> Option<&str> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(allowed) && !name.split('.').any(looks_secret)
    };
    let fits = path.len() <= PATH_BYTES_MAX && is_name(service) && is_name(method);
    fits.then_some(&path[1..])
}

fn looks_secret(text: &str) -> bool {
    SECRET_PREFIXES.iter().any(|prefix| text.contains(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn header(text: &str) -> HeaderValue {
        HeaderValue::from_bytes(text.as_bytes()).unwrap()
    }

    fn headers(named: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, text) in named {
            headers.append(*name, header(text));
        }
        headers
    }

    #[test]
    fn a_trace_context_is_taken_from_one_valid_header_only() {
        let (one, other) =
            (format!("00-{TRACE}-{PARENT}-01"), format!("00-{PARENT}{PARENT}-{PARENT}-01"));
        let context = trace_context(&headers(&[(TRACEPARENT, &one)])).unwrap();
        assert_eq!(context.to_string(), one);
        for wrong in [
            &[][..],
            &[(TRACEPARENT, TRACE)],
            &[(TRACEPARENT, "é")],
            &[(TRACEPARENT, &one), (TRACEPARENT, &other)],
        ] {
            assert_eq!(trace_context(&headers(wrong)), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_trace_state_may_come_in_several_headers() {
        let several = headers(&[(TRACESTATE, "a=1,b=2"), (TRACESTATE, "c=3")]);
        assert_eq!(trace_state(&several).unwrap().as_str(), "a=1,b=2,c=3");
        assert_eq!(trace_state(&headers(&[])), None);
        assert_eq!(trace_state(&headers(&[(TRACESTATE, "a=1"), (TRACESTATE, "é")])), None);
    }

    #[test]
    fn a_malformed_request_id_is_left_out() {
        for id in ["01a2068d-39a9-715f-9e90-6791c003e0b7", "Root=1-67891233-abcdef0123", "a:b_c.1"]
        {
            assert_eq!(request_id(&header(id)), Some(id));
        }
        let long = "a".repeat(65);
        for wrong in
            ["", " ", "a b", "a\" rpc.code=OK", "é", "fm_k7_c2VjcmV0", "x=eyJhbGciOi", &long]
        {
            assert_eq!(request_id(&header(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn a_user_agent_keeps_its_names_and_versions() {
        for agent in [
            "grpc-python/1.60.0 grpc-c/37.0.0 (linux; chttp2)",
            "grpc-java-netty/1.58.0",
            "tonic/0.14.9",
            "grpc-dotnet/2.59.0 (.NET 8.0.0; CLR 8.0.0; net8.0; linux; x64)",
        ] {
            assert_eq!(user_agent(&header(agent)).as_deref(), Some(agent));
        }
    }

    #[test]
    fn a_user_agent_carries_no_secrets_and_breaks_no_line() {
        let key = "fm_k7_c2VjcmV0LXNlY3JldA";
        let token = "0123456789abcdef".repeat(8);
        for secret in [key, &token, "password=hunter2", "me@bank.example", "a\"b", "{}", "é\u{1f}"]
        {
            let Ok(header) = HeaderValue::from_bytes(format!("curl/8 {secret} x").as_bytes())
            else {
                continue;
            };
            let told = user_agent(&header);
            assert!(told.is_none() || told.as_deref() == Some("curl/8 [withheld] x"), "{told:?}");
        }
        let long = user_agent(&header(&"word/1 ".repeat(1000))).unwrap();
        assert!(long.len() <= USER_AGENT_BYTES_MAX, "{long}");
        assert_eq!(user_agent(&header("")), None);
    }

    #[test]
    fn a_path_is_logged_only_if_it_could_name_a_method() {
        let known = "/other.v1.Service/Method_1";
        assert_eq!(path(known), Some("other.v1.Service/Method_1"));
        let long = format!("/{}/a", "s".repeat(90));
        for wrong in
            ["", "/", "//", "/a", "/a/", "/a/b/c", "/a/b?token=1", "/a/b%20", "/eyJ/a", &long]
        {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }
}
