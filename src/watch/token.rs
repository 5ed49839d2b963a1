//! Tokens: opaque to callers, and authenticated with the store's key. So a token that is truncated,
//! altered or another store's is rejected, and so is one from a history that a restore undid, or one
//! of another tenant.

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

/// Length of a sealed resume token before it is written as text, in bytes.
const RESUME_BYTES: usize = 1 + 3 * size_of::<u64>() + SEAL_BYTES;

/// The token with which callers of a tenant resume after a cursor.
pub fn write(identity: &Identity, tenant: &TenantId, cursor: Cursor) -> String {
    written(&identity.keys, tenant, identity.origin_of(cursor.incarnation), cursor.position)
}

fn written(keys: &Keys, tenant: &TenantId, origin: Origin, position: Position) -> String {
    let Origin { store, incarnation } = origin;
    let mut body = Vec::with_capacity(RESUME_BYTES);
    body.push(RESUME);
    for number in [store, incarnation, position.0] {
        body.extend(number.to_be_bytes());
    }
    seal(keys, sealed_with(tenant), body)
}

/// The cursor of a tenant's token: the head for an empty token, and the position before the oldest update in
/// the store for `earliest`.
pub async fn cursor(
    reader: &dyn Reader,
    keys: &Keys,
    tenant: &TenantId,
    token: &str,
) -> Result<Cursor, Ended> {
    let start = match token {
        "" => Some(Start::Head),
        EARLIEST => Some(Start::Earliest),
        _ => None,
    };
    if let Some(start) = start {
        return Ok(reader.cursor(start).await?);
    }
    let (origin, position) = read(keys, tenant, token).ok_or(Ended::InvalidToken)?;
    match reader.cursor_status(origin, position).await? {
        CursorStatus::Retained => Ok(Cursor { position, incarnation: origin.incarnation }),
        CursorStatus::Expired => Err(Ended::Expired),
        CursorStatus::Foreign => Err(Ended::InvalidToken),
    }
}

fn read(keys: &Keys, tenant: &TenantId, token: &str) -> Option<(Origin, Position)> {
    let body = unseal(keys, sealed_with(tenant), token)?;
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
    seal(keys, b"", body)
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
    let body = unseal(keys, b"", token).ok_or(Ended::InvalidToken)?;
    let [PAGE, rest @ ..] = body.as_slice() else {
        return Err(Ended::InvalidToken);
    };
    let (id, filters) = rest.split_first_chunk::<16>().ok_or(Ended::InvalidToken)?;
    if filters != digest(keys, tenant, filter) {
        return Err(Ended::InvalidToken);
    }
    Ok(Some(MatchId::from_uuid(Uuid::from_bytes(*id))))
}

/// What a resume token of a tenant is sealed with, beside its body: the tenant's name. It is empty
/// for `default`, whose tokens may be older than tenants.
fn sealed_with(tenant: &TenantId) -> &[u8] {
    match *tenant == TenantId::default_tenant() {
        true => b"",
        false => tenant.as_str().as_bytes(),
    }
}

fn seal(keys: &Keys, with: &[u8], mut body: Vec<u8>) -> String {
    let seal = seal_of(keys, with, &body);
    body.extend(seal);
    URL_SAFE_NO_PAD.encode(body)
}

fn unseal(keys: &Keys, with: &[u8], token: &str) -> Option<Vec<u8>> {
    let mut body = URL_SAFE_NO_PAD.decode(token).ok()?;
    let seal = body.split_off(body.len().checked_sub(SEAL_BYTES)?);
    (seal == seal_of(keys, with, &body)).then_some(body)
}

/// The seal of a body. The body's first byte tells its length, so that what follows it is
/// unambiguous.
fn seal_of(keys: &Keys, with: &[u8], body: &[u8]) -> [u8; SEAL_BYTES] {
    let hash = blake3::Hasher::new_keyed(&keys.token).update(body).update(with).finalize();
    let (seal, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    *seal
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
