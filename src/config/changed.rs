//! The settings that differ from their defaults, in a form that may be logged.
//!
//! Secrets and logins are deliberately hidden. URLs are shown without user names, passwords,
//! queries and fragments.

use std::fmt;

use super::{
    about::{About, Secrecy},
    error::ValueOrigin,
    settings::TABLE,
    source::Sources,
};
use crate::text::one_line;

/// The longest value that is shown uncut, in characters.
const SHOWN_CHARACTERS_MAX: usize = 200;
/// The placeholder for a hidden value.
const HIDDEN: &str = "[hidden]";

/// The settings that differ from their defaults, in the order of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed(Vec<(&'static str, String)>);

impl Changed {
    pub(super) fn of(sources: &Sources) -> Self {
        let changed = TABLE.iter().filter_map(|about| {
            let (text, origin) = sources.text(about).ok().flatten()?;
            let differs = origin != ValueOrigin::Default && about.default != Some(text);
            differs.then(|| (about.name, shown(about, text)))
        });
        Self(changed.collect())
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.0.iter().enumerate() {
            let blank = if number == 0 { "" } else { " " };
            write!(f, "{blank}{name}={value}")?;
        }
        Ok(())
    }
}

fn shown(about: &About, text: &str) -> String {
    match about.secrecy {
        Secrecy::Secret | Secrecy::Account => HIDDEN.to_owned(),
        Secrecy::Open | Secrecy::PasswordInUrl => {
            one_line(&place(text)).chars().take(SHOWN_CHARACTERS_MAX).collect()
        }
    }
}

/// The scheme, host, port and path of a URL; any other text as it is. If a `@` comes after a `?` or
/// `#`, these characters may be part of a password, so nothing is shown.
fn place(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (whole, behind) = rest.split_at(end);
    if behind.contains('@') {
        return HIDDEN.to_owned();
    }
    let place = whole.rsplit_once('@').map_or(whole, |(_, place)| place);
    format!("{scheme}://{place}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, load};

    fn changed(flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> String {
        let flags = flags.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        let environment: Environment = variables.iter().copied().collect();
        load(flags, environment).config.unwrap().changed.to_string()
    }

    #[test]
    fn changed_settings_are_shown_without_secrets() {
        let told = changed(
            &[
                ("oz-url", "https://oz.example:8443/base"),
                (
                    "store",
                    "postgres://facematch:p@ss/w0rd@db.example:5432/matches?password=hunter2",
                ),
                ("oz-login", "robot@bank.example"),
                ("heartbeat", "20s"),
                ("max-unfinished", "7"),
                ("oz-proxy", "http://me:hunter2@proxy.example:3128"),
            ],
            &[("FACEMATCH_OZ_PASSWORD", "hunter2"), ("FACEMATCH_LOG", "json")],
        );
        assert_eq!(
            told,
            "store=postgres://db.example:5432/matches oz-url=https://oz.example:8443/base \
             oz-login=[hidden] oz-password=[hidden] oz-proxy=http://proxy.example:3128 \
             max-unfinished=7 log=json"
        );
    }

    #[test]
    fn a_shown_value_stays_on_its_line() {
        let oz = [("oz-url", "http://oz"), ("oz-token", "t")];
        let with = |store: &str| changed(&[oz[0], oz[1], ("store", store)], &[]);
        assert_eq!(
            with("sqlite:a\nb.db"),
            "store=sqlite:a\\nb.db oz-url=http://oz oz-token=[hidden]"
        );
        assert!(with(&format!("sqlite:{}", "a".repeat(900))).len() < 300);
    }

    #[test]
    fn an_ambiguous_url_is_hidden() {
        for text in
            ["postgres://u:hunt?er2@db/m", "postgres://db/m?password=hunt@er2", "http://u#@h"]
        {
            assert_eq!(place(text), HIDDEN, "{text}");
        }
    }

    #[test]
    fn every_secret_setting_is_hidden() {
        for about in TABLE {
            let is_secret = ["PASSWORD", "TOKEN"].contains(&about.value);
            assert!(!is_secret || shown(about, "hunter2") == HIDDEN, "{}", about.name);
        }
    }
}
