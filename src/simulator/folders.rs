//! All folders with their media and analyses, found by id. Over the limits, the oldest are dropped.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::simulator::analysis::{Analysis, AnalysisType, Ending};
use crate::simulator::clock::Millis;
use crate::simulator::media::Medium;
use crate::simulator::script::Outcome;
use crate::simulator::seed::Random;

/// Oz's unit of work: media, and the analyses of these media.
#[derive(Clone, Debug)]
pub struct Folder {
    pub id: Uuid,
    /// Grows with each new folder: the order of creation.
    pub number: u64,
    pub meta_data: Map<String, Value>,
    /// In the order of arrival.
    pub media: Vec<Medium>,
    /// In the order of their start.
    pub analyses: Vec<Analysis>,
    pub created: Millis,
    /// The last change.
    pub updated: Millis,
    /// Memory in bytes, roughly. It never shrinks before a reset.
    pub weight: usize,
    /// How the analyses of this folder end, unless a rule sets an outcome.
    pub endings: Endings,
    origin: InitialFolder,
}

/// The outcomes that a folder was made with; `None` leaves the decision to the pictures and
/// switches.
#[derive(Clone, Debug, Default)]
pub struct Endings {
    /// Of face matching.
    pub biometry: Option<Outcome>,
    /// Of liveness.
    pub quality: Option<Outcome>,
}

impl Endings {
    /// The outcome of analyses of this type.
    pub fn of(&self, kind: AnalysisType) -> Option<&Outcome> {
        match kind {
            AnalysisType::Biometry => self.biometry.as_ref(),
            AnalysisType::Quality => self.quality.as_ref(),
            AnalysisType::Documents | AnalysisType::Collection => None,
        }
    }
}

/// A folder as it was made: a reset restores this.
#[derive(Clone, Debug, Default)]
struct InitialFolder {
    meta_data: Map<String, Value>,
    media: Vec<Medium>,
    analyses: Vec<Analysis>,
    weight: usize,
}

/// Bytes that a new folder takes besides its payload and metadata.
const OBJECT_BYTES: usize = 1_024;

/// All folders, with indexes by media and by analyses.
#[derive(Debug)]
pub struct Folders {
    by_id: HashMap<Uuid, Folder>,
    by_number: BTreeMap<u64, Uuid>,
    of_media: HashMap<Uuid, Uuid>,
    of_analyses: HashMap<Uuid, Uuid>,
    next_number: u64,
    weight: usize,
    folders_max: usize,
    weight_max: usize,
}

impl Folders {
    /// Keeps at most this many folders, and at most this many bytes of them.
    pub fn new(folders_max: usize, weight_max: usize) -> Folders {
        Folders {
            by_id: HashMap::new(),
            by_number: BTreeMap::new(),
            of_media: HashMap::new(),
            of_analyses: HashMap::new(),
            next_number: 1,
            weight: 0,
            folders_max: folders_max.max(1),
            weight_max,
        }
    }

    /// Opens an empty folder; the oldest folders make room.
    pub fn create(&mut self, id: Uuid, meta_data: Map<String, Value>, now: Millis) {
        while self.by_id.len() >= self.folders_max {
            self.remove_oldest();
        }
        let number = self.next_number;
        self.next_number += 1;
        self.by_number.insert(number, id);
        self.by_id.insert(id, Folder::empty(id, number, meta_data, now));
        self.grow(id, OBJECT_BYTES);
    }

    /// Adds to a folder's weight; the oldest folders make room.
    pub fn grow(&mut self, id: Uuid, bytes: usize) {
        if let Some(folder) = self.by_id.get_mut(&id) {
            folder.weight += bytes;
            self.weight += bytes;
        }
        while self.weight > self.weight_max && self.by_id.len() > 1 {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        if let Some(oldest) = self.by_number.values().next().copied() {
            self.remove(oldest);
        }
    }

    pub fn get(&self, id: Uuid) -> Option<&Folder> {
        self.by_id.get(&id)
    }

    /// For changes of the folder itself. Media and analyses are indexed: add and remove them by the
    /// methods below.
    pub fn get_mut(&mut self, id: Uuid) -> Option<&mut Folder> {
        self.by_id.get_mut(&id)
    }

    /// All folders, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Folder> {
        self.by_number.values().filter_map(|id| self.by_id.get(id))
    }

