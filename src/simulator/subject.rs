//! The properties of a request that rules match: its folder, its analyses, its media and metadata.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::simulator::analysis::AnalysisType;
use crate::simulator::endpoint::{Endpoint, Route};
use crate::simulator::folders::{Folder, Folders};
use crate::simulator::media::{File, Medium};
use crate::simulator::script::RequestMatch;
use crate::simulator::upload::Upload;

/// The properties of a request that rules match.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The folder that the request is about.
    pub folder: Option<Uuid>,
    /// The types of the analyses that the request starts or is about.
    pub types: Vec<AnalysisType>,
    /// Whether the request may start analyses.
    pub starts: bool,
    /// Read only if a rule matches by it: parsing an upload takes time.
    contents: SubjectContents,
}

/// The metadata and the media of the request's folder, or of its upload.
#[derive(Clone, Debug, Default)]
struct SubjectContents {
    meta_data: Map<String, Value>,
    media: Vec<MediumContents>,
}

#[derive(Clone, Debug)]
struct MediumContents {
    meta_data: Map<String, Value>,
    digest: String,
}

impl Subject {
    /// The properties that the method, the path and the JSON of a request show.
    pub fn of(route: &Route, body: &[u8], folders: &Folders) -> Self {
        use Endpoint as E;
        let (folder, types) = match (route.endpoint, route.id) {
            (E::GetMedia | E::DeleteMedia | E::MediaMetaData, Some(id)) => {
                (folders.folder_of_medium(id), Vec::new())
            }
            (E::GetAnalysis | E::DeleteAnalysis | E::AnalysisMetaData, Some(id)) => {
                let kind = folders.analysis(id).map(|(_, analysis)| analysis.kind);
                (folders.folder_of_analysis(id), kind.into_iter().collect())
            }
            (E::StartAnalyses, _) => (route.folder(), types_asked(body)),
            _ => (route.folder(), Vec::new()),
        };
        let starts = [E::StartAnalyses, E::CreateFolder].contains(&route.endpoint);
        Self { folder, types, starts, contents: SubjectContents::default() }
    }

    /// Adds metadata, of the folder if it exists, else of the upload; and media, of the upload if
    /// there is one, else of the folder.
    pub fn with_contents(
        mut self,
        route: &Route,
        body: &[u8],
        folders: &Folders,
        brought: Option<&Upload>,
    ) -> Self {
        let folder = self.folder.and_then(|id| folders.get(id));
        self.contents = SubjectContents {
            meta_data: match folder {
                Some(folder) => folder.meta_data.clone(),
                None => brought.map(Upload::folder_meta_data).unwrap_or_default(),
            },
            media: match brought {
                Some(upload) => MediumContents::of_upload(upload),
                None => {
                    folder.map(|it| MediumContents::of_folder(route, body, it)).unwrap_or_default()
                }
            },
        };
        self
    }

    /// Whether the request may concern analyses of this type. A request that creates a folder with
    /// analyses matches every type, since its payload is parsed later.
    pub fn may_concern(&self, kind: AnalysisType) -> bool {
        self.types.contains(&kind) || (self.starts && self.types.is_empty())
    }

    /// Whether the metadata and the media match a rule.
    pub fn has_contents(&self, when: &RequestMatch) -> bool {
        let SubjectContents { meta_data, media } = &self.contents;
        let digest = when.media_digest.as_deref();
        let of_medium = |medium: &MediumContents| {
            has_all(&medium.meta_data, &when.media_meta_data)
                && digest.is_none_or(|digest| digest.eq_ignore_ascii_case(&medium.digest))
        };
        let is_about_media = digest.is_some() || !when.media_meta_data.is_empty();
        has_all(meta_data, &when.meta_data) && (!is_about_media || media.iter().any(of_medium))
    }
}

#[cfg(test)]
impl Subject {
    /// A request that starts analyses of these types.
    pub fn that_starts(types: Vec<AnalysisType>) -> Self {
        Self { types, starts: true, ..Self::default() }
    }

    /// A request about a folder with this metadata.
    pub fn with_meta_data(meta_data: Map<String, Value>) -> Self {
        let contents = SubjectContents { meta_data, media: Vec::new() };
        Self { contents, ..Self::default() }
    }
}

impl MediumContents {
    fn of_upload(upload: &Upload) -> Vec<Self> {
        let of_file = |file: &File| Self {
            meta_data: upload.media_meta_data(&file.part),
            digest: file.digest(),
        };
        upload.files.iter().map(|(file, _)| of_file(file)).collect()
    }

    /// The media of a folder that the request names, in its path or its JSON; all if it names none.
    fn of_folder(route: &Route, body: &[u8], folder: &Folder) -> Vec<Self> {
        use Endpoint as E;
        let named: Option<Vec<Uuid>> = match (route.endpoint, route.id) {
            (E::GetMedia | E::DeleteMedia | E::MediaMetaData, Some(id)) => Some(vec![id]),
            (E::GetAnalysis | E::DeleteAnalysis | E::AnalysisMetaData, Some(id)) => {
                let analysis = folder.analyses.iter().find(|analysis| analysis.id == id);
                analysis.map(|it| it.sources.iter().map(|source| source.id).collect())
            }
            (E::StartAnalyses, _) => media_asked(body),
            _ => None,
        };
        let is_meant = |medium: &&Medium| match &named {
            Some(ids) => ids.contains(&medium.id),
            None => true,
        };
        let meant = folder.media.iter().filter(is_meant);
        meant
            .map(|medium| Self {
                meta_data: medium.meta_data.clone(),
                digest: medium.contents.digest.clone(),
            })
            .collect()
    }
}

/// The types of the analyses that a body asks for. Unreadable parts are left out.
fn types_asked(body: &[u8]) -> Vec<AnalysisType> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let items = body["analyses"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| AnalysisType::read(item["type"].as_str()?)).collect()
}

/// The media that a body names for its analyses. `None` if it can't be read, or if one of its
/// analyses names none and so takes all.
fn media_asked(body: &[u8]) -> Option<Vec<Uuid>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let lists = body["analyses"].as_array()?.iter().map(|item| item["source_media"].as_array());
    let lists: Vec<&Vec<Value>> = lists.collect::<Option<_>>()?;
    let ids = lists.into_iter().flatten().filter_map(Value::as_str);
    Some(ids.filter_map(|id| Uuid::try_parse(id).ok()).collect())
}

fn has_all(present: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(key, value)| present.get(key) == Some(value))
}
