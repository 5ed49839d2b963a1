//! Completions and manual pages: shells and `groff` read them without complaint.

use std::{
    fs,
    process::{Command, Output},
};

use crate::commands::program::Program;

#[tokio::test]
async fn each_shell_reads_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Program::new(&format!("completions {shell}")).piped().await;
        ran.assert_code(0);
        assert!(ran.stdout.contains("request-id") && ran.stderr.is_empty(), "{shell}");
        // bash must be installed; other shells are checked if they are.
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), &ran.stdout).expect("it is written");
        let checked = Command::new(shell).arg("-n").arg(file.path()).output();
        match checked {
            Ok(checked) if shell != "elvish" && shell != "powershell" => {
                assert_clean(shell, &checked)
            }
            Ok(_) => {}
            Err(_) => assert_ne!(shell, "bash", "bash is not installed"),
        }
    }
    let ran = Program::new("completions tcsh").piped().await;
    ran.assert_code(64);
}

#[tokio::test]
async fn groff_reads_the_manual_pages_without_a_warning() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let dir = folder.path().join("man1");
    let ran = Program::new("man").arg(dir.display().to_string()).piped().await;
    ran.assert_code(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let pages = fs::read_dir(&dir).expect("a directory").count();
    assert!(pages > 10, "{pages}");
    for page in fs::read_dir(&dir).expect("a directory") {
        let page = page.expect("an entry").path();
        // -ww enables all of groff's warnings.
        let shown =
            Command::new("groff").args(["-Kutf8", "-man", "-Tutf8", "-ww"]).arg(&page).output();
        let Ok(shown) = shown else { continue };
        assert_clean(&page.display().to_string(), &shown);
        // Bold letters may be printed twice, with a backspace in between.
        let text = String::from_utf8_lossy(&shown.stdout).replace('\u{8}', "");
        assert!(text.contains("SYNOPSIS") || text.contains("SSYYNN"), "{}", page.display());
    }

    let ran = Program::new("man /dev/null/pages").piped().await;
    ran.assert_code(74);
    assert!(
        ran.stderr.starts_with("facematch: can't write the manual pages into /dev/null/pages: ")
    );
}

#[track_caller]
fn assert_clean(what: &str, checked: &Output) {
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{what}: {said}");
}
