//! `facematch match --reference`: the key goes to the server, which reads the photo.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

use facematch::{
    pb::{GetMatchRequest, get_match_request::Id},
    simulator::MediaView,
};
use tempfile::TempDir;

use crate::{
    commands::{
        program::{Program, Ran},
        showing::assert_lines,
    },
    library::at,
    support::{TestServer, portrait},
};

/// A key that stands for a person, so that it must not be shown.
const KEY: &str = "customers/ieva-17.jpg";

/// A service whose library is a folder with one photo.
struct Scene {
    house: TestServer,
    outer: TempDir,
}

impl Scene {
    async fn new(listen: SocketAddr) -> Self {
        let outer = tempfile::tempdir().expect("a temporary directory");
        let photos = outer.path().join("photos");
        fs::create_dir_all(photos.join("customers")).expect("a folder");
        fs::write(photos.join(KEY), portrait()).expect("a photo");
        let library = Some(at(format!("file://{}", photos.display())));
        let house = TestServer::build_with(|config| {
            config.library = library;
            config.listen = listen;
        });
        Self { house: house.await, outer }
    }

    fn photos(&self, name: &str) -> PathBuf {
        self.outer.path().join(name)
    }

    /// `facematch match` by a key.
    fn matching(&self, key: &str, more: &str) -> Program {
        let (folder, server) = (self.house.folder(), &self.house.address);
        Program::new(&format!("match --server {server} --folder {folder}{more} --reference"))
            .arg(key)
    }
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// An address that a service can have again after a restart.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind(any_port()).expect("a free port");
    listener.local_addr().expect("it is bound")
}

fn assert_shows_no_key(ran: &Ran) {
    let shown = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!shown.contains("ieva"), "{shown}");
}

#[tokio::test]
async fn a_photo_is_named_by_its_key() {
    let scene = Scene::new(any_port()).await;
    let ran = scene.matching(KEY, " --kind id-front").piped().await;
    ran.assert_code(0);
    let states = ["ACCEPTED", "UPLOADED", "PROCESSING", "FINISHED    SUCCESS, similarity"];
    assert_lines(&ran.stdout, &states);
    assert_eq!(ran.stderr, "");
    assert_shows_no_key(&ran);
    let media = &scene.house.oz.folders()[0].media;
    let photo = media.iter().find(|medium| medium.content_type == "image/jpeg").expect("a photo");
    assert_eq!(photo.tags, ["photo_id", "photo_id_front"]);

    let ran = scene.matching(KEY, " --output json").piped().await;
    ran.assert_code(0);
    let updates = Ran::json(&ran.stdout);
    assert_eq!(updates.len(), 4);
    assert_eq!(updates[3]["finished"]["result"]["resolution"], "RESOLUTION_SUCCESS");
    assert_shows_no_key(&ran);
}

#[tokio::test]
async fn a_key_without_a_photo_gives_no_verdict_and_is_not_repeated() {
    let scene = Scene::new(any_port()).await;
    for more in ["", " --output json"] {
        let ran = scene.matching("customers/ieva-18.jpg", more).piped().await;
        ran.assert_code(3);
        assert!(ran.stdout.contains("REFERENCE_NOT_FOUND"), "{}", ran.stdout);
        assert_shows_no_key(&ran);
    }
}

#[tokio::test]
async fn a_wrong_key_and_a_server_without_a_library_are_refused() {
    let scene = Scene::new(any_port()).await;
    let ran = scene.matching("../ieva-17.jpg", "").piped().await;
    ran.assert_code(4);
    assert!(ran.stderr.contains("photo.reference_key must be a path"), "{}", ran.stderr);
    assert_shows_no_key(&ran);

    let house = TestServer::build().await;
    let line = format!("match --server {} --folder {}", house.address, house.folder());
    let ran = Program::new(&line).arg("--reference").arg(KEY).piped().await;
    ran.assert_code(4);
    assert!(ran.stderr.starts_with("facematch: UNIMPLEMENTED NOT_AVAILABLE: "), "{}", ran.stderr);
    assert_shows_no_key(&ran);
}

#[tokio::test]
async fn a_restart_while_the_library_is_away_is_survived_without_a_second_photo() {
    let scene = Scene::new(free_address()).await;
    let (photos, away) = (scene.photos("photos"), scene.photos("away"));
    fs::rename(&photos, &away).expect("it is moved");
    let command = scene.matching(KEY, " --request-id r").piped();
    let house = scene.house;
    let disturbing = async move {
        let mut client = house.client.clone();
        let request = GetMatchRequest { id: Some(Id::RequestId("r".to_owned())) };
        loop {
            let found = client.get_match(request.clone()).await;
            if found.is_ok_and(|found| found.get_ref().trouble.is_some()) {
                break;
            }
            tokio::task::yield_now().await;
        }
        let house = house.restart().await;
        fs::rename(&away, &photos).expect("it is moved back");
        house
    };
    let (ran, house) = tokio::join!(command, disturbing);
    ran.assert_code(0);
    assert!(ran.stdout.contains("LIBRARY_UNREACHABLE"), "{}", ran.stdout);
    assert!(ran.stdout.contains("FINISHED    SUCCESS, similarity"), "{}", ran.stdout);
    assert!(ran.stderr.contains("trying again"), "{}", ran.stderr);
    assert_shows_no_key(&ran);
    let folders = house.oz.folders();
    let is_photo = |it: &&MediaView| it.content_type == "image/jpeg";
    assert_eq!(folders[0].media.iter().filter(is_photo).count(), 1);
}
