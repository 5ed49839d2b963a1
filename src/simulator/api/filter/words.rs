//! Filters on enumerated words and ids, wanted or excluded.

use crate::simulator::answer::Refusal;
use crate::simulator::api::filter::{Pairs, values};

/// Words that are wanted or excluded, in upper case.
#[derive(Debug)]
pub struct Words {
    wanted: Vec<String>,
    excluded: Vec<String>,
}

impl Words {
    /// Reads `KEY` and `KEY.exclude`. A word that is not among the known ones is refused; `None`
    /// allows any.
    pub fn read(query: &Pairs, key: &str, known: Option<&[&str]>) -> Result<Words, Refusal> {
        let read = |key: &str| -> Result<Vec<String>, Refusal> {
            let words: Vec<_> = values(query, key).map(|word| word.to_uppercase()).collect();
            let is_known = |word: &String| known.is_none_or(|known| known.contains(&&**word));
            match words.iter().all(is_known) {
                true => Ok(words),
                false => Err(Refusal::value(format!("Invalid param value: {key}"))),
            }
        };
        Ok(Words { wanted: read(key)?, excluded: read(&format!("{key}.exclude"))? })
    }

    /// Whether the filter accepts a word.
    pub fn fit(&self, word: &str) -> bool {
        self.fit_any([word])
    }

    /// Whether the filter accepts an object with several words: one of them wanted, none excluded.
    /// If no word is wanted, all are.
    pub fn fit_any<const N: usize>(&self, words: [&str; N]) -> bool {
        let holds = |list: &[String]| words.iter().any(|word| list.iter().any(|it| it == word));
        (self.wanted.is_empty() || holds(&self.wanted)) && !holds(&self.excluded)
    }
}
