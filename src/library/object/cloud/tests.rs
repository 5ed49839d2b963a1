//! Tests of the variables of clouds.

use secrecy::SecretString;

use super::*;
use crate::library::object::transport::Transport;

fn opened(cloud: Cloud, given: &[(&str, &str)]) -> Result<Store, BadTerm> {
    let variables: CloudVariables =
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let http = client::build(None, false).unwrap();
    cloud.open("bucket", &variables, Transport::new(http))
}

#[track_caller]
fn refused(cloud: Cloud, given: &[(&str, &str)]) -> String {
    let bad = opened(cloud, given).err().unwrap_or_else(|| panic!("{given:?} is refused"));
    assert_eq!(bad.term, Term::Url);
    assert!(!bad.why.contains("hunter2"), "{bad}");
    bad.why
}

#[test]
fn a_value_that_cannot_be_used_is_refused_by_the_name_of_its_variable() {
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "hunter2\n"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2 "),
        ("AWS_SESSION_TOKEN", "hunter2ä"),
        ("AWS_REGION", "hunter2.example.com/"),
        ("AWS_DEFAULT_REGION", "eu west hunter2"),
        ("AWS_ENDPOINT_URL", "http://hunter2.example.com"),
        ("AWS_ENDPOINT_URL", "hunter2"),
        ("AWS_ENDPOINT_URL_S3", "https://anna:hunter2@s3.example.com"),
        ("AWS_ENDPOINT_URL_S3", "https://s3.example.com/?hunter2"),
        ("AWS_ENDPOINT_URL_STS", "ftp://hunter2"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "hunter2"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/run/hunter2\0"),
    ] {
        let why = refused(Cloud::S3, &[(name, value)]);
        assert!(why.starts_with(&format!("needs another value of {name}: it must ")), "{why}");
    }
}

#[test]
fn credentials_that_cannot_be_used_are_refused() {
    for (given, why) in [
        (("AWS_ACCESS_KEY_ID", "id"), "has no credentials that can be used in AWS_ACCESS_KEY_ID"),
        (
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            "has no credentials that can be used in AWS_SECRET_ACCESS_KEY",
        ),
    ] {
        assert_eq!(refused(Cloud::S3, &[given]), why);
    }
    for (given, why) in [
        (
            ("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/hunter2.json"),
            "has no credentials that can be used in GOOGLE_APPLICATION_CREDENTIALS: No such file \
             or directory (os error 2)",
        ),
        (
            ("GOOGLE_SERVICE_ACCOUNT_KEY", "\"hunter2\""),
            "has no credentials that can be used in GOOGLE_SERVICE_ACCOUNT_KEY",
        ),
    ] {
        assert_eq!(refused(Cloud::Gcs, &[given]), why);
    }
    let account = ("AZURE_STORAGE_ACCOUNT_NAME", "bank");
    assert_eq!(
        refused(Cloud::Azure, &[account, ("AZURE_STORAGE_ACCOUNT_KEY", "hunter2!")]),
        "has no credentials that can be used in AZURE_STORAGE_ACCOUNT_KEY"
    );
    assert_eq!(
        refused(Cloud::Azure, &[]),
        "needs the variable AZURE_STORAGE_ACCOUNT_NAME: the account of the container"
    );
    assert_eq!(
        refused(Cloud::Azure, &[("AZURE_STORAGE_ACCOUNT_NAME", "a.example.com/")]),
        "needs another value of AZURE_STORAGE_ACCOUNT_NAME: it must consist of letters, digits and \
         hyphens"
    );
}

#[test]
fn only_the_variables_of_the_tables_are_read() {
    let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    // An empty variable is unset, and what would weaken the connection is not read.
    for (name, value) in [
        ("AWS_ENDPOINT_URL", ""),
        ("AWS_REGION", ""),
        ("AWS_ALLOW_HTTP", "perhaps"),
        ("AWS_PROXY_URL", "no proxy"),
        ("AWS_ALLOW_INVALID_CERTIFICATES", "perhaps"),
        ("AWS_SKIP_SIGNATURE", "perhaps"),
        ("AWS_BUCKET", "another"),
    ] {
        let store = opened(Cloud::S3, &[keys[0], keys[1], (name, value)]).unwrap();
        let Store::S3(store) = store else { panic!("it is S3") };
        let text = store.to_string();
        assert_eq!(text, "AmazonS3(bucket)", "{name}");
    }
}

#[test]
fn credentials_are_expected_where_a_variable_names_them() {
    let variables = |name: &str, value: &str| {
        CloudVariables::from([(name.to_owned(), SecretString::from(value))])
    };
    for (cloud, name) in [
        (Cloud::S3, "AWS_ACCESS_KEY_ID"),
        (Cloud::S3, "AWS_WEB_IDENTITY_TOKEN_FILE"),
        (Cloud::Gcs, "GOOGLE_APPLICATION_CREDENTIALS"),
        (Cloud::Azure, "AZURE_STORAGE_SAS_TOKEN"),
    ] {
        assert!(cloud.names_credentials(&variables(name, "x")), "{name}");
        assert!(!cloud.names_credentials(&variables(name, "")), "{name}");
    }
    assert!(!Cloud::S3.names_credentials(&variables("AWS_REGION", "eu-west-1")));
}
