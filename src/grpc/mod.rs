//! The gRPC server: translates calls into the domain's types, and the answers back.
//!
//! Everything that a caller sends is parsed here, once, and everything that a caller sees is built
//! here. It deliberately decides nothing about matches and stores nothing. Requests of the second
//! door, which `web` translates, pass through the same layers.

mod addresses;
mod admission;
mod answer;
mod audit;
mod call_log;
mod connection_log;
mod connections;
mod convert;
pub mod encoded;
mod handshake;
mod peer;
mod preface;
mod reason;
mod second_door;
mod service;
mod stall;
mod status;
mod update_body;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{net::TcpListener, sync::watch};
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
pub use admission::{LiveReflection, Reflection};
pub use call_log::{CallLog, EndedCalls};
pub use connection_log::ConnectionLog;
pub use reason::ErrorReason;
pub use second_door::{
    ACCESS_PATH, AnswerForm, Answering, CallDoor, CallForm, CallerAccess, DoorArrival, JsonDecoder,
    MakeCall, SecondDoor,
};
pub use service::Service;
pub use stall::StallGuard;
pub use status::field_invalid;

use crate::{
    access::{Access, Quotas, audit::Audit},
    clock::Clock,
    domain::DigestKey,
    grpc::{
        admission::{Admission, CallerCheck, ReceiveLimits, ShareLimits, Shares},
        connections::{ConnectionLimits, Connections, Door},
        encoded::server::face_match_server::FaceMatchServer,
        update_body::UpdateStreams,
    },
    outage::Outage,
    pb,
    trace::Tracer,
    watch::Watch,
    worker::{Jitter, Worker},
};

/// The service name that health checks ask for, besides the empty one.
const SERVICE_NAME: &str = "facematch.v1.FaceMatch";
/// The flow-control window of a stream. It holds several frames, so that a high round-trip time
/// doesn't slow down a photo.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// The flow-control window of a connection, for all of its requests together.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// The largest frame that callers may send. A frame is in memory before it is counted, so it bounds
/// what a connection holds uncounted; each frame of a large photo costs a read of the socket.
const FRAME_BYTES_MAX: u32 = 64 * 1024;
/// The longest wait for the answer to a keepalive ping: ample for the slowest line.
const KEEPALIVE_TIMEOUT_MAX: Duration = Duration::from_secs(20);
/// How long the head of a request may take over HTTP/1.1, and how long such a connection may stay
/// open without a request: ample for the slowest line.
const HTTP1_HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// The least buffer of a connection over HTTP/1.1, in bytes: the transport takes no smaller one.
const HTTP1_BUFFER_BYTES_MIN: usize = 8 * 1024;

/// The settings of the gRPC server.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The address for callers.
    pub listen: SocketAddr,
    /// Keys the digests of photos, by which a repeated request is told from another one.
    pub digest_key: DigestKey,
    /// The timeout of a match whose request sets none.
    pub match_timeout: Duration,
    /// The most connections at the same time.
    pub connections_max: usize,
    /// The most connections of one address at the same time.
    pub connections_per_address_max: usize,
    /// How long a connection may stay open without a call.
    pub idle: Duration,
    /// How long a connection may live. Each connection's age differs from it by up to a tenth.
    pub connection_age: Duration,
    /// The most open calls of one connection.
    pub streams_max: u32,
    /// The most bytes of a request's headers.
    pub header_bytes_max: u32,
    /// After how much silence a connection gets a keepalive ping.
    pub keepalive: Duration,
    /// The most bytes that all requests being received hold together, not counting photos.
    pub request_bytes_max: usize,
    /// The most open calls of all connections together.
    pub calls_max: usize,
    /// How long the body of a request may take to arrive.
    pub receive_timeout: Duration,
    /// Who may use reflection.
    pub reflection: Reflection,
    /// How long a frame of an answer may wait for its reader before the stream counts as stalled.
    pub stream_stall: Duration,
}

