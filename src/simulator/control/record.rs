//! `/sim/record`: the recorded requests to Oz's endpoints.

use http::Uri;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Done, LIMIT_DEFAULT, LIMIT_MAX, query};
use crate::simulator::endpoint::Endpoint;
use crate::simulator::fault::HttpAnswer;
use crate::simulator::world::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordQuery {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    endpoint: Option<Endpoint>,
    folder: Option<Uuid>,
}

/// `GET /sim/record`
pub fn page(world: &World, uri: &Uri) -> Done {
    let query: RecordQuery = query(uri)?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    let items = world.record.page(query.after, limit, |request| {
        query.endpoint.is_none_or(|it| it == request.endpoint)
            && query.folder.is_none_or(|it| Some(it) == request.folder)
    });
    let (total, forgotten) = world.record.counts();
    let next_after = items.last().map_or(total.max(query.after), |request| request.n);
    let next_after = if items.len() < limit { total.max(query.after) } else { next_after };
    Ok(HttpAnswer::json(
        200,
        &json!({
            "total": total,
            "forgotten": forgotten,
            "next_after": next_after,
            "items": items,
        }),
    ))
}

/// `DELETE /sim/record`
pub fn clear(world: &World) -> HttpAnswer {
    world.record.clear();
    HttpAnswer::empty(204)
}
