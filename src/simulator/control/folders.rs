//! `/sim/folders`: shows the folders, and makes, resets and removes single ones.

use std::sync::Arc;

use http::Uri;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::folder_request::FolderRequest;
use super::{Done, LIMIT_DEFAULT, LIMIT_MAX, query, read, refused};
use crate::simulator::fault::HttpAnswer;
use crate::simulator::lock;
use crate::simulator::view::FolderView;
use crate::simulator::world::World;

/// Bytes of a `POST /sim/folders`: pictures in base64, about as much as Oz takes in one request.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FoldersQuery {
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

/// `GET /sim/folders`
pub fn list(world: &World, uri: &Uri) -> Done {
    let query: FoldersQuery = query(uri)?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    let state = lock(&world.state);
    let now = world.clock.now();
    let page = state.folders.iter().skip(query.offset).take(limit);
    let items: Vec<_> = page.map(|folder| FolderView::of(folder, now)).collect();
    Ok(HttpAnswer::json(200, &json!({ "total": state.folders.len(), "items": items })))
}

/// `GET /sim/folders/{id}`
pub fn get(world: &World, id: &str) -> Done {
    show(world, id, 200)
}

fn show(world: &World, id: &str, status: u16) -> Done {
    let state = lock(&world.state);
    let folder = Uuid::try_parse(id).ok().and_then(|id| state.folders.get(id));
    let folder = folder.ok_or_else(unknown)?;
    Ok(HttpAnswer::json(status, &json!(FolderView::of(folder, world.clock.now()))))
}

/// `DELETE /sim/folders/{id}`: works even if the account may not delete.
pub fn remove(world: &World, id: &str) -> Done {
    let id = Uuid::try_parse(id).map_err(|_| unknown())?;
    match lock(&world.state).folders.remove(id) {
        true => Ok(HttpAnswer::empty(204)),
        false => Err(unknown()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetFolder {}

/// `POST /sim/folders/{id}/reset`: restores the folder to the state in which it was made.
pub fn reset(world: &World, id: &str, body: &[u8]) -> Done {
    let ResetFolder {} = read(body)?;
    let now = world.clock.now();
    match Uuid::try_parse(id).is_ok_and(|id| lock(&world.state).folders.reset(id, now)) {
        true => get(world, id),
        false => Err(unknown()),
    }
}

fn unknown() -> HttpAnswer {
    refused(404, "no such folder")
}

/// `POST /sim/folders`: a folder with its verdict, in one call.
pub async fn make(world: &Arc<World>, body: &[u8]) -> Done {
    let request: FolderRequest = read(body)?;
    let on = world.switches();
    request.check(&on).map_err(|message| refused(400, message))?;
    let _permit = world.gallery.decode_permit().await;
    let preparing = {
        let world = world.clone();
        // Decoding and encoding a large picture takes a moment, and would block the runtime.
        tokio::task::spawn_blocking(move || request.prepare(&world, &on))
    };
    // If the decoder panics, the bytes were not a valid picture.
    let prepared = preparing.await.unwrap_or_else(|_| Err("a picture can't be decoded".to_owned()));
    let folder = prepared.map_err(|message| refused(400, message))?;
    let id = lock(&world.state).random.id();
    world.open_folder(id, folder);
    show(world, &id.to_string(), 201)
}
