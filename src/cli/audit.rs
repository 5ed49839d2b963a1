//! `facematch audit verify`: checks the chain of audit files, line by line.
//!
//! It deliberately shares no code with the server that writes them: what it checks is the documented
//! format (docs/audit.md). It needs no server.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    thread,
    time::Duration,
};

use blake3::Hash;
use serde::Deserialize;

use crate::{
    cli::{Exit, args::VerifyArgs, stderr},
    config,
};

/// The longest line that is read: far more than a record takes.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// How often the rest of a file's last line is looked for, and after which pauses: a server may be
/// writing it.
const LOOKS_MAX: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// What is read of a record. Later versions may have more fields.
#[derive(Deserialize)]
struct ReadRecord {
    time: String,
    previous: String,
}

/// Why the files don't hold together, or can't be read.
#[derive(Debug)]
enum Unverified {
    /// The first line that doesn't fit.
    Unfit { place: String, why: String },
    /// A file that can't be read.
    Unreadable { file: String, error: io::Error },
}

/// Checks the files in their order, as one chain, and prints the result.
pub fn verify(args: &VerifyArgs) -> Exit {
    let mut chain = VerifiedChain::default();
    let checked =
        args.files.iter().try_for_each(|file| chain.file(file)).and_then(|()| chain.end());
    let (line, exit) = match checked {
        Ok(()) => (chain.to_string(), Exit::Success),
        Err(Unverified::Unfit { place, why }) => {
            (format!("{place}: does not fit: {why}"), Exit::Unfit)
        }
        Err(Unverified::Unreadable { file, error }) => {
            stderr::people(&format!("can't read {file}: {error}"));
            return Exit::Usage;
        }
    };
    let mut out = io::stdout();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => exit,
        Err(error) => stderr::unwritable(&error),
    }
}

/// The lines that were read so far.
#[derive(Default)]
struct VerifiedChain {
    lines: u64,
    /// The times of the first and the last record.
    times: Option<(String, String)>,
    /// The `previous` of the very first record, unless it is empty.
    continues: Option<String>,
    last: Option<LastLine>,
    /// Where lines are that a crash of the machine has torn, and the server has continued after.
    torn: Vec<String>,
}

struct LastLine {
    hash: Hash,
    place: String,
    /// A line that isn't JSON may be torn. The next line shows whether the server has found it so.
    is_record: bool,
}

impl VerifiedChain {
    fn file(&mut self, path: &Path) -> Result<(), Unverified> {
        let name = config::one_line(&path.display().to_string());
        let unreadable = |error| Unverified::Unreadable { file: name.clone(), error };
        let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            read_line(&mut reader, &mut line).map_err(unreadable)?;
            let place = || format!("{name}:{number}");
            match line.pop() {
                None => break,
                // The server tries a file by a line break.
                Some(b'\n') if line.is_empty() => {}
                Some(b'\n') => self.line(&line, place())?,
                Some(_) if line.len() as u64 + 1 >= LINE_BYTES_MAX => {
                    return Err(unfit(place(), "it is over 1 MiB, which no record is"));
                }
                Some(_) => return Err(unfit(place(), "it is cut off: the file ends within it")),
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], place: String) -> Result<(), Unverified> {
        let record = serde_json::from_slice::<ReadRecord>(line).ok();
        let after_torn = self.last.as_ref().filter(|last| !last.is_record);
        match (&record, after_torn) {
            (Some(record), torn) if self.is_followed_by(&record.previous) => {
                self.torn.extend(torn.map(|last| last.place.clone()));
            }
            (Some(_) | None, Some(torn)) => return Err(no_record(&torn.place)),
            (Some(record), None) => return Err(unfit(place, &self.contradicts(&record.previous))),
            (None, None) => {}
        }
        let is_record = record.is_some();
        record.into_iter().for_each(|record| self.take(record));
        self.lines += 1;
        self.last = Some(LastLine { hash: blake3::hash(line), place, is_record });
        Ok(())
    }

    /// Whether a line with this `previous` may come next. The very first line may continue any
    /// file.
    fn is_followed_by(&self, previous: &str) -> bool {
        let hash = Hash::from_hex(previous).ok();
        match &self.last {
            None => previous.is_empty() || hash.is_some(),
            Some(last) => hash == Some(last.hash),
        }
    }

    fn take(&mut self, record: ReadRecord) {
        if self.last.is_none() && !record.previous.is_empty() {
            self.continues = Some(record.previous);
        }
        match &mut self.times {
            Some((_, last)) => *last = record.time,
            None => self.times = Some((record.time.clone(), record.time)),
        }
    }

    /// Why a line with this `previous` doesn't come next.
    fn contradicts(&self, previous: &str) -> String {
        match &self.last {
            Some(last) if previous.is_empty() => {
                format!("it begins a new chain instead of continuing {}", last.place)
            }
            Some(last) => format!(
                "its `previous` is not the hash of {}: that line was changed, or lines after it \
                 were removed or added",
                last.place
            ),
            None => "its `previous` is no hash".to_owned(),
        }
    }

    /// Checks what is left after the last file.
    fn end(&self) -> Result<(), Unverified> {
        match &self.last {
            Some(last) if !last.is_record => Err(no_record(&last.place)),
            Some(_) | None => Ok(()),
        }
    }
}

impl fmt::Display for VerifiedChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some((first, last)), Some(LastLine { hash, .. })) = (&self.times, &self.last) else {
            return f.write_str("0 lines");
        };
        let lines = if self.lines == 1 { "line" } else { "lines" };
        write!(f, "{} {lines} from {first} to {last}, last hash {hash}", self.lines)?;
        if let Some(previous) = &self.continues {
            write!(f, ", continues a file whose last hash is {}", config::one_line(previous))?;
        }
        match &self.torn[..] {
            [] => Ok(()),
            torn => write!(f, ", torn by a crash: {}", torn.join(" ")),
        }
    }
}

