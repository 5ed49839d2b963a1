//! Tokens: opaque to callers, sealed by the store's key, so that none is cut, flipped, or taken
//! for another store's, and none from a future that a restore undid goes unnoticed.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::{
    domain::{CallerId, Cursor, MatchId, Position, Timestamp},
    journal::{CursorStatus, Filter, Keys, Origin, Reader},
    watch::Ended,
};

/// What a caller writes to start at the oldest update retained.
const EARLIEST: &str = "earliest";

/// Bytes of the seal: enough that none is guessed.
const SEAL_BYTES: usize = 16;

const RESUME: u8 = 1;
const PAGE: u8 = 2;

/// The token that goes on after a place.
pub fn write(reader: &dyn Reader, place: Cursor) -> String {
    written(reader.keys(), reader.origin_of(place.incarnation), place.position)
}

fn written(keys: &Keys, origin: Origin, position: Position) -> String {
    let Origin { store, incarnation } = origin;
    let mut body = vec![RESUME];
    for number in [store, incarnation, position.0] {
        body.extend(number.to_be_bytes());
    }
    seal(keys, body)
}

/// Where a token goes on: now for an empty one, at the oldest update retained for `earliest`.
pub async fn place(reader: &dyn Reader, token: &str) -> Result<Cursor, Ended> {
    let start = match token {
        "" => Some(reader.head().await?),
        EARLIEST => Some(reader.earliest().await?),
        _ => None,
    };
    if let Some(position) = start {
        return Ok(Cursor { position, incarnation: reader.incarnation_at(position).await? });
    }
    let (origin, position) = read(reader.keys(), token).ok_or(Ended::InvalidToken)?;
    match reader.standing(origin, position).await? {
        CursorStatus::Retained => Ok(Cursor { position, incarnation: origin.incarnation }),
        CursorStatus::Expired => Err(Ended::Expired),
        CursorStatus::Foreign => Err(Ended::InvalidToken),
    }
}

fn read(keys: &Keys, token: &str) -> Option<(Origin, Position)> {
    let body = unseal(keys, token)?;
    let [RESUME, numbers @ ..] = body.as_slice() else {
        return None;
    };
    let (numbers, []) = numbers.as_chunks::<8>() else {
        return None;
    };
    let [store, incarnation, position] = numbers else {
        return None;
    };
    let origin =
        Origin { store: u64::from_be_bytes(*store), incarnation: u64::from_be_bytes(*incarnation) };
    Some((origin, Position(u64::from_be_bytes(*position))))
}

/// The token of the page after a match, good for the same filters only.
pub fn write_page(keys: &Keys, caller: &CallerId, filter: &Filter, last: MatchId) -> String {
    let mut body = vec![PAGE];
    body.extend(last.as_uuid().as_bytes());
    body.extend(digest(keys, caller, filter));
    seal(keys, body)
}

/// After which match a page goes on; none for the first.
pub fn read_page(
    keys: &Keys,
    caller: &CallerId,
    filter: &Filter,
    token: &str,
) -> Result<Option<MatchId>, Ended> {
    if token.is_empty() {
        return Ok(None);
    }
    let body = unseal(keys, token).ok_or(Ended::InvalidToken)?;
    let [PAGE, rest @ ..] = body.as_slice() else {
        return Err(Ended::InvalidToken);
    };
    let (id, filters) = rest.split_first_chunk::<16>().ok_or(Ended::InvalidToken)?;
    if filters != digest(keys, caller, filter) {
        return Err(Ended::InvalidToken);
    }
    Ok(Some(MatchId::from_uuid(Uuid::from_bytes(*id))))
}

fn seal(keys: &Keys, mut body: Vec<u8>) -> String {
    let seal = blake3::keyed_hash(&keys.token, &body);
    body.extend(&seal.as_bytes()[..SEAL_BYTES]);
    URL_SAFE_NO_PAD.encode(body)
}

fn unseal(keys: &Keys, token: &str) -> Option<Vec<u8>> {
    let mut body = URL_SAFE_NO_PAD.decode(token).ok()?;
    let seal = body.split_off(body.len().checked_sub(SEAL_BYTES)?);
    let right = blake3::keyed_hash(&keys.token, &body);
    (seal == right.as_bytes()[..SEAL_BYTES]).then_some(body)
}

/// Tells whether two pages were asked for with the same filters.
fn digest(keys: &Keys, caller: &CallerId, filter: &Filter) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new_keyed(&keys.token);
    let mut add = |text: &[u8]| {
        hasher.update(&(text.len() as u64).to_be_bytes());
        hasher.update(text);
    };
    add(caller.as_str().as_bytes());
    add(filter.folder_id.map(|id| id.to_string()).unwrap_or_default().as_bytes());
    for (key, value) in &filter.labels {
        add(key.as_bytes());
        add(value.as_bytes());
    }
    let mut states: Vec<&str> = filter.states.iter().map(|state| state.name()).collect();
    states.sort_unstable();
    states.dedup();
    add(states.join(",").as_bytes());
    for time in [filter.created_after, filter.created_before] {
        add(&time.map_or(i64::MIN, Timestamp::as_micros).to_be_bytes());
    }
    let mut digest = [0; 8];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    digest
}
