//! Analyses: start them in a folder, read, list and delete them.

use serde_json::{Map, Value, json};
use tracing::info;
use uuid::Uuid;

use crate::simulator::analysis::{Analysis, AnalysisType, Basis, Ending};
use crate::simulator::answer::{OzReply, Refusal};
use crate::simulator::api::ApiCall;
use crate::simulator::api::filter::AnalysisQuery;
use crate::simulator::clock::Millis;
use crate::simulator::folders::Folder;
use crate::simulator::lock;
use crate::simulator::media::Medium;
use crate::simulator::script::{Outcome, Switches, TooFewMedia, Unlicensed};
use crate::simulator::world::WorldState;

/// Analyses that one folder may hold: an answer may list them all with the folder.
const FOLDER_ANALYSES_MAX: usize = 1_000;
/// Bytes of a request that starts analyses: its `params` stay in memory.
const ASKED_BYTES_MAX: usize = 64 * 1024;
/// Analyses that one request may start.
const REQUEST_ANALYSES_MAX: usize = 20;
/// Analyses in an answer of the undocumented list.
const LIST_MAX: usize = 5_000;

/// One analysis as a request asks for it.
#[derive(Debug)]
pub struct RequestedAnalysis {
    kind: AnalysisType,
    source_media: Option<Vec<String>>,
    params: Value,
}

/// `POST /api/folders/{id}/analyses/`
pub fn start(call: &ApiCall) -> Result<OzReply, Refusal> {
    let folder = call.id()?;
    drop(call.authorised()?);
    let body = call.json()?;
    if call.body.len() > ASKED_BYTES_MAX {
        return Err(Refusal::value("The request for analyses is too large"));
    }
    call.world.record.note(call.n, |request| request.asked = Some(body.clone()));
    call.world.record.weigh(call.n, call.body.len());
    let asked = read_list(body.get("analyses").ok_or(Refusal::missing("analyses"))?)?;
    let mut state = lock(&call.world.state);
    let begun = begin(call, &mut state, folder, asked)?;
    state.folders.grow(folder, call.body.len());
    let folder = state.folders.get(folder).ok_or_else(Refusal::not_exist)?;
    let started = folder.analyses.iter().filter(|analysis| begun.contains(&analysis.id));
    let look = call.look();
    let views = started.map(|analysis| look.analysis(analysis, folder)).collect();
    Ok(call.created(Value::Array(views)))
}

/// Parses the `analyses` of a request.
pub fn read_list(list: &Value) -> Result<Vec<RequestedAnalysis>, Refusal> {
    let invalid = || Refusal::structure("Invalid body structure");
    let items = list.as_array().filter(|items| !items.is_empty()).ok_or_else(invalid)?;
    if items.len() > REQUEST_ANALYSES_MAX {
        return Err(Refusal::value("Too many analyses in the request"));
    }
    items.iter().map(read_one).collect()
}

fn read_one(item: &Value) -> Result<RequestedAnalysis, Refusal> {
    let word = item["type"].as_str().ok_or(Refusal::missing("type"))?;
    let kind = AnalysisType::read(word).ok_or(Refusal::value("Invalid param value: type"))?;
    let source_media = match &item["source_media"] {
        Value::Null => None,
        Value::Array(ids) => Some(ids.iter().map(read_id).collect::<Result<_, _>>()?),
        _ => return Err(Refusal::structure("Invalid body structure: source_media")),
    };
    Ok(RequestedAnalysis { kind, source_media, params: item["params"].clone() })
}

fn read_id(id: &Value) -> Result<String, Refusal> {
    let id = id.as_str().map(str::to_owned);
    id.ok_or(Refusal::structure("Invalid body structure: source_media"))
}

