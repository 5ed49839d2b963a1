//! TLS and the callers, as the settings name them.

use std::sync::Arc;

use crate::{
    access::{
        Access,
        tls::{ClientAuth, Tls, TlsFiles},
    },
    clock::Clock,
    config::{self, Config},
};

/// Reads the files of TLS; `None` if the settings name none.
pub fn open_tls(config: &Config, clock: &Clock) -> Result<Option<Arc<Tls>>, config::Error> {
    let Some(named) = &config.tls else { return Ok(None) };
    let files = TlsFiles {
        cert: named.cert_file.clone(),
        key: named.key_file.clone(),
        client_ca: named.client_ca_file.clone(),
        client_crl: named.client_crl_file.clone(),
        client_auth: match named.client_auth {
            config::ClientAuth::Off => ClientAuth::Off,
            config::ClientAuth::Optional => ClientAuth::Optional,
            config::ClientAuth::Required => ClientAuth::Required,
        },
    };
    match Tls::open(files, clock.clone()) {
        Ok(tls) => Ok(Some(Arc::new(tls))),
        Err(refused) => Err(config.origins.refused(refused.setting(), refused.to_string())),
    }
}

/// Reads the callers file; without one each call is granted everything.
pub fn open_access(config: &Config, clock: &Clock) -> Result<Access, config::Error> {
    let Some(path) = &config.callers_file else { return Ok(Access::anonymous()) };
    let opened = Access::open(path.clone(), config.retention, clock.clone());
    opened.map_err(|fault| config.origins.refused("callers-file", fault.to_string()))
}
