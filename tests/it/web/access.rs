//! What the page is told about its caller, and that the calls agree with it.

use bytes::Bytes;
use facematch::config::{Config, StoreLocation};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::{
    access::Callers,
    http1,
    library::at,
    support::TestServer,
    web::{
        self,
        http::{Answer, begin, json_call, request, send},
    },
};

const METHODS: [&str; 9] = [
    "CancelMatch",
    "CreateMatch",
    "DeleteMatch",
    "GetMatch",
    "ListMatches",
    "RunMatch",
    "WaitMatch",
    "WatchMatch",
    "WatchMatches",
];
const READ: [&str; 5] = ["GetMatch", "ListMatches", "WaitMatch", "WatchMatch", "WatchMatches"];
const MATCH: [&str; 3] = ["CancelMatch", "CreateMatch", "RunMatch"];
const DESK: &str = "https://desk.example";

/// The answer to a GET with these headers.
async fn asked(server: &TestServer, headers: &[(&str, &str)]) -> Answer {
    let address = web::address(server);
    let mut get = request("GET", &address, "/page/access");
    for (name, value) in headers {
        get = get.header(*name, *value);
    }
    send(&address, get.body(Full::default()).unwrap()).await
}

/// What a caller is told, by its key if it has one.
async fn told(server: &TestServer, key: Option<&str>) -> Value {
    let credential = key.map(|key| format!("Bearer {key}"));
    let headers: Vec<_> = credential.iter().map(|text| ("authorization", text.as_str())).collect();
    let answer = asked(server, &headers).await;
    assert_eq!(
        (answer.status, answer.header("content-type"), answer.header("cache-control")),
        (200, "application/json", "no-store"),
        "{answer:?}"
    );
    assert_eq!(answer.header("facematch-version"), env!("CARGO_PKG_VERSION"));
    answer.json()
}

