//! Filters, sorting and paging of lists, as the framework below Oz reads them.

use std::cmp::Ordering;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::simulator::analysis::Analysis;
use crate::simulator::answer::Refusal;
use crate::simulator::clock::Millis;
use crate::simulator::folders::Folder;
use crate::simulator::script::Switches;

type Pairs = [(String, String)];

/// Items of a page, unless asked otherwise, and at most.
const LIMIT_DEFAULT: i64 = 100;
const LIMIT_MAX: i64 = 5_000;
const DAY_MS: u64 = 24 * 3_600 * 1_000;
const FOLDER_STATES: [&str; 7] =
    ["INITIAL", "PROCESSING", "FAILED", "FINISHED", "DECLINED", "SUCCESS", "OPERATOR_REQUIRED"];

/// A query over the list of folders.
#[derive(Debug)]
pub struct FolderQuery {
    /// Items to skip.
    pub offset: usize,
    /// Items to return.
    pub limit: usize,
    /// The same, as it was asked for.
    pub limit_asked: i64,
    /// Without a total.
    pub total_omit: bool,
    /// With the analyses of each folder.
    pub with_analyses: bool,
    sorting: Vec<(Time, bool)>,
    created: Span,
    updated: Span,
    meta_data: Vec<Condition>,
    status: Words,
    ids: Option<Vec<Uuid>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Time {
    Created,
    Updated,
}

impl FolderQuery {
    /// Reads a query; keys that nobody knows are ignored.
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
            status: Words::read(query, "resolution_status", Some(&FOLDER_STATES))?,
            ids: if on.folder_id_filter { ids(query, "folder_id")? } else { None },
        })
    }

    /// Whether a folder is meant.
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

    /// Sorts as asked, newest first where nothing was.
    pub fn sort(&self, folders: &mut [&Folder]) {
        folders.sort_by(|left, right| {
            let by_time = self.sorting.iter().map(|(time, descending)| {
                let (left, right) = match time {
                    Time::Created => (left.created, right.created),
                    Time::Updated => (left.updated, right.updated),
                };
                if *descending { right.cmp(&left) } else { left.cmp(&right) }
            });
            let first = by_time.into_iter().find(|order| order.is_ne());
            first.unwrap_or_else(|| self.tie(left.number, right.number))
        });
    }

    /// Folders of one moment stand in the order of the first sorting key.
    fn tie(&self, left: u64, right: u64) -> Ordering {
        match self.sorting.first() {
            Some((_, false)) => left.cmp(&right),
            Some((_, true)) | None => right.cmp(&left),
        }
    }
}

/// A query over the analyses of one folder.
#[derive(Debug)]
pub struct AnalysisQuery {
    id: Words,
    kind: Words,
    state: Words,
}

impl AnalysisQuery {
    /// Reads a query; keys that nobody knows are ignored.
    pub fn read(query: &Pairs) -> Result<AnalysisQuery, Refusal> {
        let kinds = ["QUALITY", "BIOMETRY", "DOCUMENTS", "COLLECTION"];
        Ok(AnalysisQuery {
            id: Words::read(query, "analyse_id", None)?,
            kind: Words::read(query, "type", Some(&kinds))?,
            state: Words::read(query, "state", Some(&FOLDER_STATES))?,
        })
    }

    /// Whether an analysis is meant. `state` may name a state or a resolution.
    pub fn fits(&self, analysis: &Analysis, now: Millis) -> bool {
        let words = analysis.words(now);
        self.id.fit(&analysis.id.to_string().to_uppercase())
            && self.kind.fit(analysis.kind.word())
            && self.state.fit_any([words.state, words.resolution])
    }
}

/// Reads a yes or no; missing is no.
pub fn flag(query: &Pairs, key: &str) -> Result<bool, Refusal> {
    let Some(value) = value(query, key) else {
        return Ok(false);
    };
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "y" | "t" | "on" => Ok(true),
        "0" | "false" | "no" | "n" | "f" | "off" => Ok(false),
        _ => Err(Refusal::value(format!("Invalid param value: {key}"))),
    }
}

fn value<'a>(query: &'a Pairs, key: &str) -> Option<&'a str> {
    query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// All values of a key: given several times, or with commas between.