fn unfit(place: String, why: &str) -> Unverified {
    Unverified::Unfit { place, why: why.to_owned() }
}

fn no_record(place: &str) -> Unverified {
    unfit(place.to_owned(), "it is no audit record")
}

/// Reads a line with its line break, or the beginning of a line that is too long; nothing at the end.
/// A line without a line break is waited for: a server may be writing it.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    for _ in 0..LOOKS_MAX {
        let room = LINE_BYTES_MAX - line.len() as u64;
        reader.by_ref().take(room).read_until(b'\n', line)?;
        let is_done = matches!(line.last(), None | Some(b'\n'));
        if is_done || line.len() as u64 >= LINE_BYTES_MAX {
            break;
        }
        thread::sleep(LOOK_PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// A record of a later version, which has a field that this one doesn't know.
    fn record(n: usize, previous: &str) -> String {
        format!(r#"{{"time":"t{n}","rpc":"GetMatch","more":[{n}],"previous":"{previous}"}}"#)
    }

    /// The lines of a chain.
    fn chain(lines: usize) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for n in 1..=lines {
            let previous = all.last().map(|line| hash(line)).unwrap_or_default();
            all.push(record(n, &previous));
        }
        all
    }

    fn hash(line: &str) -> String {
        blake3::hash(line.as_bytes()).to_hex().to_string()
    }

    /// What is told of files with these contents, named a, b, c and so on.
    fn told(contents: &[String]) -> Result<String, String> {
        let folder = TempDir::new().unwrap();
        let mut chain = VerifiedChain::default();
        let mut checked = Ok(());
        for (name, content) in ('a'..).zip(contents) {
            let path = folder.path().join(name.to_string());
            fs::write(&path, content).unwrap();
            checked = checked.and_then(|()| chain.file(&path));
        }
        match checked.and_then(|()| chain.end()) {
            Ok(()) => Ok(chain.to_string()),
            Err(Unverified::Unfit { place, why }) => {
                let place = place.rsplit('/').next().unwrap();
                Err(format!("{place}: {}", why.replace(folder.path().to_str().unwrap(), "")))
            }
            Err(unreadable) => panic!("{unreadable:?}"),
        }
    }

    fn text(lines: &[String]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn a_whole_chain_fits_over_files_and_empty_lines() {
        let lines = chain(5);
        let last = hash(&lines[4]);
        let all = format!("5 lines from t1 to t5, last hash {last}");
        assert_eq!(told(&[text(&lines)]).unwrap(), all);
        let files = [text(&lines[..2]), String::new(), format!("\n{}\n", text(&lines[2..]))];
        assert_eq!(told(&files).unwrap(), all);
        let rest = told(&[text(&lines[2..])]).unwrap();
        let before = hash(&lines[1]);
        let continues = format!("continues a file whose last hash is {before}");
        assert_eq!(rest, format!("3 lines from t3 to t5, last hash {last}, {continues}"));
        assert_eq!(told(&[String::new()]).unwrap(), "0 lines");
    }

    #[test]
    fn the_first_line_that_does_not_fit_is_named() {
        let lines = chain(6);
        let changed = |n: usize, from: &str, to: &str| {
            let mut lines = lines.clone();
            lines[n - 1] = lines[n - 1].replace(from, to);
            text(&lines)
        };
        let without = |n: usize| text(&[&lines[..n - 1], &lines[n..]].concat());
        let mut swapped = lines.clone();
        swapped.swap(2, 3);
        for (content, place) in [
            (changed(3, "GetMatch", "RunMatch"), "a:4: its `previous` is not the hash of /a:3"),
            (changed(3, "\"time\"", "\"thyme\""), "a:3: it is no audit record"),
            (changed(3, "{", ""), "a:3: it is no audit record"),
            (changed(6, "{", ""), "a:6: it is no audit record"),
            (changed(1, "\"previous\":\"\"", "\"previous\":\"x\""), "a:1: its `previous` is no"),
            (without(4), "a:4: its `previous` is not the hash of /a:3"),
            (text(&swapped), "a:3: its `previous` is not the hash of /a:2"),
            (text(&[&lines[..2], &chain(1)].concat()), "a:3: it begins a new chain"),
            (text(&lines)[..text(&lines).len() - 9].to_owned(), "a:6: it is cut off"),
            (format!("{}{}", text(&lines), "x".repeat(3 << 20)), "a:7: it is over 1 MiB"),
        ] {
            let unfit = told(&[content]).unwrap_err();
            assert!(unfit.starts_with(place), "{unfit} instead of {place}");
        }
        let unfit = told(&[text(&lines[..2]), text(&lines[3..])]).unwrap_err();
        assert!(unfit.starts_with("b:1: its `previous` is not the hash of /a:2"), "{unfit}");
    }

    #[test]
    fn a_torn_line_fits_if_the_next_one_continues_after_it() {
        let lines = chain(2);
        let torn = lines[1][..20].to_owned();
        let next = record(3, &hash(&torn));
        let fits = told(&[text(&[lines[0].clone(), torn.clone(), next.clone()])]).unwrap();
        assert!(fits.starts_with("3 lines from t1 to t3") && fits.contains(": "), "{fits}");
        assert!(fits.contains("torn by a crash") && fits.ends_with("a:2"), "{fits}");
        let other = text(&[lines[0].clone(), torn.clone(), record(3, &hash("other"))]);
        assert!(told(&[other]).unwrap_err().starts_with("a:2: it is no audit record"));
        let two = text(&[lines[0].clone(), torn.clone(), torn, next]);
        assert!(told(&[two]).unwrap_err().starts_with("a:2: it is no audit record"));
    }
}
