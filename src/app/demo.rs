//! `facematch demo`: everything in one process, without an account: an Oz simulator with a sample
//! folder, the service, and matches that run through the real gRPC path.
//!
//! It demonstrates the service and proves nothing about faces: the simulator compares pictures.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
};

use bytes::Bytes;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::{
    app::{App, BoxError},
    cli::{self, DemoArgs, Misuse},
    clock::Clock,
    config::{Config, LogFormat, OzConfig, OzCredentials},
    pb::{self, face_match_client::FaceMatchClient},
    simulator::{self, Simulator, sample},
    telemetry,
};

/// A demo logs only what is wrong, so that its own lines are seen.
const LOG_LEVEL: &str = "warn";

/// Where the demo listens unless told otherwise: the default of `serve`.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_051);

/// One match to show.
struct Showing {
    title: &'static str,
    folder_id: String,
    photo: Bytes,
}

/// Runs the demo until `shutdown` is cancelled, or, if it runs once, until its matches have ended.
pub async fn run(args: DemoArgs, shutdown: CancellationToken) -> Result<(), BoxError> {
    telemetry::start(LogFormat::Text, LOG_LEVEL)?;
    let own_photo = match &args.photo {
        Some(path) => Some(cli::read_photo(path).await.map_err(Misuse)?),
        None => None,
    };
    let directory = tempfile::Builder::new().prefix("facematch-demo-").tempdir()?;
    let oz = Simulator::start_with(simulator::Config::default()).await?;
    let listen = args.listen.unwrap_or_else(free_address);
    let config = config(listen, directory.path(), &oz);
    let app = App::build(config, Clock::system()).await?;
    let address = app.address()?;
    let shown = async {
        let shown = match show_all(address, &oz, own_photo).await {
            Ok(sample_folder) if !args.once => {
                stay(hints(address, &oz, &sample_folder, directory.path()), &shutdown).await
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
            SocketAddr::new(LISTEN.ip(), 0)
        }
        Ok(_) | Err(_) => LISTEN,
    }
}

/// Prints what to try next, and keeps the server up until the shutdown.
async fn stay(hints: io::Result<String>, shutdown: &CancellationToken) -> Result<(), BoxError> {
    say(&hints?);
    shutdown.cancelled().await;
    Ok(())
}

/// The service's settings: the simulator as its Oz, and a journal that is deleted with the demo.
fn config(listen: SocketAddr, directory: &Path, oz: &Simulator) -> Config {
    let (login, password) = oz.login();
    let credentials = OzCredentials::Login {
        login: login.to_owned(),
        password: SecretString::from(password.to_owned()),
    };
    let store = directory.join("facematch.db");
    Config { listen, ..Config::new(store, OzConfig::new(oz.url(), credentials)) }
}

/// Runs the matches, and returns the id of the sample folder.
async fn show_all(
    address: SocketAddr,
    oz: &Simulator,
    own_photo: Option<Bytes>,
) -> Result<String, BoxError> {
    let mut client = FaceMatchClient::connect(format!("http://{address}")).await?;
    say(&format!("The server listens on {address}, the Oz simulator on {}.", oz.address()));
    let sample_folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    for showing in showings(oz, &sample_folder, own_photo) {
        show(&mut client, showing).await?;
    }
    Ok(sample_folder)
}

fn showings(oz: &Simulator, sample_folder: &str, own_photo: Option<Bytes>) -> [Showing; 2] {
    let showing = |title, folder_id: &str, photo: Bytes| Showing {
        title,
        folder_id: folder_id.to_owned(),
        photo,
    };
    let Some(photo) = own_photo else {
        let portrait = Bytes::from_static(sample::portrait_jpeg());
        let stranger = Bytes::from_static(sample::stranger_jpeg());
        return [
            showing("The sample's own picture", sample_folder, portrait),
            showing("Another person's picture", sample_folder, stranger),
        ];
    };
    let own_folder = oz.add_folder(sample::liveness_folder(&photo));
    [
        showing("Your photo, and a folder made from it", &own_folder, photo.clone()),
        showing("Your photo, and the sample's folder", sample_folder, photo),
    ]
}

async fn show(client: &mut FaceMatchClient<Channel>, showing: Showing) -> Result<(), BoxError> {
    say(&format!("\n{}:", showing.title));
    let source = pb::reference_photo::Source::Content(showing.photo);
    let request = pb::MatchRequest {
        folder_id: showing.folder_id,
        photo: Some(pb::ReferencePhoto { source: Some(source), ..Default::default() }),
        ..Default::default()
    };
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

/// What to try next, ready to paste. The sample pictures are written to files for it.
fn hints(
    address: SocketAddr,
    oz: &Simulator,
    folder: &str,
    directory: &Path,
) -> io::Result<String> {
    let portrait = write(directory, "portrait.jpg", sample::portrait_jpeg())?;
    let stranger = write(directory, "stranger.jpg", sample::stranger_jpeg())?;
    let service = "facematch.v1.FaceMatch";
    let run_match = |photo: &str| {
        format!(
            "  printf '{{\"folder_id\":\"{folder}\",\"photo\":{{\"content\":\"%s\"}}}}' \
             \"$(base64 < {photo} | tr -d '\\n')\" | grpcurl -plaintext -d @ {address} {service}/RunMatch"
        )
    };
    let lines = [
        format!("\nThe sample folder is {folder}.\n\nGo on with grpcurl:\n"),
        format!("  grpcurl -plaintext {address} describe {service}"),
        run_match(&portrait),
        run_match(&stranger),
        format!("  grpcurl -plaintext -d '{{\"page_size\": 5}}' {address} {service}/ListMatches"),
        "\nOr with facematch itself:\n".to_owned(),
        format!("  facematch match --server http://{address} --folder {folder} --photo {portrait}"),
        format!("\nThe simulator takes folders at {}/api/folders/, as Oz does.", oz.url()),
    ];
    Ok(lines.join("\n"))
}

fn write(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<String> {
    let path = directory.join(name);
    std::fs::write(&path, bytes)?;
    Ok(path.display().to_string())
}

/// Prints to standard output. If that is closed, the demo goes on.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
