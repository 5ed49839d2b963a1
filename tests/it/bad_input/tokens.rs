//! Tokens that are damaged, swapped, or made by another store.

use facematch::pb::{ListMatchesRequest, WatchMatchesRequest};

use super::{Case, Expected};
use crate::support::{TestServer, delete, last_match, portrait_request};

/// All rows of this file. The undamaged tokens are valid; the matches behind them are erased.
pub async fn cases(house: &mut TestServer) -> Vec<Case> {
    let ours = Tokens::of(house).await;
    let theirs = Tokens::of(&mut TestServer::build().await).await;
    ours.assert_accepted(house).await;

    let resume = damaged(&ours.resume).into_iter().chain([
        ("a page's token".to_owned(), ours.page.clone()),
        ("another store's token".to_owned(), theirs.resume),
    ]);
    let page = damaged(&ours.page).into_iter().chain([
        ("a stream's token".to_owned(), ours.resume.clone()),
        ("another store's token".to_owned(), theirs.page),
        ("a keyword of streams".to_owned(), "earliest".to_owned()),
    ]);
    let resume = resume.map(|(name, token)| {
        let expected = Expected::named("TOKEN_INVALID", &["resume_token"], "");
        Case::request(name, "WatchMatches", &from(&token), expected)
    });
    let page = page.map(|(name, token)| {
        let expected = Expected::named("TOKEN_INVALID", &["page_token"], "");
        Case::request(name, "ListMatches", &self::page(&token), expected)
    });
    resume.chain(page).collect()
}

struct Tokens {
    resume: String,
    page: String,
}

impl Tokens {
    /// The tokens of two matches, which are then erased.
    async fn of(house: &mut TestServer) -> Self {
        let mut ids = Vec::new();
        let mut resume = String::new();
        for _ in 0..2 {
            let updates = house.run(portrait_request(&house.folder())).await;
            ids.push(last_match(&updates).match_id.clone());
            resume.clone_from(&updates[3].resume_token);
        }
        let listed = house.client.list_matches(page("")).await.expect("a page").into_inner();
        for id in ids {
            house.client.delete_match(delete(&id)).await.expect("it has ended");
        }
        Self { resume, page: listed.next_page_token }
    }

    async fn assert_accepted(&self, house: &mut TestServer) {
        house.client.watch_matches(from(&self.resume)).await.expect("undamaged tokens work");
        house.client.list_matches(page(&self.page)).await.expect("undamaged tokens work");
    }
}

fn from(token: &str) -> WatchMatchesRequest {
    WatchMatchesRequest { resume_token: token.to_owned(), ..Default::default() }
}

fn page(token: &str) -> ListMatchesRequest {
    ListMatchesRequest { page_size: 1, page_token: token.to_owned(), ..Default::default() }
}

/// A token cut at each byte, a token with each byte replaced by other letters of its alphabet, and
/// texts that are no token.
fn damaged(token: &str) -> Vec<(String, String)> {
    let cut = (1..token.len())
        .map(|length| (format!("a token cut after {length}"), token[..length].to_owned()));
    let flipped = (0..token.len()).flat_map(|at| {
        let other = move |letter: u8| {
            let mut bytes = token.as_bytes().to_vec();
            (bytes[at] != letter).then(|| {
                bytes[at] = letter;
                let name = format!("a token with {:?} at {at}", char::from(letter));
                (name, String::from_utf8(bytes).expect("ASCII"))
            })
        };
        [b'A', b'B', b'_', b'='].into_iter().filter_map(other)
    });
    let odd = ["late", "EARLIEST", "токен", "\n", "\0", "="];
    let odd = odd.map(|text| (format!("the token {text:?}"), text.to_owned()));
    let more = [
        ("a token and a letter".to_owned(), format!("{token}A")),
        ("a token between blanks".to_owned(), format!(" {token} ")),
        ("a hundred tokens".to_owned(), token.repeat(100)),
        ("a token of 60,000 letters".to_owned(), "A".repeat(60_000)),
    ];
    cut.chain(flipped).chain(odd).chain(more).collect()
}
