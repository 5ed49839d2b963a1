//! A full photo memory, and the other calls on the uploading connection.

use bytes::Bytes;
use facematch::{
    pb::MatchRequest,
    simulator::{Action, Endpoint, Rule, sample},
};
use prost::Message;
use tonic::transport::Channel;

use crate::{
    attacks::Calls,
    canary,
    process::Process,
    support::{get, now, portrait, portrait_request, request, simulator, with_request_id},
    transport::{announced, channel},
};

const UPLOADS: usize = 6;
const UPLOAD_BYTES: usize = 9 << 20;
/// The bytes sent of each upload, which together exceed the windows of one connection.
const SENT_BYTES: usize = 2 << 20;
/// `GetMatch` calls on each connection, alternating.
const LOOKS: u32 = 20;
/// The maximum number of measurements: the machine may be busy with something else in one.
const TRIES: usize = 5;

/// An upload that stops half-way and would wait for as long as the service lets it.
fn upload(folder: &str, number: usize) -> Bytes {
    let photo = [&portrait()[..], &vec![0; UPLOAD_BYTES]].concat().into();
    let whole =
        with_request_id(&format!("upload {number}"), request(folder, photo)).encode_to_vec();
    announced(u32::try_from(whole.len()).unwrap(), &whole[..SENT_BYTES])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_without_room_block_no_other_call_on_their_connection() {
    let room = (portrait().len() * 3 / 2).to_string();
    let oz = simulator().await;
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(&oz, directory.path(), &["--photo-memory", &room]);
    let mut client = process.client().await;
    let hangs = Action { delay_ms: Some(600_000), ..Default::default() };
    oz.script([Rule::on(Endpoint::AddMedia).then(hangs)]);
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let known: MatchRequest = with_request_id("known", portrait_request(&folder));
    let mut accepted = client.run_match(known.clone()).await.unwrap().into_inner();
    let id = accepted.message().await.unwrap().unwrap().match_id;

    let (same, other) = (channel(process.address()).await, channel(process.address()).await);
    let uploads: Vec<_> = (0..UPLOADS).map(|number| upload(&folder, number)).collect();
    let mut ratios = Vec::new();
    for _ in 0..TRIES {
        let mut calls = Calls::default();
        for begun in &uploads {
            calls.stall(&same, "/facematch.v1.FaceMatch/CreateMatch", &[], begun, 1);
        }
        let (beside, apart) = looks(&same, &other, &id).await;
        calls.wait_for(UPLOADS).await;
        let told = calls.ended().into_keys().collect::<Vec<_>>();
        assert_eq!(told, ["OVERLOADED photo-memory"], "each is refused at once");
        ratios.push(beside / apart);
        if beside <= 2.0 * apart {
            break;
        }
    }
    println!(
        "attacked: by uploads without room, look-ups beside them take {ratios:.2?} times as long"
    );
    assert!(ratios.last().is_some_and(|ratio| *ratio <= 2.0), "{ratios:?}");
    client.run_match(known).await.expect("a repeat of a known match is never refused");
    oz.script([]);
    process.stop();
}

/// How long the look-ups took on each of two connections, in seconds.
async fn looks(same: &Channel, other: &Channel, id: &str) -> (f64, f64) {
    let mut took = [0.0; 2];
    for _ in 0..LOOKS {
        for (channel, took) in [same, other].into_iter().zip(&mut took) {
            let begun = now();
            let found = canary::client(channel.clone()).get_match(get(id)).await;
            found.expect("it is found");
            *took += begun.elapsed().as_secs_f64();
        }
    }
    (took[0], took[1])
}
