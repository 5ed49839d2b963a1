//! Recognises the environment variables that Kubernetes sets for each Service of a namespace.
//!
//! The variables of a Service called `facematch` or `facematch-…` begin with the same prefix as the
//! settings. They are not settings, and no setting may ever have a name of their form.

/// The protocols that a port of a Service may have.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Whether a variable has the form of a Service's: `X_SERVICE_HOST`, `X_SERVICE_PORT`,
/// `X_SERVICE_PORT_NAME`, `X_PORT`, or `X_PORT_50051_TCP`, alone or with `_PROTO`, `_PORT` or
/// `_ADDR` after it.
pub fn is_service_link(variable: &str) -> bool {
    variable.ends_with("_SERVICE_HOST")
        || variable.ends_with("_SERVICE_PORT")
        || variable.contains("_SERVICE_PORT_")
        || variable.ends_with("_PORT")
        || is_port_of_link(variable)
}

fn is_port_of_link(variable: &str) -> bool {
    let parts: Vec<&str> = variable.split('_').collect();
    let parts = match parts.as_slice() {
        [rest @ .., "PROTO" | "PORT" | "ADDR"] => rest,
        rest => rest,
    };
    match parts {
        [_, .., "PORT", number, protocol] => {
            number.parse::<u16>().is_ok() && PROTOCOLS.contains(protocol)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TABLE;

    #[test]
    fn the_variables_of_a_service_are_recognised() {
        for variable in [
            "FACEMATCH_SERVICE_HOST",
            "FACEMATCH_SERVICE_PORT",
            "FACEMATCH_SERVICE_PORT_GRPC",
            "FACEMATCH_SERVICE_PORT_GRPC_WEB",
            "FACEMATCH_PORT",
            "FACEMATCH_PORT_50051_TCP",
            "FACEMATCH_PORT_50051_TCP_PROTO",
            "FACEMATCH_PORT_50051_TCP_PORT",
            "FACEMATCH_PORT_50051_TCP_ADDR",
            "FACEMATCH_PORT_53_UDP_ADDR",
            "FACEMATCH_DB_SERVICE_HOST",
            "FACEMATCH_DB_PORT_5432_TCP_ADDR",
        ] {
            assert!(is_service_link(variable), "{variable}");
        }
        for variable in [
            "FACEMATCH_OZ_URL",
            "FACEMATCH_PORTS",
            "FACEMATCH_PORT_GRPC",
            "FACEMATCH_PORT_X_TCP",
            "FACEMATCH_SERVICE",
            "FACEMATCH_TCP_ADDR",
        ] {
            assert!(!is_service_link(variable), "{variable}");
        }
    }

    #[test]
    fn no_setting_has_the_name_of_a_service_variable() {
        for about in TABLE {
            assert!(!is_service_link(&about.variable()), "{}", about.variable());
        }
    }
}
