//! `facematch key new`: makes an API key, and the line of the callers file that accepts it.
//!
//! It deliberately stores nothing and changes no file: the key is shown once.

use std::io::{self, Write};

use serde_json::json;

use crate::{
    access::{KeyExpiry, NewKey},
    cli::{
        Exit,
        args::{KeyArgs, KeyCommand, NewKeyArgs, Output},
        stderr,
    },
    clock::Clock,
};

/// Runs a command about API keys.
pub fn run(args: &KeyArgs) -> Exit {
    match &args.command {
        KeyCommand::New(args) => new(args),
    }
}

fn new(args: &NewKeyArgs) -> Exit {
    if args.expires.is_some_and(|expiry| expiry.is_past(Clock::system().now())) {
        stderr::people("--expires: the key would have expired already");
        return Exit::Usage;
    }
    let key = match NewKey::make() {
        Ok(key) => key,
        Err(error) => {
            stderr::people(&format!("no key: {error}"));
            return Exit::Broken;
        }
    };
    let shown = match args.output {
        Output::Text => format!("{}\n{}\n", key.text(), line(&key, args.expires)),
        Output::Json => format!("{}\n", as_json(&key, args)),
    };
    if let Err(error) = io::stdout().write_all(shown.as_bytes()).and_then(|()| io::stdout().flush())
    {
        return stderr::unwritable(&error);
    }
    if args.output == Output::Text {
        stderr::people(&format!(
            "the first line is the key, which is shown only now; the second line belongs into \
             keys = [ … ] of [caller.{}] in the callers file",
            in_toml(&args.caller)
        ));
    }
    Exit::Success
}

/// The line for the callers file.
fn line(key: &NewKey, expires: Option<KeyExpiry>) -> String {
    let expires = expires.map(|expiry| format!(", expires = {expiry}")).unwrap_or_default();
    format!("{{ id = \"{}\", sha256 = \"{}\"{expires} }}", key.id(), key.sha256())
}

fn as_json(key: &NewKey, args: &NewKeyArgs) -> serde_json::Value {
    json!({
        "caller": args.caller,
        "key": key.text(),
        "id": key.id(),
        "sha256": key.sha256(),
        "expires": args.expires.map(|expiry| expiry.to_string()),
        "line": line(key, args.expires),
    })
}

/// A caller's name in the header of a table; a dot needs quotes.
fn in_toml(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}