/// Starts analyses in a folder, all or none, and returns their ids.
pub fn begin(
    call: &ApiCall,
    state: &mut WorldState,
    folder: Uuid,
    asked: Vec<RequestedAnalysis>,
) -> Result<Vec<Uuid>, Refusal> {
    let WorldState { folders, random, .. } = state;
    let held = folders.get(folder).ok_or_else(Refusal::not_exist)?;
    if held.analyses.len() + asked.len() > FOLDER_ANALYSES_MAX {
        return Err(Refusal::value("Too many analyses in the folder"));
    }
    let (group, now) = (random.id(), call.now());
    let mut begun = Vec::new();
    for asked in asked {
        if call.on.analyses_forbidden.contains(&asked.kind) {
            return Err(Refusal::forbidden());
        }
        if asked.kind == AnalysisType::Biometry
            && call.on.biometry_unlicensed == Unlicensed::Refused
        {
            return Err(Refusal::unlicensed());
        }
        let media = sources(held, &asked, &call.on)?;
        let outcome = outcome(call, held, asked.kind);
        let ending = match is_narrowed(&asked, &call.on) {
            true => settle(call, &asked, &media, outcome)?,
            false => settle(call, &asked, &suitable(held, asked.kind, &call.on), outcome)?,
        };
        let jitter_ms = random.below(call.on.processing_jitter_ms);
        let ends = end_time(call, asked.kind, outcome, now + jitter_ms);
        begun.push(Analysis {
            id: random.id(),
            group,
            kind: asked.kind,
            sources: media.iter().map(|medium| medium.source()).collect(),
            params: asked.params,
            meta_data: Map::new(),
            created: now,
            ends,
            ending,
        });
    }
    begun.iter().for_each(|analysis| log_ending(folder, analysis));
    let ids: Vec<Uuid> = begun.iter().map(|analysis| analysis.id).collect();
    call.world.record.note(call.n, |request| request.analyses.clone_from(&ids));
    folders.add_analyses(folder, begun);
    if let (true, Some(folder)) = (call.on.folder_touched_by_additions, folders.get_mut(folder)) {
        folder.updated = now;
    }
    Ok(ids)
}

/// The scripted ending of this type: a rule's outcome, else the outcome that the folder was made
/// with.
fn outcome<'a>(
    call: &'a ApiCall,
    folder: &'a Folder,
    kind: AnalysisType,
) -> Option<(&'a Outcome, Basis)> {
    let by_rule = call.plan.outcome(kind).map(|outcome| (outcome, Basis::Rule));
    by_rule.or_else(|| folder.endings.of(kind).map(|outcome| (outcome, Basis::Folder)))
}

/// Logs how an analysis will end and what decided it; says plainly if nothing was compared.
fn log_ending(folder: Uuid, analysis: &Analysis) {
    let Ending { resolution, scores, basis, .. } = &analysis.ending;
    let message = match basis {
        Basis::UndecodedVideo => {
            "analysis settled: nothing was compared, a video that can't be decoded counts as \
             SUCCESS unless a rule, the folder or the switch `undecodable` says otherwise"
        }
        Basis::UndecodedPhoto => "analysis settled: a photo that can't be decoded counts as FAILED",
        Basis::Rule | Basis::Folder | Basis::Switch | Basis::Pictures | Basis::Nothing => {
            "analysis settled"
        }
    };
    info!(
        folder.id = %folder,
        analysis.id = %analysis.id,
        analysis.r#type = analysis.kind.word(),
        resolution,
        min_confidence = scores.likeness.map(|(least, _)| least),
        settled_by = basis.word(),
        "{message}"
    );
}

fn settle(
    call: &ApiCall,
    asked: &RequestedAnalysis,
    media: &[&Medium],
    outcome: Option<(&Outcome, Basis)>,
) -> Result<Ending, Refusal> {
    if asked.kind == AnalysisType::Biometry && media.len() < 2 && outcome.is_none() {
        let message = "Biometry needs at least two media";
        match call.on.too_few_media {
            TooFewMedia::InvalidStructure => return Err(Refusal::structure(message)),
            TooFewMedia::InvalidValue => return Err(Refusal::value(message)),
            TooFewMedia::Failed => {}
        }
    }
    Ok(Ending::settle(asked.kind, media, &asked.params, outcome, &call.on))
}

