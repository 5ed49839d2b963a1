//! The front door: gRPC in, the domain's words to the rooms behind, gRPC out.
//!
//! Everything a caller sends is parsed here, once; everything a caller sees is made here. It
//! decides nothing about matches and keeps nothing.

mod addresses;
mod admission;
mod answer;
mod call_log;
mod connection_log;
mod connections;
mod convert;
pub mod encoded;
mod preface;
mod reason;
mod service;
mod stall;
mod status;
mod update_body;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};
use tonic_reflection::server::{v1, v1alpha};

#[cfg(any(test, fuzzing))]
pub use admission::fuzzing;
pub use call_log::{CallLog, EndedCalls};
pub use connection_log::ConnectionLog;
pub use reason::ErrorReason;
pub use service::Service;
pub use stall::StallGuard;

use crate::{
    clock::Clock,
    grpc::{
        admission::{Admission, ReceiveLimits, ShareLimits, Shares},
        connections::{ConnectionLimits, Connections},
        encoded::server::face_match_server::FaceMatchServer,
        update_body::UpdateStreams,
    },
    outage::Outage,
    pb,
    watch::Watch,
    worker::{Jitter, Worker},
};

/// The name that health checks ask for, beside the empty one.
const SERVICE_NAME: &str = "facematch.v1.FaceMatch";
/// How much of one request may be on its way unread: several frames, so that a photo isn't slowed
/// down by the distance.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// The same for all requests of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// How long a silent connection has to answer, at most: amply for the slowest line.
const KEEPALIVE_TIMEOUT_MAX: Duration = Duration::from_secs(20);
/// The front door's settings.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long a match may take if its caller doesn't say.
    pub match_timeout: Duration,
    /// How many connections there may be.
    pub connections_max: usize,
    /// How many connections one address may hold.
    pub connections_per_address_max: usize,
    /// How long a connection may be without a call.
    pub idle: Duration,
    /// How long a connection may live, about.
    pub connection_age: Duration,
    /// How many calls one connection may have open.
    pub streams_max: u32,
    /// The most header bytes of a request.
    pub header_bytes_max: u32,
    /// How often a silent connection is asked whether it is still there.
    pub keepalive: Duration,
    /// How many bytes all requests that are being received may hold together, photos apart.
    pub request_bytes_max: usize,
    /// How many calls may be open.
    pub calls_max: usize,
    /// How long the body of a request may take.
    pub receive_timeout: Duration,
    /// How long a piece of an answer may lie unread.
    pub stream_stall: Duration,
}

/// A server that holds its address and has not begun to serve.
pub struct Bound {
    listener: TcpListener,
    config: Config,
    service: Service,
    worker: Worker,
    readers: StallGuard,
    calls: CallLog,
    connections: ConnectionLog,
    health: HealthReporter,
    clock: Clock,
    chance: Jitter,
}

/// Sets what health checks say.
#[derive(Clone)]
pub struct Health(HealthReporter);

impl Health {
    /// Serving, or not.
    pub async fn set(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.0.set_service_status("", status).await;
        self.0.set_service_status(SERVICE_NAME, status).await;
    }

    /// Ends the streams of those who watch it, once they were told what was set last.
    pub async fn close(mut self) {
        self.0.clear_service_status("").await;
        self.0.clear_service_status(SERVICE_NAME).await;
    }
}

impl Bound {
    /// Takes the address. `chance` (0..1) spreads the callers that are told to come back.
    ///
    /// # Errors
    /// Those of binding a socket.
    pub async fn bind(
        listen: SocketAddr,
        config: Config,
        worker: Worker,
        watch: Watch,
        store: Outage,
        clock: Clock,
        chance: Jitter,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let readers = StallGuard::new(config.stream_stall, clock.clone());
        let service = Service::new(config, worker.clone(), watch);
        Ok(Self {
            listener,
            config,
            service,
            worker,
            readers,
            calls: CallLog::new(store, clock.clone()),
            connections: ConnectionLog::new(clock.clone()),
            health: HealthReporter::new(),
            clock,
            chance,
        })
    }

