//! Files that are read again: what ends, what stays, and what a bad file does.

use std::{process::Command, sync::mpsc, thread};

use tracing::Level;

use super::{signing::key_set, *};
use crate::telemetry::captured::capture;

const KEY: &str = "fm_k7_c0ffee";
const SECOND: &str = "fm_k8_c0ffee";

fn callers(more: &str) -> String {
    format!(
        r#"
        [tenant.retail]
        [tenant.wealth]
        [caller.backend]
        tenant = "retail"
        allow = ["match"]
        keys = [{{ id = "k7", sha256 = "{}" }}]
        certificates = ["dns:kyc.internal"]
        {more}
        "#,
        digest(KEY)
    )
}

fn names() -> CertificateNames {
    certificate(&["dns:kyc.internal"])
}

#[test]
fn a_reload_keeps_unchanged_grants_and_ends_those_that_are_gone() {
    let second = format!(
        "[caller.second]\ntenant = \"wealth\"\nallow = [\"read\"]\n\
         keys = [{{ id = \"k8\", sha256 = \"{}\" }}]",
        digest(SECOND)
    );
    let scene = Scene::open(&callers(&second), &[]);
    let first = scene.with(KEY).unwrap();
    let by_certificate = scene.grant(&HeaderMap::new(), Some(&names())).unwrap();
    let gone = scene.with(SECOND).unwrap();
    scene.reload(&callers("# without the second caller"));
    assert!(gone.is_withdrawn());
    assert_eq!(scene.outcome(SECOND), Err(Denied::Invalid));
    assert!(!first.is_withdrawn() && scene.with(KEY).unwrap().is(&first));
    let again = scene.grant(&HeaderMap::new(), Some(&names())).unwrap();
    assert!(!by_certificate.is_withdrawn() && again.is(&by_certificate));
    assert_eq!(scene.access.reloads().unwrap().of(ReloadKind::Callers), (1, 0));
}

#[tokio::test]
async fn a_call_is_told_that_its_credential_was_withdrawn() {
    let scene = Scene::open(&callers(""), &[]);
    let (clock, _hand) = Clock::manual(Timestamp::from_micros(START * 1_000_000));
    let waiting = scene.with(KEY).unwrap().ended(clock);
    scene.reload("[tenant.retail]");
    waiting.await;
}

#[test]
fn a_grant_ends_when_its_credential_grants_something_else() {
    for (from, to) in [
        ("\"retail\"", "\"wealth\""),
        ("[\"match\"]", "[\"match\", \"read\"]"),
        ("caller.backend", "caller.renamed"),
        (" }]", ", expires = 2027-01-01 }]"),
        (&*digest(KEY), &*digest(SECOND)),
    ] {
        let scene = Scene::open(&callers(""), &[]);
        let before = scene.with(KEY).unwrap();
        scene.reload(&callers("").replacen(from, to, 1));
        assert!(before.is_withdrawn(), "{from} to {to}");
        let after = scene.with(KEY);
        assert!(after.as_ref().map_or(true, |after| !after.is_withdrawn()), "{from} to {to}");
        assert_eq!(after.is_err(), from == digest(KEY), "{from} to {to}");
    }
}

#[test]
fn a_bad_file_changes_nothing_and_is_logged_and_counted_once() {
    let scene = Scene::open(&callers(""), &[]);
    let before = scene.with(KEY).unwrap();
    let lines = capture(|| {
        for _ in 0..3 {
            scene.reload("[tenant.retail]\nweight = 0\n");
        }
        std::fs::remove_file(scene.folder.path().join("callers.toml")).unwrap();
        scene.access.look_again();
        scene.reload(&callers(""));
        scene.reload(&callers("[tenant.third]"));
    });
    let lines = lines.all();
    let messages: Vec<&str> = lines.iter().map(|line| &*line.message).collect();
    let refused = "callers file not read again: the last good one stays in use";
    assert_eq!(messages, [refused, refused, "callers file read again"]);
    let error = lines[0].field("error").unwrap();
    assert!(
        error.ends_with("line 2: tenant.retail.weight: must be a whole number from 1 to 10000"),
        "{error}"
    );
    assert!(lines[1].field("error").unwrap().contains("can't be read: "));
    assert!(scene.with(KEY).unwrap().is(&before) && !before.is_withdrawn());
    assert_eq!(scene.access.reloads().unwrap().of(ReloadKind::Callers), (1, 2));
    assert_eq!(lines[0].level, Level::WARN);
    assert_eq!(scene.access.tenants().count(), 3);
}

fn token_scene(signer: &Signer) -> Scene {
    let other = ("other.json", key_set(&[&Signer::new("ES256", "of-other")]));
    Scene::open(WITH_ISSUERS, &[("idp.json", key_set(&[signer])), other])
}

