//! What a setting is: its name, its texts, whether its value may give away a secret, and how it is
//! read.
//!
//! The settings themselves are listed in `settings`.

use super::{error::Problem, parse};

/// What people are told of a setting.
#[derive(Debug)]
pub struct About {
    /// Its flag without the dashes, which is also its key in the settings file.
    pub name: &'static str,
    /// What stands for the value in the help text.
    pub value: &'static str,
    /// The value that holds if nobody sets one.
    pub default: Option<&'static str>,
    /// What it is for, and why its default is what it is.
    pub reason: &'static str,
    /// What its value may give away.
    pub secrecy: Secrecy,
}

/// What the value of a setting may give away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// Nothing.
    Open,
    /// The name of an account, which may be a person's: no secret, and not logged.
    Account,
    /// It is a secret.
    Secret,
    /// It is a URL, which may hold a password.
    PasswordInUrl,
}

impl Secrecy {
    /// Whether a place that other users can read must not hold this value.
    pub fn covers(self, value: &str) -> bool {
        match self {
            Self::Open | Self::Account => false,
            Self::Secret => true,
            Self::PasswordInUrl => parse::url_holds_password(value),
        }
    }
}

impl About {
    /// Whether its flag may stand without a value, and then means true.
    pub fn is_switch(&self) -> bool {
        self.value == SWITCH
    }

    /// The name of its environment variable.
    pub fn variable(&self) -> String {
        format!("FACEMATCH_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }
}

/// What stands for the value of a switch: its flag alone means true.
pub(super) const SWITCH: &str = "BOOL";

/// A setting and the way to read it.
pub struct Setting<T> {
    /// What people are told of it.
    pub about: About,
    /// Reads and checks its value.
    pub parse: fn(&str) -> Result<T, Problem>,
}

impl<T> Setting<T> {
    pub(super) const fn with(
        name: &'static str,
        value: &'static str,
        default: &'static str,
        reason: &'static str,
        parse: fn(&str) -> Result<T, Problem>,
    ) -> Self {
        let default = Some(default);
        Self { about: About { name, value, default, reason, secrecy: Secrecy::Open }, parse }
    }

    pub(super) const fn without(
        name: &'static str,
        value: &'static str,
        reason: &'static str,
        parse: fn(&str) -> Result<T, Problem>,
    ) -> Self {
        let about = About { name, value, default: None, reason, secrecy: Secrecy::Open };
        Self { about, parse }
    }

    /// The same, with a value that may give something away.
    pub(super) const fn hiding(mut self, secrecy: Secrecy) -> Self {
        self.about.secrecy = secrecy;
        self
    }
}

impl Setting<bool> {
    /// What is forbidden unless it is allowed.
    pub(super) const fn switch(name: &'static str, reason: &'static str) -> Self {
        Self::with(name, SWITCH, "false", reason, parse::switch)
    }
}
