//! `facematch`: decides nothing. It hands the arguments, the environment and the commands that need
//! the service to the command line.

use std::process::ExitCode;

use facematch::{app::commands::PARTS, cli, config::Environment};

#[cfg(not(unix))]
compile_error!("facematch needs Unix, whose signals it is stopped by; on Windows it runs in WSL");

/// It takes a seventh off the CPU time of a match and a quarter off its memory: see
/// docs/performance.md.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(std::env::args_os(), Environment::of_process(), PARTS).await.into()
}
