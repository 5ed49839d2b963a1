//! Finds the value of each setting: in the flags, then the environment, then the file, then the
//! default.
//!
//! It returns a text and its origin. It deliberately doesn't interpret the text: the parsers do.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use secrecy::SecretString;

use super::{
    about::{About, Setting},
    error::{Error, Problem, QuotedValue, Suggestion, ValueOrigin},
    secret_file::{self, SecretFile},
    service_link::is_service_link,
    settings::{self, TABLE},
};

/// A name counts as misspelt if it differs from a known one in at most one of this many letters, so
/// that short names aren't taken for others.
const LETTERS_A_SLIP: usize = 3;
/// The most different letters of a misspelt name.
const SLIPS_MAX: usize = 3;

const PREFIX: &str = "FACEMATCH_";
/// The beginning of OpenTelemetry's variables.
const OTEL_PREFIX: &str = "OTEL_";
/// The beginnings of the variables of clouds.
const CLOUD_PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// The variables of the client commands, which `serve` ignores without a warning.
const OF_CLIENT_COMMANDS: &[&str] = &[
    "FACEMATCH_SERVER",
    "FACEMATCH_CA_FILE",
    "FACEMATCH_CERT_FILE",
    "FACEMATCH_KEY_FILE",
    "FACEMATCH_TOKEN_FILE",
];

/// The given flags: the name of a setting and its unchecked text.
pub type Flags = Vec<(&'static str, String)>;

/// The environment variables that begin with `FACEMATCH_`, `OTEL_` or the name of a cloud, read once.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// The variables of this process.
    #[expect(clippy::disallowed_methods, reason = "this is the seam that others read it through")]
    pub fn of_process() -> Self {
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
    }

    /// The value of a variable. An empty variable counts as unset: that is how a compose file or a
    /// pod template expresses a missing value.
    pub fn get(&self, name: &str) -> Option<&OsString> {
        self.0.get(name).filter(|value| !value.is_empty())
    }

    /// Whether a variable has this value.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.get(name).is_some_and(|text| text == value)
    }

    /// The variables by which clouds name their credentials and stores. The photo libraries decide
    /// which of them they read.
    pub(super) fn cloud_variables(&self) -> BTreeMap<String, SecretString> {
        let of_clouds = self.0.iter().filter(|(name, _)| is_of_cloud(name));
        let text = |value: &OsString| Some(SecretString::from(value.to_str()?));
        of_clouds.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
    }

    /// One sentence for each variable that has the prefix and isn't a setting. The variables that
    /// Kubernetes sets for a Service named `facematch` are skipped, because they aren't mistakes.
    fn strangers(&self) -> Vec<String> {
        let stranger = |name: &&String| {
            let is_clients = OF_CLIENT_COMMANDS.contains(&name.as_str());
            !is_clients && TABLE.iter().all(|about| about.variable() != **name)
        };
        let sentence = |name: &String| {
            // The prefix is equal in all names, so it must not count for the similarity.
            let own = name.strip_prefix(PREFIX).unwrap_or(name);
            let nearest = nearest(own, TABLE.iter().copied()).map(About::variable);
            format!("unknown environment variable {name}{}", Suggestion(&nearest))
        };
        let names = self.0.keys().filter(|name| name.starts_with(PREFIX) && !is_service_link(name));
        names.filter(stranger).map(sentence).collect()
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let owned = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        let is_read = |name: &str| {
            name.starts_with(PREFIX) || name.starts_with(OTEL_PREFIX) || is_of_cloud(name)
        };
        Self(owned.filter(|(name, _)| is_read(name)).collect())
    }
}

