//! Tokens: opaque to callers, and authenticated with the store's key. So a token that is truncated,
//! altered or another store's is rejected, and so is one from a history that a restore undid.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::{
    domain::{Cursor, MatchId, Position, TenantId, Timestamp},
    journal::{CursorStatus, Filter, Identity, Keys, Origin, Reader, Start},
    watch::Ended,
};

/// The token that a caller passes to start at the oldest update in the store.
const EARLIEST: &str = "earliest";

/// Length of the seal, in bytes: enough that no seal can be guessed.
const SEAL_BYTES: usize = 16;

const RESUME: u8 = 1;
const PAGE: u8 = 2;

/// The token for resuming after a cursor.
pub fn write(identity: &Identity, cursor: Cursor) -> String {
    written(&identity.keys, identity.origin_of(cursor.incarnation), cursor.position)
}

fn written(keys: &Keys, origin: Origin, position: Position) -> String {
    let Origin { store, incarnation } = origin;
    let mut body = vec![RESUME];
    for number in [store, incarnation, position.0] {
        body.extend(number.to_be_bytes());
    }
    seal(keys, body)
}

/// The cursor of a token: the head for an empty token, and the position before the oldest update in
/// the store for `earliest`.
pub async fn cursor(reader: &dyn Reader, keys: &Keys, token: &str) -> Result<Cursor, Ended> {
    let start = match token {
        "" => Some(Start::Head),
        EARLIEST => Some(Start::Earliest),
        _ => None,
    };
    if let Some(start) = start {
        return Ok(reader.cursor(start).await?);
    }
    let (origin, position) = read(keys, token).ok_or(Ended::InvalidToken)?;
    match reader.cursor_status(origin, position).await? {
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

/// The token of the page after a match. It is valid only for the same tenant and filters.
pub fn write_page(keys: &Keys, tenant: &TenantId, filter: &Filter, last: MatchId) -> String {
    let mut body = vec![PAGE];
    body.extend(last.as_uuid().as_bytes());
    body.extend(digest(keys, tenant, filter));
    seal(keys, body)
}

/// The match after which a page continues; `None` for the first page.
pub fn read_page(
    keys: &Keys,
    tenant: &TenantId,
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
    if filters != digest(keys, tenant, filter) {
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

/// A digest of the tenant and the filters, to tell whether a page token was made for the same ones.
fn digest(keys: &Keys, tenant: &TenantId, filter: &Filter) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new_keyed(&keys.token);
    let mut add = |text: &[u8]| {
        hasher.update(&(text.len() as u64).to_be_bytes());
        hasher.update(text);
    };
    add(tenant.as_str().as_bytes());
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
