//! Secrets that are read from files, and read again while the service runs: at an interval, when Oz
//! refuses them, and on SIGHUP. Other files that are read again join in.
//!
//! A secret is replaced as a whole or kept: a file that is empty, half-written or gone changes
//! nothing. File system notifications are deliberately not used: mounted secrets are swapped by
//! links, on file systems that send none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt, future::BoxFuture};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    access::ReloadCount,
    clock::Clock,
    config::{self, Config, SecretFile},
    domain::Timestamp,
    oz::Keychain,
};

/// How often a file is read: often enough for a secret that is valid beside its successor for a
/// minute.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// How long after a read a refusal by Oz causes no other read: each match under way is refused
/// once.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// Looks at other files again.
type Look = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// The secrets of a process that are read from files, and what else is read again with them. Cheap
/// to clone.
#[derive(Clone, Default)]
pub struct Secrets {
    reloads: Arc<ReloadCount>,
    oz: Option<Arc<WatchedSecret>>,
    store: Option<Arc<WatchedSecret>>,
    others: Vec<Look>,
}

/// A secret that is read from a file.
pub struct WatchedSecret {
    file: SecretFile,
    clock: Clock,
    value: watch::Sender<SecretString>,
    /// How often the value has been replaced.
    version: AtomicU64,
    look: Mutex<FileState>,
    reloads: Arc<ReloadCount>,
}

/// When a file was last read, and whether that failed.
struct FileState {
    at: Timestamp,
    failed: bool,
}

impl Secrets {
    /// Reads the secret files that the settings name.
    ///
    /// # Errors
    /// That of a file that can't be read.
    pub fn open(config: &Config, clock: &Clock) -> Result<Self, config::Error> {
        let reloads = Arc::<ReloadCount>::default();
        let open = |file: &SecretFile| {
            let reloads = Arc::clone(&reloads);
            WatchedSecret::open(file.clone(), clock.clone(), reloads).map(Arc::new)
        };
        Ok(Self {
            oz: config.oz.secret_file.as_ref().map(open).transpose()?,
            store: config.store_password_file.as_ref().map(open).transpose()?,
            others: Vec::new(),
            reloads,
        })
    }

    /// Reads other files whenever the secrets are read again: `look_again` compares their contents.
    pub fn also(&mut self, look_again: impl Fn() + Send + Sync + 'static) {
        let look_again = Arc::new(look_again);
        self.also_async(move || {
            let look_again = Arc::clone(&look_again);
            // On a thread of its own: a file system may block for long. A panic has been logged as
            // it happened.
            let looking = tokio::task::spawn_blocking(move || look_again());
            async { drop(looking.await) }.boxed()
        });
    }

    /// The same, for files whose change needs more than a look. The future may be dropped.
    pub fn also_async(
        &mut self,
        look_again: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        self.others.push(Arc::new(look_again));
    }

    /// Where the Oz client reads its password or token again; `None` if it isn't in a file.
    pub fn keychain(&self) -> Option<Arc<dyn Keychain>> {
        self.oz.clone().map(|secret| -> Arc<dyn Keychain> { secret })
    }

    /// The database's password, present and future; `None` if it isn't in a file.
    pub fn store_password(&self) -> Option<watch::Receiver<SecretString>> {
        self.store.as_ref().map(|secret| secret.value.subscribe())
    }

    /// How often a file of a secret was read again with a change.
    pub fn reloads(&self) -> Arc<ReloadCount> {
        Arc::clone(&self.reloads)
    }

    /// Reads the files at an interval, until `closing` is cancelled.
    pub async fn poll(self, clock: Clock, closing: CancellationToken) {
        loop {
            tokio::select! {
                () = clock.sleep(POLL_INTERVAL) => {}
                () = closing.cancelled() => return,
            }
            tokio::select! {
                () = self.reread() => {}
                () = closing.cancelled() => return,
            }
        }
    }

    /// Reads all files now.
    pub async fn reread(&self) {
        for secret in [&self.oz, &self.store].into_iter().flatten() {
            secret.look_again(Duration::ZERO).await;
        }
        for look_again in &self.others {
            look_again().await;
        }
    }
}

impl WatchedSecret {
    fn open(
        file: SecretFile,
        clock: Clock,
        reloads: Arc<ReloadCount>,
    ) -> Result<Self, config::Error> {
        let value = watch::Sender::new(file.read()?);
        let look = Mutex::new(FileState { at: clock.now(), failed: false });
        Ok(Self { file, clock, value, version: AtomicU64::new(0), look, reloads })
    }

