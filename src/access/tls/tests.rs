//! Sets of files that are refused, replaced, half-written, or swapped by a link.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::*;
use crate::{
    clock::Hand,
    domain::Timestamp,
    telemetry::captured::{Lines, capture},
};

/// 2027-01-15T08:00:00Z, within the validity of every certificate unless a test says otherwise.
const NOW_SECONDS: i64 = 1_800_000_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder with a certificate, its key and a client authority.
struct Scene {
    folder: TempDir,
    clock: Clock,
    hand: Hand,
}

/// A pair in PEM.
struct Pair {
    cert: String,
    key: String,
}

/// A pair that is valid until the first day of a year.
fn pair_until(year: i32) -> Pair {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    Pair { cert: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

fn pair() -> Pair {
    pair_until(2099)
}

fn authority() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap().pem()
}

impl Scene {
    fn new() -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_micros(NOW_SECONDS * 1_000_000));
        let scene = Self { folder: tempfile::tempdir().unwrap(), clock, hand };
        scene.write_pair(&pair());
        scene.write("ca.pem", &authority());
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn write_pair(&self, pair: &Pair) {
        self.write("cert.pem", &pair.cert);
        self.write("key.pem", &pair.key);
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            cert: self.path("cert.pem"),
            key: self.path("key.pem"),
            client_ca: Some(self.path("ca.pem")),
            client_crl: None,
            client_auth: ClientAuth::Required,
        }
    }

    fn try_open(&self) -> Result<Tls, TlsError> {
        Tls::open(self.files(), self.clock.clone())
    }

    fn open(&self) -> Watched {
        let tls = self.try_open().unwrap();
        let configs = tls.configs();
        Watched { tls, configs }
    }

    /// The setting and the text of the error with which these files are refused.
    fn refused(&self, files: TlsFiles) -> (&'static str, String) {
        let error = Tls::open(files, self.clock.clone()).err().expect("the set is wrong");
        assert!(!error.to_string().contains('\n'), "{error}");
        (error.setting(), error.to_string())
    }
}

/// The files and their configurations.
struct Watched {
    tls: Tls,
    configs: watch::Receiver<Arc<ServerConfig>>,
}

impl Watched {
    /// Looks at the files: whether a new configuration was published, and what was logged.
    fn look(&mut self) -> (bool, Lines) {
        let logged = capture(|| self.tls.look_again());
        let is_new = self.configs.has_changed().unwrap();
        self.configs.mark_unchanged();
        (is_new, logged)
    }

    /// Looks at files that must change nothing, and returns the setting that is warned about.
    fn kept(&mut self) -> Option<String> {
        let (is_new, logged) = self.look();
        assert!(!is_new, "a wrong set was published");
        let lines = logged.all();
        assert!(lines.len() <= 1);
        lines.first().map(|line| {
            assert_eq!(line.message, "TLS files unusable: the previous ones are kept");
            line.field("setting").unwrap().to_owned()
        })
    }

    fn counts(&self) -> (u64, u64) {
        let ReloadCounts { kind, ok, failed, .. } = self.tls.reloads();
        assert_eq!(kind, "tls");
        (ok, failed)
    }
}

#[test]
fn each_fault_of_the_files_names_its_setting() {
    let scene = Scene::new();
    let other = pair();
    let cut = &other.cert[..other.cert.len() / 2];
    for (name, content) in [
        ("other-key.pem", other.key.as_str()),
        ("cut.pem", cut),
        ("empty.pem", ""),
        ("no-crl.pem", &other.cert),
    ] {
        scene.write(name, content);
    }
    type Change = dyn Fn(&mut TlsFiles, &dyn Fn(&str) -> PathBuf);
    let with = |change: &Change| {
        let mut files = scene.files();
        change(&mut files, &|name| scene.path(name));
        scene.refused(files)
    };
    let expired = pair_until(2027);
    scene.write("expired.pem", &expired.cert);
    scene.write("expired-key.pem", &expired.key);
    let table: &[(&Change, &str, &str)] = &[
        (&|f, at| f.cert = at("none.pem"), "tls-cert-file", "can't read "),
        (&|f, at| f.cert = at("empty.pem"), "tls-cert-file", "holds no certificate in PEM"),
        (&|f, at| f.cert = at("cut.pem"), "tls-cert-file", "is cut off"),
        (&|f, at| f.cert = at("key.pem"), "tls-cert-file", "holds no certificate in PEM"),
        (&|f, at| f.key = at("none.pem"), "tls-key-file", "can't read "),
        (&|f, at| f.key = at("cert.pem"), "tls-key-file", "holds no unencrypted private key"),
        (&|f, at| f.key = at("other-key.pem"), "tls-key-file", "is not the key of the certificate"),
        (
            &|f, at| (f.cert, f.key) = (at("expired.pem"), at("expired-key.pem")),
            "tls-cert-file",
            "has expired (2027-01-01T00:00:00Z)",
        ),
        (
            &|f, at| f.client_ca = Some(at("empty.pem")),
            "tls-client-ca-file",
            "holds no certificate in PEM",
        ),
        (&|f, at| f.client_ca = Some(at("cut.pem")), "tls-client-ca-file", "is cut off"),
        (
            &|f, at| f.client_crl = Some(at("no-crl.pem")),
            "tls-client-crl-file",
            "holds no revocation list in PEM",
        ),
    ];
    for (change, setting, why) in table {
        let (named, told) = with(change);
        assert_eq!(named, *setting, "{told}");
        assert!(told.contains(why), "{setting}: {told} doesn't say {why:?}");
    }
    scene.try_open().expect("the scene itself is right");
}

