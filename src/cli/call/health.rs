//! Asks gRPC's health service, where no admin port is named. Its answer has no reasons.

use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    cli::call::{
        Exit,
        args::{HealthArgs, Output, Server, shown},
        client,
        render::failure::FailureDetails,
        report,
    },
    clock::Clock,
    config::Environment,
};

/// Asks the server. It lives if it answers at all.
pub async fn health(args: &HealthArgs, environment: &Environment) -> Exit {
    let output = args.common.output;
    let server = match args.common.server(environment) {
        Ok(server) => server,
        Err(problem) => return report::usage(output, &problem),
    };
    let clock = Clock::system();
    let asking = clock.before(clock.now().after(args.timeout), status(&server, args));
    let why = match asking.await {
        Some(Ok(ServingStatus::Serving)) => return Exit::Success,
        Some(Ok(_)) if args.live => return Exit::Success,
        Some(Ok(status)) => format!("{} is {}", shown(&server.url), status.as_str_name()),
        Some(Err(client::Error::Unreachable(status))) => {
            FailureDetails::of(&status, &server.url).message
        }
        Some(Err(file)) => return report::usage(output, &file.to_string()),
        None => {
            let limit = humantime::format_duration(args.timeout);
            format!("{}: no answer within {limit}", shown(&server.url))
        }
    };
    match output {
        Output::Text => crate::cli::stderr::people(&why),
        Output::Json => tell_unhealthy(&why),
    }
    Exit::Unhealthy
}

async fn status(server: &Server, args: &HealthArgs) -> Result<ServingStatus, client::Error> {
    let channel = client::channel(server, Some(args.timeout)).await?;
    let asked = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    let answer = asked.map_err(|status| client::Error::Unreachable(Box::new(status)))?;
    Ok(answer.into_inner().status())
}

/// Prints why a server isn't healthy, as JSON.
pub fn tell_unhealthy(why: &str) {
    let failure = FailureDetails { code: Code::Unavailable, ..FailureDetails::own(why) };
    report::failure(Output::Json, &failure);
}
