//! What is known of this program from its build.
//!
//! It deliberately tells nothing of the machine or of the settings.

use serde_json::{Value, json};

/// The version, and how the program was built. `commit` is set by builds that set
/// `FACEMATCH_COMMIT`, as those of packages do.
pub(super) fn version() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("FACEMATCH_COMMIT"),
        "api": "facematch.v1",
        "features": features(),
        "optimized": !cfg!(debug_assertions),
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
    })
}

fn features() -> Vec<&'static str> {
    [
        ("cli", cfg!(feature = "cli")),
        ("jemalloc", cfg!(feature = "jemalloc")),
        ("simulator", cfg!(feature = "simulator")),
    ]
    .into_iter()
    .filter_map(|(name, is_on)| is_on.then_some(name))
    .collect()
}
