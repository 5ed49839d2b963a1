//! Media: upload them into a folder, read, delete and download them.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::simulator::answer::{OzReply, Refusal};
use crate::simulator::api::ApiCall;
use crate::simulator::clock::Millis;
use crate::simulator::lock;
use crate::simulator::media::{File, FileContents, MediaKind, Medium};
use crate::simulator::record::RecordedUpload;
use crate::simulator::script::Switches;
use crate::simulator::upload::Upload;
use crate::simulator::world::WorldState;

/// A file whose contents were examined, with its tags and metadata from the payload.
#[derive(Debug)]
pub struct Arrived {
    file: File,
    kind: MediaKind,
    contents: FileContents,
    tags: Vec<String>,
    meta_data: serde_json::Map<String, Value>,
}

/// `POST /api/folders/{id}/media/`
pub async fn add(call: &ApiCall) -> Result<OzReply, Refusal> {
    let folder = call.id()?;
    let held = held(call, folder)?;
    let upload = Upload::read(&call.headers, call.body.clone(), &call.on).await?;
    if upload.files.is_empty() {
        return Err(Refusal::structure("No media provided"));
    }
    check_count(held, upload.files.len(), &call.on)?;
    let arrived = look_at(call, &upload).await;
    let mut state = lock(&call.world.state);
    // Checked again: another upload may have come in between.
    let held = state.folders.get(folder).ok_or_else(Refusal::not_exist)?.media.len();
    check_count(held, arrived.len(), &call.on)?;
    let now = call.now();
    put(call, &mut state, folder, arrived, now);
    call.world.record.weigh(call.n, upload.payload_bytes);
    state.folders.grow(folder, upload.payload_bytes);
    let folder = state.folders.get_mut(folder).ok_or_else(Refusal::not_exist)?;
    if call.on.folder_touched_by_additions {
        folder.updated = now;
    }
    let look = call.look();
    if call.on.media_answer_as_object {
        return Ok(call.created(look.folder(folder, false)));
    }
    let added = folder.media.iter().skip(held).map(|medium| look.medium(medium));
    Ok(call.created(call.listed(added.collect())))
}

fn held(call: &ApiCall, folder: Uuid) -> Result<usize, Refusal> {
    let state = call.authorised()?;
    state.folders.get(folder).map(|folder| folder.media.len()).ok_or_else(Refusal::not_exist)
}

/// Refuses more media than a folder may hold.
pub fn check_count(held: usize, arriving: usize, on: &Switches) -> Result<(), Refusal> {
    if held + arriving > on.folder_files_max {
        let max = on.folder_files_max;
        return Err(Refusal::value(format!("A folder holds at most {max} media")));
    }
    Ok(())
}

/// Examines all files of an upload.
pub async fn look_at(call: &ApiCall, upload: &Upload) -> Vec<Arrived> {
    let mut arrived = Vec::new();
    for (file, kind) in &upload.files {
        arrived.push(Arrived {
            contents: call.world.gallery.look(file, *kind).await,
            tags: upload.tags(&file.part),
            meta_data: upload.media_meta_data(&file.part),
            file: file.clone(),
            kind: *kind,
        });
    }
    arrived
}

/// Adds files to a folder, and notes them in the record.
pub fn put(
    call: &ApiCall,
    state: &mut WorldState,
    folder: Uuid,
    arrived: Vec<Arrived>,
    now: Millis,
) {
    let (mut media, mut uploads) = (Vec::new(), Vec::new());
    for Arrived { file, kind, contents, tags, meta_data } in arrived {
        let id = state.random.id();
        uploads.push(RecordedUpload {
            media_id: id,
            part: file.part,
            file_name: file.file_name.clone(),
            content_type: file.content_type.clone(),
            tags: tags.clone(),
            meta_data: meta_data.clone(),
            bytes: contents.bytes,
            digest: contents.digest.clone(),
        });
        media.push(Medium {
            id,
            kind,
            tags,
            meta_data,
            file_name: file.file_name,
            content_type: file.content_type,
            contents,
            created: now,
            updated: now,
        });
    }
    state.folders.add_media(folder, media);
    call.world.record.note(call.n, |request| request.uploads = uploads);
}

/// `GET /api/folders/{id}/media/`
pub fn list(call: &ApiCall) -> Result<OzReply, Refusal> {
    let state = call.authorised()?;
    let folder = state.folders.get(call.id()?).ok_or_else(Refusal::not_exist)?;
    let look = call.look();
    let items = folder.media.iter().map(|medium| look.medium(medium)).collect();
    Ok(OzReply::Json(200, call.listed(items)))
}

/// `GET /api/media/{id}`
pub fn get(call: &ApiCall) -> Result<OzReply, Refusal> {
    let state = call.authorised()?;
    let medium = state.folders.medium(call.id()?).ok_or_else(Refusal::not_exist)?;
    Ok(OzReply::Json(200, json!(call.look().medium(medium))))
}

/// `DELETE /api/media/{id}`
pub fn delete(call: &ApiCall) -> Result<OzReply, Refusal> {
    let mut state = call.authorised()?;
    call.refuse_deletion()?;
    match state.folders.remove_medium(call.id()?) {
        true => Ok(OzReply::Empty(204)),
        false => Err(Refusal::not_exist()),
    }
}

/// `GET /static/{digest}`: needs no token, as at most installations.
pub fn download(call: &ApiCall) -> Result<OzReply, Refusal> {
    let digest = call.route.file.as_deref().unwrap_or_default();
    let (content_type, bytes) = call.world.gallery.file(digest).ok_or_else(Refusal::not_exist)?;
    Ok(OzReply::File { content_type, bytes })
}