#[test]
fn a_token_ends_with_its_key_its_tenant_or_its_issuer_and_stays_otherwise() {
    let signer = Signer::new("ES256", "key-1");
    let next = Signer::new("ES256", "key-2");
    let scene = token_scene(&signer);
    let token = signer.token(&claims());
    let first = scene.with(&token).unwrap();

    scene.write("idp.json", &key_set(&[&signer, &next]).to_string());
    scene.reload(&format!("{WITH_ISSUERS}[tenant.third]\n"));
    assert!(!first.is_withdrawn(), "its key is still in the set");
    assert!(scene.with(&next.token(&claims())).is_ok(), "the new key is in use");
    assert!(!scene.with(&token).unwrap().is_withdrawn());

    scene.write("idp.json", &key_set(&[&next]).to_string());
    scene.access.look_again();
    assert!(first.is_withdrawn());
    assert_eq!(scene.outcome(&token), Err(Denied::Invalid), "its key is gone");
    assert_eq!(scene.access.reloads().unwrap().of(ReloadKind::Jwks), (2, 0));

    let token = next.token(&claims());
    let second = scene.with(&token).unwrap();
    scene.reload(&WITH_ISSUERS.replacen("[tenant.retail]", "", 1));
    assert!(second.is_withdrawn());
    assert_eq!(scene.outcome(&token), Err(Denied::Invalid), "its tenant is gone");

    scene.reload(WITH_ISSUERS);
    let third = scene.with(&token).unwrap();
    scene.reload(&WITH_ISSUERS.replacen("\"facematch\", ", "", 1));
    assert!(third.is_withdrawn(), "its issuer has other terms");
    assert_eq!(scene.outcome(&token), Err(Denied::Invalid));

    scene.reload(WITH_ISSUERS);
    let fourth = scene.with(&token).unwrap();
    scene.reload("[tenant.retail]");
    assert!(fourth.is_withdrawn(), "its issuer is gone");
}

#[test]
fn a_bad_key_set_changes_nothing_and_is_logged_and_counted_once() {
    let signer = Signer::new("ES256", "key-1");
    let scene = token_scene(&signer);
    let token = signer.token(&claims());
    let before = scene.with(&token).unwrap();
    let lines = capture(|| {
        for _ in 0..3 {
            scene.write("idp.json", "{\"keys\": [");
            scene.access.look_again();
        }
    });
    let lines = lines.all();
    let [line] = &lines[..] else { panic!("one line, not {lines:?}") };
    assert_eq!(line.message, "key set not read again: the last good one stays in use");
    assert!(
        line.field("error")
            .unwrap()
            .contains("line 9: issuer.\"https://idp.example\".jwks-file: can't use ")
    );
    assert!(!before.is_withdrawn() && scene.with(&token).unwrap().is(&before));
    assert_eq!(scene.access.reloads().unwrap().of(ReloadKind::Jwks), (0, 1));
}

#[test]
fn a_key_set_that_can_not_be_read_refuses_the_start_and_a_reload() {
    let (clock, _hand) = Clock::manual(Timestamp::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callers.toml");
    std::fs::write(&path, resolved(WITH_ISSUERS, &folder)).unwrap();
    let fault = Access::open(path, days(30), clock).err().unwrap().to_string();
    assert!(
        fault.contains("line 9: issuer.\"https://idp.example\".jwks-file: can't read /"),
        "{fault}"
    );
    assert!(fault.ends_with("idp.json: No such file or directory (os error 2)"), "{fault}");

    let signer = Signer::new("ES256", "key-1");
    let scene = token_scene(&signer);
    let more = "[issuer.\"https://third.example\"]\naudiences = [\"a\"]\nalgorithms = [\"ES256\"]\n\
                tenant-claim = \"t\"\njwks-file = \"FOLDER/third.json\"\n[tenant.third]\n";
    scene.reload(&format!("{WITH_ISSUERS}{more}"));
    assert!(!scene.access.tenants().has(&TenantId::from_stored("third")), "all or nothing");
    scene.write("third.json", &key_set(&[&signer]).to_string());
    scene.access.look_again();
    assert!(scene.access.tenants().has(&TenantId::from_stored("third")), "the file is there now");
}

#[test]
fn a_missing_file_refuses_the_start() {
    let (clock, _hand) = Clock::manual(Timestamp::default());
    let fault = Access::open("/nonexistent/callers.toml".into(), days(30), clock).err().unwrap();
    assert_eq!(
        fault.to_string(),
        "callers file /nonexistent/callers.toml: can't be read: No such file or directory (os error 2)"
    );
}

/// Makes a named pipe and writes this into it, once it has a reader.
fn pipe(folder: &TempDir, name: &str, text: String) -> thread::JoinHandle<()> {
    let path = folder.path().join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    thread::spawn(move || fs::write(path, text).unwrap())
}

#[test]
fn a_pipe_is_read_once_and_holds_up_no_later_look() {
    let (folder, signer) = (tempfile::tempdir().unwrap(), Signer::new("ES256", "key-1"));
    let writers = [
        pipe(&folder, "callers.toml", resolved(WITH_ISSUERS, &folder)),
        pipe(&folder, "idp.json", key_set(&[&signer]).to_string()),
        pipe(&folder, "other.json", key_set(&[&signer]).to_string()),
    ];
    let (clock, _hand) = Clock::manual(Timestamp::from_micros(START * 1_000_000));
    let access = Access::open(folder.path().join("callers.toml"), days(30), clock).unwrap();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let looking = access.clone();
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        looking.look_again();
        done.send(()).unwrap();
    });
    is_done.recv_timeout(seconds(10)).expect("the look doesn't wait for a writer");
    assert_eq!(access.tenants().count(), 2);
    assert_eq!(access.reloads().unwrap().counts().map(|counts| counts.failed), [0, 0]);
}
