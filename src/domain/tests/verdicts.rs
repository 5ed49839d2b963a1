//! The meaning of Oz's words: which answers are a verdict, and which are not.

use crate::domain::{
    Analysis, LivenessResult,
    tests::oz::{analysis_id, decided, seconds},
    verdict::{LivenessReading, VerdictReading, read, read_liveness, status},
};

/// An answer with these words (empty: absent) and this score as `min`, `max` and spoofing score.
fn saying(words: [&str; 3], score: Option<f64>) -> Analysis {
    let said = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty());
    let [state, resolution, status] = words;
    Analysis {
        state: said(state),
        resolution: said(resolution),
        resolution_status: said(status),
        min_confidence: score,
        max_confidence: score,
        confidence_spoofing: score,
        ..Analysis::default()
    }
}

/// Names a reading in one word.
fn brief(reading: VerdictReading) -> String {
    match reading {
        VerdictReading::Pending => "pending".into(),
        VerdictReading::Verdict { resolution, .. } => format!("{resolution:?}"),
        VerdictReading::Failed(error) => error.reason.as_str().into(),
        VerdictReading::Incomplete(_) => "incomplete".into(),
    }
}

#[track_caller]
fn check(words: [&str; 3], expected: &str) {
    assert_eq!(brief(read(&saying(words, Some(0.5)))), expected, "{words:?}");
}

#[test]
fn a_verdict_needs_a_state_that_is_over_and_a_known_resolution() {
    for (words, expected) in [
        // state, resolution, resolution_status
        (["FINISHED", "SUCCESS", "SUCCESS"], "Success"),
        (["FINISHED", "DECLINED", "DECLINED"], "Declined"),
        (["FINISHED", "OPERATOR_REQUIRED", "OPERATOR_REQUIRED"], "OperatorRequired"),
        (["FINISHED", "SUCCESS", ""], "Success"),
        (["FINISHED", "", "DECLINED"], "Declined"),
        (["FINISHED", "SUCCESS", "FINISHED"], "Success"),
        (["FINISHED", "FINISHED", "DECLINED"], "Declined"),
    ] {
        check(words, expected);
    }
}

#[test]
fn words_are_read_in_any_case_and_empty_is_absent() {
    check(["finished", "success", "Success"], "Success");
    check([" Finished ", "declined", " "], "Declined");
    check(["processing", "", ""], "pending");
    check([" ", "", "\t"], "incomplete");
}

#[test]
fn an_analysis_with_any_field_pending_is_still_polled() {
    for words in [
        ["PROCESSING", "PROCESSING", "PROCESSING"],
        ["INITIAL", "INITIAL", "INITIAL"],
        ["PROCESSING", "SUCCESS", "SUCCESS"],
        ["PROCESSING", "FAILED", ""],
        ["FINISHED", "PROCESSING", "PROCESSING"],
        ["FINISHED", "INITIAL", ""],
        ["FINISHED", "SUCCESS", "PROCESSING"],
        ["FINISHED", "PROCESSING", "SUCCESS"],
        ["FINISHED", "PROCESSING", "A_NEW_WORD"],
        ["", "PROCESSING", ""],
        ["", "SUCCESS", "PROCESSING"],
    ] {
        check(words, "pending");
    }
}

#[test]
fn without_a_state_the_resolution_fields_decide() {
    check(["", "SUCCESS", "SUCCESS"], "Success");
    check(["", "", "DECLINED"], "Declined");
    check(["", "FAILED", ""], "OZ_ANALYSIS_FAILED");
    check(["", "FINISHED", ""], "OZ_UNKNOWN_STATUS");
    check(["", "", ""], "incomplete");
    check(["FINISHED", "", ""], "incomplete");
}

#[test]
fn failed_in_any_deciding_field_is_failed() {
    for words in [
        ["FAILED", "FAILED", "FAILED"],
        ["FAILED", "", ""],
        ["FAILED", "PROCESSING", "PROCESSING"],
        ["FAILED", "SUCCESS", "SUCCESS"],
        ["FINISHED", "FAILED", ""],
        ["FINISHED", "", "FAILED"],
        ["FINISHED", "SUCCESS", "FAILED"],
    ] {
        check(words, "OZ_ANALYSIS_FAILED");
    }
}

#[test]
fn fields_that_contradict_each_other_decide_nothing() {
    check(["FINISHED", "SUCCESS", "DECLINED"], "OZ_INCONCLUSIVE");
    check(["FINISHED", "DECLINED", "SUCCESS"], "OZ_INCONCLUSIVE");
    check(["", "SUCCESS", "OPERATOR_REQUIRED"], "OZ_INCONCLUSIVE");
}

#[test]
fn an_unknown_word_is_never_a_verdict() {
    for words in [
        ["A_NEW_WORD", "SUCCESS", "SUCCESS"],
        ["SUCCESS", "SUCCESS", "SUCCESS"],
        ["DECLINED", "", ""],
        ["FINISHED", "A_NEW_WORD", ""],
        ["FINISHED", "A_NEW_WORD", "SUCCESS"],
        ["FINISHED", "SUCCESS", "A_NEW_WORD"],
        ["FINISHED", "A_NEW_WORD", "FAILED"],
        ["FINISHED", "FINISHED", "FINISHED"],
    ] {
        check(words, "OZ_UNKNOWN_STATUS");
    }
}

