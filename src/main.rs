//! `facematch`: decides nothing. It hands the arguments, the environment and the parts that can be
//! started to the command line.

use std::process::ExitCode;

use facematch::{app::commands::PARTS, cli, config::Environment};

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(std::env::args_os(), Environment::of_process(), PARTS).await.into()
}
