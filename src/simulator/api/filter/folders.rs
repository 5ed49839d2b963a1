//! The query of the folder list: its filters, its order and its page.

use std::cmp::Ordering;

use uuid::Uuid;

use crate::simulator::answer::Refusal;
use crate::simulator::api::filter::condition::Condition;
use crate::simulator::api::filter::span::Span;
use crate::simulator::api::filter::words::Words;
use crate::simulator::api::filter::{Pairs, STATES, flag, ids, number, values};
use crate::simulator::clock::Millis;
use crate::simulator::folders::Folder;
use crate::simulator::script::Switches;

/// Items of a page: the default, and the largest that a query may ask for.
const LIMIT_DEFAULT: i64 = 100;
const LIMIT_MAX: i64 = 5_000;

/// A query over the list of folders.
#[derive(Debug)]
pub struct FolderQuery {
    /// Items to skip.
    pub offset: usize,
    /// Items to return.
    pub limit: usize,
    /// The `limit` of the query; the answer repeats it. -1 means all.
    pub limit_asked: i64,
    /// Whether `total_count` is null.
    pub total_omit: bool,
    /// Whether each folder is shown with its analyses.
    pub with_analyses: bool,
    sorting: Vec<(TimeField, bool)>,
    created: Span,
    updated: Span,
    meta_data: Vec<Condition>,
    status: Words,
    ids: Option<Vec<Uuid>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum TimeField {
    Created,
    Updated,
}

impl FolderQuery {
    /// Parses a query; unknown keys are ignored.
    pub fn read(query: &Pairs, on: &Switches) -> Result<FolderQuery, Refusal> {
        let limit_asked = number(query, "limit")?.unwrap_or(LIMIT_DEFAULT);
        let offset = number(query, "offset")?.unwrap_or(0);
        if !(-1..=LIMIT_MAX).contains(&limit_asked) {
            return Err(Refusal::value(format!(
                "Invalid limit value for pagination. Should be in range [-1, {LIMIT_MAX}]"
            )));
        }
        let offset = usize::try_from(offset)
            .map_err(|_| Refusal::value("Invalid offset value for pagination"))?;
        flag(query, "with_user")?;
        flag(query, "with_company")?;
        Ok(FolderQuery {
            offset,
            limit: usize::try_from(limit_asked).unwrap_or(usize::MAX),
            limit_asked,
            total_omit: flag(query, "total_omit")?,
            with_analyses: flag(query, "with_analyses")?,
            sorting: sorting(query)?,
            created: Span::read(query, "time_created", on)?,
            updated: Span::read(query, "time_updated", on)?,
            meta_data: values(query, "meta_data")
                .map(|text| Condition::read(&text))
                .collect::<Result<_, _>>()?,
            status: Words::read(query, "resolution_status", Some(&STATES))?,
            ids: if on.folder_id_filter { ids(query, "folder_id")? } else { None },
        })
    }

    /// Whether a folder passes all filters.
    pub fn fits(&self, folder: &Folder, now: Millis, on: &Switches) -> bool {
        let status = if on.folder_verdict_in_resolution_status {
            folder.verdict(now)
        } else {
            folder.progress(now)
        };
        self.ids.as_ref().is_none_or(|ids| ids.contains(&folder.id))
            && self.created.holds(folder.created)
            && self.updated.holds(folder.updated)
            && self.status.fit(status)
            && self.meta_data.iter().all(|condition| condition.holds(&folder.meta_data))
    }

    /// Sorts as the query asks; newest first if it has no `sorting`.
    pub fn sort(&self, folders: &mut [&Folder]) {
        folders.sort_by(|left, right| {
            let by_time = self.sorting.iter().map(|(time, descending)| {
                let (left, right) = match time {
                    TimeField::Created => (left.created, right.created),
                    TimeField::Updated => (left.updated, right.updated),
                };
                if *descending { right.cmp(&left) } else { left.cmp(&right) }
            });
            let first = by_time.into_iter().find(|order| order.is_ne());
            first.unwrap_or_else(|| self.tie(left.number, right.number))
        });
    }

