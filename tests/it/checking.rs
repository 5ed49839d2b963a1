//! `facematch serve --check`: says what a start would do, and does none of it.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::{
    process::PROGRAM,
    starting::{assert_names, with},
    support::{JOURNAL, TestServer},
};

/// What a check with these settings prints, and its exit code.
pub fn checked(settings: &[(&str, String)]) -> (Option<i32>, String, String) {
    let arguments = settings.iter().flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()]);
    let Output { status, stdout, stderr } = Command::new(PROGRAM)
        .args(["serve", "--check"])
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    crate::canary::check("standard output", &stdout);
    crate::canary::check("standard error", &stderr);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn a_check_says_what_a_start_would_do_and_changes_nothing() {
    let mut house = TestServer::build().await;
    let folder = tempfile::tempdir().expect("a directory");
    let [own, audit] =
        ["own.db", "audit.log"].map(|name| folder.path().join(name).display().to_string());
    let mut settings = with(&house, "--store", Some(&format!("sqlite:{own}")));
    settings.push(("--audit-file", audit.clone()));
    settings.push(("--admin-listen", house.address.trim_start_matches("http://").to_owned()));
    settings.push(("--web-listen", "127.0.0.1:1".to_owned()));
    settings.push(("--retention", "7d".to_owned()));
    let (code, said, errors) = checked(&settings);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{said}");
    for line in [
        &format!("store       would create the journal in sqlite:{own}\n"),
        &format!("audit file  would create {audit}\n"),
        "oz          would sign in with an account for the first match\n",
        "browsers    would listen on 127.0.0.1:1\n",
        "traces      none\n",
        "libraries   no tenant has a photo library\n",
        "callers     every caller that reaches the port may do everything\n",
        "it would start; nothing was created, changed, bound or sent\n",
    ] {
        assert!(said.contains(line), "{said} has no {line:?}");
    }
    assert!(said.starts_with("settings    ") && said.contains(" retention=7d"), "{said}");
    let made = fs::read_dir(folder.path()).expect("a folder").next();
    assert!(made.is_none(), "a check has made {made:?}");
    house.assert_untouched("a check").await;
}

#[tokio::test]
async fn the_journal_of_a_running_service_is_looked_at_and_left_alone() {
    let mut house = TestServer::build().await;
    let journal = house.directory.path().join(JOURNAL);
    let store = format!("sqlite:{}", journal.display());
    let (code, said, _) = checked(&with(&house, "--store", Some(&store)));
    assert_eq!(code, Some(0), "{said}");
    let line = format!(
        "store       would open {store}, which another process has open: it has to stop first\n"
    );
    assert!(said.contains(&line), "{said}");
    house.assert_works().await;
}

#[tokio::test]
async fn what_a_start_refuses_a_check_refuses_with_the_same_line_and_code() {
    let house = TestServer::build().await;
    let folder = house.directory.path();
    let [notes, newer, empty] =
        ["notes.txt", "newer.db", "empty.toml"].map(|name| folder.join(name));
    fs::write(&notes, "not a journal but a text, long enough to be a header".repeat(9)).unwrap();
    fs::write(&newer, header(1_180_913_012, 99)).unwrap();
    fs::write(&empty, "").unwrap();
    let link = folder.join("link.log");
    std::os::unix::fs::symlink("records.log", &link).unwrap();
    let file = |path: &Path| path.display().to_string();
    for (flag, value, code, why) in [
        ("--retention", "banana".to_owned(), 64, "banana"),
        ("--oz-password-file", "/nowhere/password".to_owned(), 64, "/nowhere/password"),
        ("--callers-file", "/nowhere/callers.toml".to_owned(), 64, "/nowhere/callers.toml"),
        ("--callers-file", file(&notes), 64, "notes.txt"),
        ("--tls-cert-file", file(&notes), 64, "needs --tls-key-file"),
        ("--oz-ca-file", file(&empty), 64, "empty.toml"),
        ("--store", format!("sqlite:{}", file(&notes)), 1, "is not a FaceMatch journal"),
        ("--store", format!("sqlite:{}", file(&newer)), 1, "was made by a newer version"),
        ("--store", "sqlite:/nowhere/facematch.db".to_owned(), 1, "/nowhere/facematch.db"),
        ("--store", "postgres://127.0.0.1:1/facematch".to_owned(), 1, "127.0.0.1:1"),
        ("--store", "postgres://h/d?nonsense=1".to_owned(), 64, "unknown parameter"),
        ("--library", "photos".to_owned(), 64, "is no URL such as file:///srv/photos"),
        ("--library", format!("file://{}", file(&notes)), 64, "notes.txt is not a folder"),
        ("--library-query", "SELECT 1".to_owned(), 64, "needs --library"),
        ("--audit-file", "/nowhere/audit.log".to_owned(), 1, "/nowhere/audit.log"),
        ("--audit-file", file(folder), 1, "Is a directory"),
        ("--audit-file", file(&link), 1, "it is a symbolic link"),
        ("--audit-file", file(&notes), 1, "it holds something else than audit records"),
    ] {
        let (found, said, errors) = checked(&with(&house, flag, Some(&value)));
        assert_eq!((found, said.as_str()), (Some(code), ""), "{flag} {value}: {errors}");
        assert_names(&errors, flag, why);
    }
}

#[tokio::test]
async fn a_check_names_the_libraries_and_warns_of_one_that_is_away() {
    let house = TestServer::build().await;
    let photos = tempfile::tempdir().expect("a directory");
    let library = format!("file://{}", photos.path().display());
    let (code, said, errors) = checked(&with(&house, "--library", Some(&library)));
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("libraries   would read photos from: folder of default\n"), "{said}");
    assert!(!said.contains("\nwarning "), "{said}");

    let away = photos.path().join("of\ntwo lines");
    let library = format!("file://{}", away.display().to_string().replace('\n', "%0A"));
    let (code, said, errors) = checked(&with(&house, "--library", Some(&library)));
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{said}");
    let warning = "\nwarning     the photo library of default (folder) can't be used at present: \
                   the folder ";
    assert!(said.contains(warning) && said.contains("of\\ntwo lines"), "{said}");
    assert!(
        said.ends_with("it would start; nothing was created, changed, bound or sent\n"),
        "{said}"
    );
}

/// The header of an SQLite file, with these numbers of its application and its schema.
fn header(application_id: u32, user_version: u32) -> Vec<u8> {
    let mut header = b"SQLite format 3\0".to_vec();
    header.resize(100, 0);
    header[60..64].copy_from_slice(&user_version.to_be_bytes());
    header[68..72].copy_from_slice(&application_id.to_be_bytes());
    header
}
