//! Pages of a list: each match once, newest first, however the pages end.

use super::Harness;
use crate::{
    domain::{Match, MatchId},
    journal::{
        Filter,
        suite::facts::{folder, match_id, plain_spec, tenant},
    },
    watch::{Ended, Page},
};

/// A page of up to `size` matches.
async fn page(
    house: &Harness,
    token: &str,
    size: usize,
    fits: impl FnMut(&Match) -> bool + Send,
) -> Page {
    let (tenant, filter) = (plain_spec().tenant, Filter::default());
    house.watch.list(&tenant, &filter, token, size, fits).await.unwrap()
}

fn ids(page: &Page) -> Vec<MatchId> {
    page.matches.iter().map(|m| m.id).collect()
}

#[tokio::test]
async fn pages_of_every_size_list_each_match_once_and_the_last_has_no_token() {
    let house = Harness::new();
    house.admit_many(6).await;
    for size in 1..=7 {
        let (mut listed, mut token, mut pages) = (Vec::new(), String::new(), 0);
        while pages == 0 || !token.is_empty() {
            let page = page(&house, &token, size, |_| true).await;
            listed.extend(ids(&page));
            (token, pages) = (page.next, pages + 1);
        }
        let all: Vec<_> = (0..6).rev().map(|n| match_id(0, n)).collect();
        assert_eq!((listed, pages), (all, 6_usize.div_ceil(size)), "pages of {size}");
    }
}

#[tokio::test]
async fn the_match_that_no_longer_fits_begins_the_next_page() {
    let house = Harness::new();
    house.admit_many(5).await;
    let first = page(&house, "", 4, |m| m.id != match_id(0, 2)).await;
    assert_eq!(ids(&first), [match_id(0, 4), match_id(0, 3)]);
    let second = page(&house, &first.next, 4, |_| true).await;
    assert_eq!(ids(&second), [match_id(0, 2), match_id(0, 1), match_id(0, 0)]);
    assert_eq!(second.next, "");
}

#[tokio::test]
async fn a_page_token_is_refused_for_another_tenant_filter_or_purpose() {
    let house = Harness::new();
    house.admit_many(3).await;
    let token = page(&house, "", 1, |_| true).await.next;
    let resume = house.watch.token(&plain_spec().tenant, super::at(1));
    let (anna, all) = (plain_spec().tenant, Filter::default());
    let in_folder = Filter { folder_id: Some(folder(1)), ..Filter::default() };
    let cases =
        [(&tenant("other"), &all, &token), (&anna, &in_folder, &token), (&anna, &all, &resume)];
    for (tenant, filter, token) in cases {
        let refused = house.watch.list(tenant, filter, token, 1, |_| true).await.err();
        assert!(matches!(refused, Some(Ended::InvalidToken)), "{refused:?}");
    }
}
