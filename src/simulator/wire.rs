//! Folders, media and analyses as Oz's JSON, all members present, in the documented dialect.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::simulator::analysis::{Analysis, AnalysisType};
use crate::simulator::clock::{Millis, seconds};
use crate::simulator::folders::Folder;
use crate::simulator::media::{MediaKind, Medium, SourceMedium};
use crate::simulator::script::Switches;

/// The only company of the simulated Oz.
pub const COMPANY: Uuid = Uuid::from_u128(10);
/// The user that owns all folders.
pub const USER: Uuid = Uuid::from_u128(1);

/// What a view depends on besides the object itself.
#[derive(Clone, Copy, Debug)]
pub struct ViewContext<'a> {
    /// Scheme and host that URLs begin with.
    pub base: &'a str,
    pub on: &'a Switches,
    pub now: Millis,
}

impl ViewContext<'_> {
    pub fn folder(&self, folder: &Folder, with_analyses: bool) -> Value {
        let (progress, verdict) = (folder.progress(self.now), folder.verdict(self.now));
        let verdict_only = self.on.folder_verdict_in_resolution_status;
        let mut view = json!({
            "folder_id": folder.id,
            "company_id": COMPANY,
            "user_id": USER,
            "time_created": seconds(folder.created),
            "time_updated": seconds(folder.updated),
            "meta_data": folder.meta_data,
            "technical_meta_data": {},
            "resolution_status": if verdict_only { verdict } else { progress },
            "system_resolution": verdict,
            "resolution_comment": null,
            "is_archive": false,
            "media": folder.media.iter().map(|it| self.medium(it)).collect::<Vec<_>>(),
        });
        if with_analyses {
            view["analyses"] = folder.analyses.iter().map(|it| self.analysis(it, folder)).collect();
        }
        view
    }

    pub fn medium(&self, medium: &Medium) -> Value {
        let url = self.url(medium);
        let mut view = json!({
            "media_id": medium.id,
            "media_type": self.media_type(medium.kind),
            "tags": medium.tags,
            "original_name": medium.file_name,
            "original_url": url,
            "meta_data": medium.meta_data,
            "technical_meta_data": {},
            "time_created": seconds(medium.created),
            "time_updated": seconds(medium.updated),
        });
        match medium.kind {
            MediaKind::Image => {
                view["image_id"] = json!(medium.id);
                view["thumb_url"] = json!(url);
            }
            MediaKind::Video => {
                view["video_id"] = json!(medium.id);
                view["video_url"] = json!(url);
            }
            MediaKind::ShotSet => view["video_url"] = json!(url),
        }
        view
    }

    /// `folder` must be the folder of the analysis.
    pub fn analysis(&self, analysis: &Analysis, folder: &Folder) -> Value {
        let words = analysis.words(self.now);
        let ended = analysis.has_ended(self.now);
        let error = analysis.ending.error_message.as_ref().filter(|_| ended);
        let updated = analysis.ends.filter(|_| ended).unwrap_or(analysis.created);
        let sources = analysis.sources.iter().map(|it| self.source(*it));
        json!({
            "analyse_id": analysis.id,
            "folder_id": folder.id,
            "group_id": analysis.group,
            "company_id": COMPANY,
            "type": analysis.kind.word(),
            "state": words.state,
            "resolution": words.resolution,
            "resolution_status": words.resolution_status,
            "system_resolution": words.resolution,
            "source_media": sources.collect::<Vec<_>>(),
            "results_media": if ended { self.results_media(analysis, folder) } else { json!([]) },
            "results_data": if ended { self.results_data(analysis) } else { Value::Null },
            "error_code": error.map(|_| 0),
            "error_message": error,
            "meta_data": analysis.meta_data,
            "technical_meta_data": {},
            "time_created": seconds(analysis.created),
            "time_updated": seconds(updated),
        })
    }

    fn source(&self, source: SourceMedium) -> Value {
        json!({ "media_id": source.id, "media_type": self.media_type(source.kind) })
    }

    fn results_data(&self, analysis: &Analysis) -> Value {
        match (analysis.kind, analysis.ending.scores.likeness) {
            (AnalysisType::Documents, _) => json!({ "text_fields": [] }),
            (_, Some((least, greatest))) if !self.on.scores_only_in_results_media => {
                json!({ "min_confidence": least, "max_confidence": greatest })
            }
            _ => Value::Null,
        }
    }

    /// Biometry reports on its videos and shot sets, or on all media if it has none; other types
    /// report on all.
    fn results_media(&self, analysis: &Analysis, folder: &Folder) -> Value {
        let results = &analysis.ending.scores.media;
        let is_video = |source: &SourceMedium| source.kind != MediaKind::Image;
        let videos_only = analysis.kind == AnalysisType::Biometry
            && results.iter().any(|(source, _, _)| is_video(source));
        let shown = results.iter().filter(|(source, _, _)| !videos_only || is_video(source));
        shown.map(|result| self.result(analysis, folder, result)).collect()
    }

    fn result(
        &self,
        analysis: &Analysis,
        folder: &Folder,
        (source, least, greatest): &(SourceMedium, f64, f64),
    ) -> Value {
        let mut view = Map::new();
        view.insert("analyse_id".to_owned(), json!(analysis.id));
        view.insert(source.kind.result_key().to_owned(), json!(source.id));
        let results_data = match analysis.kind {
            AnalysisType::Biometry => json!({"min_confidence": least, "max_confidence": greatest}),
            AnalysisType::Quality => self.spoofing(*least),
            AnalysisType::Documents | AnalysisType::Collection => json!({}),
        };
        view.insert("results_data".to_owned(), results_data);
        if let Some(url) = self.best_shot(analysis, folder, source) {
            view.insert("output_images".to_owned(), json!([{ "original_url": url }]));
        }
        Value::Object(view)
    }

    fn spoofing(&self, spoofing: f64) -> Value {
        if !self.on.confidence_triple {
            return json!({ "confidence_spoofing": spoofing });
        }
        json!({
            "confidence_spoofing": spoofing,
            "confidence_replay": spoofing,
            "confidence_liveness": 1.0 - spoofing,
        })
    }

    /// The URL of the best shot of a liveness check: the medium itself stands in for it.
    fn best_shot(
        &self,
        analysis: &Analysis,
        folder: &Folder,
        source: &SourceMedium,
    ) -> Option<String> {
        let wanted = analysis.params["extract_best_shot"].as_bool().unwrap_or(true);
        if analysis.kind != AnalysisType::Quality || !wanted {
            return None;
        }
        folder.media.iter().find(|medium| medium.id == source.id).map(|it| self.url(it))
    }

    fn media_type(&self, kind: MediaKind) -> &str {
        match kind {
            MediaKind::Image => "IMAGE_FOLDER",
            MediaKind::Video => "VIDEO_FOLDER",
            MediaKind::ShotSet => &self.on.shot_set_type,
        }
    }

    fn url(&self, medium: &Medium) -> String {
        format!("{}/static/{}", self.base, medium.contents.digest)
    }
}
