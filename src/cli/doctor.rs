//! `facematch doctor`: loads the settings that concern Oz and the photo library, and turns the outcome
//! into an exit code.
//!
//! It deliberately asks Oz nothing: `main` hands in the part that does.

use std::io;

use serde_json::json;

use crate::{
    cli::{DoctorArgs, Exit, Output, Parts, failure, stderr, tell},
    config::{self, Environment, LoadedForDoctor},
};

/// The names of lines beside the findings in JSON.
const NOTICE: &str = "notice";
const ERROR: &str = "error";

/// Told before a rehearsal begins.
const LEAVES: &str = "--rehearse makes a folder at Oz and leaves it there, with up to 3 media and \
    3 analyses, which Oz may bill; nothing is deleted";

/// Examines an Oz installation.
pub async fn run(mut args: DoctorArgs, environment: Environment, parts: Parts) -> Exit {
    let (flags, output) = (std::mem::take(&mut args.settings.flags), args.output);
    let LoadedForDoctor { settings, warnings } = config::load_for_doctor(flags, environment);
    warnings.iter().for_each(|warning| say(output, NOTICE, warning));
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            say(output, ERROR, &error.to_string());
            return Exit::Usage;
        }
    };
    if args.rehearse {
        say(output, NOTICE, LEAVES);
    }
    match (parts.doctor)(settings, args).await {
        Ok(false) => Exit::Success,
        Ok(true) => Exit::OzDiffers,
        Err(error) => match error.downcast_ref::<io::Error>() {
            Some(error) => stderr::unwritable(error),
            None => {
                say(output, ERROR, &error.to_string());
                failure(error.as_ref())
            }
        },
    }
}

/// Prints a line beside the findings, in JSON as the member of this name.
fn say(output: Output, name: &str, text: &str) {
    match output {
        Output::Text => tell(text),
        Output::Json => stderr::line(&json!({ name: text }).to_string()),
    }
}
