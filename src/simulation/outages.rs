//! An outage of some minutes, through the real worker: the rate of requests falls, the outage ends
//! or doubles no match, and afterwards the rate returns to what it was before, not higher.

use std::time::Duration;

use crate::{
    domain::{Ask, Timestamp, ask::AskKind},
    simulation::{
        History,
        caller::{Caller, PhotoPlace, Plan},
        library::{self, ReadFault},
        oz::{OUTAGES, Outage},
    },
};

/// How many matches are under way.
const MATCHES: u32 = 1_000;
/// When the outage begins and ends, in seconds.
const OUT: (f64, f64) = (10.0, 310.0);

/// A history of a thousand matches that arrive between these seconds, and whose photos are in
/// these places in turn.
fn crowd(arrive: (f64, f64), places: &[PhotoPlace]) -> History {
    let mut history = History::new(1);
    let (from, to) = arrive;
    for n in 0..MATCHES {
        let share = f64::from(n) / f64::from(MATCHES);
        let plan = Plan {
            photo: places[n as usize % places.len()],
            timeout: Duration::from_secs(1_200),
            arrives: History::at(from + (to - from) * share),
            ..Plan::plain(&history.oz, n)
        };
        history.callers.push(Caller::new(plan));
    }
    history
}

/// Runs a thousand matches that arrive between these seconds, with an outage.
fn beside(outage: Outage, arrive: (f64, f64), place: PhotoPlace) -> History {
    let mut history = crowd(arrive, &[place]);
    history.oz.go_out(outage);
    history.run();
    history
}

/// How many of these times lie between these seconds.
fn count(times: &[Timestamp], from: f64, to: f64) -> usize {
    let between = |time: &&Timestamp| History::at(from) <= **time && **time < History::at(to);
    times.iter().filter(between).count()
}

/// When the requests that `of` selects were sent.
fn times(history: &History, of: impl Fn(&Ask) -> bool) -> Vec<Timestamp> {
    history.oz.record().into_iter().filter(|(_, ask)| of(ask)).map(|(time, _)| time).collect()
}

/// The outage ended no match, and each match has at most one event about it.
fn check_ends(history: &History) {
    for seen in history.callers.iter().flat_map(|caller| caller.seen()) {
        assert_eq!(seen.names.last(), Some(&"finished"));
        let told = seen.names.iter().filter(|name| **name == "attempt_failed").count();
        assert!(told <= 1, "one outage is reported once, not {told} times");
    }
}

#[test]
fn an_outage_is_waited_out_by_single_probes_and_ends_without_a_stampede() {
    for fault in OUTAGES {
        let (from, to) = (History::at(OUT.0), History::at(OUT.1));
        let history =
            beside(Outage { from, to, of: None, fault: *fault }, (8.0, 10.0), PhotoPlace::Call);
        let times = times(&history, |_| true);
        let before = count(&times, 9.0, 10.0);
        let late = count(&times, OUT.1 - 120.0, OUT.1);
        assert!(before > 500 && late < 60, "{before} a second before, {late} in two minutes of it");
        for second in 0..60 {
            let from = OUT.1 + f64::from(second);
            let after = count(&times, from, from + 1.0);
            assert!(after <= before, "{after} in a second after, {before} before");
        }
        println!("{}: {before} requests a second before, {late} in its last 120 s", fault.name);
        check_ends(&history);
    }
}

#[test]
fn a_gateway_before_one_endpoint_ends_no_match_and_is_asked_less_and_less() {
    let kinds =
        [AskKind::ReadFolder, AskKind::UploadPhoto, AskKind::StartAnalyses, AskKind::ReadAnalysis];
    for (of, fault) in kinds.into_iter().flat_map(|of| OUTAGES[1..].iter().map(move |it| (of, it)))
    {
        let (from, to) = (History::at(OUT.0), History::at(OUT.1));
        let history =
            beside(Outage { from, to, of: Some(of), fault: *fault }, (8.0, 12.0), PhotoPlace::Call);
        let refused = times(&history, |ask| ask.kind() == of);
        let (early, late) = (count(&refused, 10.0, 12.0), count(&refused, OUT.1 - 60.0, OUT.1));
        println!("{} on {}: {early} in 2 s, {late} in its last 60", fault.name, of.name());
        let (early, late) = (early as f64 / 2.0, late as f64 / 60.0);
        assert!(late < early / 2.0, "{late} a second in the end, {early} at first");
        check_ends(&history);
    }
}

