//! What a match costs whose photo the service reads from a photo library, beside the same match whose
//! caller sends the photo.

use std::{fs, path::Path};

use crate::{
    Result,
    credentials::Guarded,
    oz,
    process::Part,
    report::Unit,
    roles::{Objects, Role},
    rows::{Bench, beside::beside_the_plain_one},
};

/// The photo's key in each library.
const KEY: &str = "people/17.jpg";

/// Runs the same matches by key and with photos that are sent.
pub fn library(bench: &mut Bench) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (_store, ready) = Part::role(&Role::Objects(Objects))?;
    // The limit of each kind of library, as a ratio to photos that are sent.
    let kinds = [
        ("a folder", folder(directory.path())?, 1.0),
        ("S3", s3(serde_json::from_str(&ready)?), 1.1),
    ];
    for (kind, way, most) in kinds {
        let turns = bench.size.of(2, 4);
        let [sent, ours] = beside_the_plain_one(bench, turns, &way)?;
        let figure = |what: &str| format!("library/{kind}: {what}");
        bench.tell(&figure("CPU per match"), ours, Unit::MicrosecondsOfCpu);
        bench
            .tell(&figure("over a photo that is sent"), ours / sent, Unit::TimesOfCpu)
            .at_most(most);
    }
    Ok(())
}

/// A service that reads from a folder with the photo.
fn folder(directory: &Path) -> Result<Guarded> {
    let path = directory.join(KEY);
    fs::create_dir_all(path.parent().expect("the key has a folder"))?;
    fs::write(&path, oz::photo()?)?;
    let url = format!("file://{}", directory.display());
    Ok(Guarded {
        settings: vec!["--library".to_owned(), url],
        reference_key: Some(KEY.to_owned()),
        ..Guarded::default()
    })
}

/// A service that reads from an object store.
fn s3(endpoint: String) -> Guarded {
    let environment = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "AKIDBENCHMARK".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "not-checked".to_owned()),
        ("AWS_REGION", "eu-west-1".to_owned()),
    ];
    Guarded {
        settings: vec!["--library".to_owned(), "s3://photos".to_owned()],
        environment: environment.into(),
        reference_key: Some(KEY.to_owned()),
        ..Guarded::default()
    }
}
