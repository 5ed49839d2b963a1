//! From arguments to exit codes.

use std::path::Path;

use tokio::net::TcpListener;

use super::*;

const PARTS: Parts = Parts {
    guard: || {},
    log: |_| Ok(()),
    serve: |config, _| Box::pin(async move { known(config.oz.url == "http://oz") }),
    check: |config| Box::pin(async move { known(config.oz.url == "http://checked") }),
    doctor: |settings, args| {
        Box::pin(async move {
            known(!args.rehearse)?;
            Ok(settings.oz.url != "http://oz")
        })
    },
    sim: |args| Box::pin(async move { known(args.seed == Some(7)) }),
    testserver: |args| Box::pin(async move { known(args.callers) }),
    demo: |args| Box::pin(async move { known(args.once) }),
};

fn known(as_given: bool) -> Result<(), Box<dyn Error + Send + Sync>> {
    if as_given { Ok(()) } else { Err("not as given".into()) }
}

#[track_caller]
fn check(line: &str, variables: &[(&str, &str)], expected: Exit) -> impl Future<Output = ()> {
    let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    let environment = variables.iter().copied().collect();
    let line = line.to_owned();
    async move { assert_eq!(run(args, environment, PARTS).await, expected, "{line}") }
}

#[tokio::test]
async fn each_part_gets_its_arguments_and_its_error_becomes_the_exit_code() {
    let oz = [("FACEMATCH_OZ_TOKEN", "t")];
    check("facematch serve --oz-url http://oz", &oz, Exit::Success).await;
    check("facematch serve --oz-url http://other", &oz, Exit::Broken).await;
    check("facematch serve --check --oz-url http://checked", &oz, Exit::Success).await;
    check("facematch serve --check --oz-url http://oz", &oz, Exit::Broken).await;
    check("facematch doctor --oz-url http://oz", &oz, Exit::Success).await;
    check("facematch doctor --oz-url http://other", &oz, Exit::OzDiffers).await;
    check("facematch doctor --oz-url http://oz --rehearse", &oz, Exit::Broken).await;
    check("facematch doctor --oz-url http://oz", &[], Exit::Usage).await;
    check("facematch sim --seed 7", &[], Exit::Success).await;
    check("facematch sim", &[], Exit::Broken).await;
    check("facematch testserver --callers", &[], Exit::Success).await;
    check("facematch testserver", &[], Exit::Broken).await;
    check("facematch testserver --oz-url http://oz", &[], Exit::Usage).await;
    check("facematch demo --once", &[], Exit::Success).await;
}

#[tokio::test]
async fn wrong_usage_and_wrong_settings_exit_with_64_and_help_with_0() {
    check("facematch", &[], Exit::Usage).await;
    check("facematch march", &[], Exit::Usage).await;
    check("facematch match --folder f", &[], Exit::Usage).await;
    check("facematch list --label a=b --label a=c", &[], Exit::Usage).await;
    check("facematch serve --oz-url http://oz", &[], Exit::Usage).await;
    check("facematch --version", &[], Exit::Success).await;
    check("facematch match --help", &[], Exit::Success).await;
}

#[tokio::test]
async fn an_unreachable_server_exits_with_4_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let server = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    for command in ["get m", "list", "cancel m", "delete m", "watch m", "watch --all"] {
        check(&format!("facematch {command} --server {server}"), &[], Exit::CallFailed).await;
    }
    let by_media = format!("facematch match --folder f --folder-media m --server {server}");
    check(&by_media, &[], Exit::CallFailed).await;
}

#[tokio::test]
async fn an_unreadable_photo_exits_with_64_and_nothing_is_called() {
    check("facematch match --folder f --photo /nowhere/p.jpg", &[], Exit::Usage).await;
    check("facematch match --folder f --photo /", &[], Exit::Usage).await;
    let error = read_photo(Path::new("/nowhere/p.jpg")).await.expect_err("nothing there");
    assert!(error.starts_with("can't read the photo /nowhere/p.jpg: No such file"), "{error}");
}
