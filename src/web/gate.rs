//! Who may reach the second door through a browser: names of the port, and origins of pages.
//!
//! A page of any site can make a browser send requests to any address, also to an address that only the
//! browser's machine reaches. So the name by which the port is reached must be one of its own, or
//! a page could point its own name at this address (DNS rebinding), and a page of another origin
//! must be listed. Clients other than browsers send none of these headers but the name. It
//! deliberately doesn't ask who the caller is: admission control does.

use std::net::{IpAddr, Ipv6Addr};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header, uri::Authority,
};
use tonic::body::Body;

use crate::{
    grpc::DoorArrival,
    web::{answer, origins::PageOrigins},
};

/// Says how the page of a request relates to the port (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where a request comes from, if it is admitted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PageOrigin {
    /// Not from a page, or from a page of the port itself.
    Own,
    /// From a page of a listed origin.
    Listed(HeaderValue),
    /// From a page of any origin, all of which are admitted.
    Any,
}

/// Why a request is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GateRefusal {
    /// The port doesn't know the name by which it was reached.
    Host,
    /// The page is of another origin, which isn't listed.
    Origin,
}

impl GateRefusal {
    const fn message(self) -> &'static str {
        match self {
            Self::Host => {
                "the port is not known by this host name: without TLS, --web-origins has to list \
                 the origin with it"
            }
            Self::Origin => "pages of this origin may not call: --web-origins doesn't list it",
        }
    }

    /// The answer to a refused request, which its page can't read.
    pub fn into_response(self) -> Response<Body> {
        let mut answer = answer::error(StatusCode::FORBIDDEN, "permission_denied", self.message());
        answer::secure(answer.headers_mut());
        answer
    }
}

/// Checks the name by which the port was reached, and the origin of the page.
///
/// # Errors
/// If the request must not be answered.
pub fn check(
    request: &Request<Body>,
    arrival: DoorArrival,
    origins: &PageOrigins,
) -> Result<PageOrigin, GateRefusal> {
    let authority = authority(request).ok_or(GateRefusal::Host)?;
    let host = authority.host().to_ascii_lowercase();
    // With TLS, a browser has checked that the certificate has the name.
    if !(arrival.is_tls || is_address(&host) || is_local(&host) || origins.has_host(&host)) {
        return Err(GateRefusal::Host);
    }
    let mut given = request.headers().get_all(header::ORIGIN).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(PageOrigin::Own),
        (Some(origin), None) => {
            let text = origin.to_str().unwrap_or_default();
            if is_same(text, &authority, arrival) {
                Ok(PageOrigin::Own)
            } else if origins.is_every() {
                Ok(PageOrigin::Any)
            } else if origins.has(text) {
                Ok(PageOrigin::Listed(origin.clone()))
            } else {
                Err(GateRefusal::Origin)
            }
        }
        (Some(_), Some(_)) => Err(GateRefusal::Origin),
    }
}

/// Checks a request that stands for a call: what a page of another site makes a browser send without
/// an `Origin`, such as for an image, is refused. Pages may link to this port, though.
///
/// # Errors
/// If the call must not be made.
pub fn check_call(headers: &HeaderMap) -> Result<(), GateRefusal> {
    let is_foreign = |value: &HeaderValue| !matches!(value.as_bytes(), b"same-origin" | b"none");
    match headers.get(SEC_FETCH_SITE) {
        Some(site) if is_foreign(site) && !headers.contains_key(header::ORIGIN) => {
            Err(GateRefusal::Origin)
        }
        Some(_) | None => Ok(()),
    }
}

/// The name and port by which the port was reached: one only.
fn authority(request: &Request<Body>) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?.parse().ok()?;
    hosts.next().is_none().then_some(host)
}

/// Whether a host is an address, which no name server can point elsewhere.
fn is_address(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<IpAddr>().is_ok(),
    }
}

