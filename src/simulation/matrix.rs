//! The crash matrix: a crash, a pause, a fault of Oz or a fault of the photo library at every point
//! of every operation of a match.

use std::{ops::Range, time::Duration};

use crate::{
    domain::LivenessPolicy,
    oz_faults::Acts,
    simulation::{
        History, OnDisk, POLICY,
        caller::{Caller, PhotoPlace, Plan},
        fault_injection::{POINTS, Point},
        fleet::{Fleet, LEASE},
        library::{READ_FAULTS, ReadFault},
        oz::{FAULTS, Model},
    },
};

const POLICIES: [LivenessPolicy; 3] =
    [LivenessPolicy::Report, LivenessPolicy::Require, LivenessPolicy::Run];

const PLACES: [PhotoPlace; 3] = [PhotoPlace::Call, PhotoPlace::Folder, PhotoPlace::Library];

/// A match in a folder of its own. Its caller calls again right after a crash, but not if the photo
/// is in the library: the match needs its caller no more.
fn plan(oz: &Model, n: u32, policy: LivenessPolicy, photo: PhotoPlace) -> Plan {
    let comes_back = (photo != PhotoPlace::Library).then_some(Duration::ZERO);
    Plan { photo, policy, comes_back, ..Plan::plain(oz, n) }
}

/// Asserts how a match has ended, by the updates that its caller has seen. A caller that doesn't
/// call again sees none if the first operation, the admission, was cut off.
#[track_caller]
fn assert_finished(names: &[&str], photo: PhotoPlace, n: usize, what: &str) {
    let is_unknown = names.is_empty() && photo == PhotoPlace::Library && n == 0;
    assert!(is_unknown || names.last() == Some(&"finished"), "{photo:?} {n} {what}: {names:?}");
}

/// Runs a history of one match, changed by `change`.
fn check(policy: LivenessPolicy, photo: PhotoPlace, change: impl Fn(&mut History)) -> History {
    check_in(History::new(1), policy, photo, change)
}

fn check_in(
    mut history: History,
    policy: LivenessPolicy,
    photo: PhotoPlace,
    change: impl Fn(&mut History),
) -> History {
    let caller = Caller::new(plan(&history.oz, 1, policy, photo));
    history.callers.push(caller);
    change(&mut history);
    history.run();
    history
}

/// The events of a history's only match.
fn last(history: &History) -> Vec<&'static str> {
    history.callers[0].seen()[0].names.clone()
}

/// Every point of these operations.
fn points(operations: Range<usize>) -> impl Iterator<Item = (usize, Point)> {
    operations.flat_map(|n| POINTS.map(|point| (n, point)))
}

/// All kinds of match, each with the number of its operations if nothing goes wrong.
fn kinds() -> Vec<(LivenessPolicy, PhotoPlace, usize)> {
    let mut kinds = Vec::new();
    for policy in POLICIES {
        for photo in PLACES {
            let history = check(policy, photo, |_| {});
            assert_eq!(last(&history).last(), Some(&"finished"));
            let reads = history.library.reads().len();
            assert_eq!(reads, usize::from(photo == PhotoPlace::Library), "one read, one upload");
            kinds.push((policy, photo, history.injector.operations()));
        }
    }
    kinds
}

#[test]
fn a_match_survives_a_crash_at_every_point_of_every_operation() {
    let mut crashes = 0;
    for (policy, photo, operations) in kinds() {
        for (n, point) in points(0..operations) {
            let history = check(policy, photo, |it| it.injector.crash_at(n, point));
            assert_finished(&last(&history), photo, n, &format!("{policy:?} {point:?}"));
            crashes += history.crashes;
        }
    }
    assert!(crashes > 100, "{crashes} crashes");
    println!("crashes: {crashes}, lost: 0, doubled: 0");
}