/// Values that are not valid scores.
const NO_SCORES: [Option<f64>; 6] =
    [None, Some(f64::NAN), Some(1.5), Some(-0.1), Some(f64::INFINITY), Some(f64::NEG_INFINITY)];

#[test]
fn a_verdict_needs_a_score_from_0_to_1() {
    for word in ["SUCCESS", "DECLINED", "OPERATOR_REQUIRED"] {
        let read = |score| brief(read(&saying(["FINISHED", word, word], score)));
        for score in [0.0, 0.85, 1.0] {
            assert_ne!(read(Some(score)), "OZ_INCONCLUSIVE");
        }
        for score in NO_SCORES {
            assert_eq!(read(score), "OZ_INCONCLUSIVE", "{score:?}");
        }
    }
}

#[test]
fn the_lower_score_decides_and_an_invalid_higher_one_is_dropped() {
    let scored = |max_confidence| Analysis { max_confidence, ..decided("b", "SUCCESS") };
    for (told, expected) in [(Some(0.95), Some(0.95)), (Some(1.5), None), (None, None)] {
        let VerdictReading::Verdict { min_confidence, max_confidence, .. } = read(&scored(told))
        else {
            panic!()
        };
        assert_eq!((Some(min_confidence), max_confidence), (Some(0.9), expected));
    }
    let only_greater = Analysis { min_confidence: None, ..scored(Some(0.99)) };
    assert_eq!(brief(read(&only_greater)), "OZ_INCONCLUSIVE");
}

#[test]
fn an_error_keeps_ozs_own_words() {
    let told = Analysis {
        error_code: Some(4),
        error_message: Some("no face".into()),
        ..saying(["FAILED", "Failed", ""], None)
    };
    let VerdictReading::Failed(error) = read(&told) else { panic!() };
    let expected = [
        ("oz.error_code", "4"),
        ("oz.error_message", "no face"),
        ("oz.resolution", "Failed"),
        ("oz.state", "FAILED"),
    ];
    let metadata: Vec<_> =
        error.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(metadata, expected);
    assert!(error.retryable);
}

#[test]
fn words_are_shown_raw() {
    let told = saying(["finished", "SUCCESS", ""], None);
    let shown = status(&told, 7, Some(seconds(1)));
    assert_eq!(shown.state, "finished");
    assert_eq!((shown.resolution.as_str(), shown.resolution_status.as_str()), ("SUCCESS", ""));
    assert_eq!((shown.polls, shown.last_poll), (7, Some(seconds(1))));
}

// QUALITY.

/// Names a liveness reading in one word; `-` stands for over, without a decision to trust.
fn brief_liveness(words: [&str; 3], score: Option<f64>) -> String {
    match read_liveness(&saying(words, score), &analysis_id("q")) {
        LivenessReading::Pending => "pending".into(),
        LivenessReading::Incomplete(_) => "incomplete".into(),
        LivenessReading::Over(LivenessResult { resolution, .. }) => {
            resolution.map_or("-".into(), |resolution| format!("{resolution:?}"))
        }
    }
}

#[test]
fn liveness_is_trusted_only_with_a_known_finished_and_agreed_result() {
    for (words, expected) in [
        (["FINISHED", "SUCCESS", "SUCCESS"], "Success"),
        (["finished", "success", ""], "Success"),
        (["FINISHED", "DECLINED", "DECLINED"], "Declined"),
        (["", "SUCCESS", ""], "Success"),
        (["", "", "DECLINED"], "Declined"),
        (["PROCESSING", "", ""], "pending"),
        (["INITIAL", "SUCCESS", "SUCCESS"], "pending"),
        (["FINISHED", "PROCESSING", "PROCESSING"], "pending"),
        (["FINISHED", "SUCCESS", "PROCESSING"], "pending"),
        (["", "INITIAL", ""], "pending"),
        (["", "", ""], "incomplete"),
        (["FAILED", "FAILED", "FAILED"], "-"),
        (["FAILED", "SUCCESS", "SUCCESS"], "-"),
        (["FAILED", "PROCESSING", "PROCESSING"], "-"),
        (["FINISHED", "FAILED", ""], "-"),
        (["", "FAILED", ""], "-"),
        (["FINISHED", "OPERATOR_REQUIRED", "OPERATOR_REQUIRED"], "-"),
        (["FINISHED", "SUCCESS", "DECLINED"], "-"),
        (["FINISHED", "A_NEW_WORD", "SUCCESS"], "-"),
        (["FINISHED", "", ""], "-"),
        (["A_NEW_WORD", "SUCCESS", "SUCCESS"], "-"),
        (["SUCCESS", "SUCCESS", "SUCCESS"], "-"),
    ] {
        assert_eq!(brief_liveness(words, Some(0.1)), expected, "{words:?}");
    }
}

#[test]
fn without_a_score_liveness_is_never_success_but_may_be_declined() {
    for score in NO_SCORES {
        assert_eq!(brief_liveness(["FINISHED", "SUCCESS", "SUCCESS"], score), "-");
        assert_eq!(brief_liveness(["FINISHED", "DECLINED", "DECLINED"], score), "Declined");
        let told = saying(["FINISHED"; 3], score);
        let LivenessReading::Over(result) = read_liveness(&told, &analysis_id("q")) else {
            panic!()
        };
        assert_eq!(result.confidence_spoofing, None);
    }
}
