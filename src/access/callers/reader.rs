//! Reads TOML with the place of each key, so that each fault names its place.
//!
//! It knows tables, lists and plain values. It deliberately knows no key of the callers file.

use std::{ops::RangeInclusive, path::Path, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
    value::Datetime,
};

use super::fault::{Fault, Place, segment, shown};
use crate::units;

/// A name counts as misspelt if it differs from a known one in at most one of this many letters.
const LETTERS_A_SLIP: usize = 3;
/// The most different letters of a misspelt name.
const SLIPS_MAX: usize = 3;

/// The text of a file, for the lines of faults.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    file: &'a Path,
    text: &'a str,
    breaks: &'a LineBreaks,
}

/// Where the lines of a text end. Found once: each key keeps its place, and a file may have ten
/// thousand.
pub struct LineBreaks(Vec<usize>);

/// A table of the file.
pub struct Section<'a> {
    document: Document<'a>,
    path: String,
    start: usize,
    table: &'a DeTable<'a>,
}

/// A value of the file.
pub struct Item<'a> {
    document: Document<'a>,
    path: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Document<'a> {
    /// The text of a file, and the ends of its lines.
    pub const fn new(file: &'a Path, text: &'a str, breaks: &'a LineBreaks) -> Self {
        Self { file, text, breaks }
    }

    /// Parses the text. The parser's own report isn't used, because it quotes the line, which may
    /// hold a secret.
    pub fn parse(self) -> Result<Spanned<DeTable<'a>>, Fault> {
        DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.place(at, "").fault(format!("is not valid TOML: {}", error.message()))
        })
    }

    /// The root table.
    pub fn root(self, table: &'a Spanned<DeTable<'a>>) -> Section<'a> {
        Section { document: self, path: String::new(), start: 0, table: table.get_ref() }
    }

    fn place(self, at: usize, path: &str) -> Place {
        Place::new(self.file, self.breaks.line(at), path)
    }
}

impl LineBreaks {
    /// The ends of the lines of a text.
    pub fn of(text: &str) -> Self {
        let bytes = text.bytes().enumerate();
        Self(bytes.filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    /// The line, from 1, that has the byte at this offset.
    fn line(&self, at: usize) -> usize {
        1 + self.0.partition_point(|end| *end < at)
    }
}

impl<'a> Section<'a> {
    /// Refuses keys that aren't known here.
    pub fn only(&self, known: &[&str]) -> Result<(), Fault> {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let path = joined(&self.path, name);
                let meant = suggestion(name, known.iter().copied());
                let place = self.document.place(key.span().start, &path);
                return Err(place.fault(format!("is an unknown key{meant}")));
            }
        }
        Ok(())
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Item<'a>> {
        let value = self.table.get(key)?;
        Some(Item { document: self.document, path: joined(&self.path, key), value })
    }

    /// The value of a key that must be there.
    pub fn required(&self, key: &str) -> Result<Item<'a>, Fault> {
        let place = || self.document.place(self.start, &joined(&self.path, key));
        self.get(key).ok_or_else(|| place().fault("is missing"))
    }

    /// All keys with their values.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Item<'a>)> {
        self.table.iter().map(|(key, value)| {
            let name = key.get_ref().as_ref();
            (name, Item { document: self.document, path: joined(&self.path, name), value })
        })
    }

    /// A fault of the table as a whole.
    pub fn fault(&self, what: impl Into<String>) -> Fault {
        self.document.place(self.start, &self.path).fault(what)
    }
}

impl<'a> Item<'a> {
    /// The place of the value.
    pub fn place(&self) -> Place {
        self.document.place(self.value.span().start, &self.path)
    }

    /// A fault of the value.
    pub fn fault(&self, what: impl Into<String>) -> Fault {
        self.place().fault(what)
    }

    /// The value as a table.
    pub fn section(&self) -> Result<Section<'a>, Fault> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.fault("must be a table"))?;
        let (document, path) = (self.document, self.path.clone());
        Ok(Section { document, path, start: self.value.span().start, table })
    }

    /// The value as a list.
    pub fn list(&self) -> Result<Vec<Item<'a>>, Fault> {
        let list = self.value.get_ref().as_array().ok_or_else(|| self.fault("must be a list"))?;
        let item = |(index, value)| {
            let path = format!("{}[{index}]", self.path);
            Item { document: self.document, path, value }
        };
        Ok(list.iter().enumerate().map(item).collect())
    }

    /// The value as text.
    pub fn text(&self) -> Result<&'a str, Fault> {
        self.value.get_ref().as_str().ok_or_else(|| self.fault("must be a text in quotes"))
    }

    /// The value as text that is not empty and has no control characters.
    pub fn line(&self) -> Result<&'a str, Fault> {
        match self.text()? {
            "" => Err(self.fault("is empty")),
            text if text.contains(char::is_control) => {
                Err(self.fault("must be one line, without control characters"))
            }
            text => Ok(text),
        }
    }

    /// The value as a whole number within a range.
    pub fn count(&self, range: RangeInclusive<u64>) -> Result<u64, Fault> {
        let (least, most) = (*range.start(), *range.end());
        let wanted = || self.fault(format!("must be a whole number from {least} to {most}"));
        let number = self.value.get_ref().as_integer().ok_or_else(wanted)?;
        let value = u64::from_str_radix(number.as_str(), number.radix()).map_err(|_| wanted())?;
        if range.contains(&value) { Ok(value) } else { Err(wanted()) }
    }

    /// The value as a number of bytes within a range: a text with a unit, or a whole number.
    pub fn size(&self, range: RangeInclusive<u64>) -> Result<u64, Fault> {
        if self.value.get_ref().as_integer().is_some() {
            return self.count(range);
        }
        let (least, most) = (units::size_text(*range.start()), units::size_text(*range.end()));
        let wanted =
            || self.fault(format!("must be a size such as \"128MiB\", from {least} to {most}"));
        let value = units::size(self.text()?).ok_or_else(wanted)?;
        if range.contains(&value) { Ok(value) } else { Err(wanted()) }
    }

    /// The value as a duration with a unit.
    pub fn duration(&self) -> Result<Duration, Fault> {
        let wanted = || self.fault("must be a duration such as \"12h\" or \"7d\"");
        units::duration(self.text()?).ok_or_else(wanted)
    }

    /// The value as a date or a time.
    pub fn datetime(&self) -> Option<&'a Datetime> {
        self.value.get_ref().as_datetime()
    }
}

/// The end of a message about an unknown name: the known name that was probably meant.
pub fn suggestion<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let nearest =
        known.map(|known| (strsim::levenshtein(&name, &known.to_ascii_lowercase()), known)).min();
    let slips_max = (name.chars().count() / LETTERS_A_SLIP).min(SLIPS_MAX);
    match nearest {
        Some((slips, known)) if slips <= slips_max => format!("; did you mean {}?", shown(known)),
        Some(_) | None => String::new(),
    }
}

fn joined(path: &str, name: &str) -> String {
    match path {
        "" => segment(name),
        _ => format!("{path}.{}", segment(name)),
    }
}
