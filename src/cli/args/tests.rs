//! Each command parses, and wrong arguments are refused.

use std::{path::PathBuf, time::Duration};

use clap::CommandFactory;
use prost_types::Timestamp;

use super::{
    call::{KindArg, PolicyArg, StateArg},
    *,
};

#[track_caller]
fn parsed(line: &str) -> Command {
    match Cli::read(line.split(' ').map(OsString::from)) {
        Ok(cli) => cli.command,
        Err(error) => panic!("{error}"),
    }
}

fn refused(line: &str) -> String {
    Cli::read(line.split(' ').map(OsString::from)).expect_err("wrong usage").to_string()
}

#[test]
fn the_definition_of_the_commands_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn match_has_an_argument_for_every_field_of_a_request() {
    let Command::Call(CallCommand::Match(args)) = parsed(
        "facematch match --folder f --photo p.png --kind id-front --request-id r --timeout 90s \
         --label a=b --label c=d=e --label e= --liveness-policy run --liveness-media m \
         --liveness-media n --give-up-after 1m --progress --server http://host:1 --output json",
    ) else {
        panic!("another command");
    };
    assert_eq!(args.photo, Some(PathBuf::from("p.png")));
    assert_eq!((args.kind, args.liveness_policy), (KindArg::IdFront, PolicyArg::Run));
    assert_eq!(args.timeout, Some(Duration::from_secs(90)));
    let labels = [("a", "b"), ("c", "d=e"), ("e", "")];
    assert_eq!(args.labels, labels.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(args.liveness_media, ["m", "n"]);
    assert_eq!(args.patience.give_up_after, Some(Duration::from_secs(60)));
    assert!(args.patience.progress);
    let port = args.common.server.and_then(|server| server.port_u16());
    assert_eq!((port, args.common.output), (Some(1), Output::Json));
}

#[test]
fn match_needs_one_photo() {
    for source in ["--photo p", "--reference k", "--folder-media m"] {
        let command = parsed(&format!("facematch match --folder f {source}"));
        assert!(matches!(command, Command::Call(CallCommand::Match(_))), "{source}");
    }
    assert!(refused("facematch match --folder f").contains("--photo"));
    refused("facematch match --folder f --photo p --folder-media m");
    refused("facematch match --folder f --photo p --reference k");
    refused("facematch match --folder f --reference k --folder-media m");
    refused("facematch match --folder f --reference=");
    refused("facematch match --photo p");
}

#[test]
fn one_match_is_named_by_either_id_and_not_by_both() {
    for command in ["get", "cancel", "delete", "watch"] {
        parsed(&format!("facematch {command} 0193"));
        parsed(&format!("facematch {command} --request-id r"));
        refused(&format!("facematch {command}"));
        refused(&format!("facematch {command} 0193 --request-id r"));
    }
}

#[test]
fn watch_follows_one_or_all() {
    parsed("facematch watch 0193 --after 3 --progress");
    parsed("facematch watch --all --resume-token earliest --folder f --label a=b");
    refused("facematch watch --all --after 3");
    refused("facematch watch --all 0193");
    refused("facematch watch 0193 --resume-token t");
}

#[test]
fn list_takes_filters() {
    let Command::Call(CallCommand::List(args)) =
        parsed("facematch list --folder f --label a=b --state failed --state finished --all")
    else {
        panic!("another command");
    };
    assert_eq!(args.states, [StateArg::Failed, StateArg::Finished]);
    assert!(args.all);
    refused("facematch list --state unknown");
}

#[test]
fn list_takes_only_times_with_an_offset() {
    let list = "facematch list --created-after 2027-01-15T08:00:00Z --created-before \
                2027-01-15T10:00:00.5+02:00";
    let Command::Call(CallCommand::List(args)) = parsed(list) else { panic!("another command") };
    assert_eq!(args.created_after, Some(Timestamp { seconds: 1_800_000_000, nanos: 0 }));
    assert_eq!(args.created_before, Some(Timestamp { seconds: 1_800_000_000, nanos: 500_000_000 }));
    for wrong in ["2027-01-15", "2027-01-15T08:00:00", "08:00", "yesterday", "2027-13-15T08:00:00Z"]
    {
        assert!(refused(&format!("facematch list --created-after {wrong}")).contains("RFC 3339"));
    }
}

#[test]
fn serve_has_a_flag_for_each_setting_and_keeps_repetitions() {
    let Command::Serve(args) = parsed("facematch serve --lease 1s --oz-token -x --lease 2s") else {
        panic!("another command");
    };
    let flags = [("oz-token", "-x"), ("lease", "1s"), ("lease", "2s")];
    assert_eq!(args.flags, flags.map(|(name, text)| (name, text.to_owned())));
    assert!(refused("facematch serve --oz-ulr x").contains("--oz-url"));
}

#[test]
fn sim_and_demo_have_their_own_arguments() {
    let Command::Sim(args) = parsed("facematch sim --listen 127.0.0.1:0 --seed 7 --script s.toml")
    else {
        panic!("another command");
    };
    assert_eq!((args.listen.port(), args.seed), (0, Some(7)));
    let Command::Demo(args) = parsed("facematch demo me.jpg --once") else {
        panic!("another command");
    };
    assert!(args.once && args.photo.is_some());
    assert_eq!(args.listen, None);
    parsed("facematch demo --listen 127.0.0.1:0");
}

#[test]
fn an_empty_value_is_refused() {
    for line in [
        "facematch match --folder f --photo p --request-id ",
        "facematch match --photo p --folder ",
        "facematch get --request-id ",
        "facematch delete ",
        "facematch watch --all --resume-token ",
        "facematch list --folder ",
        "facematch list --page-token ",
    ] {
        assert!(refused(line).contains("is empty"), "{line}");
    }
}

#[test]
fn only_a_watch_of_all_matches_has_tokens() {
    for more in ["--resume-token t", "--on-expired now", "--folder f", "--label a=b"] {
        refused(&format!("facematch watch m {more}"));
        refused(&format!("facematch watch --request-id r {more}"));
        parsed(&format!("facematch watch --all {more}"));
    }
    for (given, token) in
        [("", None), (" --on-expired earliest", Some("earliest")), (" --on-expired now", Some(""))]
    {
        let Command::Call(CallCommand::Watch(args)) =
            parsed(&format!("facematch watch --all{given}"))
        else {
            panic!("another command");
        };
        assert_eq!(args.on_expired.token(), token, "{given}");
        assert_eq!(args.patience.give_up_after, None, "for ever");
    }
}

#[test]
fn a_label_has_one_value() {
    for command in ["match --folder f --photo p", "watch --all", "list"] {
        let error = refused(&format!("facematch {command} --label a=b --label c=d --label a=e"));
        assert!(error.contains("--label a=… is given more than once"), "{error}");
    }
}

#[test]
fn values_are_checked_if_that_needs_no_server() {
    assert!(refused("facematch list --label novalue").contains("KEY=VALUE"));
    assert!(refused("facematch list --label =v").contains("KEY=VALUE"));
    assert!(refused("facematch get x --timeout 0s").contains("more than 0"));
    assert!(refused("facematch get x --server host:1").contains("http://"));
    assert!(refused("facematch match --folder f --photo p --timeout soon").contains("90s"));
}

#[test]
fn every_command_and_argument_has_help() {
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(command.get_about().is_some(), "{name}");
        for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
            assert!(argument.get_help().is_some(), "{name} {}", argument.get_id());
        }
    }
}

#[test]
fn key_new_takes_a_caller_and_an_expiry() {
    let Command::Key(args) = parsed("facematch key new kyc.backend-2 --expires 2027-03-01") else {
        panic!("another command");
    };
    let KeyCommand::New(args) = args.command;
    assert_eq!(args.caller, "kyc.backend-2");
    assert_eq!(args.expires.map(|expiry| expiry.to_string()), Some("2027-03-01".to_owned()));
    parsed("facematch key new a --expires 2027-03-01T08:00:00+02:00 --output json");
    for wrong in ["", " new", " new a/b", " new a --expires soon", " new a --expires 2027-02-30"] {
        refused(&format!("facematch key{wrong}"));
    }
    assert!(refused("facematch key new a --expires 2027-03-01T08:00:00").contains("offset"));
}
