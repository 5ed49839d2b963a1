//! Lists over a crowd: every filter selects exactly its matches, and each page has bounded cost.
//!
//! A crowd is the data that `tests/crowd` generates, so the expected matches of a list follow from
//! their numbers.

use std::{future::Future, time::Duration};

use uuid::Uuid;

use crate::{
    crowd::{Crowd, Stands},
    domain::{FolderId, MatchId, State, TenantId, Timestamp},
    journal::{Filter, Listing, Reader, suite::facts::labels},
};

/// How many matches a page is requested to have.
const PAGE: usize = 100;

/// How many matches of a list are compared: a few pages.
const COMPARED_MAX: usize = 250;

/// The most rows that a page may read: the index rows that it scans, and four events for each match
/// on the page. A crowd has twenty times as many rows.
pub(in crate::journal) const ROWS_MAX: usize = 2048 + 4 * PAGE;

/// A crowd of `count` matches, numbered from `first` on.
pub(in crate::journal) const fn crowd(first: u64, count: u64) -> Crowd {
    Crowd { caller: "anna", first, count, start_ms: 1_700_000_000_000, step_ms: 2_000 }
}

/// A filter, and which numbers of the crowd it selects.
pub(in crate::journal) struct Case {
    pub filter: Filter,
    selects: Box<dyn Fn(u64) -> bool + Send + Sync>,
}

/// Every filter by itself, and the worst combinations: a condition that selects many matches beside
/// a condition that selects few.
pub(in crate::journal) fn cases(crowd: &Crowd) -> Vec<Case> {
    use State::{Accepted, Cancelled, Failed, Finished, Processing, Uploaded};
    let case =
        |filter: Filter, selects: fn(u64) -> bool| Case { filter, selects: Box::new(selects) };
    let any = Filter::default;
    let with = |pairs: &[(&str, &str)], states: &[State]| Filter {
        labels: labels(pairs),
        states: states.to_vec(),
        ..Filter::default()
    };
    let is_s0 = |n| Crowd::shop(n) == "s0";
    let is_vip = |n| Crowd::rank(n) == "vip";
    let has_failed = |n| Crowd::stands(n) == Stands::Failed;
    let runs = |n| Crowd::stands(n) == Stands::Processing;
    let has_finished = |n| Crowd::stands(n) == Stands::Finished;
    let mut cases = vec![
        case(any(), |_| true),
        case(with(&[("shop", "s0")], &[]), is_s0),
        case(with(&[("rank", "vip")], &[]), is_vip),
        case(with(&[("rank", "none")], &[]), |_| false),
        case(with(&[("shop", "s0"), ("rank", "vip")], &[]), move |n| {
            Crowd::shop(n) == "s0" && Crowd::rank(n) == "vip"
        }),
        case(with(&[], &[Failed]), has_failed),
        case(with(&[], &[Processing]), runs),
        case(with(&[], &[Finished]), has_finished),
        case(with(&[], &[Cancelled]), |_| false),
        case(with(&[], &[Accepted, Uploaded]), |_| false),
        case(with(&[], &[Processing, Uploaded, Accepted]), runs),
        case(with(&[], &[Failed, Processing, Cancelled]), |n| Crowd::stands(n) != Stands::Finished),
        case(with(&[("shop", "s0")], &[Failed]), |n| {
            Crowd::shop(n) == "s0" && Crowd::stands(n) == Stands::Failed
        }),
        case(with(&[("shop", "s0")], &[Cancelled]), |_| false),
        case(with(&[("rank", "plain")], &[Processing]), runs),
    ];
    cases.extend(in_a_folder(crowd));
    cases.extend(in_time(crowd));
    cases
}

