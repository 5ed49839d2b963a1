//! The labels of the metrics.
//!
//! All values come from closed sets: words of this program, and the tenants that the operator has
//! named. There is deliberately no id of a match, call or request among them.

use std::{borrow::Cow, fmt, sync::Arc};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::domain::TenantId;

/// A tenant as a label; empty where no tenant is known.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tenant(Option<TenantId>);

impl Tenant {
    /// The label of a tenant.
    pub fn of(tenant: &TenantId) -> Self {
        Self(Some(tenant.clone()))
    }

    /// The label of a call without a good credential.
    pub const fn unknown() -> Self {
        Self(None)
    }
}

impl EncodeLabelValue for Tenant {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.0.as_ref().map_or("", TenantId::as_str).encode(encoder)
    }
}

/// Declares a set of labels, whose fields are the labels' names.
macro_rules! labels {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
            pub struct $name {
                $(#[allow(missing_docs)] pub $field: $type,)*
            }
        )*
    };
}

labels! {
    /// Of a call that has ended.
    CallLabels {
        rpc_system_name: &'static str,
        rpc_method: &'static str,
        rpc_status_code: &'static str,
        error_type: &'static str,
        door: &'static str,
    }
    /// Of calls by method.
    MethodLabels { rpc_method: &'static str }
    /// Of a refused call.
    RefusalLabels { reason: &'static str, tenant: Tenant }
    /// By reason.
    ReasonLabels { reason: &'static str }
    /// Of an exemplar.
    TraceLabels { trace_id: String }
    /// By tenant.
    TenantLabels { tenant: Tenant }
    /// Of a match under way.
    UnfinishedLabels { state: &'static str, tenant: Tenant }
    /// Of a match that has ended.
    EndLabels { state: &'static str, resolution: &'static str, reason: &'static str, tenant: Tenant }
    /// By outcome.
    OutcomeLabels { outcome: &'static str }
    /// By phase.
    PhaseLabels { phase: &'static str }
    /// By cause.
    CauseLabels { cause: &'static str }
    /// By result.
    ResultLabels { result: &'static str }
    /// Of a read from a photo library.
    ReadLabels { source: &'static str, result: &'static str }
    /// By the kind of a photo library.
    SourceLabels { source: &'static str }
    /// By kind.
    KindLabels { kind: &'static str }
    /// Of a request to Oz.
    HttpLabels {
        http_request_method: &'static str,
        url_template: &'static str,
        http_response_status_code: Option<u16>,
        error_type: Cow<'static, str>,
        server_address: Arc<str>,
    }
}
