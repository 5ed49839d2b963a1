//! What the operating system counts of this process, from `/proc` where there is one.

use std::fs;

use crate::metrics::{samples::Samples, table};

/// Reads the values of this process. A value that the system doesn't have is left out.
pub fn sample(samples: &mut Samples) {
    let Some(stat) = Stat::read() else { return };
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let page = rustix::param::page_size() as f64;
    samples.set(&table::PROCESS_CPU, stat.cpu_ticks / ticks);
    samples.set(&table::PROCESS_RESIDENT, stat.resident_pages * page);
    samples.set(&table::PROCESS_VIRTUAL, stat.virtual_bytes);
    if let Some(booted) = boot_time() {
        samples.set(&table::PROCESS_START, booted + stat.start_ticks / ticks);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        samples.set(&table::PROCESS_OPEN_FDS, open.count() as f64);
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    samples.set(&table::PROCESS_MAX_FDS, limit.map_or(f64::INFINITY, |limit| limit as f64));
}

/// The fields of `/proc/self/stat` (proc(5)) that are shown.
#[derive(PartialEq, Debug)]
struct Stat {
    cpu_ticks: f64,
    start_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The program's name, in parentheses, may hold any sign: the fields are counted from its end.
    fn parse(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc(5) numbers the fields from 1, and the first of `rest` is number 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the machine was started, in seconds since 1970.
fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_may_hold_spaces_and_parentheses() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4 1 0 0 0 250 50 0 0 20 0 9 0 4321 8192 12 99";
        let expected = Stat {
            cpu_ticks: 300.0,
            start_ticks: 4321.0,
            virtual_bytes: 8192.0,
            resident_pages: 12.0,
        };
        assert_eq!(Stat::parse(stat), Some(expected));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }
}
