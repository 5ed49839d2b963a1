//! The second door: the calls of the service for browsers and curl.

mod access;
mod doors;
mod events;
mod frames;
mod gate;
mod grpc_web;
mod http;
mod json;
mod limits;
mod secured;

use facematch::config::{Config, WebConfig};

use crate::support::TestServer;

/// A server with a port for browsers.
pub async fn server() -> TestServer {
    server_with(|_| {}).await
}

/// The same with changed settings.
pub async fn server_with(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::build_with(|config| {
        config.web = Some(web_config());
        change(config);
    })
    .await
}

/// A port for browsers at any free port.
pub fn web_config() -> WebConfig {
    let listen = "127.0.0.1:0".parse().expect("an address");
    WebConfig { listen, origins: Vec::new(), read_only: false }
}

/// The address of the port for browsers, without a scheme.
pub fn address(server: &TestServer) -> String {
    let url = server.web.as_deref().expect("it has a port for browsers");
    url.split_once("://").expect("a URL").1.to_owned()
}