    /// Reads the file, unless it was read less than `pause` ago. A secret that was read from a pipe
    /// can't be read again.
    async fn look_again(&self, pause: Duration) {
        let mut look = self.look.lock().await;
        let now = self.clock.now();
        if now.since(look.at) < pause || self.file.is_pipe() {
            return;
        }
        look.at = now;
        let setting = self.file.setting();
        match self.file.read() {
            Ok(secret) => {
                look.failed = false;
                if self.replace(secret) {
                    self.reloads.succeeded(now);
                    info!(setting, "secret file changed: the new secret is used");
                }
            }
            Err(error) if !look.failed => {
                look.failed = true;
                self.reloads.failed();
                warn!(setting, %error, "secret file unusable: the previous secret is kept");
            }
            Err(_) => {}
        }
    }

    fn replace(&self, secret: SecretString) -> bool {
        self.value.send_if_modified(|value| {
            let is_new = value.expose_secret() != secret.expose_secret();
            if is_new {
                *value = secret;
                self.version.fetch_add(1, Ordering::SeqCst);
            }
            is_new
        })
    }
}

#[async_trait]
impl Keychain for WatchedSecret {
    fn current(&self) -> SecretString {
        self.value.borrow().clone()
    }

    async fn reread(&self) {
        self.look_again(REFUSAL_PAUSE).await;
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    async fn replaced(&self, version: u64) {
        // Subscribed before the version is read, so that no replacement is missed in between.
        let mut value = self.value.subscribe();
        if self.version() == version {
            // An error means that the process ends.
            let _ = value.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use futures_util::FutureExt;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        config::{Environment, Flags, load},
        sync::lock,
    };

    struct Scene {
        folder: TempDir,
        secrets: Secrets,
        hand: crate::clock::Hand,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), "first\n");
            let path = folder.path().join("token").to_str().unwrap().to_owned();
            let url = "http://oz".to_owned();
            let flags: Flags = vec![("oz-url", url), ("oz-token-file", path)];
            let config = load(flags, Environment::default()).config.unwrap();
            let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
            let secrets = Secrets::open(&config, &clock).unwrap();
            Self { folder, secrets, hand }
        }

        fn write(&self, content: &str) {
            write(self.folder.path(), content);
        }

        fn keychain(&self) -> Arc<dyn Keychain> {
            self.secrets.keychain().unwrap()
        }

        fn current(&self) -> String {
            self.keychain().current().expose_secret().to_owned()
        }
    }

    fn write(folder: &Path, content: &str) {
        fs::write(folder.join("token"), content).unwrap();
    }

    #[tokio::test]
    async fn a_changed_file_is_adopted_by_the_next_read() {
        let scene = Scene::new();
        let (keychain, clock) =
            (scene.keychain(), scene.secrets.oz.as_ref().unwrap().clock.clone());
        let closing = CancellationToken::new();
        let polling = scene.secrets.clone().poll(clock, closing.clone());
        let changing = async {
            tokio::task::yield_now().await;
            scene.write("second\n");
            let replaced = keychain.replaced(0);
            let advance = async { scene.hand.advance(POLL_INTERVAL) };
            tokio::join!(replaced, advance);
            assert_eq!(scene.current(), "second");
            assert!(keychain.replaced(0).now_or_never().is_some(), "it was replaced before");
            assert!(keychain.replaced(1).now_or_never().is_none(), "not since");
            closing.cancel();
        };
        tokio::join!(polling, changing);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_changes_nothing() {
        let scene = Scene::new();
        for content in ["", "\n", "two\nlines\n", "\u{feff}second\n"] {
            scene.write(content);
            scene.secrets.reread().await;
            assert_eq!(scene.current(), "first", "{content:?}");
        }
        fs::remove_file(scene.folder.path().join("token")).unwrap();
        scene.secrets.reread().await;
        assert_eq!(scene.current(), "first");
        scene.write("second");
        scene.secrets.reread().await;
        assert_eq!(scene.current(), "second");
    }

    #[tokio::test]
    async fn a_file_system_that_blocks_holds_up_no_other_task() {
        let mut secrets = Secrets::default();
        let (answers, answer) = std::sync::mpsc::channel();
        let answer = std::sync::Mutex::new(answer);
        let (looks, looked) = std::sync::mpsc::channel();
        secrets.also(move || {
            let answered = lock(&answer).recv_timeout(Duration::from_secs(10));
            looks.send(answered.is_ok()).unwrap();
        });
        let other = async { answers.send(()).unwrap() };
        tokio::join!(secrets.reread(), other);
        assert!(looked.recv().unwrap(), "the other task ran meanwhile");
    }

    #[tokio::test]
    async fn many_refusals_cost_one_read() {
        let scene = Scene::new();
        let keychain = scene.keychain();
        scene.hand.advance(REFUSAL_PAUSE);
        keychain.reread().await;
        scene.write("second\n");
        keychain.reread().await;
        assert_eq!(scene.current(), "first", "it was read just now");
        scene.hand.advance(REFUSAL_PAUSE);
        keychain.reread().await;
        assert_eq!(scene.current(), "second");
    }
}
