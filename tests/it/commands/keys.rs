//! `facematch key new`: the key works with the line that is printed, and nothing is kept of it.

use std::{fs, process::Command, time::Duration};

use facematch::{
    access::{Access, Decision},
    clock::Clock,
};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use crate::commands::program::{Program, Ran};

/// Whether a callers file with this line grants a key, and the id that it is known by.
fn granted(line: &str, key: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("callers.toml");
    let file = format!(
        "[tenant.default]\n[caller.kyc-backend]\ntenant = \"default\"\nallow = [\"match\"]\n\
         keys = [\n{line},\n]\n"
    );
    fs::write(&path, file).expect("it is written");
    let day = Duration::from_secs(86_400);
    let access = Access::open(path, day, Clock::system()).unwrap_or_else(|fault| panic!("{fault}"));
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {key}")).expect("a header");
    headers.insert(AUTHORIZATION, value);
    match access.decide(&headers, None) {
        Decision::Granted(grant) => Some(grant.credential().to_owned()),
        Decision::Denied(_) | Decision::KeyFetch(_) => None,
    }
}

#[tokio::test]
async fn the_printed_line_accepts_the_printed_key() {
    let ran = Program::new("key new kyc-backend").piped().await;
    ran.assert_code(0);
    let [key, line] = ran.stdout.lines().collect::<Vec<_>>()[..] else {
        panic!("two lines, not {:?}", ran.stdout);
    };
    let id = granted(line, key).expect("the key is granted");
    assert!(key.starts_with(&format!("fm_{id}_")), "{key}");
    assert!(ran.stderr.contains("[caller.kyc-backend]") && !ran.stderr.contains(key));
    let other = Program::new("key new kyc-backend").piped().await;
    let other = other.stdout.lines().next().expect("another key").to_owned();
    assert_eq!(granted(line, &other), None);
}

#[tokio::test]
async fn sha256sum_gives_the_digest_of_the_key() {
    let ran = Program::new("key new batch.v2 --output json --expires 2099-12-31").piped().await;
    ran.assert_code(0);
    assert_eq!(ran.stderr, "");
    let made = Ran::json(&ran.stdout).remove(0);
    let text = |name: &str| made[name].as_str().expect(name).to_owned();
    let command = format!("printf %s '{}' | sha256sum", text("key"));
    let summed = Command::new("sh").args(["-c", &command]).output().expect("a shell");
    let summed = String::from_utf8(summed.stdout).expect("text");
    assert_eq!(summed.split(' ').next(), Some(text("sha256").as_str()));
    let line = format!(
        "{{ id = \"{}\", sha256 = \"{}\", expires = 2099-12-31 }}",
        text("id"),
        text("sha256")
    );
    assert_eq!(
        (text("line"), text("caller"), text("expires")),
        (line, "batch.v2".into(), "2099-12-31".into())
    );
    assert_eq!(granted(&text("line"), &text("key")), Some(text("id")));
}

#[tokio::test]
async fn a_name_or_an_expiry_that_the_file_would_refuse_is_wrong_usage() {
    for args in
        ["key new", "key new a/b", "key new a --expires soon", "key new a --expires 2020-01-01"]
    {
        let ran = Program::new(args).piped().await;
        ran.assert_code(64);
        assert_eq!(ran.stdout, "", "{args}");
    }
}
