//! Finding one match, and listing many.

use std::time::Duration;

use super::facts::*;
use crate::{
    domain::{MatchId, Spec, State},
    journal::{Filter, Key, suite::Engine},
};

/// By either key; another tenant finds nothing.
pub async fn a_match_is_found_by_its_tenant_only(engine: impl Engine) {
    let (reader, id) = (engine.reader(), match_id(0, 1));
    admit(&engine, id, named_spec("order-1")).await;
    for key in [Key::Match(id), request("order-1")] {
        let found = reader.find(&anna(), &key).await.unwrap();
        assert_eq!(found.map(|state| state.id), Some(id));
        assert_eq!(reader.find(&tenant("bert"), &key).await.unwrap(), None);
    }
    assert_eq!(reader.find(&anna(), &Key::Match(match_id(0, 2))).await.unwrap(), None);
    assert_eq!(reader.find(&anna(), &request("order-2")).await.unwrap(), None);
}

async fn ids(
    engine: &impl Engine,
    filter: &Filter,
    before: Option<MatchId>,
    limit: usize,
) -> Vec<MatchId> {
    let listed = engine.reader().list(&anna(), filter, before, limit).await.unwrap();
    listed.matches.into_iter().map(|state| state.id).collect()
}

/// In the order of ids, so that paging is exact however many matches came at once.
pub async fn a_list_is_newest_first_also_within_a_millisecond(engine: impl Engine) {
    let order = [(0, 2), (0, 1), (5, 1), (0, 3), (3, 9)];
    for (millis, n) in order {
        admit(&engine, match_id(millis, n), plain_spec()).await;
    }
    let newest_first = [(5, 1), (3, 9), (0, 3), (0, 2), (0, 1)].map(|(ms, n)| match_id(ms, n));
    assert_eq!(ids(&engine, &Filter::default(), None, 100).await, newest_first);
}

/// With any page size; after the last page there is nothing.
pub async fn a_list_continues_after_its_last_match(engine: impl Engine) {
    for n in 0..10 {
        let spec = Spec { labels: labels(&[("shop", "7")]), ..plain_spec() };
        run(&engine, match_id(n / 4, n), spec, [uploaded()]).await;
    }
    for filter in
        [Filter::default(), Filter { labels: labels(&[("shop", "7")]), ..Filter::default() }]
    {
        let all = ids(&engine, &filter, None, 100).await;
        assert_eq!(all.len(), 10);
        for size in 1..11 {
            let mut paged = Vec::new();
            while let page @ [_, ..] = &*ids(&engine, &filter, paged.last().copied(), size).await {
                assert!(page.len() <= size);
                paged.extend_from_slice(page);
            }
            assert_eq!(paged, all);
        }
    }
}

/// Each filter alone, and all at once.
pub async fn a_list_applies_each_filter(engine: impl Engine) {
    let id = |n| match_id(n, 0);
    let with = |labels| Spec { labels, ..plain_spec() };
    let second = Duration::from_secs(1);
    run(&engine, id(1), with(labels(&[("shop", "7"), ("kind", "new")])), [uploaded()]).await;
    engine.hand().advance(second);
    run(&engine, id(2), with(labels(&[("shop", "7"), ("kind", "old")])), [failed()]).await;
    engine.hand().advance(second);
    run(&engine, id(3), Spec { folder_id: folder(2), ..with(labels(&[("shop", "8")])) }, []).await;
    engine.hand().advance(second);
    run(&engine, id(4), plain_spec(), [uploaded(), started("a-4"), finished()]).await;

    let any = Filter::default;
    let at = |seconds| Some(START.after(second * seconds));
    let cases = [
        (any(), vec![4, 3, 2, 1]),
        (Filter { folder_id: Some(folder(2)), ..any() }, vec![3]),
        (Filter { folder_id: Some(folder(9)), ..any() }, vec![]),
        (Filter { labels: labels(&[("shop", "7")]), ..any() }, vec![2, 1]),
        (Filter { labels: labels(&[("shop", "7"), ("kind", "new")]), ..any() }, vec![1]),
        (Filter { labels: labels(&[("shop", "new")]), ..any() }, vec![]),
        (Filter { labels: labels(&[("shop", "7' OR 1=1 --")]), ..any() }, vec![]),
        (Filter { states: vec![State::Uploaded], ..any() }, vec![1]),
        (Filter { states: vec![State::Failed, State::Finished], ..any() }, vec![4, 2]),
        (Filter { states: State::ALL.to_vec(), ..any() }, vec![4, 3, 2, 1]),
        (Filter { created_after: at(2), ..any() }, vec![4, 3]),
        (Filter { created_before: at(2), ..any() }, vec![2, 1]),
        (Filter { created_after: at(1), created_before: at(3), ..any() }, vec![3, 2]),
        (
            Filter {
                folder_id: Some(folder(1)),
                labels: labels(&[("shop", "7"), ("kind", "old")]),
                states: vec![State::Failed],
                created_after: at(1),
                created_before: at(2),
            },
            vec![2],
        ),
    ];
    for (filter, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(id).collect();
        assert_eq!(ids(&engine, &filter, None, 100).await, expected, "{filter:?}");
    }
}

/// With labels or without.
pub async fn a_list_has_the_matches_of_one_tenant(engine: impl Engine) {
    let shop = labels(&[("shop", "7")]);
    let bert = Spec { tenant: tenant("bert"), labels: shop.clone(), ..plain_spec() };
    admit(&engine, match_id(0, 1), bert).await;
    admit(&engine, match_id(0, 2), Spec { labels: shop.clone(), ..plain_spec() }).await;
    for filter in [Filter::default(), Filter { labels: shop, ..Filter::default() }] {
        assert_eq!(ids(&engine, &filter, None, 100).await, [match_id(0, 2)]);
    }
}
