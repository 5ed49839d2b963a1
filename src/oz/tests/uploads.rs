//! Uploads: the form, the progress, and when an upload is given up.

use super::*;

use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Oz's answer for our photo.
fn ours() -> Value {
    json!({
        "media_id": PHOTO, "media_type": "IMAGE_FOLDER", "tags": ["photo_id", "photo_id_front"],
        "original_name": format!("facematch-{MATCH}.png"), "meta_data": { "facematch_match_id": MATCH },
    })
}

fn video() -> Value {
    json!({ "media_id": VIDEO, "media_type": "VIDEO_FOLDER", "tags": ["video_selfie"] })
}

fn image(id: &str) -> Value {
    json!({ "media_id": id, "media_type": "IMAGE_FOLDER", "tags": ["photo_id", "photo_id_front"] })
}

async fn uploaded_as(body: Value) -> Result<Reply, FailureKind> {
    let answer = Answer::json(201, body);
    answered(&upload_photo(), answer).await.map_err(|failure| failure.kind)
}

/// The parts of a form: their headers as one text, and their bytes.
fn parts(content_type: &str, body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    let text = String::from_utf8_lossy(body);
    assert!(text.ends_with(&format!("\r\n--{boundary}--\r\n")));
    let ends = format!("\r\n--{boundary}");
    let text = text.strip_prefix(&format!("--{boundary}\r\n")).unwrap();
    let whole = text.split(&ends).map(|part| part.trim_start_matches("\r\n"));
    let parts = whole.filter_map(|part| part.split_once("\r\n\r\n"));
    parts.map(|(head, body)| (head.to_lowercase(), body.as_bytes().to_vec())).collect()
}

#[tokio::test]
async fn the_form_holds_one_file_and_its_description() {
    for (kind, format, name, content_type, tags) in [
        (PhotoKind::Selfie, Format::Jpeg, "jpg", "image/jpeg", json!(["photo_selfie"])),
        (
            PhotoKind::IdFront,
            Format::Png,
            "png",
            "image/png",
            json!(["photo_id", "photo_id_front"]),
        ),
    ] {
        let mock = Mock::answering([Answer::json(201, json!([ours()]))]).await;
        let ask = Ask::UploadPhoto { folder_id: folder_id(), match_id: match_id(), kind, format };
        perform(&client(settings(&mock.url)), &ask).await.unwrap();

        let seen = &mock.seen()[0];
        assert!(!seen.headers.contains_key("transfer-encoding"));
        assert_eq!(seen.headers["content-length"], seen.body.len().to_string());
        let parts = parts(seen.headers["content-type"].to_str().unwrap(), &seen.body);
        let [(payload_head, payload), (photo_head, photo)] = &parts[..] else {
            panic!("{parts:?}")
        };

        assert_eq!(payload_head, "content-disposition: form-data; name=\"payload\"");
        let expected = json!({
            "media:tags": { "photo1": tags },
            "media:meta_data": { "photo1": { "facematch_match_id": MATCH } },
        });
        assert_eq!(serde_json::from_slice::<Value>(payload).unwrap(), expected);

        let disposition = format!(
            "content-disposition: form-data; name=\"photo1\"; filename=\"facematch-{MATCH}.{name}\""
        );
        let mut lines: Vec<&str> = photo_head.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, [disposition.as_str(), &format!("content-type: {content_type}")]);
        assert_eq!(photo, b"a photo-canary of a face");
    }
}

#[tokio::test]
async fn a_large_photo_arrives_whole_and_its_progress_is_reported() {
    let photo: Bytes = (0..1_000_003_u32).map(|at| b'a' + (at % 23) as u8).collect();
    let mock = Mock::answering([Answer::json(201, json!([ours()]))]).await;
    let told = Mutex::new(vec![]);
    let sent = |bytes| told.lock().unwrap().push(bytes);
    client(settings(&mock.url))
        .perform(&upload_photo(), Some(photo.clone()), &sent, AskTrace::default())
        .await
        .unwrap();

    let seen = &mock.seen()[0];
    let parts = parts(seen.headers["content-type"].to_str().unwrap(), &seen.body);
    assert!(parts[1].1 == photo);
    let told = told.into_inner().unwrap();
    assert!(told.is_sorted_by(|one, next| one < next), "{told:?}");
    assert_eq!(told.last(), Some(&1_000_003));
}