#[test]
fn a_broken_key_is_refused_without_its_text() {
    let scene = Scene::new();
    scene.write("key.pem", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0!\n-----END PRIVATE KEY-----\n");
    let (setting, told) = scene.refused(scene.files());
    assert_eq!(setting, "tls-key-file");
    assert!(!told.contains("c2Vj"), "{told}");
}

#[test]
fn a_changed_set_is_published_and_an_unchanged_one_is_not() {
    let scene = Scene::new();
    let mut watched = scene.open();
    assert!(!watched.look().0);
    scene.write_pair(&pair());
    let (is_new, logged) = watched.look();
    assert!(is_new);
    assert_eq!(logged.all()[0].message, "TLS files changed: new connections use them");
    assert!(!watched.look().0);
    scene.write("ca.pem", &authority());
    assert!(watched.look().0, "another authority is another set");
    assert_eq!(watched.counts(), (2, 0));
}

#[test]
fn a_key_that_is_written_before_its_certificate_is_not_reported() {
    let scene = Scene::new();
    let mut watched = scene.open();
    let next = pair();
    scene.write("key.pem", &next.key);
    assert_eq!(watched.kept(), None);
    scene.write("cert.pem", &next.cert);
    assert!(watched.look().0);
    assert_eq!(watched.counts(), (1, 0));
}

#[test]
fn a_pair_that_stays_wrong_is_reported_once_at_the_second_look() {
    let scene = Scene::new();
    let mut watched = scene.open();
    scene.write("cert.pem", &pair().cert);
    let told: Vec<_> = (0..4).map(|_| watched.kept()).collect();
    assert_eq!(told, [None, Some("tls-key-file".to_owned()), None, None]);
    assert_eq!(watched.counts(), (0, 1));
}

#[test]
fn a_file_that_is_cut_off_is_reported_once_and_adopted_when_it_is_whole() {
    let scene = Scene::new();
    let mut watched = scene.open();
    let next = pair();
    scene.write("key.pem", &next.key);
    scene.write("cert.pem", &next.cert[..next.cert.len() / 2]);
    assert_eq!(watched.kept().as_deref(), Some("tls-cert-file"));
    assert_eq!(watched.kept(), None);
    scene.write("cert.pem", &next.cert);
    assert!(watched.look().0);
    assert_eq!(watched.counts(), (1, 1));
}

#[test]
fn a_set_that_is_put_back_is_no_change() {
    let scene = Scene::new();
    let mut watched = scene.open();
    let before = fs::read_to_string(scene.path("cert.pem")).unwrap();
    fs::remove_file(scene.path("cert.pem")).unwrap();
    assert_eq!(watched.kept().as_deref(), Some("tls-cert-file"));
    scene.write("cert.pem", &before);
    assert_eq!(watched.kept(), None);
    fs::remove_file(scene.path("cert.pem")).unwrap();
    assert_eq!(watched.kept().as_deref(), Some("tls-cert-file"), "it is gone for another time");
    assert_eq!(watched.counts(), (0, 2));
}

#[test]
fn a_certificate_is_adopted_only_while_it_is_valid() {
    let scene = Scene::new();
    let mut watched = scene.open();
    scene.write_pair(&pair_until(2027));
    assert_eq!(watched.kept().as_deref(), Some("tls-cert-file"));
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2027, 1, 16);
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap().pem();
    scene.write_pair(&Pair { cert, key: key.serialize_pem() });
    assert_eq!(watched.kept().as_deref(), Some("tls-cert-file"));
    scene.hand.advance(DAY);
    assert!(watched.look().0, "it is valid now");
    assert_eq!(watched.counts(), (1, 2));
}

/// Kubernetes mounts a folder `..data` behind a link, and swaps the link.
#[test]
fn a_folder_that_is_swapped_by_a_link_is_seen() {
    let scene = Scene::new();
    let write = |folder: &Path, pair: &Pair| {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("cert.pem"), &pair.cert).unwrap();
        fs::write(folder.join("key.pem"), &pair.key).unwrap();
    };
    write(&scene.path("1"), &pair());
    write(&scene.path("2"), &pair());
    symlink("1", scene.path("..data")).unwrap();
    for name in ["cert.pem", "key.pem"] {
        fs::remove_file(scene.path(name)).unwrap();
        symlink(Path::new("..data").join(name), scene.path(name)).unwrap();
    }
    let mut watched = scene.open();
    symlink("2", scene.path("..next")).unwrap();
    fs::rename(scene.path("..next"), scene.path("..data")).unwrap();
    assert!(watched.look().0);
}
