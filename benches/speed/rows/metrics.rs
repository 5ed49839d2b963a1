//! What metrics cost: observing, and being scraped.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

use crate::{
    Result,
    credentials::Guarded,
    observations::Observations,
    report::Unit,
    rows::{Bench, beside::beside_the_plain_one},
};

/// How often a service is scraped: five times as often as is usual.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(3);
/// How many matches are observed.
const OBSERVED: u32 = 100_000;
/// The promised limit, of observing and of being scraped.
const SHARE: f64 = 0.02;

pub fn metrics(bench: &mut Bench) -> Result<()> {
    let address = free_address()?;
    let settings = vec!["--admin-listen".to_owned(), address.to_string()];
    let scraped = Guarded { settings, ..Guarded::default() };
    let turns = bench.size.of(2, 8);
    let [plain, ours] = scraping(address, || beside_the_plain_one(bench, turns, &scraped))?;
    let observing = observing()?;
    bench.tell("metrics/observing: CPU per match", observing, Unit::MicrosecondsOfCpu);
    let share = "metrics/observing: part of the CPU per match";
    bench.tell(share, observing / plain, Unit::TimesOfCpu).at_most(SHARE);
    bench.tell("metrics/scraped: CPU per match", ours, Unit::MicrosecondsOfCpu);
    bench
        .tell("metrics/scraped every 3 s over not", ours / plain, Unit::TimesOfCpu)
        .at_most(1.0 + SHARE);
    Ok(())
}

/// The CPU of observing one match, in microseconds.
fn observing() -> Result<f64> {
    let observations = Observations::new()?;
    let before = thread_cpu_seconds();
    (0..OBSERVED).for_each(|_| observations.of_a_match());
    Ok((thread_cpu_seconds() - before) * 1e6 / f64::from(OBSERVED))
}

fn thread_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Scrapes an address while something runs. The service is there for a part of that time only.
fn scraping<T>(address: SocketAddr, running: impl FnOnce() -> Result<T>) -> Result<T> {
    let (end, ended) = mpsc::channel::<()>();
    let scraper = thread::spawn(move || {
        let mut scrapes = 0;
        while ended.recv_timeout(SCRAPE_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            scrapes += u32::from(scrape(address).is_ok_and(|text| text.contains("facematch_")));
        }
        scrapes
    });
    let outcome = running();
    drop(end);
    match scraper.join() {
        Ok(0) | Err(_) => Err("the service was never scraped".into()),
        Ok(_) => outcome,
    }
}

fn scrape(address: SocketAddr) -> Result<String> {
    let mut connection = TcpStream::connect(address)?;
    write!(connection, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    connection.read_to_string(&mut text)?;
    Ok(text)
}

/// An address that is free at this moment.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