#[test]
fn a_match_on_a_real_file_survives_a_crash_at_every_point_of_every_operation() {
    let mut crashes = 0;
    for (policy, photo, operations) in
        kinds().into_iter().filter(|(_, photo, _)| *photo != PhotoPlace::Folder)
    {
        for (n, point) in points(0..operations) {
            let history = History::over(1, Box::new(OnDisk::new()));
            let history = check_in(history, policy, photo, |it| it.injector.crash_at(n, point));
            assert_finished(&last(&history), photo, n, &format!("{policy:?} {point:?}"));
            crashes += history.crashes;
        }
    }
    println!("crashes on a file: {crashes}, lost: 0, doubled: 0");
}

/// Two replicas, and a match whose caller calls again at any replica that is up. A replica that has
/// crashed is not restarted.
fn check_fleet(
    policy: LivenessPolicy,
    photo: PhotoPlace,
    change: impl Fn(&mut Fleet),
) -> (Fleet, Vec<&'static str>) {
    let mut fleet = Fleet::new(1, 2);
    let caller = Caller::new(plan(&fleet.oz, 1, policy, photo));
    fleet.callers.push(caller);
    fleet.restart_delay = Duration::from_secs(1_000);
    change(&mut fleet);
    fleet.run();
    let names = fleet.callers[0].seen()[0].names.clone();
    (fleet, names)
}

/// The same kinds, each with the number of its operations if there are two replicas.
fn kinds_in_fleet() -> Vec<(LivenessPolicy, PhotoPlace, usize)> {
    let of = |policy, photo| {
        let (fleet, names) = check_fleet(policy, photo, |_| {});
        assert_eq!(names.last(), Some(&"finished"));
        (policy, photo, fleet.injector.operations())
    };
    POLICIES.into_iter().flat_map(|policy| PLACES.map(|photo| of(policy, photo))).collect()
}

#[test]
fn a_match_is_taken_over_after_a_crash_at_every_point_of_every_operation() {
    let mut crashes = 0;
    for (policy, photo, operations) in kinds_in_fleet() {
        for (n, point) in points(0..operations) {
            for alone in [true, false] {
                let (fleet, names) = check_fleet(policy, photo, |it| {
                    it.injector.crash_at(n, point);
                    it.oz.act_without_senders(alone);
                });
                assert_finished(&names, photo, n, &format!("{policy:?} {point:?}"));
                assert!(fleet.oz.strays() == 0);
                crashes += fleet.harmful_strikes;
            }
        }
    }
    assert!(crashes > 100, "{crashes} crashes");
    println!("crashes beside another replica: {crashes}, lost: 0, doubled: 0");
}

#[test]
fn a_match_is_taken_over_while_its_driver_is_paused_at_any_point_of_any_operation() {
    let (mut pauses, mut strays) = (0, 0);
    for (policy, photo, operations) in kinds_in_fleet() {
        for (n, point) in points(0..operations) {
            for (alone, leases) in [(true, 2), (false, 2), (true, 5), (false, 5)] {
                let (fleet, names) = check_fleet(policy, photo, |it| {
                    it.injector.pause_at(n, point);
                    it.pause_length = leases * LEASE;
                    it.oz.act_without_senders(alone);
                });
                assert_finished(&names, photo, n, &format!("{policy:?} {point:?}"));
                pauses += fleet.harmful_strikes;
                strays += fleet.oz.strays();
            }
        }
    }
    assert!(pauses > 100, "{pauses} pauses");
    println!("paused past the lease: {pauses}, lost: 0, doubled by what was in flight: {strays}");
}

/// A year, in microseconds.
const YEAR: i64 = 365 * 86_400 * 1_000_000;