/// A server that is bound to its address and doesn't serve yet.
pub struct Bound {
    listener: TcpListener,
    second: Option<(TcpListener, Arc<dyn SecondDoor>)>,
    config: Config,
    access: Access,
    quotas: Quotas,
    service: Service,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    worker: Worker,
    readers: StallGuard,
    reflection: LiveReflection,
    calls: CallLog,
    connections: ConnectionLog,
    audit: Audit,
    health: HealthReporter,
    clock: Clock,
    chance: Jitter,
}

/// Sets the status that health checks report.
#[derive(Clone)]
pub struct Health(HealthReporter);

impl Health {
    /// Sets SERVING or NOT_SERVING, for the whole server and for the FaceMatch service.
    pub async fn set(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.0.set_service_status("", status).await;
        self.0.set_service_status(SERVICE_NAME, status).await;
    }

    /// Ends the `Watch` streams of health checks, after they have sent the last status.
    pub async fn close(mut self) {
        self.0.clear_service_status("").await;
        self.0.clear_service_status(SERVICE_NAME).await;
    }
}

impl Bound {
    /// Binds the address. `chance` returns 0..1; it jitters the retry delays that callers get and
    /// the ages of connections.
    ///
    /// # Errors
    /// If the socket can't be bound.
    pub async fn bind(
        config: Config,
        access: Access,
        worker: Worker,
        watch: Watch,
        store: Outage,
        clock: Clock,
        chance: Jitter,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let readers = StallGuard::new(config.stream_stall, clock.clone());
        let service = Service::new(config, worker.clone(), watch);
        let tenants = access.clone();
        let quotas = Quotas::new(Arc::new(move || tenants.tenants()), clock.clone());
        Ok(Self {
            listener,
            second: None,
            config,
            access,
            quotas,
            service,
            tls: None,
            worker,
            readers,
            reflection: LiveReflection::new(config.reflection),
            calls: CallLog::new(store, clock.clone()),
            connections: ConnectionLog::new(clock.clone()),
            audit: Audit::off(),
            health: HealthReporter::new(),
            clock,
            chance,
        })
    }

    /// Binds the address of the second door.
    ///
    /// # Errors
    /// If the socket can't be bound.
    pub async fn with_second_door(
        self,
        listen: SocketAddr,
        door: Arc<dyn SecondDoor>,
    ) -> io::Result<Self> {
        let second = Some((TcpListener::bind(listen).await?, door));
        Ok(Self { second, ..self })
    }

    /// Writes a record of each call into an audit file.
    pub fn audited(self, audit: Audit) -> Self {
        Self { audit, ..self }
    }

    /// Gives calls spans, if the tracer makes some.
    pub fn traced(mut self, tracer: Tracer) -> Self {
        self.calls = self.calls.traced(tracer);
        self
    }

    /// Serves over TLS, each connection with the configuration of its beginning.
    pub fn with_tls(mut self, configs: Option<watch::Receiver<Arc<ServerConfig>>>) -> Self {
        self.tls = configs;
        self
    }