    /// The address, its port known.
    ///
    /// # Errors
    /// Those of asking a socket for its address.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Sets what health checks say.
    pub fn health(&self) -> Health {
        Health(self.health.clone())
    }

    /// The answers that are being read.
    pub fn readers(&self) -> StallGuard {
        self.readers.clone()
    }

    /// The calls that have ended.
    pub fn calls(&self) -> CallLog {
        self.calls.clone()
    }

    /// The connections that were refused or broken off.
    pub fn connections(&self) -> ConnectionLog {
        self.connections.clone()
    }

    /// Serves until `closing` is cancelled and the calls that are open have ended.
    pub async fn serve(self, closing: CancellationToken) {
        let face_match = UpdateStreams::new(FaceMatchServer::from_arc(Arc::new(self.service)));
        let routes = Routes::new(face_match)
            .add_service(HealthServer::new(HealthService::from_health_reporter(self.health)))
            .add_service(reflection_v1())
            .add_service(reflection_v1alpha())
            .prepare();
        let terms = terms(self.config, &self.worker, &self.clock);
        let connections = Connections {
            transport: transport(self.config),
            admission: Arc::new(Admission::new(
                routes,
                shares(self.config, &self.worker),
                terms,
                self.readers.clone(),
            )),
            call_log: self.calls.clone(),
            connection_log: self.connections.clone(),
            limits: limits(self.config),
            clock: self.clock,
            chance: self.chance,
        };
        tokio::select! {
            () = connections.serve(self.listener, closing) => {}
            () = self.readers.end_stalled_forever() => {}
            () = self.calls.clone().tell_untold() => {}
            () = self.connections.clone().tell_untold() => {}
        }
    }
}

fn shares(config: Config, worker: &Worker) -> Shares {
    Shares::new(ShareLimits {
        memory_bytes: config.request_bytes_max,
        calls: config.calls_max,
        photo_bytes: worker.photo_memory().bytes_max(),
        connections: config.connections_max,
        by_address: config.connections_per_address_max < config.connections_max,
    })
}

fn terms(config: Config, worker: &Worker, clock: &Clock) -> ReceiveLimits {
    let (knowing, draining) = (worker.clone(), worker.draining());
    ReceiveLimits {
        clock: clock.clone(),
        timeout: config.receive_timeout,
        draining,
        photo_memory: worker.photo_memory().clone(),
        knows: Arc::new(move |id| {
            let worker = knowing.clone();
            Box::pin(async move {
                let known = worker.knows(&Service::caller(), id).await;
                known.map_err(|failure| status::store(&failure))
            })
        }),
    }
}

fn limits(config: Config) -> ConnectionLimits {
    ConnectionLimits {
        connections_max: config.connections_max,
        per_address_max: config.connections_per_address_max,
        taking: config.keepalive + config.keepalive.min(KEEPALIVE_TIMEOUT_MAX),
        idle: config.idle,
        age: config.connection_age,
    }
}

/// The transport at its limits.
fn transport(config: Config) -> http2::Builder<TokioExecutor> {
    let mut transport = http2::Builder::new(TokioExecutor::new());
    transport
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(config.header_bytes_max)
        .keep_alive_interval(config.keepalive)
        .keep_alive_timeout(config.keepalive.min(KEEPALIVE_TIMEOUT_MAX))
        .max_concurrent_streams(config.streams_max)
        // What still comes for a call that was refused counts as an error, and a caller whose calls
        // are refused keeps its connection.
        .max_local_error_reset_streams(None);
    transport
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // The details of errors: without them grpcurl shows bytes.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

fn reflection_v1() -> v1::ServerReflectionServer<impl v1::ServerReflection> {
    reflection().build_v1().expect("the descriptors are made by the build")
}

fn reflection_v1alpha() -> v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection> {
    reflection().build_v1alpha().expect("the descriptors are made by the build")
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn the_descriptors_decode_and_name_the_service() {
        let set = prost_types::FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).unwrap();
        let services = set.file.iter().flat_map(|file| &file.service);
        assert!(services.into_iter().any(|service| service.name() == "FaceMatch"));
    }
}
