//! Shows updates as they arrive: lines on standard output, and on a terminal a live line below.
//!
//! Standard output holds only updates, so that it can be piped. Everything else goes to standard
//! error.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tonic::Status;

use crate::cli::call::{
    Exit,
    args::{Output, Server},
    follow::Audience,
    pb::MatchUpdate,
    render::{
        failure::{self, FailureDetails},
        json,
        notice::Notice,
        text,
    },
    report::{self, ReportedOutage},
    resume::{self, Retry},
};

/// How often the live line is redrawn.
const TICK: Duration = Duration::from_millis(120);

/// How many matches are watched, which decides how lines begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One match, which its first line names.
    One,
    /// Many matches: each line names its match.
    Many,
}

/// Prints updates.
pub struct Screen {
    output: Output,
    scope: Scope,
    progress: bool,
    server: Server,
    live: Option<ProgressBar>,
    token: String,
    outage: ReportedOutage,
}

impl Screen {
    /// A screen for updates. With `progress` it prints progress and heartbeats too.
    pub fn new(output: Output, scope: Scope, progress: bool, server: Server) -> Self {
        let terminal = io::stderr().is_terminal();
        let live = (terminal && output == Output::Text && scope == Scope::One).then(live_line);
        Self {
            output,
            scope,
            progress,
            server,
            live,
            token: String::new(),
            outage: ReportedOutage::default(),
        }
    }

    /// Whether the screen needs progress updates, to print them or for the live line.
    pub fn wants_progress(&self) -> bool {
        self.progress || self.live.is_some()
    }

    /// The resume token of the last update that had one; empty if there was none.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Removes the live line.
    pub fn close(&self) {
        if let Some(live) = &self.live {
            live.finish_and_clear();
        }
    }

    /// Removes the live line and prints why the call failed.
    pub fn call_failed(&self, status: &Status) -> Exit {
        self.close();
        report::call_failed(self.output, status, &self.server.url)
    }

    /// Removes the live line and prints that the output can't be written.
    pub fn unwritable(&self, error: &io::Error) -> Exit {
        self.close();
        report::unwritable(self.output, error)
    }

    /// Prints a notice above the live line.
    pub fn notice(&self, notice: &Notice<'_>) {
        match &self.live {
            Some(live) => live.suspend(|| report::notice(self.output, notice)),
            None => report::notice(self.output, notice),
        }
    }

    /// Redraws the live line. Its clock counts from the acceptance of the match.
    fn refresh(&self, update: &MatchUpdate) {
        let Some(live) = &self.live else { return };
        live.set_elapsed(text::age(update).unwrap_or_else(|| live.elapsed()));
        live.set_message(text::live(update));
    }

    fn print(&self, line: &str) -> io::Result<()> {
        let print = || {
            let mut out = io::stdout().lock();
            writeln!(out, "{line}")?;
            out.flush()
        };
        match &self.live {
            Some(live) => live.suspend(print),
            None => print(),
        }
    }
}

impl Audience for Screen {
    async fn update(&mut self, update: &MatchUpdate) -> io::Result<()> {
        if !update.resume_token.is_empty() {
            self.token.clone_from(&update.resume_token);
        }
        self.refresh(update);
        if !self.progress && !resume::is_durable(update) {
            return Ok(());
        }
        match (self.output, self.scope) {
            (Output::Json, _) => self.print(&json::update(update)),
            (Output::Text, Scope::One) => self.print(&text::update(update)),
            (Output::Text, Scope::Many) => self.print(&text::update_of_many(update)),
        }
    }

    /// Prints a line when an outage begins and when its cause changes. Each retry is shown only in
    /// the live line.
    fn broken(&mut self, status: &Status, retry: Retry) {
        let (cause, pause) = (failure::outage(status), retry.pause);
        if self.outage.has_news(&cause, retry) {
            let failure = FailureDetails::of(status, &self.server.url);
            self.notice(&Notice::Reconnecting { cause: &cause, failure: &failure, pause });
        }
        if let Some(live) = &self.live {
            let pause = pause.as_secs_f64();
            live.set_message(format!("{cause}; trying again in {pause:.1} s"));
        }
    }

    fn missed(&mut self, _: &Status) {
        self.notice(&Notice::UpdatesMissed);
    }
}

fn live_line() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}")
        .expect("the template is a constant");
    let live = ProgressBar::new_spinner().with_style(style);
    live.enable_steady_tick(TICK);
    live
}