fn is_of_cloud(variable: &str) -> bool {
    CLOUD_PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

/// The warnings for the operator, which don't prevent the start.
pub(super) fn warnings(flags: &Flags, environment: &Environment) -> Vec<String> {
    let gives_away = |about: &&&About| {
        let texts = flags.iter().filter(|(flag, _)| *flag == about.name);
        texts.into_iter().any(|(_, text)| about.secrecy.covers(text))
    };
    let exposed = TABLE.iter().filter(gives_away).map(|about| exposed(about.name));
    environment.strangers().into_iter().chain(exposed).collect()
}

/// The warning of a flag whose value holds a secret.
fn exposed(flag: &str) -> String {
    format!("--{flag} on the command line holds a secret that every user of this machine can read")
}

/// A secret, and the file from which it can be read again, if it came from one.
pub(super) struct Secret {
    pub value: SecretString,
    pub origin: ValueOrigin,
    pub file: Option<SecretFile>,
}

/// All sources of values.
pub(super) struct Sources {
    flags: Flags,
    environment: Environment,
    file: Option<(PathBuf, BTreeMap<String, String>)>,
}

impl Sources {
    /// All sources except the file.
    pub const fn without_file(flags: Flags, environment: Environment) -> Self {
        Self { flags, environment, file: None }
    }

    /// All sources. Reads the file if a flag or a variable names one.
    pub fn open(flags: Flags, environment: Environment) -> Result<Self, Error> {
        let mut sources = Self::without_file(flags, environment);
        sources.read_file()?;
        Ok(sources)
    }

    /// Reads the settings file if a flag or a variable names one.
    pub fn read_file(&mut self) -> Result<(), Error> {
        if let Some((path, origin)) = self.find(&settings::CONFIG)? {
            let values = read_settings(&path, origin)?;
            self.file = Some((path, values));
        }
        Ok(())
    }

    /// The variables.
    pub const fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The value of a required setting. `hint` describes it in the error.
    pub fn value<T>(&self, setting: &Setting<T>, hint: &'static str) -> Result<T, Error> {
        let missing = || Error::bare(setting.about.name, Problem::Missing { hint });
        Ok(self.find(setting)?.ok_or_else(missing)?.0)
    }

    /// The value of a setting that has a default.
    pub fn get<T>(&self, setting: &Setting<T>) -> Result<T, Error> {
        self.value(setting, "it has no default")
    }

    /// The value of a setting and its origin; `None` if it has neither value nor default.
    pub fn find<T>(&self, setting: &Setting<T>) -> Result<Option<(T, ValueOrigin)>, Error> {
        let Some((text, origin)) = self.text(&setting.about)? else { return Ok(None) };
        match (setting.parse)(text) {
            Ok(value) => Ok(Some((value, origin))),
            Err(problem) => Err(Error::new(setting.about.name, problem, origin)),
        }
    }

    /// A secret, given directly or as the path of a file that holds it. The source with the higher
    /// precedence wins; both in one source are an error.
    pub fn secret(
        &self,
        direct: &'static Setting<SecretString>,
        from_file: &'static Setting<PathBuf>,
    ) -> Result<Option<Secret>, Error> {
        match (self.find(direct)?, self.find(from_file)?) {
            (Some((_, here)), Some((_, there))) if rank(&here) == rank(&there) => {
                let problem = Problem::Conflict { other: from_file.about.name, origin: None };
                Err(Error::new(direct.about.name, problem, here))
            }
            (Some((value, origin)), Some((_, there))) if rank(&origin) < rank(&there) => {
                Ok(Some(Secret { value, origin, file: None }))
            }
            (_, Some((path, origin))) => {
                let file = SecretFile::new(direct, from_file, path, origin.clone());
                Ok(Some(Secret { value: file.read()?, origin, file: Some(file) }))
            }
            (Some((value, origin)), None) => Ok(Some(Secret { value, origin, file: None })),
            (None, None) => Ok(None),
        }
    }

    /// The origin of a setting's value; `None` if there is no value.
    pub fn origin(&self, about: &About) -> Option<ValueOrigin> {
        self.text(about).ok().flatten().map(|(_, origin)| origin)
    }

    /// The text of a setting and its origin; `None` if it has neither text nor default.
    pub fn text(&self, about: &About) -> Result<Option<(&str, ValueOrigin)>, Error> {
        if let Some(text) = self.flag(about)? {
            return Ok(Some((text, ValueOrigin::CommandLine)));
        }
        if let Some(found) = self.variable(about)? {
            return Ok(Some(found));
        }
        let filed = self.file.as_ref().and_then(|(path, values)| {
            Some((values.get(about.name)?.as_str(), ValueOrigin::File(path.clone())))
        });
        Ok(filed.or_else(|| Some((about.default?, ValueOrigin::Default))))
    }

    fn flag(&self, about: &About) -> Result<Option<&str>, Error> {
        let mut given = self.flags.iter().filter(|(name, _)| *name == about.name);
        let first = given.next().map(|(_, text)| text.as_str());
        match given.next() {
            None => Ok(first),
            Some(_) => Err(Error::new(about.name, Problem::Repeated, ValueOrigin::CommandLine)),
        }
    }

    fn variable(&self, about: &About) -> Result<Option<(&str, ValueOrigin)>, Error> {
        let name = about.variable();
        let Some(value) = self.environment.get(&name) else { return Ok(None) };
        let origin = ValueOrigin::Environment(name);
        match value.to_str() {
            Some(text) => Ok(Some((text, origin))),
            None => Err(Error::new(about.name, Problem::Unusable("is not UTF-8"), origin)),
        }
    }
}

fn rank(origin: &ValueOrigin) -> u8 {
    match origin {
        ValueOrigin::CommandLine => 0,
        ValueOrigin::Environment(_) => 1,
        ValueOrigin::File(_) => 2,
        ValueOrigin::Default => 3,
    }
}

fn read_settings(path: &Path, origin: ValueOrigin) -> Result<BTreeMap<String, String>, Error> {
    match secret_file::read(path) {
        Ok(text) => settings_in(&text, path, origin),
        Err(problem) => Err(Error::new(settings::CONFIG.about.name, problem, origin)),
    }
}

/// Parses the text of a settings file. `origin` is that of the setting which names the file.
fn settings_in(
    text: &str,
    path: &Path,
    origin: ValueOrigin,
) -> Result<BTreeMap<String, String>, Error> {
    let config = |problem| Error::new(settings::CONFIG.about.name, problem, origin.clone());
    let table: toml::Table = toml::from_str(text).map_err(|e| config(not_toml(path, text, &e)))?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let Some(about) = in_file(&key) else { return Err(config(unknown_key(path, key))) };
        let text = plain(value, about).ok_or_else(|| {
            Error::new(about.name, Problem::WrongType, ValueOrigin::File(path.to_owned()))
        })?;
        values.insert(key, text);
    }
    Ok(values)
}

