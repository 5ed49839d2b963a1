//! Which names and pages the port answers, and what it answers beside calls.

use bytes::Bytes;
use facematch::pb::{ListMatchesRequest, ListMatchesResponse, Match, MatchUpdate};
use http_body_util::Full;
use tonic::Code;

use crate::{
    support::{Refusal, cancel, delete, get, portrait_request},
    web::{
        self,
        frames::{Client, Mode},
        http::{Answer, request, send},
    },
};

const LIST: &str = "/facematch.v1.FaceMatch/ListMatches";
const DESK: &str = "https://desk.example";

/// The answer to a list by gRPC-Web with these headers, and without others.
async fn list(address: &str, host: &str, headers: &[(&str, &str)]) -> Answer {
    let mut list = request("POST", host, LIST).header("content-type", "application/grpc-web");
    for (name, value) in headers {
        list = list.header(*name, *value);
    }
    send(address, list.body(Full::new(Bytes::from_static(&[0; 5]))).unwrap()).await
}

async fn plain(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = request(method, address, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(address, request.body(Full::default()).unwrap()).await
}

#[tokio::test]
async fn a_page_that_has_pointed_its_name_at_the_port_is_refused() {
    let server = web::server().await;
    let address = web::address(&server);
    for host in [address.as_str(), "localhost", "127.0.0.1"] {
        assert_eq!(list(&address, host, &[]).await.status, 200, "{host}");
    }
    let refused = list(&address, "evil.example", &[]).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("\"permission_denied\""), "{refused:?}");
    assert!(server.load.ended_calls().iter().all(|call| call.code == "OK"), "no call was made");
}

#[tokio::test]
async fn only_pages_of_listed_origins_may_call() {
    let server = web::server_with(|config| {
        config.web.as_mut().unwrap().origins = vec![DESK.to_owned()];
    })
    .await;
    let address = web::address(&server);
    let own = format!("http://{address}");
    let answer = list(&address, &address, &[("origin", &own)]).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""));
    let answer =
        list(&address, &address, &[("origin", DESK), ("sec-fetch-site", "cross-site")]).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, DESK));
    assert!(answer.header("access-control-expose-headers").contains("grpc-status-details-bin"));
    assert_eq!(answer.header("vary"), "origin");
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "http://desk.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ] {
        let refused = list(&address, &address, headers).await;
        assert_eq!(refused.status, 403, "{headers:?}");
        assert_eq!(refused.header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn a_browser_that_asks_before_a_call_learns_what_a_page_may_send() {
    let server = web::server_with(|config| {
        config.web.as_mut().unwrap().origins = vec![DESK.to_owned()];
    })
    .await;
    let address = web::address(&server);
    let asks =
        |origin: &'static str| [("origin", origin), ("access-control-request-method", "POST")];
    let told = plain(&address, "OPTIONS", LIST, &asks(DESK)).await;
    assert_eq!((told.status, told.header("access-control-allow-origin")), (204, DESK));
    assert_eq!(told.header("access-control-max-age"), "7200");
    for name in ["authorization", "content-type", "grpc-timeout", "traceparent", "x-grpc-web"] {
        assert!(told.header("access-control-allow-headers").contains(name), "{name}");
    }
    let refused = plain(&address, "OPTIONS", LIST, &asks("https://evil.example")).await;
    assert_eq!((refused.status, refused.header("access-control-allow-methods")), (403, ""));
}

#[tokio::test]
async fn a_request_that_is_no_call_has_no_effect() {
    let mut server = web::server().await;
    let address = web::address(&server);
    for (method, path, content_type, status) in [
        ("POST", LIST, "text/plain", 415),
        ("POST", LIST, "application/x-www-form-urlencoded", 415),
        ("POST", LIST, "application/grpc", 415),
        ("PUT", LIST, "application/grpc-web", 405),
        ("GET", "/other", "", 404),
        ("GET", "/../etc/passwd", "", 404),
        ("POST", "/", "application/grpc-web", 405),
        ("POST", "/grpc.health.v1.Health/Check", "application/grpc-web", 405),
        ("OPTIONS", "/", "", 405),
    ] {
        let answer = plain(&address, method, path, &[("content-type", content_type)]).await;
        assert_eq!(answer.status, status, "{method} {path} {content_type}");
        assert!(answer.text().contains("\"message\":"), "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    }
    server.assert_untouched("requests that are no calls").await;
}

#[tokio::test]
async fn the_description_of_the_port_is_served() {
    let server = web::server().await;
    let address = web::address(&server);
    let answer = plain(&address, "GET", "/openapi.json", &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.text(), crate::documents::read("docs/openapi.json"));
    assert!(answer.header("content-security-policy").starts_with("default-src 'none';"));
    let head = plain(&address, "HEAD", "/openapi.json", &[]).await;
    assert_eq!((head.status, head.text()), (200, ""));
}

#[tokio::test]
async fn the_page_is_served_as_it_was_built() {
    let server = web::server().await;
    let address = web::address(&server);
    for (path, content_type, file) in [
        ("/", "text/html; charset=utf-8", "index.html"),
        ("/?state=failed", "text/html; charset=utf-8", "index.html"),
        ("/app.js", "text/javascript; charset=utf-8", "app.js"),
        ("/app.css", "text/css; charset=utf-8", "app.css"),
        ("/icon.svg", "image/svg+xml", "icon.svg"),
    ] {
        let answer = plain(&address, "GET", path, &[]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{path}");
        assert!(answer.text() == crate::documents::read(&format!("web/dist/{file}")), "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none';"));
    }
}

#[tokio::test]
async fn the_first_door_takes_no_other_form_of_a_call() {
    let server = web::server().await;
    let first = server.address.strip_prefix("http://").unwrap();
    let list = request("POST", first, LIST).header("content-type", "application/grpc-web");
    let list = list.body(Full::new(Bytes::from_static(&[0; 5]))).unwrap();
    let refused = web::http::begin_http2(first, list).await;
    assert_eq!(refused.status(), 415);
}

#[tokio::test]
async fn a_read_only_port_refuses_the_calls_that_change_matches() {
    let mut server = web::server_with(|config| config.web.as_mut().unwrap().read_only = true).await;
    let client = Client::new(&web::address(&server), Mode::Binary);
    let request = portrait_request(&server.folder());
    let refusals = [
        ("match", client.all::<MatchUpdate>("RunMatch", &request).await.unwrap_err()),
        ("match", client.call::<Match>("CreateMatch", &request).await.unwrap_err()),
        ("match", client.call::<Match>("CancelMatch", &cancel("x")).await.unwrap_err()),
        ("erase", client.call::<Match>("DeleteMatch", &delete("x")).await.unwrap_err()),
    ];
    for (permission, refused) in refusals {
        let refused = Refusal::of(refused);
        refused.assert(Code::PermissionDenied, "CALL_FORBIDDEN");
        assert_eq!(refused.metadata("permission"), Some(permission));
    }
    let list: ListMatchesResponse =
        client.call("ListMatches", &ListMatchesRequest::default()).await.unwrap();
    assert!(list.matches.is_empty());
    let unknown = client.call::<Match>("GetMatch", &get("x")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::InvalidArgument);
    server.assert_released("refusals").await;
    server.assert_works().await;
}
