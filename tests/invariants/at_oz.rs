//! What Oz holds of a match: one photo, one analysis of exactly its media, and the verdict that the
//! match shows.

/// A match as it is shown, with ids and words as text.
#[derive(Clone, Debug, Default)]
pub struct ShownMatch {
    pub analysis: Option<String>,
    /// The media that its analysis compares.
    pub media: Vec<String>,
    pub verdict: Option<ShownVerdict>,
}

/// How an analysis has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownVerdict {
    /// Oz's word, such as `SUCCESS`.
    pub resolution: String,
    pub min_confidence: Option<f64>,
}

/// An analysis at Oz.
#[derive(Clone, Debug)]
pub struct HeldAnalysis {
    pub id: String,
    pub media: Vec<String>,
    pub verdict: ShownVerdict,
}

/// Checks the photos at Oz that were sent for a match: at most one, whose id the match shows.
pub fn check_sent_photo(shown: Option<&str>, held: &[String]) -> Result<(), String> {
    match (shown, held) {
        (_, [_, _, ..]) => Err(format!("{} photos of one match", held.len())),
        (None, _) => Ok(()),
        (Some(shown), [held]) if shown == held => Ok(()),
        (Some(shown), _) => Err(format!("the match shows the photo {shown}, Oz holds {held:?}")),
    }
}

/// Checks the analyses at Oz that compare a match's photo: at most as many as matches share the
/// photo. The analysis that the match shows is among them, with exactly its media and its verdict.
pub fn check_analyses(
    shown: &ShownMatch,
    held: &[HeldAnalysis],
    sharing: usize,
) -> Result<(), String> {
    if held.len() > sharing {
        return Err(format!("{} analyses of {sharing} matches", held.len()));
    }
    let Some(id) = &shown.analysis else { return Ok(()) };
    let Some(analysis) = held.iter().find(|it| it.id == *id) else {
        return Err("the match's analysis is not one of its photo".to_owned());
    };
    if analysis.media != shown.media {
        return Err(format!("the analysis compares {:?}, not {:?}", analysis.media, shown.media));
    }
    match &shown.verdict {
        Some(verdict) if *verdict != analysis.verdict => {
            Err(format!("the verdict is {verdict:?}, Oz's is {:?}", analysis.verdict))
        }
        Some(_) | None => Ok(()),
    }
}