/// When photos were read from the library.
fn read_times(history: &History) -> Vec<Timestamp> {
    history.library.reads().into_iter().map(|read| read.time).collect()
}

/// How long the matches took whose photos are in this place, from their arrival to their end.
fn durations(history: &History, place: PhotoPlace) -> Vec<Duration> {
    let theirs = history.callers.iter().filter(|caller| caller.plan.photo == place);
    let mut durations: Vec<_> =
        theirs.map(|caller| caller.seen()[0].time.since(caller.plan.arrives)).collect();
    durations.sort();
    durations
}

#[test]
fn an_outage_of_the_library_is_waited_out_by_single_probes_and_ends_without_a_stampede() {
    for fault in [ReadFault::Unreachable, ReadFault::Hangs] {
        let mut history = crowd((5.0, 15.0), &[PhotoPlace::Library]);
        let (from, to) = (History::at(OUT.0), History::at(OUT.1));
        history.library.go_out(library::Outage { from, to, fault });
        history.run();
        let times = read_times(&history);
        let before = count(&times, 9.0, 10.0);
        let late = count(&times, OUT.1 - 120.0, OUT.1);
        println!("{fault:?}: {before} reads a second before, {late} in its last 120 s");
        assert!(before > 50 && late < 60, "{before} a second before, {late} in two minutes of it");
        for second in 0..60 {
            let from = OUT.1 + f64::from(second);
            let after = count(&times, from, from + 1.0);
            assert!(after <= 2 * before, "{after} in a second after, {before} before");
        }
        check_ends(&history);
    }
}

#[test]
fn an_outage_of_the_library_slows_no_match_whose_caller_sends_the_photo() {
    let places = [PhotoPlace::Library, PhotoPlace::Call];
    let [alone, beside] = [None, Some(ReadFault::Hangs)].map(|fault| {
        let mut history = crowd((5.0, 15.0), &places);
        if let Some(fault) = fault {
            let (from, to) = (History::at(OUT.0), History::at(OUT.1));
            history.library.go_out(library::Outage { from, to, fault });
        }
        history.run();
        check_ends(&history);
        durations(&history, PhotoPlace::Call)
    });
    let middle = alone.len() / 2;
    println!("median of the others: {:?}, beside the outage {:?}", alone[middle], beside[middle]);
    assert!(beside[middle] <= alone[middle].mul_f64(1.1), "{:?}", beside[middle]);
    assert!(beside.last() <= alone.last().map(|most| most.mul_f64(1.5)).as_ref());
}

#[test]
fn an_outage_of_oz_lets_the_library_rest() {
    for of in [None, Some(AskKind::UploadPhoto)] {
        let (from, to) = (History::at(OUT.0), History::at(OUT.1));
        let outage = Outage { from, to, of, fault: OUTAGES[0] };
        let history = beside(outage, (8.0, 12.0), PhotoPlace::Library);
        let times = read_times(&history);
        let uploads = self::times(&history, |ask| ask.kind() == AskKind::UploadPhoto);
        let late = |times| count(times, OUT.1 - 60.0, OUT.1);
        let (early, reads, uploads) = (count(&times, 9.0, 10.0), late(&times), late(&uploads));
        println!("{of:?}: {early} reads in a second, {reads} in its last 60, {uploads} uploads");
        assert!(reads <= 2 * uploads, "{reads} reads for {uploads} uploads, once {early} a second");
        check_ends(&history);
    }
}