    /// Orders folders with equal times by their number, in the direction of the first sorting key.
    fn tie(&self, left: u64, right: u64) -> Ordering {
        match self.sorting.first() {
            Some((_, false)) => left.cmp(&right),
            Some((_, true)) | None => right.cmp(&left),
        }
    }
}

/// `time_created{asc},time_updated`: without braces descending. The framework below Oz decodes
/// percent-encoding twice.
fn sorting(query: &Pairs) -> Result<Vec<(TimeField, bool)>, Refusal> {
    let read = |text: String| {
        let text = text.replace("%7B", "{").replace("%7D", "}").to_ascii_lowercase();
        let (field, order) = text.split_once('{').unwrap_or((&text, "desc}"));
        let time = match field {
            "time_created" => TimeField::Created,
            "time_updated" => TimeField::Updated,
            _ => return Err(Refusal::value("Invalid sorting field")),
        };
        match order {
            "asc}" => Ok((time, false)),
            "desc}" => Ok((time, true)),
            _ => Err(Refusal::value("Invalid sorting order")),
        }
    };
    values(query, "sorting").map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
        query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn read(query: &[(&str, &str)]) -> Result<FolderQuery, Refusal> {
        FolderQuery::read(&pairs(query), &Switches::default())
    }

    fn folder(number: u64, created: Millis) -> Folder {
        let meta_data = json!({"transaction_id": "t-1", "person": {"age": 42}});
        let meta_data = meta_data.as_object().cloned().unwrap_or_default();
        Folder::empty(Uuid::from_u128(number.into()), number, meta_data, created)
    }

    fn fits(query: &[(&str, &str)]) -> bool {
        let query = read(query).expect("the query is valid");
        query.fits(&folder(1, 1_700_000_000_000), 0, &Switches::default())
    }

    #[test]
    fn pages_out_of_range_are_code_4() {
        for query in [("limit", "5001"), ("limit", "-2"), ("offset", "-1"), ("limit", "x")] {
            assert_eq!(read(&[query]).map_err(|refusal| refusal.code).err(), Some(4), "{query:?}");
        }
        assert_eq!(read(&[("limit", "-1")]).map(|query| query.limit), Ok(usize::MAX));
    }

    #[test]
    fn metadata_is_compared_along_its_path() {
        assert!(fits(&[("meta_data", "transaction_id==t-1")]));
        assert!(!fits(&[("meta_data", "transaction_id!=t-1")]));
        assert!(fits(&[("meta_data", "person/age>=42")]));
        assert!(!fits(&[("meta_data", "nothing==1")]));
        assert_eq!(read(&[("meta_data", "t-1")]).map_err(|it| it.code).err(), Some(3));
    }

    #[test]
    fn times_are_seconds_or_milliseconds() {
        assert!(fits(&[("time_created.min", "1700000000")]));
        assert!(fits(&[("time_created.min", "1700000000000")]));
        assert!(!fits(&[("time_created.min", "1700000001")]));
        assert!(!fits(&[("time_created.max", "1699999999.9")]));
    }

    #[test]
    fn days_round_outwards_when_switched_on() {
        let on = Switches { time_filters_by_day: true, ..Switches::default() };
        let query = FolderQuery::read(&pairs(&[("time_created.max", "1699999999")]), &on);
        let query = query.expect("the query is valid");
        assert!(query.fits(&folder(1, 1_700_000_000_000), 0, &on));
    }

    #[test]
    fn a_comma_means_any_of_the_words() {
        assert!(fits(&[("resolution_status", "PROCESSING,initial")]));
        assert!(!fits(&[("resolution_status.exclude", "INITIAL")]));
        assert_eq!(read(&[("resolution_status", "ODD")]).map_err(|it| it.code).err(), Some(4));
    }

    #[test]
    fn sorting_descends_by_default() {
        let (old, new) = (folder(1, 1), folder(2, 2));
        let sorted = |query: &[(&str, &str)]| {
            let mut folders = vec![&old, &new];
            read(query).expect("the query is valid").sort(&mut folders);
            folders[0].number
        };
        assert_eq!(sorted(&[]), 2);
        assert_eq!(sorted(&[("sorting", "time_created{asc}")]), 1);
        assert_eq!(sorted(&[("sorting", "time_created%7Basc%7D")]), 1);
        assert_eq!(sorted(&[("sorting", "time_updated")]), 2);
    }
}