/// The setting that a key of the file names. `config` isn't one: a file can't name another file.
fn in_file(key: &str) -> Option<&'static About> {
    TABLE.iter().copied().find(|about| about.name == key && key != settings::CONFIG.about.name)
}

fn plain(value: toml::Value, about: &About) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(allowed) if about.is_switch() => Some(allowed.to_string()),
        toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => None,
    }
}

/// The problem of a file that isn't TOML. The parser's own text isn't used, because it quotes the
/// line, which may hold a secret.
fn not_toml(path: &Path, text: &str, error: &toml::de::Error) -> Problem {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let line = 1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
    let why = error.message().replace('\n', " ");
    Problem::NotToml { path: path.to_owned(), line, why }
}

fn unknown_key(path: &Path, key: String) -> Problem {
    let known = TABLE.iter().copied().filter(|about| in_file(about.name).is_some());
    let nearest = nearest(&key, known).map(|about| about.name.to_owned());
    Problem::UnknownKey { path: path.to_owned(), key: QuotedValue::new(&key), nearest }
}

/// The setting that was probably meant.
fn nearest(name: &str, known: impl Iterator<Item = &'static About>) -> Option<&'static About> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let (slips, about) = known
        .map(|about| (strsim::levenshtein(&name, about.name), about))
        .min_by_key(|(slips, _)| *slips)?;
    let slips_max = (name.chars().count() / LETTERS_A_SLIP).min(SLIPS_MAX);
    (slips <= slips_max).then_some(about)
}
