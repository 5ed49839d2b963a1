//! The files of the port, which are part of the program: its description in OpenAPI, and the page.
//!
//! They are made elsewhere and committed, so that the build needs no other tools. It deliberately
//! knows nothing of what they show.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

use crate::web::answer;

/// What the page may do: load its own files, show a photo from memory, and call this port.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src \
     'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for \
     'script'",
);
/// Keeps pages of other origins from reaching the page's window.
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// A file of the port.
pub struct PageFile {
    /// Its path at the port, such as `/` or `/page.js`.
    pub path: &'static str,
    /// Its type, as HTTP names it.
    pub content_type: &'static str,
    /// Its content.
    pub content: &'static [u8],
}

/// All files of the port.
pub const FILES: [PageFile; 5] = [
    PageFile {
        path: "/",
        content_type: "text/html; charset=utf-8",
        content: include_bytes!("../../web/dist/index.html"),
    },
    PageFile {
        path: "/app.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_bytes!("../../web/dist/app.js"),
    },
    PageFile {
        path: "/app.css",
        content_type: "text/css; charset=utf-8",
        content: include_bytes!("../../web/dist/app.css"),
    },
    PageFile {
        path: "/icon.svg",
        content_type: "image/svg+xml",
        content: include_bytes!("../../web/dist/icon.svg"),
    },
    PageFile {
        path: "/openapi.json",
        content_type: "application/json",
        content: include_bytes!("../../docs/openapi.json"),
    },
];

/// The answer to a request for a file.
pub fn answer(files: &[PageFile], method: &Method, path: &str) -> Response<Body> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let message = "the files of the port are read by GET";
        let mut refusal = answer::error(StatusCode::METHOD_NOT_ALLOWED, "unknown", message);
        refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    let Some(file) = files.iter().find(|file| file.path == path) else {
        let message = "there is nothing at this path: calls are at /facematch.v1.FaceMatch/, and \
                       /openapi.json describes them";
        return answer::error(StatusCode::NOT_FOUND, "not_found", message);
    };
    let mut found = Response::new(Body::new(Full::new(Bytes::from_static(file.content))));
    let headers = found.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    found
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn a_file_is_served_with_its_policy_and_nothing_else_is() {
        let file = PageFile { path: "/", content_type: "text/html", content: b"<!doctype html>" };
        let files = [file];
        let found = answer(&files, &Method::GET, "/");
        assert_eq!(found.headers()[header::CONTENT_TYPE], "text/html");
        let policy = found.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        let body = found.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
        assert_eq!(body, "<!doctype html>");
        assert_eq!(answer(&files, &Method::GET, "/other").status(), StatusCode::NOT_FOUND);
        assert_eq!(answer(&files, &Method::PUT, "/").status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn the_page_loads_only_files_that_are_there() {
        let page = FILES.iter().find(|file| file.path == "/").unwrap();
        let page = str::from_utf8(page.content).unwrap();
        let loads = page.split('"').filter(|text| text.starts_with('/'));
        let loads: Vec<_> = loads.filter(|text| text.len() > 1).collect();
        assert_eq!(loads, ["/icon.svg", "/app.css", "/app.js"]);
        for path in loads {
            assert_eq!(answer(&FILES, &Method::GET, path).status(), StatusCode::OK, "{path}");
        }
    }
}
