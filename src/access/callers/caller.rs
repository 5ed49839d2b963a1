//! A caller's table: its tenant, what it may do, its API keys and the names in its certificates.

use std::collections::HashMap;

use super::{
    expiry,
    fault::{Fault, Place, shown},
    reader::{Item, Section, suggestion},
};
use crate::{
    access::{
        Permission, Permissions,
        certificate::CertificateName,
        key::{self, Digest},
    },
    domain::{TenantId, TenantTerms, Timestamp},
};

/// What the file says of one caller.
#[derive(Debug)]
pub struct CallerTerms {
    /// Its name.
    pub name: Box<str>,
    /// The tenant for which it acts.
    pub tenant: TenantId,
    /// What it may do.
    pub permissions: Permissions,
    /// Its API keys.
    pub keys: Vec<KeyTerms>,
    /// The names in its certificates, each with its place in the file.
    pub certificates: Vec<(CertificateName, Place)>,
}

/// What the file says of one API key.
#[derive(Debug)]
pub struct KeyTerms {
    /// Its public id.
    pub id: Box<str>,
    /// The SHA-256 of the whole key.
    pub digest: Digest,
    /// From when on it is refused.
    pub expires: Option<Timestamp>,
    /// The place of its id in the file.
    pub place: Place,
}

/// Reads the table of one caller.
pub fn read(
    name: &str,
    caller: &Section<'_>,
    tenants: &HashMap<TenantId, TenantTerms>,
) -> Result<CallerTerms, Fault> {
    caller.only(&["tenant", "allow", "keys", "certificates"])?;
    let terms = CallerTerms {
        name: name.into(),
        tenant: tenant(&caller.required("tenant")?, tenants)?,
        permissions: permissions(&caller.required("allow")?)?,
        keys: each(caller, "keys", read_key)?,
        certificates: each(caller, "certificates", read_certificate)?,
    };
    if terms.keys.is_empty() && terms.certificates.is_empty() {
        return Err(caller.fault("has neither keys nor certificates, so nothing can call as it"));
    }
    Ok(terms)
}

fn tenant(item: &Item<'_>, tenants: &HashMap<TenantId, TenantTerms>) -> Result<TenantId, Fault> {
    let name = item.text()?;
    let id = TenantId::from_stored(name);
    if tenants.contains_key(&id) {
        return Ok(id);
    }
    let meant = suggestion(name, tenants.keys().map(TenantId::as_str));
    Err(item.fault(format!("names a tenant that the file lacks, {}{meant}", shown(name))))
}

fn permissions(item: &Item<'_>) -> Result<Permissions, Fault> {
    let list = item.list()?;
    if list.is_empty() {
        return Err(item.fault("is empty: it must list at least one of match, read and erase"));
    }
    list.iter().map(permission).collect()
}

fn permission(item: &Item<'_>) -> Result<Permission, Fault> {
    let word = item.text()?;
    Permission::from_word(word).ok_or_else(|| {
        let meant = suggestion(word, Permission::ALL.iter().map(|known| known.as_str()));
        item.fault(format!("{} is none of match, read and erase{meant}", shown(word)))
    })
}

fn read_key(item: &Item<'_>) -> Result<KeyTerms, Fault> {
    let table = item.section()?;
    table.only(&["id", "sha256", "expires"])?;
    let id = table.required("id")?;
    let text = id.text()?;
    if !key::is_id(text) {
        return Err(id.fault("must be 1 to 32 letters and digits: the middle part of the key"));
    }
    let sha256 = table.required("sha256")?;
    let digest = Digest::from_hex(sha256.text()?)
        .ok_or_else(|| sha256.fault("must be 64 hexadecimal digits in lower case"))?;
    let expires = table.get("expires").map(|item| expiry::read(&item)).transpose()?;
    Ok(KeyTerms { id: text.into(), digest, expires, place: id.place() })
}

fn read_certificate(item: &Item<'_>) -> Result<(CertificateName, Place), Fault> {
    let name = item.text()?.parse::<CertificateName>().map_err(|rule| item.fault(rule.0))?;
    Ok((name, item.place()))
}

/// The items of a list that may be missing.
fn each<'a, T>(
    section: &Section<'a>,
    key: &str,
    read: impl Fn(&Item<'a>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    match section.get(key) {
        Some(item) => item.list()?.iter().map(read).collect(),
        None => Ok(Vec::new()),
    }
}