#[test]
fn a_match_is_taken_over_by_replicas_whose_clocks_are_years_apart() {
    let mut crashes = 0;
    for (policy, photo, operations) in kinds_in_fleet() {
        for (n, point) in points(0..operations) {
            for skews in [[YEAR, 0], [0, YEAR], [-YEAR, 0], [0, -YEAR], [YEAR, -YEAR]] {
                let (fleet, names) = check_fleet(policy, photo, |it| {
                    it.injector.crash_at(n, point);
                    it.clock_skews_micros = skews.to_vec();
                });
                assert_finished(&names, photo, n, &format!("{policy:?} {point:?} {skews:?}"));
                crashes += fleet.harmful_strikes;
            }
        }
    }
    assert!(crashes > 100, "{crashes} crashes");
    println!("crashes beside clocks that are years apart: {crashes}, lost: 0, doubled: 0");
}

#[test]
fn a_match_survives_every_fault_of_every_request() {
    let mut faults = 0;
    for (policy, photo, operations) in kinds() {
        for (n, fault) in (0..operations).flat_map(|n| FAULTS.iter().map(move |it| (n, it))) {
            let history = check(policy, photo, |it| it.oz.fail_at(n, *fault));
            assert_finished(&last(&history), photo, n, &format!("{policy:?} {fault:?}"));
            faults += history.oz.faults();
        }
    }
    println!("faults: {faults}, lost: 0, doubled: 0");
}

#[test]
fn a_match_survives_every_fault_followed_by_a_crash_at_every_later_point() {
    let mut both = 0;
    for (policy, photo, operations) in kinds() {
        for (n, fault) in (0..operations).flat_map(|n| FAULTS.iter().map(move |it| (n, it))) {
            for (later, point) in points(n..n + 4) {
                let history = check(policy, photo, |history| {
                    history.oz.fail_at(n, *fault);
                    history.injector.crash_at(later, point);
                });
                both += history.crashes.min(history.oz.faults());
            }
        }
    }
    println!("faults, then crashes: {both}, lost: 0, doubled: 0");
}

#[test]
fn a_match_survives_every_fault_of_every_read_of_its_photo() {
    let mut faults = 0;
    for (policy, photo, operations) in kinds() {
        for (n, fault) in (0..operations).flat_map(|n| READ_FAULTS.iter().map(move |it| (n, it))) {
            let history = check(policy, photo, |it| it.library.fail_at(n, *fault));
            assert_finished(&last(&history), photo, n, &format!("{policy:?} {fault:?}"));
            faults += history.library.faults();
        }
    }
    assert_eq!(faults, POLICIES.len() * READ_FAULTS.len(), "each match reads its photo once");
    println!("faults of the library: {faults}, lost: 0, doubled: 0");
}

#[test]
fn a_match_survives_every_fault_of_its_library_followed_by_a_crash_at_every_later_point() {
    let mut both = 0;
    for (policy, photo, operations) in kinds() {
        for (n, fault) in (0..operations).flat_map(|n| READ_FAULTS.iter().map(move |it| (n, it))) {
            for (later, point) in points(n..n + 4) {
                let history = check(policy, photo, |history| {
                    history.library.fail_at(n, *fault);
                    history.injector.crash_at(later, point);
                });
                assert_finished(&last(&history), photo, later, &format!("{fault:?} {point:?}"));
                both += history.crashes.min(history.library.faults());
            }
        }
    }
    assert!(both > 100, "{both}");
    println!("faults of the library, then crashes: {both}, lost: 0, doubled: 0");
}

#[test]
fn a_match_by_key_cancelled_at_any_moment_is_cancelled_or_has_finished() {
    for (hundredth, fault) in (100..130).flat_map(|at| READ_FAULTS.iter().map(move |it| (at, it))) {
        let history = check(LivenessPolicy::Report, PhotoPlace::Library, |history| {
            let plan = history.callers[0].plan.clone();
            let cancels = Some(History::at(f64::from(hundredth) / 100.0));
            history.callers = vec![Caller::new(Plan { cancels, ..plan })];
            (0..10).for_each(|n| history.library.fail_at(n, *fault));
        });
        let end = last(&history).last().copied();
        assert!([Some("cancelled"), Some("finished")].contains(&end), "{end:?}");
    }
}

