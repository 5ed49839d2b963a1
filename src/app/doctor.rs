//! `facematch doctor`: builds the probe and the library from the settings, reads the files that the arguments name,
//! prints the findings and writes the report. What is tried, and how it is judged, is in `doctor`.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use crate::{
    app::{BoxError, libraries, parts::oz_config},
    cli::{DoctorArgs, Misuse, Output},
    clock::Clock,
    config::{DoctorSettings, one_line},
    doctor::{self, Finding, LibraryPlan, Plan, RehearsalMedia, RehearsalPhoto},
    domain::{FolderId, ReferenceKey, photo},
    oz::{LivenessFile, OzProbe},
};

/// The largest video that is read, in bytes: more than Oz takes.
const VIDEO_BYTES_MAX: u64 = 64 << 20;

/// The types of liveness media by the endings of their names (Oz's data format page).
const VIDEO_TYPES: [(&str, &str); 8] = [
    ("zip", "application/zip"),
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("webm", "video/webm"),
    ("avi", "video/x-msvideo"),
    ("wmv", "video/x-ms-wmv"),
    ("mpeg", "video/mpeg"),
    ("ogg", "video/ogg"),
];

/// Examines the installation that the settings name. Returns whether it differs.
pub async fn run(settings: DoctorSettings, args: DoctorArgs) -> Result<bool, BoxError> {
    let config = oz_config(&settings.oz, None);
    let probe = OzProbe::new(config, Clock::system())
        .map_err(|refused| settings.origins.refused(refused.setting(), refused.why()))?;
    let plan = Plan {
        folder: args.folder.map(FolderId::from_uuid),
        rehearsal: if args.rehearse { Some(media(&args)?) } else { None },
        library: library(&settings, args.reference.as_deref())?,
        poll_interval: settings.poll_interval,
        patience: settings.match_timeout,
    };
    // Created before anything is sent, so that a path that can't be written costs nothing.
    let report = args.report.as_deref().map(|path| Ok::<_, Misuse>((path, create(path)?)));
    let report = report.transpose()?;
    let mut printed = Ok(());
    let examined = doctor::examine(&probe, &plan, &mut |finding| {
        let printing = print(finding, args.output);
        if printed.is_ok() {
            printed = printing;
        }
    })
    .await;
    if let Some((path, mut file)) = report {
        let written = file.write_all(examined.report.text().as_bytes());
        written.map_err(|error| io::Error::new(error.kind(), failed(path, &error)))?;
    }
    printed?;
    Ok(examined.differs)
}

/// The photo library to try.
fn library(
    settings: &DoctorSettings,
    reference: Option<&str>,
) -> Result<Option<LibraryPlan>, BoxError> {
    let misuse = |why: &str| Misuse(format!("--reference: {why}"));
    let Some(config) = &settings.library else {
        return match reference {
            Some(_) => Err(misuse("needs a photo library: --library").into()),
            None => Ok(None),
        };
    };
    let terms = libraries::terms(config);
    let source = terms.read_files().and_then(|files| terms.open(&files, &settings.cloud_variables));
    let source =
        source.map_err(|bad| settings.origins.refused(bad.term.setting(), bad.why.clone()))?;
    let key = reference.map(|text| ReferenceKey::parse(text, source.kind().key_form()));
    let key = key.transpose().map_err(|broken| misuse(broken.0))?;
    Ok(Some(LibraryPlan { source, key, clock: Clock::system() }))
}

fn print(finding: &Finding, output: Output) -> io::Result<()> {
    let line = match output {
        Output::Text => one_line(&finding.to_string()),
        Output::Json => serde_json::to_string(finding)?,
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn create(path: &Path) -> Result<File, Misuse> {
    File::create(path).map_err(|error| Misuse(failed(path, &error)))
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("--report: {}: {error}", path.display())
}

/// The media of the rehearsal: the operator's, or the sample.
fn media(args: &DoctorArgs) -> Result<RehearsalMedia, Misuse> {
    let (Some(video), Some(photo)) = (&args.video, &args.photo) else {
        return Ok(doctor::sample_media());
    };
    Ok(RehearsalMedia { video: video_in(video)?, photo: photo_in(photo)?, is_own: true })
}

fn video_in(path: &Path) -> Result<LivenessFile, Misuse> {
    let refuse = |why: &str| Misuse(format!("--video: {}: {why}", path.display()));
    let ending = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let known = VIDEO_TYPES.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known));
    let Some((ending, content_type)) = known else {
        return Err(refuse(
            "its name must end in .mp4, .mov, .webm, .avi, .wmv, .mpeg, .ogg or .zip",
        ));
    };
    let about = fs::metadata(path).map_err(|error| refuse(&error.to_string()))?;
    if !about.is_file() || about.len() > VIDEO_BYTES_MAX {
        return Err(refuse("must be a file of at most 64 MiB"));
    }
    let bytes = fs::read(path).map_err(|error| refuse(&error.to_string()))?;
    Ok(LivenessFile {
        name: format!("facematch-rehearsal.{ending}"),
        content_type: (*content_type).to_owned(),
        bytes: bytes.into(),
    })
}

fn photo_in(path: &Path) -> Result<RehearsalPhoto, Misuse> {
    let refuse = |why: &str| Misuse(format!("--photo: {}: {why}", path.display()));
    let about = fs::metadata(path).map_err(|error| refuse(&error.to_string()))?;
    if !about.is_file() || about.len() > photo::BYTES_MAX as u64 {
        return Err(refuse("must be a file of at most 10 MiB"));
    }
    let bytes = fs::read(path).map_err(|error| refuse(&error.to_string()))?;
    let format = photo::inspect(&bytes).map_err(|unreadable| {
        Misuse(format!("--photo: {}: the photo {unreadable}", path.display()))
    })?;
    Ok(RehearsalPhoto { bytes: bytes.into(), format })
}
