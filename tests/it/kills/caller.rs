//! A caller that comes back: by the same request, or by a watch after what it has seen.

use std::sync::Arc;

use bytes::Bytes;
use facematch::{
    pb::{
        LivenessPolicy, Match, MatchRequest, MatchUpdate, Resolution,
        face_match_client::FaceMatchClient, reference_photo::Source,
    },
    simulator::{FolderSeed, MediaSeed, sample},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::watch, time::timeout};
use tonic::{Code, Status, Streaming, transport::Channel};
use tonic_types::StatusExt;

use crate::{
    canary::FILE_NAME,
    checker::History,
    support::{PATIENCE, folder_media_request, get, named, request, watch_after},
};

use super::storm::{Service, Storm};

/// A match that a caller wants, and what must come of it.
#[derive(Debug)]
pub struct Asked {
    pub request: MatchRequest,
    pub resolution: Resolution,
    /// Media that its folder, which is its own, holds in the end.
    pub media: usize,
    /// Analyses likewise.
    pub analyses: usize,
}

impl Asked {
    /// Whether the caller brings the photo.
    pub fn is_upload(&self) -> bool {
        let photo = self.request.photo.as_ref().expect("a photo");
        matches!(photo.source, Some(Source::Content(_)))
    }

    /// Whether there is a liveness analysis to report.
    pub fn has_liveness(&self) -> bool {
        self.analyses == 2
    }
}

/// A match that has ended.
#[derive(Debug)]
pub struct Ended {
    pub asked: Asked,
    /// As its caller saw it last.
    pub last: Match,
}

/// One caller.
pub struct Caller {
    number: u64,
    storm: Arc<Storm>,
    service: watch::Receiver<Service>,
    random: StdRng,
}

impl Caller {
    pub fn new(number: u64, seed: u64, storm: &Arc<Storm>) -> Self {
        let random = StdRng::seed_from_u64(seed.wrapping_add(number + 1));
        Self { number, storm: Arc::clone(storm), service: storm.service(), random }
    }

    /// Runs one match after the other until the storm is over and the last one has ended.
    pub async fn run_until_quiet(mut self) -> Vec<Ended> {
        let mut all = Vec::new();
        while !self.service.borrow().is_quiet {
            let request_id = format!("caller {}, match {}", self.number, all.len());
            let asked = self.think_of(&request_id);
            let last = self.bring_to_end(&asked).await;
            all.push(Ended { asked, last });
        }
        all
    }

    /// Some match in a folder of its own.
    fn think_of(&mut self, request_id: &str) -> Asked {
        let random = &mut self.random;
        let (is_upload, runs_liveness) = (random.random_bool(0.75), random.random_bool(0.5));
        let photo =
            if random.random_bool(0.8) { sample::portrait_jpeg() } else { sample::stranger_jpeg() };
        let mut seed = sample::liveness_folder(sample::portrait_jpeg());
        // One that runs anew is told from none, so that just one of each type can be asked for.
        if runs_liveness || !is_upload {
            seed.liveness = None;
        }
        let analyses = 1 + usize::from(runs_liveness || is_upload);
        let mut request = if is_upload {
            request(&self.storm.oz.add_folder(seed), Bytes::from_static(photo))
        } else {
            self.folder_media(seed, photo)
        };
        if runs_liveness {
            request.set_liveness_policy(LivenessPolicy::Run);
        }
        let is_alike = photo == sample::portrait_jpeg();
        let resolution = if is_alike { Resolution::Success } else { Resolution::Declined };
        Asked { request: named(request_id, request), resolution, media: 2, analyses }
    }

    /// A match whose photo the folder holds already.
    fn folder_media(&self, mut seed: FolderSeed, photo: &'static [u8]) -> MatchRequest {
        seed.media.push(MediaSeed {
            bytes: Bytes::from_static(photo),
            file_name: format!("{FILE_NAME}.jpg"),
            content_type: "image/jpeg".to_owned(),
            tags: vec!["photo_id_front".to_owned()],
        });
        let folder = self.storm.oz.add_folder(seed);
        let held = self.storm.oz.folder(&folder).expect("the folder is there");
        folder_media_request(&folder, &held.media[1].media_id.to_string())
    }

    /// Runs a match to its end, through as many lives of the service as it takes.
    async fn bring_to_end(&mut self, asked: &Asked) -> Match {
        let mut history = History::default();
        while !history.has_closed() {
            let here = timeout(PATIENCE, self.service.wait_for(|now| now.address.is_some())).await;
            let here = here.expect("the service comes back").unwrap().clone();
            if let Err(status) = self.follow(&here, asked, &mut history).await {
                self.check_broken(&here, &status);
            }
        }
        let last = history.last().and_then(|update| update.r#match.clone());
        last.expect("a closing update with its match")
    }

    /// A call may break because the service was killed, and for no other reason.
    fn check_broken(&self, here: &Service, status: &Status) {
        let now = self.service.borrow();
        let was_killed = now.address.is_none() || now.life > here.life;
        assert!(was_killed, "a call broke while the service lived: {status:?}");
        let reason = status.get_details_error_info().map(|info| info.reason);
        assert_eq!(reason, None, "the transport broke, the server said nothing");
        // The transport's names for it, by the moment at which it happens.
        let broken = [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::Internal];
        assert!(broken.contains(&status.code()), "callers don't repeat this: {status:?}");
    }

    async fn follow(
        &mut self,
        here: &Service,
        asked: &Asked,
        history: &mut History,
    ) -> Result<(), Status> {
        let address = here.address.clone().expect("the service is there");
        let client = FaceMatchClient::connect(address).await;
        let mut client = client.map_err(|failure| Status::unavailable(failure.to_string()))?;
        look(&mut client, history).await?;
        let mut updates = self.come_back(&mut client, asked, history).await?;
        while let Some(update) = next(&mut updates).await? {
            history.see(&update);
            self.storm.saw_update();
            if self.random.random_bool(0.3) {
                look(&mut client, history).await?;
            }
        }
        assert!(history.has_closed(), "a stream that ends in order has told the end");
        Ok(())
    }

    /// With the photo until Oz has it, and then in either way.
    async fn come_back(
        &mut self,
        client: &mut FaceMatchClient<Channel>,
        asked: &Asked,
        history: &mut History,
    ) -> Result<Streaming<MatchUpdate>, Status> {
        let is_at_oz = |m: &Match| !m.photo_media_id.is_empty() || !asked.is_upload();
        let seen = history.last().filter(|last| last.r#match.as_ref().is_some_and(is_at_oz));
        let seen = seen.filter(|_| self.random.random_bool(0.5));
        let updates = match seen.map(|last| (last.match_id.clone(), last.sequence)) {
            Some((match_id, sequence)) => {
                history.resume_after(sequence);
                client.watch_match(watch_after(&match_id, sequence)).await?
            }
            None => {
                history.resume_after(0);
                client.run_match(asked.request.clone()).await?
            }
        };
        Ok(updates.into_inner())
    }
}

async fn next(updates: &mut Streaming<MatchUpdate>) -> Result<Option<MatchUpdate>, Status> {
    timeout(PATIENCE, updates.message()).await.expect("a match goes on")
}

/// Looks where the match stands: never behind what was seen.
async fn look(client: &mut FaceMatchClient<Channel>, history: &History) -> Result<(), Status> {
    let Some(last) = history.last() else { return Ok(()) };
    let m = client.get_match(get(&last.match_id)).await?.into_inner();
    assert!(m.sequence >= last.sequence, "behind {}: {m:?}", last.sequence);
    Ok(())
}
