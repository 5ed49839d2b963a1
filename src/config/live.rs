//! The settings that may change while the service runs: the settings file is read again, and taken
//! as a whole or not at all.
//!
//! Flags and the environment stay as they were at the start. It deliberately reads no other file:
//! files of secrets have watchers of their own.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{
    Changed, Error, Origins, Problem, Reflection, ValueOrigin,
    about::About,
    settings::{self as s, TABLE},
    source::{Environment, Flags, Sources},
    transport,
};

/// What `serve` was given at its start, from which its settings can be read again.
#[derive(Clone, Default)]
pub struct Given {
    flags: Flags,
    environment: Environment,
    at_start: Values,
}

/// The settings that may change while the service runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveConfig {
    /// What is logged, as a list of directives.
    pub log_level: String,
    /// The most requests to Oz at the same time, of all replicas together.
    pub oz_max_requests: usize,
    /// The most requests to Oz per second, of all replicas together; `None` means no limit.
    pub oz_max_rate: Option<u32>,
    /// The most unfinished matches at the same time.
    pub max_unfinished: u64,
    /// How long a match is kept after its end.
    pub retention: Duration,
    /// Who may use reflection.
    pub reflection: Reflection,
    /// The origins whose pages may call the port for browsers.
    pub web_origins: Vec<String>,
}

/// Settings that were read again and differ from those in use.
#[derive(Debug)]
pub struct Reread {
    /// The settings to use from now on.
    pub live: LiveConfig,
    /// The names of those that differ.
    pub names: Vec<&'static str>,
    /// All settings that differ from their defaults, in a form that may be logged.
    pub changed: Changed,
    /// The origin of each value.
    pub origins: Origins,
    /// The values, to be compared with at the next time.
    pub values: Values,
}

/// The values in use, by their hashes: some are secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<&'static str, blake3::Hash>);

impl Given {
    pub(super) fn new(flags: Flags, environment: Environment, sources: &Sources) -> Self {
        Self { flags, environment, at_start: Values::of(sources) }
    }

    /// Whether there is a settings file, the only source that can change.
    pub fn has_file(&self) -> bool {
        let sources = Sources::without_file(self.flags.clone(), self.environment.clone());
        sources.find(&s::CONFIG).is_ok_and(|file| file.is_some())
    }

    /// The values at the start.
    pub fn at_start(&self) -> Values {
        self.at_start.clone()
    }

    /// Reads the settings file again. `None` if each setting has the value in use. Reads a file, so
    /// it blocks its thread for a moment.
    ///
    /// # Errors
    /// The first fault of the file, or the first setting that differs and can't change while the
    /// service runs.
    pub fn again(&self, in_use: &Values) -> Result<Option<Reread>, Error> {
        let sources = self.sources()?;
        let values = Values::of(&sources);
        let differing: Vec<_> =
            TABLE.iter().filter(|about| values.differs(in_use, about)).collect();
        if let Some(fixed) = differing.iter().find(|about| !about.is_live) {
            let origin = sources.origin(fixed).unwrap_or(ValueOrigin::Default);
            return Err(Error::new(fixed.name, Problem::NeedsRestart, origin));
        }
        let live = LiveConfig::of(&sources)?;
        let names: Vec<_> = differing.into_iter().map(|about| about.name).collect();
        let (changed, origins) = (Changed::of(&sources), Origins::of(&sources));
        let is_new = !names.is_empty();
        Ok(is_new.then_some(Reread { live, names, changed, origins, values }))
    }

    fn sources(&self) -> Result<Sources, Error> {
        let mut sources = Sources::without_file(self.flags.clone(), self.environment.clone());
        if let Some((path, origin)) = sources.find(&s::CONFIG)? {
            // Reading a pipe again would wait for a writer.
            if std::fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
                let problem = Problem::Unusable("is a pipe, and can't be read again");
                return Err(Error::new(s::CONFIG.about.name, problem, origin));
            }
            sources.read_file()?;
        }
        Ok(sources)
    }
}

/// It holds secrets, so nothing of it is shown.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").finish_non_exhaustive()
    }
}

impl LiveConfig {
    fn of(sources: &Sources) -> Result<Self, Error> {
        Ok(Self {
            log_level: sources.get(&s::LOG_LEVEL)?,
            oz_max_requests: sources.get(&s::OZ_MAX_REQUESTS)?,
            oz_max_rate: sources.find(&s::OZ_MAX_RATE)?.map(|(rate, _)| rate),
            max_unfinished: sources.get(&s::MAX_UNFINISHED)?,
            retention: sources.get(&s::RETENTION)?,
            reflection: sources.get(&s::REFLECTION)?,
            web_origins: transport::origins(sources)?,
        })
    }
}