fn values(query: &Pairs, key: &str) -> impl Iterator<Item = String> {
    let given = query.iter().filter(move |(name, _)| name == key);
    let split = given.flat_map(|(_, value)| value.split(',')).map(str::trim);
    split.filter(|value| !value.is_empty()).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn number(query: &Pairs, key: &str) -> Result<Option<i64>, Refusal> {
    let number = value(query, key).map(str::parse).transpose();
    number.map_err(|_| Refusal::value(format!("Invalid {key} value for pagination")))
}

fn ids(query: &Pairs, key: &str) -> Result<Option<Vec<Uuid>>, Refusal> {
    let ids: Result<Vec<_>, _> = values(query, key).map(|id| Uuid::try_parse(&id)).collect();
    let ids = ids.map_err(|_| Refusal::value(format!("Invalid param value: {key}")))?;
    Ok(if ids.is_empty() { None } else { Some(ids) })
}

/// `time_created{asc},time_updated`: without braces descending. The framework unquotes twice.
fn sorting(query: &Pairs) -> Result<Vec<(Time, bool)>, Refusal> {
    let read = |text: String| {
        let text = text.replace("%7B", "{").replace("%7D", "}").to_ascii_lowercase();
        let (field, order) = text.split_once('{').unwrap_or((&text, "desc}"));
        let time = match field {
            "time_created" => Time::Created,
            "time_updated" => Time::Updated,
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

/// A span of time, both ends included.
#[derive(Debug)]
struct Span {
    min: Option<Millis>,
    max: Option<Millis>,
}

impl Span {
    fn read(query: &Pairs, key: &str, on: &Switches) -> Result<Span, Refusal> {
        let read = |key: String| value(query, &key).map(|text| moment(text, &key)).transpose();
        let (min, max) = (read(format!("{key}.min"))?, read(format!("{key}.max"))?);
        if !on.time_filters_by_day {
            return Ok(Span { min, max });
        }
        Ok(Span {
            min: min.map(|min| min - min % DAY_MS),
            max: max.map(|max| (max - max % DAY_MS).saturating_add(DAY_MS - 1)),
        })
    }

    fn holds(&self, moment: Millis) -> bool {
        self.min.is_none_or(|min| moment >= min) && self.max.is_none_or(|max| moment <= max)
    }
}

/// Epoch seconds; with eleven digits or more, milliseconds.
fn moment(text: &str, key: &str) -> Result<Millis, Refusal> {
    let invalid = || Refusal::value(format!("Invalid param value: {key}"));
    let number: f64 = text.parse().map_err(|_| invalid())?;
    if !number.is_finite() {
        return Err(invalid());
    }
    let is_millis = number.abs() >= 1e10;
    Ok(if is_millis { number as Millis } else { (number * 1_000.0) as Millis })
}

/// Words that are wanted or excluded, in upper case.
#[derive(Debug)]
struct Words {
    wanted: Vec<String>,
    excluded: Vec<String>,
}

impl Words {
    fn read(query: &Pairs, key: &str, known: Option<&[&str]>) -> Result<Words, Refusal> {
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

    fn fit(&self, word: &str) -> bool {
        self.fit_any([word])
    }

    fn fit_any<const N: usize>(&self, words: [&str; N]) -> bool {
        let holds = |list: &[String]| words.iter().any(|word| list.iter().any(|it| it == word));
        (self.wanted.is_empty() || holds(&self.wanted)) && !holds(&self.excluded)
    }
}

/// `key==value`: the key may be a path with slashes or dots.
#[derive(Debug)]
struct Condition {
    path: Vec<String>,
    operator: &'static str,
    value: String,
}

impl Condition {
    fn read(text: &str) -> Result<Condition, Refusal> {
        for operator in ["==", "!=", "<=", ">=", "<", ">"] {
            if let Some((path, value)) = text.split_once(operator) {
                let path = path.split(['/', '.']).map(str::to_owned).collect();
                return Ok(Condition { path, operator, value: value.to_owned() });
            }
        }
        Err(Refusal::structure("Invalid meta_data filter descriptor"))
    }

    fn holds(&self, meta_data: &Map<String, Value>) -> bool {
        let (first, rest) = (self.path.first(), self.path.iter().skip(1));
        let found = first.and_then(|key| meta_data.get(key));
        let found = rest.fold(found, |value, key| value.and_then(|value| value.get(key)));
        let Some(found) = found else {
            return self.operator == "!=";
        };
        let order = self.compare(found);
        match self.operator {
            "==" => order == Some(Ordering::Equal),
            "!=" => order != Some(Ordering::Equal),
            "<=" => order.is_some_and(Ordering::is_le),
            ">=" => order.is_some_and(Ordering::is_ge),
            "<" => order.is_some_and(Ordering::is_lt),
            _ => order.is_some_and(Ordering::is_gt),
        }
    }

    fn compare(&self, found: &Value) -> Option<Ordering> {
        match found {
            Value::String(text) => Some(text.as_str().cmp(&self.value)),
            Value::Number(number) => number.as_f64()?.partial_cmp(&self.value.parse().ok()?),
            other => {
                let shown = other.to_string();
                (shown == self.value).then_some(Ordering::Equal)
            }
        }
    }
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
        Folder {
            id: Uuid::from_u128(number.into()),
            number,
            meta_data: meta_data.as_object().cloned().unwrap_or_default(),
            media: Vec::new(),
            analyses: Vec::new(),
            created,
            updated: created,
            weight: 0,
        }
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
    fn a_comma_means_any_of_them() {
        assert!(fits(&[("resolution_status", "PROCESSING,initial")]));
        assert!(!fits(&[("resolution_status.exclude", "INITIAL")]));
        assert_eq!(read(&[("resolution_status", "ODD")]).map_err(|it| it.code).err(), Some(4));
    }

    #[test]
    fn sorting_descends_unless_told_otherwise() {
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
