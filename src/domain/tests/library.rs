//! Matches whose photo is in the photo library.

use crate::domain::{
    Cause, Deferred, Event, Failure, FailureKind, Format, LibraryFault, OzResult, Reason, Reply,
    ask::AskKind::{ReadAnalysis, ReadFolder, ReadReference, StartAnalyses, UploadPhoto},
    tests::{
        oz::{bare, biometry, decided, fails, photo, seconds, started, told},
        scene::Scene,
    },
};

fn read() -> OzResult {
    Ok(Reply::Reference(Format::Png))
}

fn fault(fault: LibraryFault) -> OzResult {
    fails(FailureKind::Library(fault))
}

/// A match that has looked into its folder, where its photo is not.
fn looked() -> Scene {
    let mut scene = Scene::naming_a_key();
    scene.hears(ReadFolder, bare());
    scene
}

#[test]
fn a_photo_is_read_when_it_is_due_and_uploaded_in_its_format() {
    let mut scene = looked();
    scene.hears(ReadReference, read());
    let ask = scene.next_ask().unwrap();
    assert!(format!("{ask:?}").contains("format: Png"), "{ask:?}");
    scene.answer(&ask, photo("p"));
    scene.hears(StartAnalyses, started(vec![biometry("b")]));
    scene.hears(ReadAnalysis, told(decided("b", "SUCCESS"))).ends();
    assert_eq!(scene.count(ReadReference), 1);
    let expected = ["accepted", "photo_uploaded", "analysis_started", "finished"];
    assert_eq!(scene.events(), expected);
}

#[test]
fn a_photo_is_read_once_for_each_attempt_to_upload_it() {
    for failure in [FailureKind::Unreachable, FailureKind::RateLimited] {
        let mut scene = looked();
        scene.hears(ReadReference, read()).hears(UploadPhoto, fails(failure));
        assert_eq!(scene.volatile.reference, None, "no photo is held while the match waits");
        if failure.may_have_acted() {
            scene.hears(ReadFolder, bare()).hears(ReadFolder, bare());
        }
        scene.hears(ReadReference, read()).hears(UploadPhoto, photo("p"));
        assert_eq!(scene.events(), ["accepted", "attempt_failed", "photo_uploaded"]);
    }
}

#[test]
fn no_photo_is_held_while_its_upload_is_held_back() {
    let mut scene = looked();
    scene.hears(ReadReference, read());
    let hold = Deferred { until: seconds(9), why: None, look_first: false };
    scene.held(UploadPhoto, &hold);
    assert_eq!(scene.volatile.reference, None);
    scene.hears(ReadReference, read()).hears(UploadPhoto, photo("p"));
}

#[test]
fn a_library_that_cannot_be_reached_is_waited_for_and_told_of_once() {
    let mut scene = looked();
    for _ in 0..5 {
        scene.hears(ReadReference, fault(LibraryFault::Unreachable));
    }
    scene.hears(ReadReference, read()).hears(UploadPhoto, photo("p"));
    assert_eq!(scene.troubles(), 1);
    assert!(scene.asked_ms() >= 5_000, "the attempts are spaced");
}

#[test]
fn a_library_that_stays_away_ends_the_match_at_its_deadline() {
    let mut scene = looked();
    while let Some(ask) = scene.next_ask() {
        assert_eq!(ask.kind(), ReadReference);
        scene.answer(&ask, fault(LibraryFault::Unreachable));
    }
    let Event::Failed(failed) = scene.last_event() else { panic!("{:?}", scene.last_event()) };
    assert_eq!(failed.error.reason, Reason::MatchTimedOut);
    let cause = Cause::LibraryUnreachable.as_str();
    assert!(failed.error.metadata.values().any(|value| value == cause));
}

#[test]
fn any_other_fault_of_the_library_ends_the_match() {
    for (it, reason) in [
        (LibraryFault::Forbidden, Reason::LibraryForbidden),
        (LibraryFault::Protocol, Reason::LibraryProtocol),
        (LibraryFault::NotFound, Reason::ReferenceNotFound),
        (LibraryFault::Ambiguous, Reason::ReferenceAmbiguous),
        (LibraryFault::Unreadable, Reason::ReferenceUnreadable),
        (LibraryFault::TooLarge, Reason::ReferenceTooLarge),
    ] {
        let mut scene = looked();
        scene.hears(ReadReference, fault(it)).ends();
        let Event::Failed(failed) = scene.last_event() else { panic!("{it:?}") };
        assert_eq!(failed.error.reason, reason);
    }
}

#[test]
fn an_unreadable_photo_is_described_to_the_caller() {
    let mut scene = looked();
    let kind = FailureKind::Library(LibraryFault::Unreadable);
    let failure = Failure::new(kind, "the library's photo is a PDF file");
    scene.hears(ReadReference, Err(failure)).ends();
    let Event::Failed(failed) = scene.last_event() else { panic!() };
    assert_eq!(failed.error.message, "the library's photo is a PDF file");
}

#[test]
fn a_replica_that_takes_over_reads_the_photo_itself() {
    let mut scene = looked();
    scene.hears(ReadReference, read());
    scene.revive();
    // The former driver may have sent the photo, so it is looked for first.
    scene.hears(ReadFolder, bare()).hears(ReadFolder, bare());
    scene.hears(ReadReference, read()).hears(UploadPhoto, photo("p"));
    assert_eq!(scene.events(), ["accepted", "photo_uploaded"]);
}

#[test]
fn trouble_that_an_earlier_driver_met_is_not_told_again() {
    let mut scene = looked();
    scene.hears(ReadReference, fault(LibraryFault::Unreachable));
    scene.revive();
    scene.hears(ReadFolder, bare()).hears(ReadFolder, bare());
    scene.hears(ReadReference, fault(LibraryFault::Unreachable));
    assert_eq!(scene.troubles(), 1);
}

#[test]
fn a_photo_is_never_lost() {
    let mut scene = Scene::naming_a_key();
    for _ in 0..100 {
        let Some(ask) = scene.next_ask() else { break };
        let outcome =
            if ask.kind() == ReadFolder { bare() } else { fault(LibraryFault::Unreachable) };
        scene.answer(&ask, outcome);
        scene.revive();
    }
    assert!(!scene.events().contains(&"failed"), "{:?}", scene.events());
}
