//! An outage of some minutes, through the real engine: the rate of requests falls to single
//! probes, and rises to what it was, not beyond.

use std::time::Duration;

use crate::{
    app::histories::{
        History,
        caller::{Caller, Plan},
    },
    domain::{LivenessPolicy, Timestamp},
};

/// How many matches are under way.
const MATCHES: u32 = 1_000;
/// When Oz goes, and when it is back, in seconds.
const OUT: (f64, f64) = (10.0, 310.0);

/// How many of these times lie between these seconds.
fn count(times: &[Timestamp], from: f64, to: f64) -> usize {
    let between = |time: &&Timestamp| History::at(from) <= **time && **time < History::at(to);
    times.iter().filter(between).count()
}

#[test]
fn an_outage_is_waited_out_by_single_probes_and_ends_without_a_stampede() {
    let mut history = History::new(1);
    for n in 0..MATCHES {
        let plan = Plan {
            request_id: format!("order-{n}").parse().expect("an id"),
            folder_id: history.oz.add_folder(n),
            image: format!("image-{n}").parse().expect("an id"),
            sends_photo: true,
            policy: LivenessPolicy::Report,
            timeout: Duration::from_secs(1_200),
            arrives: History::at(8.0 + 2.0 * f64::from(n) / f64::from(MATCHES)),
            comes_back: None,
            cancels: None,
            copies: 1,
        };
        history.callers.push(Caller::new(plan));
    }
    history.oz.go_out(History::at(OUT.0), History::at(OUT.1));
    history.run();

    let times: Vec<Timestamp> = history.oz.record().into_iter().map(|(time, _)| time).collect();
    let before = count(&times, 9.0, 10.0);
    let late = count(&times, OUT.1 - 120.0, OUT.1);
    assert!(before > 500 && late < 60, "{before} in a second before, {late} in two minutes of it");
    for second in 0..60 {
        let from = OUT.1 + f64::from(second);
        let after = count(&times, from, from + 1.0);
        assert!(after <= before, "{after} in a second after, {before} before");
    }
    println!("requests a second: {before} before, {late} in the last 120 of the outage");
    for seen in history.callers.iter().flat_map(|caller| caller.seen()) {
        assert_eq!(seen.names.last(), Some(&"finished"));
        let told = seen.names.iter().filter(|name| **name == "attempt_failed").count();
        assert!(told <= 1, "one outage is told once, not {told} times");
    }
}
