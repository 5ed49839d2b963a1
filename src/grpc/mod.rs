//! The front door: gRPC in, the domain's words to the rooms behind, gRPC out.
//!
//! Everything a caller sends is parsed here, once; everything a caller sees is made here. It
//! decides nothing about matches and keeps nothing.

mod beside;
mod convert;
mod door;
mod greeting;
mod service;
mod status;
mod unread;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Server, server::TcpIncoming};
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};
use tonic_reflection::server::{v1, v1alpha};
use tracing::warn;

pub use service::Service;
pub use unread::Readers;

use crate::{
    clock::Clock,
    grpc::{door::Door, greeting::Greeted},
    pb::{self, face_match_server::FaceMatchServer},
    watch::Watch,
    worker::Worker,
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
/// How long no connection is taken after none could be: the process may be out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The front door's settings.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long a match may take if its caller doesn't say.
    pub match_timeout: Duration,
    /// How many calls one connection may have open.
    pub streams_max: u32,
    /// The most header bytes of a request.
    pub header_bytes_max: u32,
    /// How often a silent connection is asked whether it is still there.
    pub keepalive: Duration,
    /// How long a piece of an answer may lie unread.
    pub stream_stall: Duration,
}

/// A server that holds its address and has not begun to serve.
pub struct Bound {
    listener: TcpListener,
    config: Config,
    service: Service,
    worker: Worker,
    readers: Readers,
    health: HealthReporter,
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
    /// Takes the address.
    ///
    /// # Errors
    /// Those of binding a socket.
    pub async fn bind(
        listen: SocketAddr,
        config: Config,
        worker: Worker,
        watch: Watch,
        clock: Clock,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let readers = Readers::new(config.stream_stall, clock);
        let service = Service::new(config, worker.clone(), watch);
        let health = HealthReporter::new();
        Ok(Self { listener, config, service, worker, readers, health })
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
    pub fn readers(&self) -> Readers {
        self.readers.clone()
    }

    /// Serves until `closing` is cancelled and the calls that are open have ended.
    ///
    /// # Errors
    /// Those of the transport.
    pub async fn serve(self, closing: CancellationToken) -> Result<(), tonic::transport::Error> {
        let face_match = FaceMatchServer::from_arc(Arc::new(self.service))
            .max_decoding_message_size(door::PHOTO_REQUEST_BYTES_MAX);
        let greeted = {
            let closing = closing.clone();
            move |socket| Greeted::new(socket, greeting::WITHIN, closing.clone().cancelled_owned())
        };
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let incoming = incoming.then(paced).map(move |accepted| accepted.map(&greeted));
        let served = server(self.config)
            .add_service(Door::new(face_match, self.worker, self.readers.clone()))
            .add_service(HealthServer::new(HealthService::from_health_reporter(self.health)))
            .add_service(reflection_v1())
            .add_service(reflection_v1alpha())
            .serve_with_incoming_shutdown(incoming, closing.cancelled_owned());
        tokio::select! {
            served = served => served,
            () = self.readers.look_after() => Ok(()),
        }
    }
}

/// The transport at its limits.
fn server(config: Config) -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(config.header_bytes_max)
        .http2_keepalive_interval(Some(config.keepalive))
        .http2_keepalive_timeout(Some(config.keepalive.min(KEEPALIVE_TIMEOUT_MAX)))
        .max_concurrent_streams(config.streams_max)
}

/// Passes a connection on, or says why there is none. The transport asks for the next one at once,
/// whatever it is told: without a pause, a process out of descriptors would do nothing else.
async fn paced<C>(accepted: io::Result<C>) -> io::Result<C> {
    if let Err(failure) = &accepted
        && !is_of_one_connection(failure)
    {
        warn!(error = %failure, "no connection can be taken");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    accepted
}

/// Whether a failure says nothing of the next connection.
fn is_of_one_connection(failure: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(failure.kind(), ConnectionAborted | ConnectionReset | Interrupted)
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
    use futures_util::FutureExt;
    use prost::Message;

    use super::*;

    #[tokio::test]
    async fn no_connection_is_asked_for_at_once_where_none_can_be_taken() {
        // Too many open files, as POSIX counts it.
        let exhausted = io::Error::from_raw_os_error(24);
        assert!(paced(Err::<(), _>(exhausted)).now_or_never().is_none());
        let gone = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert!(paced(Err::<(), _>(gone)).now_or_never().is_some());
        assert!(paced(Ok(())).now_or_never().is_some());
    }

    #[test]
    fn the_descriptors_decode_and_name_the_service() {
        let set = prost_types::FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).unwrap();
        let services = set.file.iter().flat_map(|file| &file.service);
        assert!(services.into_iter().any(|service| service.name() == "FaceMatch"));
    }
}
