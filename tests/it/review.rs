//! What a second reading found. Each of these tests failed before the code was mended.

use facematch::pb::{ListMatchesRequest, MatchState};

use crate::support::{House, last, portrait_request};

#[tokio::test]
async fn a_list_may_name_a_state_as_often_as_it_likes() {
    let mut house = House::build().await;
    let run = house.run(portrait_request(&house.folder())).await;
    // More than SQLite takes values in one statement.
    let states = vec![MatchState::Finished.into(); 40_000];
    let request = ListMatchesRequest { states, ..Default::default() };
    let listed = house.client.list_matches(request).await.unwrap().into_inner();
    assert_eq!(listed.matches, [last(&run).clone()]);
}
