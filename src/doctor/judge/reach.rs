//! Whether Oz can be reached: its name, a connection, its certificate, and who answers.

use crate::{
    doctor::{DoctorStep, Finding, judge::told_answer},
    domain::FailureKind,
    oz::{CertificateFault, LinkFault, NoAnswer, OzRoute, ProbeOutcome, WholeAnswer},
};

/// What must be passed before Oz can answer, in this order.
const STAGES: [DoctorStep; 3] = [DoctorStep::Name, DoctorStep::Connection, DoctorStep::Tls];

/// The findings about the link, up to the first that differs.
pub fn link(way: &OzRoute, outcome: &ProbeOutcome) -> Vec<Finding> {
    let broken = outcome.as_ref().err().and_then(|none| broken(way, none));
    let mut findings = Vec::new();
    for stage in STAGES {
        match &broken {
            Some(finding) if finding.step == stage => {
                findings.push(finding.clone());
                break;
            }
            Some(_) | None => findings.push(passed(way, stage)),
        }
    }
    findings
}

fn passed(way: &OzRoute, stage: DoctorStep) -> Finding {
    match (stage, &way.proxy) {
        (DoctorStep::Name, None) => {
            Finding::holds(stage, format!("the host of {} has an address", way.url))
        }
        (DoctorStep::Name, Some(_)) => Finding::not_tried(stage, "the proxy looks it up"),
        (DoctorStep::Connection, None) => Finding::holds(stage, "the host accepts connections"),
        (DoctorStep::Connection, Some(proxy)) => {
            Finding::holds(stage, format!("the proxy {proxy} accepts connections"))
        }
        (_, _) if !way.is_https => {
            let why = "--oz-url begins with http://, so password and photos travel in plain text";
            Finding::not_tried(stage, why)
        }
        (_, _) if way.has_ca_file => {
            Finding::holds(stage, "the certificate is trusted by --oz-ca-file")
        }
        (_, _) => Finding::holds(stage, "the certificate is trusted by this machine"),
    }
}

/// The finding about a link that broke before Oz could answer; `None` if it broke later.
fn broken(way: &OzRoute, none: &NoAnswer) -> Option<Finding> {
    let connection =
        |what: String, advice: &str| Some(Finding::differs(DoctorStep::Connection, what, advice));
    let peer = way.proxy.as_ref().map_or(way.url.clone(), |proxy| format!("the proxy {proxy}"));
    match &none.fault {
        LinkFault::NameUnknown if way.proxy.is_some() => connection(
            format!("{peer}: its name has no address"),
            "check --oz-proxy, and the name servers of this machine",
        ),
        LinkFault::NameUnknown => Some(Finding::differs(
            DoctorStep::Name,
            format!("the host of {} has no address ({})", way.url, none.causes),
            "check the spelling of --oz-url and the name servers of this machine; where only a \
             proxy reaches Oz, set --oz-proxy",
        )),
        LinkFault::Refused => connection(
            format!("{peer} refuses connections"),
            "check the port, and whether a firewall refuses this machine",
        ),
        LinkFault::ConnectTimedOut => connection(
            format!("{peer} accepts no connection within --oz-connect-timeout"),
            "a firewall may drop the packets: let this machine through; where only a proxy \
             reaches Oz, set --oz-proxy",
        ),
        LinkFault::Unconnected => connection(
            format!("no connection to {peer}: {}", none.causes),
            "check --oz-url, and the route from this machine to it",
        ),
        LinkFault::ProxyLogin => connection(
            format!("{peer} wants a login, or refuses the login that it got (407)"),
            PROXY_LOGIN,
        ),
        LinkFault::ProxyRefuses => connection(
            format!("{peer} does not connect to Oz"),
            "have the proxy allow connections to the host and port of --oz-url",
        ),
        LinkFault::Certificate(fault) => Some(certificate(way, fault, &none.causes)),
        LinkFault::NotTls => Some(Finding::differs(
            DoctorStep::Tls,
            "the host does not speak TLS on this port",
            "check the port in --oz-url; an Oz without TLS has an address that begins with http://",
        )),
        LinkFault::Handshake => Some(Finding::differs(
            DoctorStep::Tls,
            format!("the TLS handshake fails: {}", none.causes),
            "Oz must speak TLS 1.2 or 1.3, and must not ask for a client certificate",
        )),
        LinkFault::NotHttp
        | LinkFault::AnswerTimedOut
        | LinkFault::Interrupted
        | LinkFault::TooLong => None,
    }
}

