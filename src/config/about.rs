//! The description of a setting: its name, its help text, whether its value may reveal a secret,
//! and its parser.
//!
//! The settings themselves are listed in `settings`.

use super::{error::Problem, parse};

/// The documentation of a setting.
#[derive(Debug)]
pub struct About {
    /// The flag without its dashes, which is also the key in the settings file.
    pub name: &'static str,
    /// The placeholder of the value in the help text, such as `DURATION`.
    pub value: &'static str,
    /// The text of the default value; `None` if there is none.
    pub default: Option<&'static str>,
    /// The help text: the purpose of the setting, and the reason for its default.
    pub reason: &'static str,
    /// What the value may reveal.
    pub secrecy: Secrecy,
    /// Whether the value may change while the service runs.
    pub is_live: bool,
}

/// What the value of a setting may reveal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// The value reveals nothing.
    Open,
    /// The value is the name of an account, which may be a person's: not a secret, but never
    /// logged.
    Account,
    /// The value is a secret.
    Secret,
    /// The value is a URL, which may hold a password.
    PasswordInUrl,
}

impl Secrecy {
    /// Whether this value must not stand where other users of the machine can read it.
    pub fn covers(self, value: &str) -> bool {
        match self {
            Self::Open | Self::Account => false,
            Self::Secret => true,
            Self::PasswordInUrl => parse::url_holds_password(value),
        }
    }
}

impl About {
    /// Whether the flag may stand without a value, which then means true.
    pub fn is_switch(&self) -> bool {
        self.value == SWITCH
    }

    /// The name of the environment variable.
    pub fn variable(&self) -> String {
        format!("FACEMATCH_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }
}

/// The placeholder of a switch's value. The flag alone means true.
pub(super) const SWITCH: &str = "BOOL";

/// A setting and its parser.
pub struct Setting<T> {
    /// The documentation.
    pub about: About,
    /// Parses and checks a value.
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
        Self {
            about: About { name, value, default, reason, secrecy: Secrecy::Open, is_live: false },
            parse,
        }
    }

    pub(super) const fn without(
        name: &'static str,
        value: &'static str,
        reason: &'static str,
        parse: fn(&str) -> Result<T, Problem>,
    ) -> Self {
        let secrecy = Secrecy::Open;
        let about = About { name, value, default: None, reason, secrecy, is_live: false };
        Self { about, parse }
    }

    /// Lets the value change while the service runs.
    pub(super) const fn live(mut self) -> Self {
        self.about.is_live = true;
        self
    }

    /// Sets what the value may reveal.
    pub(super) const fn hiding(mut self, secrecy: Secrecy) -> Self {
        self.about.secrecy = secrecy;
        self
    }
}

impl Setting<bool> {
    /// A switch, which is off by default.
    pub(super) const fn switch(name: &'static str, reason: &'static str) -> Self {
        Self::with(name, SWITCH, "false", reason, parse::switch)
    }
}
