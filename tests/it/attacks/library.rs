//! A photo library that is away while many matches wait for it.

use crate::{
    attacks::{ALLOWANCE_KIB, Target},
    library::{Photos, by_key, key},
};
use facematch::simulator::sample;

/// Matches that wait for the library.
const WAITING: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matches_that_wait_for_their_library_leave_the_others_their_speed() {
    let attack = "matches that wait for their library";
    let photos = Photos::new();
    let target = Target::start(&["--library", &photos.url()]).await;
    photos.take_away();
    let mut client = target.client.clone();
    for _ in 0..WAITING {
        let folder = target.oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        client.create_match(by_key(&folder, &key())).await.expect("it is accepted");
    }
    target.assert_others_are_served(attack).await;
    target.assert_grown_at_most(ALLOWANCE_KIB, attack);
    photos.bring_back();
    target.process.stop();
}