const PROXY_LOGIN: &str = "give --oz-proxy as http://USER:PASSWORD@HOST:PORT, best by \
    FACEMATCH_OZ_PROXY or the settings file, since flags are visible";

fn certificate(way: &OzRoute, fault: &CertificateFault, causes: &str) -> Finding {
    let differs = |what: String, advice: &str| Finding::differs(DoctorStep::Tls, what, advice);
    match fault {
        CertificateFault::UnknownIssuer if way.has_ca_file => differs(
            "the certificate was not issued by an authority in --oz-ca-file".to_owned(),
            "put the certificate of the authority that issued it into the file: ask the operator \
             of Oz, or of the proxy that decrypts TLS on the way",
        ),
        CertificateFault::UnknownIssuer => differs(
            "the certificate was issued by an authority that this machine does not trust"
                .to_owned(),
            "set --oz-ca-file to the certificate of that authority: that of a private Oz, or of \
             the proxy that decrypts TLS on the way",
        ),
        CertificateFault::WrongName(names) => {
            let names = if names.is_empty() { "other names".to_owned() } else { names.join(", ") };
            differs(
                format!("the certificate is for {names}, not for the host of {}", way.url),
                "use a name of the certificate in --oz-url, or have the certificate reissued",
            )
        }
        CertificateFault::Expired => differs(
            "the certificate has expired".to_owned(),
            "have the operator of Oz renew it; if it is valid, set the clock of this machine",
        ),
        CertificateFault::NotValidYet => differs(
            "the certificate is not valid yet".to_owned(),
            "set the clock of this machine; if it is right, ask the operator of Oz",
        ),
        CertificateFault::Other => differs(
            format!("the certificate is not accepted: {causes}"),
            "have the operator of Oz replace it",
        ),
    }
}

/// Whether Oz answers, judged by a request for folders without a token, which Oz refuses in its own
/// words. A gateway may pass other paths, such as that of the version.
pub fn oz(way: &OzRoute, door: &ProbeOutcome) -> Finding {
    let url = &way.url;
    match door {
        Ok(answer) if answer.is_by_oz() => Finding::holds(
            DoctorStep::Oz,
            match &answer.telling_headers[..] {
                [] => format!("it answers at {url}"),
                headers => {
                    let headers = headers.join(", ");
                    format!("it answers at {url}, through a proxy or a cache (header {headers})")
                }
            },
        ),
        Ok(answer) => other_server(way, answer),
        Err(none) => no_answer(none),
    }
}

fn no_answer(none: &NoAnswer) -> Finding {
    let advice = match none.fault {
        LinkFault::AnswerTimedOut => {
            "ask the operator of Oz whether it works; a firewall in between may hold answers back"
        }
        LinkFault::NotHttp | LinkFault::Interrupted => {
            "check the port in --oz-url; if it speaks TLS, the address begins with https://"
        }
        _ => "check --oz-url with the vendor",
    };
    Finding::differs(DoctorStep::Oz, format!("no answer: {}", none.causes), advice)
}

/// The finding about a server that is not Oz.
fn other_server(way: &OzRoute, answer: &WholeAnswer) -> Finding {
    let told = told_answer(answer);
    let kind = answer.failure.as_ref().map(|failure| failure.kind);
    let (what, advice) = match (kind, &answer.leads_to) {
        (Some(FailureKind::Redirected), Some(there)) => (
            format!("{} redirects to {there}", way.url),
            "if that is the address of Oz, use it in --oz-url; if it is a sign-in page of your \
             network, have this machine let through"
                .to_owned(),
        ),
        (Some(FailureKind::Unreachable), _) if answer.status == 407 => (
            "a proxy answers in its place: it wants a login (407)".to_owned(),
            PROXY_LOGIN.to_owned(),
        ),
        (Some(FailureKind::ServerError), _) => (
            format!("a server in front of it answers in its place ({told})"),
            "ask the operator of Oz whether it works, and what stands in front of it".to_owned(),
        ),
        _ if way.path.split('/').any(|part| part == "api") => (
            format!("another server answers at {} ({told})", way.url),
            "leave /api and what follows it out of --oz-url: every request adds it".to_owned(),
        ),
        _ => (
            format!("another server answers at {} ({told})", way.url),
            "check --oz-url with the vendor: it is the address of the API, without /api; a \
             gateway in front of Oz must pass paths that begin with /api/ through"
                .to_owned(),
        ),
    };
    Finding::differs(DoctorStep::Oz, what, advice)
}
