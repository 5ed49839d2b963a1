//! The driver by which the conformance suite plays its scenarios with what the commands of `facematch`
//! call the service with. `clients/conformance/README.md` describes its lines.

use std::{
    collections::BTreeSet,
    io::{self, BufReader},
    process::ExitCode,
};

use serde::Deserialize;

/// The reasons that all clients know.
const REASONS: &str = include_str!("../../reasons.json");

#[derive(Deserialize)]
struct ReasonsFile {
    reasons: Vec<KnownReason>,
}

#[derive(Deserialize)]
struct KnownReason {
    reason: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match drive().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("driver: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn drive() -> io::Result<()> {
    let file: ReasonsFile = serde_json::from_str(REASONS)?;
    let reasons: BTreeSet<_> = file.reasons.into_iter().map(|known| known.reason).collect();
    facematch::cli::conformance::drive(BufReader::new(io::stdin()), io::stdout(), reasons).await
}
