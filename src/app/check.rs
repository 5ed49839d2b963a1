//! `serve --check`: checks all that a start needs, and says what a start would do.
//!
//! It deliberately creates, changes and claims nothing, and sends nothing to Oz. It binds no
//! address and needs no lock, so that the settings of the next start can be checked while the
//! service runs.

use std::{collections::BTreeMap, path::Path};

use crate::{
    access::audit,
    app::{
        Secrets, StartError,
        libraries::{TenantLibraries, UnusableLibrary},
        parts::{oz_client, prepare_traces},
        store, transport,
    },
    clock::Clock,
    config::{ClientAuth, Config, OzCredentials, StoreLocation, one_line},
    domain::TenantId,
    journal::Preview,
    library::SourceKind,
};

/// What a start would do, a line for each part.
///
/// # Errors
/// Why a start would fail.
pub async fn report(config: &Config, clock: &Clock) -> Result<String, StartError> {
    let secrets = Secrets::open(config, clock)?;
    transport::open_tls(config, clock)?;
    let access = transport::open_access(config, clock)?;
    let libraries = TenantLibraries::open_all(config, &access, clock)?;
    let unusable = libraries.check(config).await?;
    oz_client(config, &secrets, clock)?;
    let traces = match prepare_traces(config)? {
        Some(_) => "would be exported to a collector",
        None => "none",
    };
    let store = store::preview(config, secrets.store_password()).await?;
    let tenants = config.callers_file.as_deref().map(|file| (file, access.tenants().count()));
    let lines = [
        ("settings", settings(config)),
        ("listen", listen(config)),
        ("browsers", browsers(config)),
        ("callers", callers(tenants)),
        ("store", journal(config, store)),
        ("oz", oz(config)),
        ("libraries", kinds(&libraries.kinds())),
        ("audit file", audit_file(config)?),
        ("admin port", admin_port(config)),
        ("traces", traces.to_owned()),
    ];
    let mut report = String::new();
    let warnings = unusable.iter().map(|library| ("warning", warning(library)));
    for (part, told) in lines.into_iter().chain(warnings) {
        report += &format!("{part:<12}{}\n", one_line(&told));
    }
    Ok(report + "it would start; nothing was created, changed, bound or sent")
}

fn settings(config: &Config) -> String {
    match config.changed.to_string() {
        none if none.is_empty() => "all at their defaults".to_owned(),
        changed => changed,
    }
}

fn listen(config: &Config) -> String {
    let transport = match &config.tls {
        None => "without TLS",
        Some(tls) => match tls.client_auth {
            ClientAuth::Off => "with TLS",
            ClientAuth::Optional => "with TLS, client certificates are optional",
            ClientAuth::Required => "with TLS, client certificates are required",
        },
    };
    format!("would listen on {}, {transport}", config.listen)
}

fn callers(file: Option<(&Path, usize)>) -> String {
    match file {
        None => "every caller that reaches the port may do everything".to_owned(),
        Some((path, tenants)) => format!("tenants in {}: {tenants}", path.display()),
    }
}

fn journal(config: &Config, (preview, is_in_use): (Preview, bool)) -> String {
    let store = match &config.store {
        StoreLocation::Sqlite(path) => format!("sqlite:{}", path.display()),
        StoreLocation::Postgres(_) => "the database".to_owned(),
    };
    let would = match preview {
        Preview::Create => format!("would create the journal in {store}"),
        Preview::Migrate { from, to } => {
            format!("would bring {store} from schema {from} to {to}")
        }
        Preview::Extend => format!("would open {store}, and add columns or indexes to it"),
        Preview::Open => format!("would open {store}"),
    };
    match is_in_use {
        true => format!("{would}, which another process has open: it has to stop first"),
        false => would,
    }
}

fn oz(config: &Config) -> String {
    let credentials = match &config.oz.credentials {
        OzCredentials::Login { .. } => "an account",
        OzCredentials::Token(_) => "a token",
    };
    format!("would sign in with {credentials} for the first match")
}

/// The kinds of photo libraries, each with its tenants. Their addresses may hold passwords.
fn kinds(libraries: &BTreeMap<TenantId, SourceKind>) -> String {
    let mut tenants = BTreeMap::<&str, Vec<&str>>::new();
    for (tenant, kind) in libraries {
        tenants.entry(kind.as_str()).or_default().push(tenant.as_str());
    }
    let told = tenants.iter().map(|(kind, tenants)| format!("{kind} of {}", tenants.join(", ")));
    match told.collect::<Vec<_>>().join("; ") {
        none if none.is_empty() => "no tenant has a photo library".to_owned(),
        told => format!("would read photos from: {told}"),
    }
}

fn warning(UnusableLibrary { tenant, kind, error }: &UnusableLibrary) -> String {
    let kind = kind.as_str();
    format!("the photo library of {tenant} ({kind}) can't be used at present: {error}")
}

fn audit_file(config: &Config) -> Result<String, StartError> {
    let Some(path) = &config.audit_file else { return Ok("none".to_owned()) };
    let would = match audit::exists(path)? {
        true => "would go on with",
        false => "would create",
    };
    Ok(format!("{would} {}", path.display()))
}

fn browsers(config: &Config) -> String {
    let Some(web) = &config.web else { return "none".to_owned() };
    let calls = if web.read_only { ", for calls that only read" } else { "" };
    format!("would listen on {}{calls}", web.listen)
}

fn admin_port(config: &Config) -> String {
    match config.admin_listen {
        None => "none".to_owned(),
        Some(address) => format!("would listen on {address}"),
    }
}