    /// Removes a folder. Returns whether it existed.
    pub fn remove(&mut self, id: Uuid) -> bool {
        let Some(folder) = self.by_id.remove(&id) else {
            return false;
        };
        self.by_number.remove(&folder.number);
        self.weight -= folder.weight;
        for medium in &folder.media {
            self.of_media.remove(&medium.id);
        }
        for analysis in &folder.analyses {
            self.of_analyses.remove(&analysis.id);
        }
        true
    }

    /// Adds media to a folder and to the index.
    pub fn add_media(&mut self, folder: Uuid, media: Vec<Medium>) {
        if let Some(to) = self.by_id.get_mut(&folder) {
            self.of_media.extend(media.iter().map(|medium| (medium.id, folder)));
            to.media.extend(media);
        }
    }

    /// Adds analyses to a folder and to the index.
    pub fn add_analyses(&mut self, folder: Uuid, analyses: Vec<Analysis>) {
        if let Some(to) = self.by_id.get_mut(&folder) {
            self.of_analyses.extend(analyses.iter().map(|analysis| (analysis.id, folder)));
            to.analyses.extend(analyses);
        }
    }

    /// Remembers the folder's present state: a reset restores it.
    pub fn seal(&mut self, id: Uuid) {
        if let Some(folder) = self.by_id.get_mut(&id) {
            folder.origin = InitialFolder {
                meta_data: folder.meta_data.clone(),
                media: folder.media.clone(),
                analyses: folder.analyses.clone(),
                weight: folder.weight,
            };
        }
    }

    /// Restores a folder to its sealed state. Returns whether it exists.
    pub fn reset(&mut self, id: Uuid, now: Millis) -> bool {
        let Some(folder) = self.by_id.get_mut(&id) else {
            return false;
        };
        let InitialFolder { meta_data, media, analyses, weight } = folder.origin.clone();
        self.weight -= folder.weight - weight;
        folder.weight = weight;
        folder.meta_data = meta_data;
        folder.updated = now;
        for medium in std::mem::take(&mut folder.media) {
            self.of_media.remove(&medium.id);
        }
        for analysis in std::mem::take(&mut folder.analyses) {
            self.of_analyses.remove(&analysis.id);
        }
        self.add_media(id, media);
        self.add_analyses(id, analyses);
        true
    }

    /// The folder that holds this medium.
    pub fn folder_of_medium(&self, medium: Uuid) -> Option<Uuid> {
        self.of_media.get(&medium).copied()
    }

    /// The folder that holds this analysis.
    pub fn folder_of_analysis(&self, analysis: Uuid) -> Option<Uuid> {
        self.of_analyses.get(&analysis).copied()
    }

    pub fn medium(&self, id: Uuid) -> Option<&Medium> {
        let folder = self.by_id.get(self.of_media.get(&id)?)?;
        folder.media.iter().find(|medium| medium.id == id)
    }

    pub fn medium_mut(&mut self, id: Uuid) -> Option<&mut Medium> {
        let folder = self.by_id.get_mut(self.of_media.get(&id)?)?;
        folder.media.iter_mut().find(|medium| medium.id == id)
    }

    /// An analysis, with its folder.
    pub fn analysis(&self, id: Uuid) -> Option<(&Folder, &Analysis)> {
        let folder = self.by_id.get(self.of_analyses.get(&id)?)?;
        let analysis = folder.analyses.iter().find(|analysis| analysis.id == id)?;
        Some((folder, analysis))
    }

    pub fn analysis_mut(&mut self, id: Uuid) -> Option<&mut Analysis> {
        let folder = self.by_id.get_mut(self.of_analyses.get(&id)?)?;
        folder.analyses.iter_mut().find(|analysis| analysis.id == id)
    }

