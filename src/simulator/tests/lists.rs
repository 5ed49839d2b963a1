//! Lists of folders and analyses, filtered and paged.

use serde_json::{Value, json};

use super::client::{Lab, answer};
use crate::simulator::sample;

async fn found(lab: &Lab, query: &str) -> usize {
    let list = answer(lab.get(&format!("/api/folders/?{query}"))).await.expect(200);
    list["items"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn folders_are_listed_in_the_envelope() {
    let (lab, folder) = Lab::with_folder().await;
    lab.empty_folder();
    let list = answer(lab.get("/api/folders/?limit=1&with_analyses=true")).await.expect(200);
    assert_eq!(list["total_count"], 2);
    assert_eq!((&list["offset"], &list["limit"]), (&json!(0), &json!(1)));
    assert_eq!(list["items"][0]["analyses"], json!([]));
    let list = answer(lab.get("/api/folders/?total_omit=true&sorting=time_created{asc}")).await;
    let list = list.expect(200);
    assert_eq!(list["total_count"], Value::Null);
    assert_eq!(list["items"][0]["folder_id"], folder);
}

#[tokio::test]
async fn folders_are_filtered_by_metadata_status_id_and_time() {
    let (lab, folder) = Lab::with_folder().await;
    let path = format!("/api/folders/{folder}/meta_data");
    answer(lab.post(&path).json(&json!({ "transaction_id": "t-9" }))).await.expect(201);
    lab.empty_folder();
    assert_eq!(found(&lab, "meta_data=transaction_id==t-9&with_analyses=true").await, 1);
    assert_eq!(found(&lab, "resolution_status=FINISHED,PROCESSING").await, 1);
    assert_eq!(found(&lab, "resolution_status.exclude=FINISHED").await, 1);
    assert_eq!(found(&lab, &format!("folder_id={folder}")).await, 1);
    assert_eq!(found(&lab, "time_created.min=99999999999999").await, 0);
    assert_eq!(found(&lab, "limit=-1").await, 2);
    for query in ["limit=5001", "offset=-1", "with_analyses=perhaps"] {
        let list = answer(lab.get(&format!("/api/folders/?{query}"))).await;
        assert_eq!(list.error(), (400, 4), "{query}");
    }
}

#[tokio::test]
async fn analyses_of_a_folder_are_filtered() {
    let (lab, folder) = Lab::with_folder().await;
    lab.match_photo(&folder, sample::portrait_jpeg()).await;
    let list = async |query: &str| {
        let path = format!("/api/folders/{folder}/analyses/?{query}");
        answer(lab.get(&path)).await.expect(200).as_array().map_or(0, Vec::len)
    };
    assert_eq!(list("").await, 2);
    assert_eq!(list("type=BIOMETRY").await, 1);
    assert_eq!(list("type=biometry,quality&state=FINISHED").await, 2);
    assert_eq!(list("type.exclude=QUALITY").await, 1);
    assert_eq!(list("state=PROCESSING").await, 0);
    assert_eq!(answer(lab.get("/api/analyses/")).await.error(), (404, 10));
    lab.simulator.switch(|on| on.analyses_list = true);
    let all = answer(lab.get("/api/analyses/")).await.expect(200);
    assert_eq!(all["items"].as_array().map(Vec::len), Some(2));
}