#[tokio::test]
async fn the_answer_is_a_list_or_the_medium_or_the_folder() {
    for body in [
        json!([ours()]),
        ours(),
        json!({ "folder_id": FOLDER, "media": [ours()] }),
        json!({ "folder_id": FOLDER, "media": [video(), ours()] }),
        json!({ "items": [ours()] }),
        json!([{ "media_id": PHOTO }]),
        json!([video(), { "media_id": PHOTO, "original_name": format!("facematch-{MATCH}.png") }]),
        json!([video(), { "media_id": PHOTO, "meta_data": { "facematch_match_id": MATCH } }]),
        json!({ "media": [video(), image(PHOTO)] }),
    ] {
        assert_eq!(uploaded_as(body.clone()).await, Ok(Reply::Photo(media_id(PHOTO))), "{body}");
    }
}

#[tokio::test]
async fn a_medium_that_may_be_of_another_match_is_not_taken_for_the_photo() {
    let of_another = json!({ "facematch_match_id": VIDEO });
    for body in [
        json!({ "media": [video()] }),
        json!([{ "media_id": VIDEO, "tags": ["video_selfie_blank"] }]),
        json!({ "media": [video(), { "media_id": PHOTO }] }),
        json!({ "media": [image(VIDEO), image(PHOTO)] }),
        json!([{ "media_id": PHOTO, "meta_data": of_another }]),
    ] {
        assert_eq!(uploaded_as(body.clone()).await, Err(FailureKind::Incomplete), "{body}");
    }
}

#[tokio::test]
async fn a_stalled_upload_times_out() {
    let mock = Mock::answering([Answer::Deafness]).await;
    let config = Config { upload_stall: Duration::from_millis(150), ..settings(&mock.url) };
    // More than all the buffers on the way hold.
    let photo = Bytes::from(vec![b'p'; 32 * 1024 * 1024]);
    let told = Mutex::new(0);
    let sent = |bytes| *told.lock().unwrap() = bytes;
    let failure = client(config)
        .perform(&upload_photo(), Some(photo), &sent, AskTrace::default())
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimedOut);
    assert_eq!(failure.message, "the upload stalled");
    assert!((1..32 * 1024 * 1024).contains(&*told.lock().unwrap()));
}

#[tokio::test]
async fn a_slow_upload_does_not_fail() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let timeout = Duration::from_millis(700);
    let config = Config { timeout, upload_stall: Duration::from_secs(60), ..settings(&url) };
    // More than all the buffers on the way hold.
    let photo = Bytes::from(vec![b'p'; 24 * 1024 * 1024]);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        // The timeout of a request passes during the upload.
        tokio::time::sleep(timeout * 2).await;
        let mut buffer = vec![0; 1024 * 1024];
        let mut left = photo.len();
        while left > 0 {
            left = left.saturating_sub(stream.read(&mut buffer).await.unwrap());
        }
        let answer = Answer::json(201, json!([ours()])).bytes();
        stream.write_all(&answer).await.unwrap();
        stream
    };
    let client = client(config);
    let ask = upload_photo();
    let upload = client.perform(&ask, Some(photo.clone()), &|_| {}, AskTrace::default());
    let (reply, _stream) = tokio::join!(upload, serve);
    assert_eq!(reply, Ok(Reply::Photo(media_id(PHOTO))));
}

#[tokio::test]
async fn after_the_last_byte_the_answer_must_come_within_the_timeout() {
    let mock = Mock::answering([Answer::Silence]).await;
    let config = Config { timeout: Duration::from_millis(100), ..settings(&mock.url) };
    let failure = perform(&client(config), &upload_photo()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimedOut);
    assert_eq!(failure.message, "no answer in time after the whole photo was sent");
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_upload_is_noticed() {
    let refusal = Answer::http(413, &[], "<html>Request Entity Too Large</html>").bytes();
    let mock = Mock::answering([Answer::Early(refusal)]).await;
    let photo = Bytes::from(vec![b'p'; 8 * 1024 * 1024]);
    let client = client(settings(&mock.url));
    let failure = client
        .perform(&upload_photo(), Some(photo), &|_| {}, AskTrace::default())
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::TooLarge);
}

#[tokio::test]
async fn an_upload_refused_for_its_session_is_repeated_in_full() {
    let token = |name: &str| json!({ "access_token": name, "expire_token": "e" });
    let mock = Mock::answering([
        Answer::json(200, token("first-token")),
        Answer::json(401, json!({ "error_code": 8, "error_message": "expired" })),
        Answer::json(200, token("second-token")),
        Answer::json(201, json!([ours()])),
    ])
    .await;
    let client = client(login_settings(&mock.url));
    assert!(perform(&client, &upload_photo()).await.is_ok());
    let seen = mock.seen();
    assert!(!seen[1].body.is_empty());
    assert_eq!(seen[1].body.len(), seen[3].body.len());
}
