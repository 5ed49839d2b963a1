//! A collector of OpenTelemetry: takes traces over gRPC, and searches all that it takes for
//! canaries.

use std::thread;

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span},
};
use prost::Message;
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::timeout};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::{canary, support::PATIENCE};

/// A running collector. When it is dropped, what it has taken is searched.
pub struct Collector {
    pub url: String,
    taken: watch::Receiver<Vec<ResourceSpans>>,
    _serving: JoinSet<()>,
}

struct Taking(watch::Sender<Vec<ResourceSpans>>);

#[tonic::async_trait]
impl TraceService for Taking {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send_modify(|taken| taken.extend(request.into_inner().resource_spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, taken) = watch::channel(Vec::new());
        let service = Server::builder().add_service(TraceServiceServer::new(Taking(sender)));
        let mut serving = JoinSet::new();
        serving.spawn(async {
            service.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
        });
        Self { url, taken, _serving: serving }
    }

    /// The attributes of the process that each batch of spans came from.
    pub fn resources(&self) -> Vec<Vec<KeyValue>> {
        let taken = self.taken.borrow();
        taken.iter().map(|spans| spans.resource.clone().unwrap().attributes).collect()
    }

    pub fn spans(&self) -> Vec<Span> {
        let taken = self.taken.borrow();
        let scopes = taken.iter().flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Waits for so many spans of a name, and returns them in the order of their ends.
    pub async fn wait_for(&self, name: &str, count: usize) -> Vec<Span> {
        let found = || {
            let named = self.spans().into_iter().filter(|span| span.name == name);
            let mut named: Vec<Span> = named.collect();
            named.sort_by_key(|span| span.end_time_unix_nano);
            named
        };
        let mut taken = self.taken.clone();
        let waited = timeout(PATIENCE, taken.wait_for(|_| found().len() >= count)).await;
        assert!(waited.is_ok(), "{count} times {name}, not {:#?}", self.spans());
        found()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        for spans in self.taken.borrow().iter() {
            canary::check("a trace", &spans.encode_to_vec());
        }
    }
}

/// The text or number of an attribute; empty if there is none.
pub fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|found| found.value.clone()?.value) {
        None => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(other) => panic!("{name}: {other:?}"),
    }
}
