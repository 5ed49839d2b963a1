//! The settings file as packages install it: every setting, commented out, with its help text.
//!
//! It deliberately recommends nothing: a package writes its own head above it.

use super::{
    About,
    settings::{self, TABLE},
};

/// The longest line of a comment, in characters.
const WIDTH: usize = 78;

/// Every setting that a file may have, as TOML that is commented out, but for those in `except`.
pub fn settings_sample(except: &[&str]) -> String {
    let config = settings::CONFIG.about.name;
    let shown = TABLE.iter().filter(|about| about.name != config && !except.contains(&about.name));
    shown.map(|about| entry(about)).collect::<Vec<_>>().join("\n")
}

fn entry(about: &About) -> String {
    let value = about.default.unwrap_or(about.value);
    let quote = if about.is_switch() { "" } else { "\"" };
    format!("{}#{} = {quote}{value}{quote}\n", comment(about.reason), about.name)
}

/// A text as the lines of a comment.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines = lines + &line + "\n";
            line = String::from("#");
        }
        line = line + " " + word;
    }
    lines + &line + "\n"
}