    /// The bound address, with the port that the system chose if 0 was asked for.
    ///
    /// # Errors
    /// If the socket can't report its address.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Whether it serves over TLS.
    pub const fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The bound address of the second door, if there is one.
    pub fn second_address(&self) -> Option<SocketAddr> {
        self.second.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// The handle that sets the health status.
    pub fn health(&self) -> Health {
        Health(self.health.clone())
    }

    /// The guard of all open answers, which ends stalled streams.
    pub fn readers(&self) -> StallGuard {
        self.readers.clone()
    }

    /// The limits of tenants on their calls.
    pub fn quotas(&self) -> Quotas {
        self.quotas.clone()
    }

    /// The setting that says who may use reflection.
    pub fn reflection(&self) -> LiveReflection {
        self.reflection.clone()
    }

    /// The log of the calls that have ended.
    pub fn calls(&self) -> CallLog {
        self.calls.clone()
    }

    /// The log of the connections that were refused or broken off.
    pub fn connections(&self) -> ConnectionLog {
        self.connections.clone()
    }

    /// Serves until `closing` is cancelled and the open calls have ended.
    pub async fn serve(self, closing: CancellationToken) {
        let face_match = UpdateStreams::new(FaceMatchServer::from_arc(Arc::new(self.service)));
        let health = HealthServer::new(HealthService::from_health_reporter(self.health));
        // Reflection is there in any case: admission knows whether it is on.
        let routes = Routes::new(face_match)
            .add_service(health)
            .add_service(reflection_v1())
            .add_service(reflection_v1alpha())
            .prepare();
        let terms = terms(self.config, &self.worker, &self.clock);
        let first = (self.listener, Door::First(transport(self.config)));
        let second = self.second.map(|(listener, door)| {
            let transport = second_transport(self.config, HTTP1_HEAD_TIMEOUT);
            (listener, Door::Second(Arc::new(transport), door))
        });
        let connections = Connections {
            admission: Arc::new(Admission::new(
                routes,
                CallerCheck {
                    access: self.access,
                    reflection: self.reflection,
                    quotas: self.quotas,
                },
                shares(self.config, &self.worker),
                terms,
                self.readers.clone(),
            )),
            has_library: Arc::new(move |tenant| self.worker.key_form(tenant).is_some()),
            call_log: self.calls.clone(),
            connection_log: self.connections.clone(),
            audit: self.audit,
            limits: limits(self.config),
            tls: self.tls,
            clock: self.clock,
            chance: self.chance,
        };
        tokio::select! {
            () = connections.serve([first].into_iter().chain(second), closing) => {}
            () = self.readers.end_stalled_forever() => {}
            () = self.calls.clone().log_suppressed_forever() => {}
            () = self.connections.clone().log_counts_forever() => {}
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
        is_known_match: Arc::new(move |tenant, id| {
            let worker = knowing.clone();
            Box::pin(async move {
                let known = worker.knows(&tenant, id).await;
                known.map_err(|failure| status::store(&failure))
            })
        }),
    }
}

fn limits(config: Config) -> ConnectionLimits {
    ConnectionLimits {
        connections_max: config.connections_max,
        per_address_max: config.connections_per_address_max,
        unread_max: config.keepalive + config.keepalive.min(KEEPALIVE_TIMEOUT_MAX),
        idle: config.idle,
        age: config.connection_age,
    }
}

/// The HTTP/2 transport with its limits set.
fn transport(config: Config) -> http2::Builder<TokioExecutor> {
    let mut transport = http2::Builder::new(TokioExecutor::new());
    transport
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(config.header_bytes_max)
        .keep_alive_interval(config.keepalive)
        .keep_alive_timeout(config.keepalive.min(KEEPALIVE_TIMEOUT_MAX))
        .max_concurrent_streams(config.streams_max)
        // Frames that still arrive for a refused call count as local errors, and a caller whose
        // calls are refused must keep its connection.
        .max_local_error_reset_streams(None);
    transport
}

/// The transport of the second door: HTTP/2 with the limits of the first door, and HTTP/1.1 with
/// those of them that it has. A head may take as long as `head_timeout` over HTTP/1.1.
fn second_transport(config: Config, head_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut transport = auto::Builder::new(TokioExecutor::new());
    let head_bytes = usize::try_from(config.header_bytes_max).unwrap_or(usize::MAX);
    transport
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(head_bytes.max(HTTP1_BUFFER_BYTES_MIN));
    transport
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(config.header_bytes_max)
        .keep_alive_interval(config.keepalive)
        .keep_alive_timeout(config.keepalive.min(KEEPALIVE_TIMEOUT_MAX))
        .max_concurrent_streams(config.streams_max)
        .max_local_error_reset_streams(None);
    transport
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // The types of error details: without them grpcurl shows raw bytes.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

fn reflection_v1() -> v1::ServerReflectionServer<impl v1::ServerReflection> {
    reflection().build_v1().expect("the build generates valid descriptors")
}

fn reflection_v1alpha() -> v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection> {
    reflection().build_v1alpha().expect("the build generates valid descriptors")
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