    /// Removes a medium. Returns whether it existed.
    pub fn remove_medium(&mut self, id: Uuid) -> bool {
        let folder = self.of_media.remove(&id).and_then(|folder| self.by_id.get_mut(&folder));
        folder.map(|folder| folder.media.retain(|medium| medium.id != id)).is_some()
    }

    /// Removes an analysis. Returns whether it existed.
    pub fn remove_analysis(&mut self, id: Uuid) -> bool {
        let folder = self.of_analyses.remove(&id).and_then(|folder| self.by_id.get_mut(&folder));
        folder.map(|folder| folder.analyses.retain(|analysis| analysis.id != id)).is_some()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }
}

/// Ranks a resolution: a folder takes the worst of its last group.
fn badness(resolution: &str) -> u8 {
    match resolution {
        "SUCCESS" => 0,
        "OPERATOR_REQUIRED" => 1,
        "DECLINED" => 2,
        "PROCESSING" => 4,
        // FAILED, and every word that a script invents.
        _ => 3,
    }
}

impl Folder {
    /// The media that a liveness check of the whole folder covers.
    pub fn liveness_media(&self) -> impl Iterator<Item = &Medium> {
        self.media.iter().filter(|medium| !medium.is_document())
    }

    /// The liveness check that an SDK's folder comes with, with the times of its start and its end.
    pub fn liveness_check(
        &self,
        random: &mut Random,
        ending: Ending,
        (created, ends): (Millis, Millis),
    ) -> Analysis {
        Analysis {
            id: random.id(),
            group: random.id(),
            kind: AnalysisType::Quality,
            sources: self.liveness_media().map(Medium::source).collect(),
            params: Value::Null,
            meta_data: Map::new(),
            created,
            ends: Some(ends),
            ending,
        }
    }

    pub fn empty(id: Uuid, number: u64, meta_data: Map<String, Value>, now: Millis) -> Self {
        Self {
            id,
            number,
            meta_data,
            media: Vec::new(),
            analyses: Vec::new(),
            created: now,
            updated: now,
            weight: 0,
            endings: Endings::default(),
            origin: InitialFolder::default(),
        }
    }

    /// The progress of all analyses: INITIAL, PROCESSING, FAILED or FINISHED.
    pub fn progress(&self, now: Millis) -> &'static str {
        let failed = |analysis: &Analysis| analysis.words(now).state == "FAILED";
        if self.analyses.is_empty() {
            "INITIAL"
        } else if self.analyses.iter().any(|analysis| !analysis.has_ended(now)) {
            "PROCESSING"
        } else if self.analyses.iter().any(failed) {
            "FAILED"
        } else {
            "FINISHED"
        }
    }

    /// The worst resolution of the last group of analyses; INITIAL if there is none.
    pub fn verdict(&self, now: Millis) -> &str {
        let Some(last) = self.analyses.last() else {
            return "INITIAL";
        };
        let group = self.analyses.iter().filter(|analysis| analysis.group == last.group);
        let resolutions = group.map(|analysis| analysis.words(now).resolution_status);
        resolutions.max_by_key(|resolution| badness(resolution)).unwrap_or("INITIAL")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_displaces_the_oldest() {
        let mut folders = Folders::new(2, usize::MAX);
        for id in 1..=3 {
            folders.create(Uuid::from_u128(id), Map::new(), 0);
        }
        assert_eq!(folders.len(), 2);
        assert!(folders.get(Uuid::from_u128(1)).is_none());
        assert_eq!(folders.iter().next().map(|folder| folder.number), Some(2));
    }

    #[test]
    fn a_heavy_folder_displaces_the_oldest() {
        let mut folders = Folders::new(10, 10 * OBJECT_BYTES);
        for id in 1..=3 {
            folders.create(Uuid::from_u128(id), Map::new(), 0);
        }
        folders.grow(Uuid::from_u128(3), 8 * OBJECT_BYTES);
        assert_eq!((folders.len(), folders.weight), (2, 10 * OBJECT_BYTES));
        folders.remove(Uuid::from_u128(3));
        assert_eq!(folders.weight, OBJECT_BYTES);
    }
}
