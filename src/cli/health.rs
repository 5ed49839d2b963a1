//! `facematch health`: asks a running server whether it should get calls, for containers and units.
//!
//! It asks the admin port, or else gRPC's health service. It deliberately retries nothing: the
//! supervisor that runs it does.

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{
    cli::{Exit, args::HealthArgs, stderr},
    clock::Clock,
    config::{self, Environment},
};

#[cfg(feature = "cli")]
use crate::cli::{args::Output, call};

/// The most bytes of an answer that are read: a dozen lines are a kilobyte.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The port of a URL that names none.
const HTTP_PORT: u16 = 80;

/// Why an admin port gave no answer.
type AskError = Box<dyn std::error::Error + Send + Sync>;

/// Asks the server. One line says why it isn't healthy.
pub async fn health(args: HealthArgs, environment: &Environment) -> Exit {
    match args.admin(environment) {
        Ok(Some(url)) => by_http(&args, &url).await,
        Ok(None) => without_admin(args, environment).await,
        Err(why) => misused(&args, &why),
    }
}

#[cfg(feature = "cli")]
async fn without_admin(args: HealthArgs, environment: &Environment) -> Exit {
    call::health(&args, environment).await
}

#[cfg(not(feature = "cli"))]
async fn without_admin(args: HealthArgs, _: &Environment) -> Exit {
    misused(&args, "--admin, or FACEMATCH_ADMIN_LISTEN, has to name the admin port")
}

async fn by_http(args: &HealthArgs, url: &Uri) -> Exit {
    let path = if args.live { "/livez" } else { "/readyz" };
    let clock = Clock::system();
    let asking = clock.before(clock.now().after(args.timeout), ask(url, path)).await;
    let asked = format!("{}{path}", url.to_string().trim_end_matches('/'));
    match asking {
        Some(Ok((StatusCode::OK, _))) => Exit::Success,
        Some(Ok((status, body))) => unhealthy(args, &told(&asked, status, &body)),
        Some(Err(failure)) => unhealthy(args, &format!("{asked}: {failure}")),
        None => {
            let limit = humantime::format_duration(args.timeout);
            unhealthy(args, &format!("{asked}: no answer within {limit}"))
        }
    }
}

/// The status and the beginning of the body of an answer.
async fn ask(url: &Uri, path: &str) -> Result<(StatusCode, String), AskError> {
    let host = url.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, url.port_u16().unwrap_or(HTTP_PORT))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let asking = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    // The connection ends with the answer; its error is the answer's too.
    let (answer, _) = tokio::join!(asking, connection);
    answer
}

/// The failed checks of an answer, or what it is instead.
fn told(asked: &str, status: StatusCode, body: &str) -> String {
    let failed: Vec<_> = body.lines().filter_map(|line| line.strip_prefix("[-]")).collect();
    match failed.is_empty() {
        false => format!("not ready: {}", failed.join("; ")),
        true => format!("{asked} answers {status}"),
    }
}

fn unhealthy(args: &HealthArgs, why: &str) -> Exit {
    report(args, why);
    Exit::Unhealthy
}

fn misused(args: &HealthArgs, why: &str) -> Exit {
    report(args, why);
    Exit::Usage
}

#[cfg(feature = "cli")]
fn report(args: &HealthArgs, why: &str) {
    match args.common.output {
        Output::Text => stderr::people(&config::one_line(why)),
        Output::Json => call::tell_unhealthy(why),
    }
}

#[cfg(not(feature = "cli"))]
fn report(_: &HealthArgs, why: &str) {
    stderr::people(&config::one_line(why));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failed_checks_are_one_line() {
        let body = "[+]started ok\n[-]journal failed: the store doesn't answer\n[i] oz circuit \
                    open\n[-]lease failed: late\nreadyz check failed\n";
        assert_eq!(
            told("http://h/readyz", StatusCode::SERVICE_UNAVAILABLE, body),
            "not ready: journal failed: the store doesn't answer; lease failed: late"
        );
        let told = told("http://h/readyz", StatusCode::NOT_FOUND, "<html>");
        assert_eq!(told, "http://h/readyz answers 404 Not Found");
    }
}
