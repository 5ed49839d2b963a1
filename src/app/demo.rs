//! `facematch demo`: everything in one process, without an account: an Oz simulator with a sample
//! folder, the service with a folder of sample photos as its library, and matches that run through
//! the real gRPC path.
//!
//! It demonstrates the service and proves nothing about faces: the simulator compares pictures.

use std::{
    fs,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use reqwest::Url;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::{
    app::{App, BoxError},
    cli::{self, DemoArgs, Misuse},
    clock::Clock,
    config::{Config, LibraryConfig, LogFormat, OzConfig, OzCredentials, WebConfig},
    pb::{self, face_match_client::FaceMatchClient, reference_photo::Source},
    simulator::{self, Simulator, sample},
    telemetry,
};

/// A demo logs only what is wrong, so that its own lines are seen.
const LOG_LEVEL: &str = "warn";

/// Where the demo listens unless told otherwise: the default of `serve`.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_051);

/// Where its admin port is, unless that one is taken or the demo was told where to listen.
const ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_052);

/// Where its port for browsers and curl is, likewise.
const WEB_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_053);

/// One match to show.
struct Showing {
    title: &'static str,
    folder_id: String,
    photo: Source,
}

/// The photo library: a folder whose files are the sample photos.
struct SampleLibrary(PathBuf);

impl SampleLibrary {
    /// The keys of its photos.
    const PORTRAIT: &str = "portrait.jpg";
    const STRANGER: &str = "stranger.jpg";

    /// Writes the photos to a folder below this directory.
    fn write(directory: &Path) -> io::Result<Self> {
        let library = Self(directory.canonicalize()?.join("photos"));
        fs::create_dir(&library.0)?;
        fs::write(library.path(Self::PORTRAIT), sample::portrait_jpeg())?;
        fs::write(library.path(Self::STRANGER), sample::stranger_jpeg())?;
        Ok(library)
    }

    /// The file of a key.
    fn path(&self, key: &str) -> PathBuf {
        self.0.join(key)
    }

    /// The settings that name it.
    fn config(&self) -> LibraryConfig {
        let url = Url::from_directory_path(&self.0).expect("a canonical path has an address");
        let url = SecretString::from(String::from(url));
        LibraryConfig { url, query: None, secret_file: None, ca_file: None }
    }
}

/// Runs the demo until `shutdown` is cancelled, or, if it runs once, until its matches have ended.
pub async fn run(args: DemoArgs, shutdown: CancellationToken) -> Result<(), BoxError> {
    telemetry::start(LogFormat::Text, LOG_LEVEL)?;
    let own_photo = match &args.photo {
        Some(path) => Some(cli::read_photo(path).await.map_err(Misuse)?),
        None => None,
    };
    let directory = tempfile::Builder::new().prefix("facematch-demo-").tempdir()?;
    let library = SampleLibrary::write(directory.path())?;
    let oz = Simulator::start_with(simulator::Config::default()).await?;
    let beside = |usual| args.listen.map_or_else(|| free_beside(usual), |_| any_port(usual));
    let (admin, web) = (beside(ADMIN_LISTEN), beside(WEB_LISTEN));
    let listen = args.listen.unwrap_or_else(free_address);
    let config = config(listen, admin, directory.path(), &oz);
    let web = WebConfig { listen: web, origins: Vec::new(), read_only: false };
    let config = Config { library: Some(library.config()), web: Some(web), ..config };
    let app = App::build(config, Clock::system()).await?;
    let address = app.address()?;
    let admin = app.admin_address().unwrap_or(admin);
    say_addresses(address, admin, app.web_url(), &oz);
    let shown = async {
        let shown = match show_all(address, &oz, own_photo).await {
            Ok(sample_folder) if !args.once => {
                stay(&hints(address, &oz, &sample_folder, &library), &shutdown).await
            }
            Ok(_) => Ok(()),
            Err(failure) => Err(failure),
        };
        shutdown.cancel();
        shown
    };
    let (ran, shown) = tokio::join!(app.run(shutdown.clone()), shown);
    oz.stop().await;
    shown?;
    Ok(ran?)
}

/// The default address, or a free port beside it if another process has that one: another demo,
/// for instance.
fn free_address() -> SocketAddr {
    match TcpListener::bind(LISTEN) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            say(&format!("{LISTEN} is taken: the server takes a free port instead."));
            any_port(LISTEN)
        }
        Ok(_) | Err(_) => LISTEN,
    }
}

/// Likewise for the other ports, whose addresses are shown in any case.
fn free_beside(usual: SocketAddr) -> SocketAddr {
    match TcpListener::bind(usual) {
        Ok(_) => usual,
        Err(_) => any_port(usual),
    }
}

/// Any free port of this address.
const fn any_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), 0)
}

/// Prints what to try next, and keeps the server up until the shutdown.
async fn stay(hints: &str, shutdown: &CancellationToken) -> Result<(), BoxError> {
    say(hints);
    shutdown.cancelled().await;
    Ok(())
}