impl Values {
    fn of(sources: &Sources) -> Self {
        let hash = |about: &&'static About| {
            let (text, _) = sources.text(about).ok().flatten()?;
            Some((about.name, blake3::hash(text.as_bytes())))
        };
        Self(TABLE.iter().filter_map(hash).collect())
    }

    fn differs(&self, other: &Self, about: &About) -> bool {
        self.0.get(about.name) != other.0.get(about.name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::load;

    /// A settings file that the test rewrites, and the settings that were read from it.
    struct Scene {
        folder: tempfile::TempDir,
        given: Given,
        in_use: Values,
    }

    impl Scene {
        fn new(text: &str, more: &[(&'static str, &str)], variables: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("facematch.toml");
            fs::write(&file, text).unwrap();
            let file = file.display().to_string();
            let oz = [("oz-url", "http://oz"), ("oz-token", "t0ken"), ("config", file.as_str())];
            let flags = oz.iter().chain(more).map(|(name, text)| (*name, (*text).to_owned()));
            let environment = variables.iter().copied().collect();
            let loaded = load(flags.collect(), environment);
            loaded.config.unwrap();
            let in_use = loaded.given.at_start();
            Self { folder, given: loaded.given, in_use }
        }

        fn again(&self, text: &str) -> Result<Option<Reread>, String> {
            fs::write(self.folder.path().join("facematch.toml"), text).unwrap();
            self.given.again(&self.in_use).map_err(|error| error.to_string())
        }
    }

    #[test]
    fn live_settings_are_read_again() {
        let mut scene =
            Scene::new("retention = '1d'\nlease = '11s'\n", &[("web-listen", "127.0.0.1:0")], &[]);
        assert!(
            scene.again("retention = '1d'\nlease = '11s'\n# all the same\n").unwrap().is_none()
        );
        let text = "retention = '2d'\nlease = '11s'\nlog-level = 'debug'\noz-max-rate = 7\n\
                    oz-max-requests = 9\nmax-unfinished = 5\nreflection = 'off'\n\
                    web-origins = 'https://desk.example'\n";
        let again = scene.again(text).unwrap().unwrap();
        let names = [
            "web-origins",
            "oz-max-requests",
            "oz-max-rate",
            "retention",
            "max-unfinished",
            "reflection",
            "log-level",
        ];
        assert_eq!(again.names, names);
        assert_eq!(
            again.live,
            LiveConfig {
                log_level: "debug".to_owned(),
                oz_max_requests: 9,
                oz_max_rate: Some(7),
                max_unfinished: 5,
                retention: Duration::from_secs(2 * 86_400),
                reflection: Reflection::Off,
                web_origins: vec!["https://desk.example".to_owned()],
            }
        );
        scene.in_use = again.values;
        assert!(scene.again(text).unwrap().is_none());
        let back = scene.again("lease = '11s'\n").unwrap().unwrap();
        assert_eq!(back.live.oz_max_rate, None, "a key that is gone has its default again");
    }

    #[test]
    fn another_difference_refuses_all_of_them_and_names_the_setting() {
        let scene = Scene::new("lease = '11s'\n", &[], &[]);
        for (text, setting) in [
            ("lease = '12s'\nlog-level = 'debug'\n", "--lease: "),
            ("log-level = 'debug'\n", "--lease: "),
            ("lease = '11s'\noz-password = 'hunter2'\n", "--oz-password: "),
            ("lease = '11s'\nlisten = '0.0.0.0:1'\n", "--listen: "),
        ] {
            let why = scene.again(text).unwrap_err();
            assert!(why.starts_with(setting) && why.contains("can't change while"), "{why}");
            assert!(!why.contains("hunter2") && !why.contains('\n'), "{why}");
        }
    }

    #[test]
    fn a_bad_file_is_refused_as_at_the_start() {
        let scene = Scene::new("", &[], &[]);
        for (text, why) in [
            ("retention = 'banana'\n", "--retention: \"banana\" is not"),
            ("retention = 1.5\n", "--retention: must be a string"),
            ("retantion = '1d'\n", "did you mean \"retention\"?"),
            ("retention = \n", "is not valid TOML, line 1"),
            ("oz-max-rate = 0\n", "--oz-max-rate: \"0\" is out of range"),
        ] {
            let said = scene.again(text).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        fs::remove_file(scene.folder.path().join("facematch.toml")).unwrap();
        let gone = scene.given.again(&scene.in_use).unwrap_err().to_string();
        assert!(gone.starts_with("--config: can't read "), "{gone}");
    }

    #[test]
    fn flags_and_variables_beat_the_file_as_at_the_start() {
        let variables = [("FACEMATCH_LOG_LEVEL", "warn")];
        let scene = Scene::new("", &[("retention", "3d")], &variables);
        let unchanged = scene.again("retention = '4d'\nlog-level = 'debug'\n").unwrap();
        assert!(unchanged.is_none(), "{unchanged:?}");
        let again = scene.again("retention = '4d'\nmax-unfinished = 3\n").unwrap().unwrap();
        assert_eq!(again.names, ["max-unfinished"]);
        assert_eq!(again.live.retention, Duration::from_secs(3 * 86_400));
        assert_eq!(again.live.log_level, "warn");
    }

    #[test]
    fn nothing_of_what_was_given_is_shown() {
        let scene = Scene::new("", &[], &[("FACEMATCH_OZ_LOGIN", "")]);
        let shown = format!("{:?} {:?}", scene.given, scene.in_use);
        assert!(!shown.contains("t0ken"), "{shown}");
        assert!(scene.given.has_file() && !Given::default().has_file());
    }
}