/// The methods whose calls aren't refused for their caller.
async fn callable(server: &TestServer, key: Option<&str>) -> Vec<&'static str> {
    let address = web::address(server);
    let mut callable = Vec::new();
    for method in METHODS {
        // No request has this field, so that no call does anything.
        let mut call = json_call(&address, method, &json!({ "nothing": 1 }));
        if let Some(key) = key {
            call.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        let answer = crate::web::http::read(begin(&address, call).await).await;
        match answer.status {
            400 => callable.push(method),
            403 => assert!(answer.text().contains("CALL_FORBIDDEN"), "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
    }
    callable
}

/// The methods that a caller is told, which are those whose calls it may make.
async fn methods(server: &TestServer, key: Option<&str>) -> Vec<&'static str> {
    let callable = callable(server, key).await;
    assert_eq!(told(server, key).await["methods"], json!(callable));
    callable
}

fn read_only(config: &mut Config) {
    config.web = Some(web::web_config());
    config.web.as_mut().expect("just set").read_only = true;
}

#[tokio::test]
async fn without_callers_everything_may_be_called() {
    let server = web::server().await;
    assert_eq!(told(&server, None).await, json!({ "library": false, "methods": METHODS }));
    assert_eq!(methods(&server, None).await, METHODS);
    let server = web::server_with(read_only).await;
    assert_eq!(methods(&server, None).await, READ);
}

#[tokio::test]
async fn each_caller_is_told_what_its_permissions_allow() {
    let callers = || {
        Callers::new("[tenant.retail]\n")
            .with("reader", "retail", &["read"])
            .with("matcher", "retail", &["match"])
            .with("eraser", "retail", &["erase"])
            .with("desk", "retail", &["match", "read", "erase"])
    };
    let open = callers();
    let server = open.serve(|config| config.web = Some(web::web_config())).await;
    for (caller, may) in [
        ("reader", &READ[..]),
        ("matcher", &MATCH),
        ("eraser", &["DeleteMatch"]),
        ("desk", &METHODS),
    ] {
        assert_eq!(methods(&server, Some(open.key(caller))).await, may, "{caller}");
    }
    let closed = callers();
    let server = closed.serve(read_only).await;
    for (caller, may) in [("reader", &READ[..]), ("matcher", &[]), ("eraser", &[]), ("desk", &READ)]
    {
        assert_eq!(methods(&server, Some(closed.key(caller))).await, may, "{caller}");
    }
}

#[tokio::test]
async fn a_caller_without_a_good_credential_is_told_nothing() {
    let callers = Callers::new("[tenant.retail]\n").with("desk", "retail", &["read"]);
    let server = callers.serve(|config| config.web = Some(web::web_config())).await;
    for (headers, reason) in [
        (&[][..], "CREDENTIAL_MISSING"),
        (&[("authorization", "Bearer fm_x_y")], "CREDENTIAL_INVALID"),
        (&[("authorization", "Bearer a.b.c")], "CREDENTIAL_INVALID"),
    ] {
        let refused = asked(&server, headers).await;
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer"));
        assert!(refused.text().contains(reason), "{refused:?}");
        assert!(!refused.text().contains("methods"), "{refused:?}");
    }
}

#[tokio::test]
async fn the_rules_for_names_and_pages_are_those_of_calls() {
    let server = web::server_with(|config| {
        config.web.as_mut().unwrap().origins = vec![DESK.to_owned()];
    })
    .await;
    let listed = asked(&server, &[("origin", DESK), ("sec-fetch-site", "cross-site")]).await;
    assert_eq!((listed.status, listed.header("access-control-allow-origin")), (200, DESK));
    for headers in [&[("origin", "https://evil.example")][..], &[("sec-fetch-site", "cross-site")]]
    {
        assert_eq!(asked(&server, headers).await.status, 403, "{headers:?}");
    }
    let address = web::address(&server);
    let other = request("GET", "evil.example", "/page/access").body(Full::default()).unwrap();
    assert_eq!(send(&address, other).await.status, 403);
    for method in ["POST", "HEAD", "DELETE"] {
        let other = request(method, &address, "/page/access");
        let refused = send(&address, other.body(Full::<Bytes>::default()).unwrap()).await;
        assert_eq!((refused.status, refused.header("allow")), (405, "GET"), "{method}");
    }
}

#[tokio::test]
async fn a_caller_is_told_whether_its_tenant_has_a_library() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    let tenants = format!("[tenant.bank.library]\nurl = \"{url}\"\n[tenant.shop]\n");
    let callers =
        Callers::new(&tenants).with("anna", "bank", &["match"]).with("ben", "shop", &["match"]);
    let server = callers.serve(|config| config.web = Some(web::web_config())).await;
    assert_eq!(told(&server, Some(callers.key("anna"))).await["library"], true);
    assert_eq!(told(&server, Some(callers.key("ben"))).await["library"], false);
    let server = web::server_with(|config| config.library = Some(at(url))).await;
    assert_eq!(told(&server, None).await["library"], true);
}

#[tokio::test]
async fn questions_count_towards_the_rate_of_a_tenant() {
    let callers =
        Callers::new("[tenant.retail.limits]\nrate = 3\n").with("desk", "retail", &["read"]);
    let server = callers.serve(|config| config.web = Some(web::web_config())).await;
    let credential = format!("Bearer {}", callers.key("desk"));
    let mut refused = None;
    // Fifty questions in a row are more than three a second.
    for _ in 0..50 {
        let answer = asked(&server, &[("authorization", &credential)]).await;
        if answer.status != 200 {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("the rate has a limit");
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0, "{refused:?}");
    assert!(refused.text().contains("QUOTA_EXCEEDED"), "{refused:?}");
}

#[tokio::test]
async fn a_question_leaves_no_refusal_and_no_audit_record() {
    let server = web::server_with(|config| {
        read_only(config);
        let StoreLocation::Sqlite(journal) = &config.store else { panic!("it has a file") };
        config.audit_file = Some(journal.with_file_name("audit.log"));
        config.admin_listen = "127.0.0.1:0".parse().ok();
    })
    .await;
    told(&server, None).await;
    let ended = server.load.ended_calls();
    let ended: Vec<_> = ended.iter().filter(|call| call.calls > 0).collect();
    let [call] = &ended[..] else { panic!("{ended:?}") };
    assert_eq!((call.method, call.code, call.calls), ("page/access", "OK", 1));
    let metrics = http1::get(server.admin.expect("it has one"), "/metrics").await.body;
    assert!(!metrics.contains("facematch_requests_refused_total{"), "{metrics}");
    let audit = std::fs::read_to_string(server.directory.path().join("audit.log")).unwrap();
    assert_eq!(audit, "");
}