/// The service's settings: the simulator as its Oz, and a journal that is deleted with the demo.
fn config(listen: SocketAddr, admin: SocketAddr, directory: &Path, oz: &Simulator) -> Config {
    let (login, password) = oz.login();
    let credentials = OzCredentials::Login {
        login: login.to_owned(),
        password: SecretString::from(password.to_owned()),
    };
    let store = directory.join("facematch.db");
    let oz = OzConfig::new(oz.url(), credentials);
    Config { listen, admin_listen: Some(admin), ..Config::new(store, oz) }
}

fn say_addresses(address: SocketAddr, admin: SocketAddr, web: Option<String>, oz: &Simulator) {
    if let Some(web) = web {
        say(&format!("The live page is at {web}/; curl calls {web}/facematch.v1.FaceMatch/."));
    }
    say(&format!("The server listens on {address}, the Oz simulator on {}.", oz.address()));
    say(&format!("The admin port answers at http://{admin}/readyz?verbose."));
}

/// Runs the matches, and returns the id of the sample folder.
async fn show_all(
    address: SocketAddr,
    oz: &Simulator,
    own_photo: Option<Bytes>,
) -> Result<String, BoxError> {
    let mut client = FaceMatchClient::connect(format!("http://{address}")).await?;
    let sample_folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    for showing in showings(oz, &sample_folder, own_photo) {
        show(&mut client, showing).await?;
    }
    Ok(sample_folder)
}

fn showings(oz: &Simulator, sample_folder: &str, own_photo: Option<Bytes>) -> [Showing; 3] {
    let showing =
        |title, folder_id: &str, photo| Showing { title, folder_id: folder_id.to_owned(), photo };
    let by_key = Source::ReferenceKey(SampleLibrary::PORTRAIT.to_owned());
    let by_key =
        showing("The sample's own picture, by its key in the photo library", sample_folder, by_key);
    let Some(photo) = own_photo else {
        let portrait = Source::Content(Bytes::from_static(sample::portrait_jpeg()));
        let stranger = Source::Content(Bytes::from_static(sample::stranger_jpeg()));
        return [
            showing("The sample's own picture", sample_folder, portrait),
            showing("Another person's picture", sample_folder, stranger),
            by_key,
        ];
    };
    let own_folder = oz.add_folder(sample::liveness_folder(&photo));
    let own = Source::Content(photo);
    [
        showing("Your photo, and a folder made from it", &own_folder, own.clone()),
        showing("Your photo, and the sample's folder", sample_folder, own),
        by_key,
    ]
}

async fn show(client: &mut FaceMatchClient<Channel>, showing: Showing) -> Result<(), BoxError> {
    say(&format!("\n{}:", showing.title));
    let photo = pb::ReferencePhoto { source: Some(showing.photo), ..Default::default() };
    let request =
        pb::MatchRequest { folder_id: showing.folder_id, photo: Some(photo), ..Default::default() };
    let called = client.run_match(request).await;
    let mut updates = called.map_err(|status| refusal(&status))?.into_inner();
    while let Some(update) = updates.message().await.map_err(|status| refusal(&status))? {
        say(&format!("  {}", cli::describe(&update)));
    }
    Ok(())
}

fn refusal(status: &tonic::Status) -> BoxError {
    format!("the call failed: {}", status.message()).into()
}

/// What to try next, ready to paste.
fn hints(address: SocketAddr, oz: &Simulator, folder: &str, library: &SampleLibrary) -> String {
    let (portrait, stranger) = (SampleLibrary::PORTRAIT, SampleLibrary::STRANGER);
    let service = "facematch.v1.FaceMatch";
    let run_match = |key: &str| {
        let photo = library.path(key);
        format!(
            "  printf '{{\"folder_id\":\"{folder}\",\"photo\":{{\"content\":\"%s\"}}}}' \
             \"$(base64 < {} | tr -d '\\n')\" | grpcurl -plaintext -d @ {address} {service}/RunMatch",
            photo.display()
        )
    };
    let run_by_key = |key: &str| {
        format!(
            "  grpcurl -plaintext -d '{{\"folder_id\":\"{folder}\",\"photo\":\
             {{\"reference_key\":\"{key}\"}}}}' {address} {service}/RunMatch"
        )
    };
    let by_file = library.path(portrait);
    let command = format!("  facematch match --server http://{address} --folder {folder}");
    let lines = [
        format!("\nThe sample folder is {folder}."),
        format!(
            "The photo library is {}: a key is the name of a file there, such as {stranger}.",
            library.0.display()
        ),
        "\nGo on with grpcurl:\n".to_owned(),
        format!("  grpcurl -plaintext {address} describe {service}"),
        run_match(portrait),
        run_match(stranger),
        run_by_key(portrait),
        format!("  grpcurl -plaintext -d '{{\"page_size\": 5}}' {address} {service}/ListMatches"),
        "\nOr with facematch itself:\n".to_owned(),
        format!("{command} --photo {}", by_file.display()),
        format!("{command} --reference {stranger}"),
        format!("\nThe simulator takes folders at {}/api/folders/, as Oz does.", oz.url()),
    ];
    lines.join("\n")
}

/// Prints to standard output. If that is closed, the demo goes on.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
