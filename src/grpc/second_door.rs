//! What the second door hands to the service, and gets from it.
//!
//! The second door takes other forms of the same calls, for browsers and for curl. It turns each of
//! its requests into a gRPC call, which then passes through the same layers as those of the first
//! door: so it has the same limits, log, metrics and audit records. This module deliberately knows
//! none of these forms.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use tonic::{Status, body::Body};

/// An answer on its way.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Makes a gRPC call on behalf of the connection of a request.
pub type MakeCall = Box<dyn FnOnce(Request<Body>) -> Answering + Send>;

/// The path at which a request asks what its caller may do. It is made like a call, and its answer
/// has a [`CallerAccess`] in its extensions.
pub const ACCESS_PATH: &str = "/page/access";

/// What a caller may do.
#[derive(Clone, Default, Debug)]
pub struct CallerAccess {
    /// The names of the methods of FaceMatch that it may call.
    pub methods: Vec<String>,
    /// Whether its tenant has a photo library.
    pub has_library: bool,
}

/// How a request has arrived.
#[derive(Clone, Copy, Debug)]
pub struct DoorArrival {
    /// Whether the connection has TLS that this process terminates.
    pub is_tls: bool,
}

/// A port that takes calls in other forms.
pub trait SecondDoor: Send + Sync {
    /// Answers a request. If it stands for a call of the service, `call` makes that call.
    fn answer(&self, request: Request<Body>, arrival: DoorArrival, call: MakeCall) -> Answering;
}

/// Through which door a call has come, and in which form.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum CallDoor {
    /// The first door: gRPC.
    #[default]
    Grpc,
    /// The second door, as gRPC-Web.
    Web,
    /// The second door, as JSON, its streams as server-sent events.
    Json,
}

impl CallDoor {
    /// The door of a request that may have passed the second door.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<CallForm>().map_or_else(Self::default, |form| form.door)
    }

    /// The word for it in metrics, log, audit records and traces.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Web => "web",
            Self::Json => "json",
        }
    }

    /// The system of calls, in the words of OpenTelemetry's conventions for RPC.
    pub const fn rpc_system(self) -> &'static str {
        match self {
            Self::Grpc | Self::Web => "grpc",
            Self::Json => "connectrpc",
        }
    }
}

/// How a call of the second door differs from other calls, in the extensions of its request. Admission
/// control acts on it, so that its limits hold for the forms as well.
#[derive(Clone, Default)]
pub struct CallForm {
    /// The form in which the call has come.
    pub door: CallDoor,
    /// Whether the door refuses calls that change matches.
    pub is_read_only: bool,
    /// Turns a request of JSON into protobuf; `None` if the request is protobuf.
    pub request: Option<JsonDecoder>,
    /// Changes the form of the answer's frames; `None` leaves them as they are.
    pub answer: Option<AnswerForm>,
}

/// Turns the text of a request into protobuf. It is also given whether the content of the request's
/// photo was taken out of the text, where an empty string is left of it: the protobuf must not hold
/// that field.
pub type JsonDecoder = Arc<dyn Fn(&[u8], bool) -> Result<Vec<u8>, Status> + Send + Sync>;

/// Changes the form of one frame of an answer, which holds whole messages.
pub type AnswerForm = Arc<dyn Fn(Bytes) -> Result<Bytes, Status> + Send + Sync>;
