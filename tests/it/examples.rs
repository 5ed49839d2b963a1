//! The Rust example, run as it stands. Python's is run in `tests/python`.

#[expect(dead_code, reason = "its main reads the command line")]
#[path = "../../examples/run_match.rs"]
mod run_match;

use facematch::pb::MatchState;

use crate::support::{TestServer, portrait};

#[tokio::test]
async fn the_example_runs_a_match_to_its_verdict() {
    let house = TestServer::build().await;
    let mut seen = Vec::new();
    let server = house.address.clone();
    let last = run_match::run(server, house.folder(), portrait().into(), |update| {
        seen.push(update.sequence);
    });
    let ended = last.await.expect("a verdict").r#match.expect("a match");
    assert_eq!(ended.state(), MatchState::Finished);
    assert_eq!(seen, [1, 2, 3, 4]);
}

#[tokio::test]
async fn the_example_survives_a_restart_of_the_server_and_sees_each_update_once() {
    let house = TestServer::build().await;
    house.oz.switch(|switches| switches.processing_ms = 1_000);
    let (sender, mut updates) = tokio::sync::mpsc::unbounded_channel();
    let server = house.address.clone();
    let (folder, photo) = (house.folder(), portrait().into());
    let client = async move {
        run_match::run(server, folder, photo, |update| {
            sender.send(update.sequence).expect("the test listens");
        })
        .await
        .map_err(|error| error.to_string())
    };
    let restarts = async {
        let mut seen = Vec::new();
        let mut house = Some(house);
        while let Some(sequence) = updates.recv().await {
            seen.push(sequence);
            if sequence == 3 {
                let mut draining = house.take().expect("a server");
                draining.config.listen = address_of(&draining.address);
                house = Some(draining.restart().await);
            }
        }
        seen
    };
    let (ended, seen) = tokio::join!(client, restarts);
    assert_eq!(ended.expect("a verdict").r#match.expect("a match").state(), MatchState::Finished);
    assert_eq!(seen, [1, 2, 3, 4]);
}

fn address_of(url: &str) -> std::net::SocketAddr {
    url.trim_start_matches("http://").parse().expect("an address")
}
