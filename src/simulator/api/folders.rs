//! Folders: create them with or without media, read, list and delete them.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::simulator::answer::{OzReply, Refusal};
use crate::simulator::api::filter::{FolderQuery, flag};
use crate::simulator::api::{ApiCall, analyses, media};
use crate::simulator::clock::Millis;
use crate::simulator::lock;
use crate::simulator::upload::Upload;
use crate::simulator::world::WorldState;

/// Longest time that a `POST /api/folders/` waits for the analyses it starts, in milliseconds: Oz's
/// own limit.
const SINGLE_REQUEST_MS_MAX: u64 = 240_000;

/// `POST /api/folders/`
pub async fn create(call: &ApiCall) -> Result<OzReply, Refusal> {
    drop(call.authorised()?);
    let upload = Upload::read(&call.headers, call.body.clone(), &call.on).await?;
    let asked = upload.payload.get("analyses").map(analyses::read_list).transpose()?;
    media::check_count(0, upload.files.len(), &call.on)?;
    let arrived = media::look_at(call, &upload).await;
    let (id, wait_until) = {
        let mut state = lock(&call.world.state);
        let now = call.now();
        let id = state.random.id();
        state.folders.create(id, upload.folder_meta_data(), now);
        state.folders.grow(id, upload.payload_bytes);
        call.world.record.note(call.n, |request| request.folder = Some(id));
        media::put(call, &mut state, id, arrived, now);
        call.world.record.weigh(call.n, upload.payload_bytes);
        let wait_until = match asked.map(|asked| analyses::begin(call, &mut state, id, asked)) {
            Some(Err(refusal)) => {
                state.folders.remove(id);
                return Err(refusal);
            }
            Some(Ok(begun)) => latest_end(call, &state, &begun),
            None => None,
        };
        state.folders.seal(id);
        (id, wait_until)
    };
    let with_analyses = wait_until.is_some();
    if let Some(wait_until) = wait_until {
        let wait_ms = wait_until.saturating_sub(call.now()).min(SINGLE_REQUEST_MS_MAX);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
    let state = lock(&call.world.state);
    let folder = state.folders.get(id).ok_or_else(Refusal::not_exist)?;
    Ok(call.created(call.look().folder(folder, with_analyses)))
}

fn latest_end(call: &ApiCall, state: &WorldState, begun: &[Uuid]) -> Option<Millis> {
    let never = call.now() + SINGLE_REQUEST_MS_MAX;
    let ends = begun.iter().filter_map(|id| state.folders.analysis(*id));
    ends.map(|(_, analysis)| analysis.ends.unwrap_or(never)).max()
}

/// `GET /api/folders/{id}`
pub fn get(call: &ApiCall) -> Result<OzReply, Refusal> {
    let query = call.query();
    let with_analyses = flag(&query, "with_analyses")?;
    let (with_user, with_company) = (flag(&query, "with_user")?, flag(&query, "with_company")?);
    let state = call.authorised()?;
    let folder = state.folders.get(call.id()?).ok_or_else(Refusal::not_exist)?;
    let mut view = call.look().folder(folder, with_analyses);
    if with_user {
        view["user"] = json!({ "user_id": view["user_id"], "user_type": "CLIENT" });
    }
    if with_company {
        view["company"] = json!({ "company_id": view["company_id"], "name": "Simulated" });
    }
    Ok(OzReply::Json(200, view))
}

/// `DELETE /api/folders/{id}`
pub fn delete(call: &ApiCall) -> Result<OzReply, Refusal> {
    let mut state = call.authorised()?;
    call.refuse_deletion()?;
    match state.folders.remove(call.id()?) {
        true => Ok(OzReply::Empty(204)),
        false => Err(Refusal::not_exist()),
    }
}

/// `GET /api/folders/`
pub fn list(call: &ApiCall) -> Result<OzReply, Refusal> {
    let query = FolderQuery::read(&call.query(), &call.on)?;
    let state = call.authorised()?;
    let now = call.now();
    let mut found: Vec<_> =
        state.folders.iter().filter(|folder| query.fits(folder, now, &call.on)).collect();
    query.sort(&mut found);
    let total = found.len();
    let page = found.into_iter().skip(query.offset).take(query.limit);
    let look = call.look();
    let items: Vec<Value> = page.map(|folder| look.folder(folder, query.with_analyses)).collect();
    if call.on.folder_list_bare {
        return Ok(OzReply::Json(200, Value::Array(items)));
    }
    Ok(OzReply::Json(
        200,
        json!({
            "offset": query.offset,
            "limit": query.limit_asked,
            "total_count": if query.total_omit { Value::Null } else { json!(total) },
            "items": items,
        }),
    ))
}