fn end_time(
    call: &ApiCall,
    kind: AnalysisType,
    outcome: Option<(&Outcome, Basis)>,
    now: Millis,
) -> Option<Millis> {
    if call.plan.never_finishes(kind) {
        return None;
    }
    let scripted = outcome.and_then(|(outcome, _)| outcome.processing_ms);
    Some(now + scripted.unwrap_or(call.on.processing_ms))
}

fn sources<'a>(
    folder: &'a Folder,
    asked: &RequestedAnalysis,
    on: &Switches,
) -> Result<Vec<&'a Medium>, Refusal> {
    let Some(ids) = &asked.source_media else {
        return Ok(suitable(folder, asked.kind, on));
    };
    let find = |id: &String| {
        let id = Uuid::try_parse(id).ok();
        folder.media.iter().find(|medium| Some(medium.id) == id).ok_or_else(Refusal::not_exist)
    };
    ids.iter().map(find).collect()
}

/// Whether an analysis is of the media that the request names.
fn is_narrowed(asked: &RequestedAnalysis, on: &Switches) -> bool {
    !(on.source_media_ignored && asked.kind == AnalysisType::Biometry)
}

/// The media that an analysis takes if its request names none.
fn suitable<'a>(folder: &'a Folder, kind: AnalysisType, on: &Switches) -> Vec<&'a Medium> {
    folder.media.iter().filter(|medium| is_suitable(medium, kind, on)).collect()
}

/// Whether an analysis that names no media takes this one.
fn is_suitable(medium: &Medium, kind: AnalysisType, on: &Switches) -> bool {
    let is_back = medium.tags.iter().any(|tag| tag == "photo_id_back");
    match kind {
        AnalysisType::Biometry => !(on.photo_id_back_ignored && is_back),
        AnalysisType::Quality | AnalysisType::Collection => !medium.is_document(),
        AnalysisType::Documents => medium.is_document(),
    }
}

/// `GET /api/folders/{id}/analyses/`
pub fn list(call: &ApiCall) -> Result<OzReply, Refusal> {
    let query = AnalysisQuery::read(&call.query())?;
    let state = call.authorised()?;
    let folder = state.folders.get(call.id()?).ok_or_else(Refusal::not_exist)?;
    let (look, now) = (call.look(), call.now());
    let found = folder.analyses.iter().filter(|analysis| query.fits(analysis, now));
    let items = found.map(|analysis| look.analysis(analysis, folder)).collect();
    Ok(OzReply::Json(200, call.listed(items)))
}

/// `GET /api/analyses/`, only with the switch `analyses_list`.
pub fn list_all(call: &ApiCall) -> Result<OzReply, Refusal> {
    let state = call.authorised()?;
    if !call.on.analyses_list {
        return Err(Refusal::not_exist());
    }
    let look = call.look();
    let folders = state.folders.iter().rev();
    let all = folders.flat_map(|folder| folder.analyses.iter().map(move |it| (folder, it)));
    let items: Vec<Value> =
        all.take(LIST_MAX).map(|(folder, it)| look.analysis(it, folder)).collect();
    let total = items.len();
    let envelope = json!({"offset": 0, "limit": LIST_MAX, "total_count": total, "items": items});
    Ok(OzReply::Json(200, envelope))
}

/// `GET /api/analyses/{id}`
pub fn get(call: &ApiCall) -> Result<OzReply, Refusal> {
    let state = call.authorised()?;
    let (folder, analysis) = state.folders.analysis(call.id()?).ok_or_else(Refusal::not_exist)?;
    let view = call.look().analysis(analysis, folder);
    Ok(OzReply::Json(200, if call.on.analysis_as_array { json!([view]) } else { view }))
}

/// `DELETE /api/analyses/{id}`
pub fn delete(call: &ApiCall) -> Result<OzReply, Refusal> {
    let mut state = call.authorised()?;
    call.refuse_deletion()?;
    match state.folders.remove_analysis(call.id()?) {
        true => Ok(OzReply::Empty(204)),
        false => Err(Refusal::not_exist()),
    }
}