#[test]
fn a_match_whose_library_hangs_ends_at_its_deadline() {
    for fault in [ReadFault::Hangs, ReadFault::Unreachable, ReadFault::NoRoom] {
        let history = check(LivenessPolicy::Report, PhotoPlace::Library, |history| {
            let plan = history.callers[0].plan.clone();
            let timeout = Duration::from_secs(45);
            history.callers = vec![Caller::new(Plan { timeout, ..plan })];
            (0..1_000).for_each(|n| history.library.fail_at(n, fault));
        });
        let seen = &history.callers[0].seen()[0];
        assert_eq!(seen.names.last(), Some(&"failed"), "{fault:?}");
        let late = seen.time.since(History::at(1.0).after(Duration::from_secs(45)));
        assert!(late < Duration::from_secs(1), "{fault:?}: {late:?} after the deadline");
        let cause = (fault != ReadFault::NoRoom).then_some("LIBRARY_UNREACHABLE");
        assert_eq!(seen.cause.as_deref(), cause, "a full photo memory is no trouble");
    }
}

#[test]
fn a_match_whose_key_has_no_photo_fails_through_a_crash_at_every_point() {
    for (n, point) in points(0..6) {
        let history = check(LivenessPolicy::Report, PhotoPlace::Nowhere, |history| {
            history.injector.crash_at(n, point);
        });
        let names = last(&history);
        assert_eq!(names.last(), Some(&"failed"), "{n} {point:?}: {names:?}");
    }
}

#[test]
fn a_photo_that_is_not_sent_again_is_lost_after_the_grace_and_not_before() {
    let mut lost = 0;
    for (n, point) in points(0..6) {
        let history = check(LivenessPolicy::Report, PhotoPlace::Call, |history| {
            let plan = history.callers[0].plan.clone();
            history.callers = vec![Caller::new(Plan { comes_back: None, ..plan })];
            history.injector.crash_at(n, point);
        });
        let seen = &history.callers[0].seen()[0];
        if seen.names.last() == Some(&"failed") {
            lost += 1;
            assert!(seen.time >= History::at(1.0).after(POLICY.photo_grace), "{n} {point:?}");
        }
    }
    assert!(lost > 0, "no photo was lost");
}

#[test]
fn a_match_cancelled_at_any_moment_is_cancelled_or_has_finished() {
    for tenth in 10..60 {
        let history = check(LivenessPolicy::Report, PhotoPlace::Call, |history| {
            let plan = history.callers[0].plan.clone();
            let cancels = Some(History::at(f64::from(tenth) / 10.0));
            history.callers = vec![Caller::new(Plan { cancels, ..plan })];
        });
        let end = last(&history).last().copied();
        assert!([Some("cancelled"), Some("finished")].contains(&end), "{end:?}");
    }
}

#[test]
fn fifty_callers_with_one_request_id_get_one_match_through_a_crash_at_every_point() {
    for (n, point) in points(0..12) {
        check(LivenessPolicy::Run, PhotoPlace::Call, |history| {
            let plan = history.callers[0].plan.clone();
            history.callers = vec![Caller::new(Plan { copies: 50, ..plan })];
            history.injector.crash_at(n, point);
        });
    }
}

#[test]
fn two_matches_of_the_same_media_never_share_an_analysis() {
    for (first, second) in (4..16).flat_map(|n| (n + 1..16).map(move |m| (n, m))) {
        for fault in FAULTS.iter().filter(|fault| fault.acts != Acts::Never) {
            check(LivenessPolicy::Report, PhotoPlace::Folder, |history| {
                let plan = history.callers[0].plan.clone();
                let request_id = "order-2".parse().expect("an id");
                history.callers.push(Caller::new(Plan { request_id, ..plan }));
                history.oz.fail_at(first, *fault);
                history.oz.fail_at(second, *fault);
            });
        }
    }
}