/// Whether a host is a name that browsers resolve to the loopback by themselves (RFC 6761).
fn is_local(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether an origin is the port's own. Behind a proxy that terminates TLS, pages are https and the
/// port is not, so there the scheme isn't compared.
fn is_same(origin: &str, authority: &Authority, arrival: DoorArrival) -> bool {
    let Some((scheme, page)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "https" => ":443",
        "http" if !arrival.is_tls => ":80",
        _ => return false,
    };
    let own = authority.as_str();
    let own = own.strip_suffix(default_port).unwrap_or(own);
    page.eq_ignore_ascii_case(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: DoorArrival = DoorArrival { is_tls: false };
    const TLS: DoorArrival = DoorArrival { is_tls: true };

    fn request(host: &str, origin: Option<&str>) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            request.headers_mut().insert(header::ORIGIN, origin.parse().unwrap());
        }
        request
    }

    fn checked(
        host: &str,
        origin: Option<&str>,
        arrival: DoorArrival,
    ) -> Result<PageOrigin, GateRefusal> {
        let origins = PageOrigins::new(&["https://desk.example".to_owned()]);
        check(&request(host, origin), arrival, &origins)
    }

    #[test]
    fn the_port_is_reached_by_its_own_names_alone() {
        for host in [
            "127.0.0.1:8080",
            "192.0.2.7",
            "[::1]:8080",
            "localhost",
            "LocalHost:8080",
            "page.localhost:1",
            "desk.example",
            "DESK.example:9000",
        ] {
            assert_eq!(checked(host, None, PLAIN), Ok(PageOrigin::Own), "{host}");
        }
        for host in
            ["evil.example", "desk.example.evil", "localhost.evil", "[evil]", "127.0.0.1.evil"]
        {
            assert_eq!(checked(host, None, PLAIN), Err(GateRefusal::Host), "{host}");
        }
        assert_eq!(
            checked("any.example", None, TLS),
            Ok(PageOrigin::Own),
            "the certificate has it"
        );
        let mut two = request("localhost", None);
        two.headers_mut().append(header::HOST, "localhost".parse().unwrap());
        assert_eq!(check(&two, PLAIN, &PageOrigins::default()), Err(GateRefusal::Host));
        let none = Request::new(Body::empty());
        assert_eq!(check(&none, TLS, &PageOrigins::default()), Err(GateRefusal::Host));
    }

    #[test]
    fn the_name_of_http_2_counts_as_the_host() {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = "https://evil.example/".parse().unwrap();
        assert_eq!(check(&request, PLAIN, &PageOrigins::default()), Err(GateRefusal::Host));
        assert_eq!(check(&request, TLS, &PageOrigins::default()), Ok(PageOrigin::Own));
    }

    #[test]
    fn a_page_is_of_the_ports_own_origin_or_of_a_listed_one() {
        for (host, origin, arrival) in [
            ("localhost:8080", "http://localhost:8080", PLAIN),
            ("localhost", "http://localhost", PLAIN),
            ("localhost:80", "http://localhost", PLAIN),
            ("desk.example", "https://desk.example", TLS),
            ("desk.example:443", "https://desk.example", TLS),
        ] {
            assert_eq!(checked(host, Some(origin), arrival), Ok(PageOrigin::Own), "{origin}");
        }
        let listed = checked("localhost:8080", Some("https://desk.example"), PLAIN).unwrap();
        assert_eq!(listed, PageOrigin::Listed("https://desk.example".parse().unwrap()));
        for (host, origin, arrival) in [
            ("localhost:8080", "http://localhost:8081", PLAIN),
            ("localhost:8080", "http://evil.example", PLAIN),
            ("localhost:8080", "null", PLAIN),
            ("localhost:8080", "", PLAIN),
            ("desk.example", "http://desk.example", TLS),
        ] {
            assert_eq!(checked(host, Some(origin), arrival), Err(GateRefusal::Origin), "{origin}");
        }
        let every = PageOrigins::new(&["*".to_owned()]);
        let page = request("any.example", Some("http://evil.example"));
        assert_eq!(check(&page, PLAIN, &every), Ok(PageOrigin::Any));
    }

    #[test]
    fn a_call_that_a_page_of_another_site_hides_in_an_image_is_refused() {
        let with = |site: &'static str, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_static(site));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            check_call(&headers)
        };
        assert_eq!(check_call(&HeaderMap::new()), Ok(()));
        assert_eq!((with("same-origin", None), with("none", None)), (Ok(()), Ok(())));
        assert_eq!(with("cross-site", None), Err(GateRefusal::Origin));
        assert_eq!(with("same-site", None), Err(GateRefusal::Origin));
        assert_eq!(with("cross-site", Some("https://desk.example")), Ok(()), "checked before");
    }
}
