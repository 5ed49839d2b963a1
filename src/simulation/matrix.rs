//! The crash matrix: a crash, a pause or a fault of Oz at every point of every operation of a
//! match.

use std::{ops::Range, time::Duration};

use crate::{
    domain::LivenessPolicy,
    simulation::{
        History, OnDisk, POLICY,
        caller::{Caller, Plan},
        fault_injection::{POINTS, Point},
        fleet::{Fleet, LEASE},
        oz::{Acts, FAULTS, Model},
    },
};

const POLICIES: [LivenessPolicy; 3] =
    [LivenessPolicy::Report, LivenessPolicy::Require, LivenessPolicy::Run];

/// A match in a folder of its own, whose caller calls again right after a crash.
fn plan(oz: &Model, n: u32, policy: LivenessPolicy, sends_photo: bool) -> Plan {
    Plan { sends_photo, policy, comes_back: Some(Duration::ZERO), ..Plan::plain(oz, n) }
}

/// Runs a history of one match, changed by `change`.
fn check(policy: LivenessPolicy, sends_photo: bool, change: impl Fn(&mut History)) -> History {
    check_in(History::new(1), policy, sends_photo, change)
}

fn check_in(
    mut history: History,
    policy: LivenessPolicy,
    sends_photo: bool,
    change: impl Fn(&mut History),
) -> History {
    let caller = Caller::new(plan(&history.oz, 1, policy, sends_photo));
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
fn kinds() -> Vec<(LivenessPolicy, bool, usize)> {
    let mut kinds = Vec::new();
    for policy in POLICIES {
        for sends_photo in [true, false] {
            let history = check(policy, sends_photo, |_| {});
            assert_eq!(last(&history).last(), Some(&"finished"));
            kinds.push((policy, sends_photo, history.plug.operations()));
        }
    }
    kinds
}

#[test]
fn a_match_survives_a_crash_at_every_point_of_every_operation() {
    let mut deaths = 0;
    for (policy, sends_photo, operations) in kinds() {
        for (n, point) in points(0..operations) {
            let history = check(policy, sends_photo, |it| it.plug.crash_at(n, point));
            assert_eq!(last(&history).last(), Some(&"finished"), "{policy:?} {n} {point:?}");
            deaths += history.crashes;
        }
    }
    assert!(deaths > 100, "{deaths} deaths");
    println!("deaths: {deaths}, lost: 0, doubled: 0");
}

#[test]
fn a_match_on_a_real_file_survives_a_crash_at_every_point_of_every_operation() {
    let mut deaths = 0;
    for (policy, sends_photo, operations) in kinds().into_iter().filter(|(_, is_sent, _)| *is_sent)
    {
        for (n, point) in points(0..operations) {
            let history = History::over(1, Box::new(OnDisk::new()));
            let history = check_in(history, policy, sends_photo, |it| it.plug.crash_at(n, point));
            assert_eq!(last(&history).last(), Some(&"finished"), "{policy:?} {n} {point:?}");
            deaths += history.crashes;
        }
    }
    println!("deaths on a file: {deaths}, lost: 0, doubled: 0");
}

/// Two replicas, and a match whose caller calls again at any replica that is up. A replica that has
/// crashed is not restarted.
fn check_fleet(
    policy: LivenessPolicy,
    sends_photo: bool,
    change: impl Fn(&mut Fleet),
) -> (Fleet, Vec<&'static str>) {
    let mut fleet = Fleet::new(1, 2);
    let caller = Caller::new(plan(&fleet.oz, 1, policy, sends_photo));
    fleet.callers.push(caller);
    fleet.restart_delay = Duration::from_secs(1_000);
    change(&mut fleet);
    fleet.run();
    let names = fleet.callers[0].seen()[0].names.clone();
    (fleet, names)
}

/// The same kinds, each with the number of its operations if there are two replicas.
fn kinds_in_fleet() -> Vec<(LivenessPolicy, bool, usize)> {
    let of = |policy, sends_photo| {
        let (fleet, names) = check_fleet(policy, sends_photo, |_| {});
        assert_eq!(names.last(), Some(&"finished"));
        (policy, sends_photo, fleet.plug.operations())
    };
    POLICIES.into_iter().flat_map(|policy| [true, false].map(|sends| of(policy, sends))).collect()
}

#[test]
fn a_match_is_taken_over_after_a_crash_at_every_point_of_every_operation() {
    let mut deaths = 0;
    for (policy, sends_photo, operations) in kinds_in_fleet() {
        for (n, point) in points(0..operations) {
            for alone in [true, false] {
                let (fleet, names) = check_fleet(policy, sends_photo, |it| {
                    it.plug.crash_at(n, point);
                    it.oz.act_without_senders(alone);
                });
                assert_eq!(names.last(), Some(&"finished"), "{policy:?} {n} {point:?}");
                assert!(fleet.oz.strays() == 0);
                deaths += fleet.harmful_strikes;
            }
        }
    }
    assert!(deaths > 100, "{deaths} deaths");
    println!("deaths beside another replica: {deaths}, lost: 0, doubled: 0");
}

#[test]
fn a_match_is_taken_over_while_its_driver_is_paused_at_any_point_of_any_operation() {
    let (mut halts, mut strays) = (0, 0);
    for (policy, sends_photo, operations) in kinds_in_fleet() {
        for (n, point) in points(0..operations) {
            for (alone, leases) in [(true, 2), (false, 2), (true, 5), (false, 5)] {
                let (fleet, names) = check_fleet(policy, sends_photo, |it| {
                    it.plug.pause_at(n, point);
                    it.pause_length = leases * LEASE;
                    it.oz.act_without_senders(alone);
                });
                assert_eq!(names.last(), Some(&"finished"), "{policy:?} {n} {point:?}");
                halts += fleet.harmful_strikes;
                strays += fleet.oz.strays();
            }
        }
    }
    assert!(halts > 100, "{halts} halts");
    println!(
        "standing still past the lease: {halts}, lost: 0, doubled by what was in flight: {strays}"
    );
}

/// A year, in microseconds.
const YEAR: i64 = 365 * 86_400 * 1_000_000;

#[test]
fn a_match_is_taken_over_by_replicas_whose_clocks_are_years_apart() {
    let mut deaths = 0;
    for (policy, sends_photo, operations) in kinds_in_fleet() {
        for (n, point) in points(0..operations) {
            for skews in [[YEAR, 0], [0, YEAR], [-YEAR, 0], [0, -YEAR], [YEAR, -YEAR]] {
                let (fleet, names) = check_fleet(policy, sends_photo, |it| {
                    it.plug.crash_at(n, point);
                    it.clock_skews_micros = skews.to_vec();
                });
                assert_eq!(names.last(), Some(&"finished"), "{policy:?} {n} {point:?} {skews:?}");
                deaths += fleet.harmful_strikes;
            }
        }
    }
    assert!(deaths > 100, "{deaths} deaths");
    println!("deaths beside clocks that are years apart: {deaths}, lost: 0, doubled: 0");
}

#[test]
fn a_match_survives_every_fault_of_every_request() {
    let mut faults = 0;
    for (policy, sends_photo, operations) in kinds() {
        for (n, fault) in (0..operations).flat_map(|n| FAULTS.iter().map(move |it| (n, it))) {
            let history = check(policy, sends_photo, |it| it.oz.fail_at(n, *fault));
            assert_eq!(last(&history).last(), Some(&"finished"), "{policy:?} {n} {fault:?}");
            faults += history.oz.faults();
        }
    }
    println!("faults: {faults}, lost: 0, doubled: 0");
}

#[test]
fn a_match_survives_every_fault_followed_by_a_crash_at_every_later_point() {
    let mut both = 0;
    for (policy, sends_photo, operations) in kinds() {
        for (n, fault) in (0..operations).flat_map(|n| FAULTS.iter().map(move |it| (n, it))) {
            for (later, point) in points(n..n + 4) {
                let history = check(policy, sends_photo, |history| {
                    history.oz.fail_at(n, *fault);
                    history.plug.crash_at(later, point);
                });
                both += history.crashes.min(history.oz.faults());
            }
        }
    }
    println!("faults, then deaths: {both}, lost: 0, doubled: 0");
}

#[test]
fn a_photo_that_is_not_sent_again_is_lost_after_the_grace_and_not_before() {
    let mut lost = 0;
    for (n, point) in points(0..6) {
        let history = check(LivenessPolicy::Report, true, |history| {
            let plan = history.callers[0].plan.clone();
            history.callers = vec![Caller::new(Plan { comes_back: None, ..plan })];
            history.plug.crash_at(n, point);
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
        let history = check(LivenessPolicy::Report, true, |history| {
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
        check(LivenessPolicy::Run, true, |history| {
            let plan = history.callers[0].plan.clone();
            history.callers = vec![Caller::new(Plan { copies: 50, ..plan })];
            history.plug.crash_at(n, point);
        });
    }
}

#[test]
fn two_matches_of_the_same_media_never_share_an_analysis() {
    for (first, second) in (4..16).flat_map(|n| (n + 1..16).map(move |m| (n, m))) {
        for fault in FAULTS.iter().filter(|fault| fault.acts != Acts::Never) {
            check(LivenessPolicy::Report, false, |history| {
                let plan = history.callers[0].plan.clone();
                let request_id = "order-2".parse().expect("an id");
                history.callers.push(Caller::new(Plan { request_id, ..plan }));
                history.oz.fail_at(first, *fault);
                history.oz.fail_at(second, *fault);
            });
        }
    }
}
