//! The default verdict: whether the media show the same *picture*.
//!
//! It is a stand-in for testing, and deliberately not a face comparison.
//! All pairs of media are compared and the least alike pair decides, as at Oz.

use serde_json::Value;

use crate::simulator::media::{Medium, SourceMedium};
use crate::simulator::picture::{Fingerprint, NoFingerprint};
use crate::simulator::script::Switches;

/// The measurements of an analysis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// The likeness of the least and of the most alike pair.
    pub likeness: Option<(f64, f64)>,
    /// The confidence of a liveness check that its media are a spoofing attack.
    pub spoofing: Option<f64>,
    /// For each medium, its own least and greatest likeness, or its spoofing score twice.
    pub media: Vec<(SourceMedium, f64, f64)>,
}

impl Scores {
    /// The same scripted likeness for all media.
    pub fn likeness(media: &[&Medium], least: f64, greatest: f64) -> Scores {
        Scores {
            likeness: Some((least, greatest)),
            spoofing: None,
            media: media.iter().map(|medium| (medium.source(), least, greatest)).collect(),
        }
    }

    /// The same spoofing score for all media.
    pub fn spoofing(media: &[&Medium], spoofing: f64) -> Scores {
        Scores {
            likeness: None,
            spoofing: Some(spoofing),
            media: media.iter().map(|medium| (medium.source(), spoofing, spoofing)).collect(),
        }
    }

    /// The resolution that follows from the likeness; thresholds in the request come first.
    pub fn resolution(&self, params: &Value, on: &Switches) -> &'static str {
        let least = self.likeness.map_or(0.0, |(least, _)| least);
        let high = params["threshold_max"].as_f64().unwrap_or(on.threshold_max);
        let low = params["threshold_min"].as_f64().unwrap_or(on.threshold_min.min(high));
        if least >= high {
            "SUCCESS"
        } else if least < low {
            "DECLINED"
        } else {
            "OPERATOR_REQUIRED"
        }
    }
}

/// Compares all pairs of media.
pub fn compare(media: &[&Medium]) -> Result<Scores, NoFingerprint> {
    let looks: Vec<&[Fingerprint]> =
        media.iter().map(|medium| medium.fingerprints()).collect::<Result<_, _>>()?;
    let mut per_medium: Vec<_> =
        media.iter().map(|medium| (medium.source(), 1.0_f64, 0.0_f64)).collect();
    let (mut least, mut greatest) = (1.0_f64, 0.0_f64);
    for (left, right) in pairs(media.len()) {
        let likeness = best_pair(looks[left], looks[right]);
        (least, greatest) = (least.min(likeness), greatest.max(likeness));
        for index in [left, right] {
            let (_, own_least, own_greatest) = &mut per_medium[index];
            *own_least = own_least.min(likeness);
            *own_greatest = own_greatest.max(likeness);
        }
    }
    Ok(Scores { likeness: Some((least, greatest)), spoofing: None, media: per_medium })
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |left| (left + 1..count).map(move |right| (left, right)))
}

/// The likeness of the best pair of frames: a shot set is as like a photo as its best frame.
fn best_pair(left: &[Fingerprint], right: &[Fingerprint]) -> f64 {
    let pairs = left.iter().flat_map(|a| right.iter().map(move |b| a.likeness(b)));
    pairs.fold(0.0, f64::max)
}