fn in_a_folder(crowd: &Crowd) -> Vec<Case> {
    let (number, absent) = (crowd.first + crowd.count / 2, crowd.end() * 2);
    let of = |number| Some(FolderId::from_uuid(Uuid::from_u128(Crowd::folder(number))));
    let filter = |number| Filter { folder_id: of(number), ..Filter::default() };
    let is_there = move |n| Crowd::folder(n) == Crowd::folder(number);
    let narrow = Filter {
        labels: labels(&[("shop", "s0"), ("rank", "plain")]),
        states: vec![State::Finished],
        ..filter(number)
    };
    vec![
        Case { filter: filter(number), selects: Box::new(is_there) },
        Case { filter: filter(absent), selects: Box::new(|_| false) },
        Case {
            filter: narrow,
            selects: Box::new(move |n| {
                is_there(n)
                    && Crowd::shop(n) == "s0"
                    && Crowd::rank(n) == "plain"
                    && Crowd::stands(n) == Stands::Finished
            }),
        },
    ]
}

fn in_time(crowd: &Crowd) -> Vec<Case> {
    let crowd = *crowd;
    let middle = crowd.first + crowd.count / 2;
    let at = move |number| Some(Timestamp::from_micros(crowd.create_micros(number).cast_signed()));
    let far = Timestamp::from_micros(4_102_444_800_000_000);
    let window =
        Filter { created_after: at(middle), created_before: at(middle + 50), ..Filter::default() };
    let late = Filter { created_after: Some(far), ..Filter::default() };
    let early = Filter { created_before: Some(Timestamp::from_micros(1)), ..Filter::default() };
    let states = vec![State::Failed];
    let failed = Filter { states: states.clone(), created_after: at(middle), ..Filter::default() };
    let old = Filter { created_before: at(middle), labels: labels(&[("rank", "vip")]), ..failed };
    let failed = Filter { states, created_after: at(middle), ..Filter::default() };
    vec![
        Case { filter: window, selects: Box::new(move |n| (middle..middle + 50).contains(&n)) },
        Case { filter: late.clone(), selects: Box::new(|_| false) },
        Case {
            filter: Filter { states: vec![State::Finished], ..late },
            selects: Box::new(|_| false),
        },
        Case { filter: early, selects: Box::new(|_| false) },
        Case {
            filter: failed,
            selects: Box::new(move |n| n >= middle && Crowd::stands(n) == Stands::Failed),
        },
        Case { filter: old, selects: Box::new(|_| false) },
    ]
}

/// Reads some pages with each filter, checks them, and calls `look` with each.
pub(in crate::journal) async fn check<F: Future<Output = ()>>(
    reader: &dyn Reader,
    crowd: &Crowd,
    mut look: impl FnMut(Filter, Option<MatchId>, Listing) -> F,
) {
    let tenant = TenantId::from_stored(crowd.caller);
    for Case { filter, selects } in cases(crowd) {
        let numbers = (crowd.first..crowd.end()).rev().filter(|number| selects(*number));
        let expected: Vec<MatchId> =
            numbers.map(|number| MatchId::from_uuid(Uuid::from_u128(crowd.id(number)))).collect();
        let (mut listed, mut position, mut is_over) = (Vec::new(), None, false);
        while !is_over && listed.len() < COMPARED_MAX {
            let page = reader.list(&tenant, &filter, position, PAGE).await.unwrap();
            assert!(
                page.matches.len() <= PAGE && page.rows <= ROWS_MAX,
                "{filter:?}: {}",
                page.rows
            );
            assert!(page.matches.iter().all(|m| filter.selects(m)), "{filter:?}");
            assert!(page.reached != position || page.reached.is_none(), "{filter:?}");
            listed.extend(page.matches.iter().map(|m| m.id));
            let before = std::mem::replace(&mut position, page.reached);
            is_over = page.reached.is_none();
            look(filter.clone(), before, page).await;
        }
        let expected = if is_over { &*expected } else { &expected[..listed.len()] };
        assert_eq!(listed, expected, "{filter:?}");
    }
}

/// How long an abandoned list may take to stop: much longer than it takes.
pub(in crate::journal) const PATIENCE: Duration = Duration::from_secs(30);
