//! The metadata that callers attach to a folder, a medium or an analysis.

use http::Method;
use serde_json::{Map, Value};

use crate::simulator::answer::{OzReply, Refusal};
use crate::simulator::api::ApiCall;
use crate::simulator::endpoint::Endpoint;
use crate::simulator::subject::Subject;
use crate::simulator::world::WorldState;

/// Longest metadata of one object, in bytes of JSON.
const META_DATA_BYTES_MAX: usize = 64 * 1024;

/// Any method on `/api/…/{id}/meta_data`: GET all, POST adds or replaces, PATCH modifies (a null
/// removes), DELETE removes all.
pub fn serve(call: &ApiCall) -> Result<OzReply, Refusal> {
    let mut state = call.authorised()?;
    let present = find(call, &mut state)?;
    if call.method == Method::GET {
        return Ok(OzReply::Json(200, Value::Object(present.clone())));
    }
    if call.method == Method::DELETE {
        present.clear();
        return Ok(OzReply::Empty(204));
    }
    let Value::Object(changes) = call.json()? else {
        return Err(Refusal::structure("Invalid body structure"));
    };
    let changed = change(present, changes, call.method == Method::PATCH);
    if serde_json::to_vec(&changed).map_or(0, |json| json.len()) > META_DATA_BYTES_MAX {
        return Err(Refusal::value("Metadata is too large"));
    }
    *present = changed;
    let view = Value::Object(present.clone());
    if let Some(folder) = Subject::of(&call.route, &call.body, &state.folders).folder {
        state.folders.grow(folder, call.body.len());
    }
    Ok(if call.method == Method::POST { call.created(view) } else { OzReply::Json(200, view) })
}

fn find<'a>(
    call: &ApiCall,
    state: &'a mut WorldState,
) -> Result<&'a mut Map<String, Value>, Refusal> {
    let (id, now) = (call.id()?, call.now());
    let reads = call.method == Method::GET;
    let found = match call.route.endpoint {
        Endpoint::FolderMetaData => state.folders.get_mut(id).map(|folder| {
            folder.updated = if reads { folder.updated } else { now };
            &mut folder.meta_data
        }),
        Endpoint::MediaMetaData => state.folders.medium_mut(id).map(|medium| {
            medium.updated = if reads { medium.updated } else { now };
            &mut medium.meta_data
        }),
        _ => state.folders.analysis_mut(id).map(|analysis| &mut analysis.meta_data),
    };
    found.ok_or_else(Refusal::not_exist)
}

fn change(
    present: &Map<String, Value>,
    changes: Map<String, Value>,
    null_removes: bool,
) -> Map<String, Value> {
    let mut changed = present.clone();
    for (key, value) in changes {
        if null_removes && value.is_null() {
            changed.remove(&key);
        } else {
            changed.insert(key, value);
        }
    }
    changed
}
