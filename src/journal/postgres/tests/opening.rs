//! Opening databases as they are found in the field: which are refused at the start, with which
//! message, and how a replaced password is used.

use secrecy::SecretString;
use tokio::sync::watch;

use super::*;
use crate::{journal::postgres::CONNECTIONS_BESIDE, postgres::Cluster};

/// A URL of the shared cluster, with another role.
fn url_of(role: &str, database: &str) -> SecretString {
    format!("postgres://{role}@127.0.0.1:{}/{database}", shared().port()).into()
}

/// Why a database can't be used, in one line.
async fn refusal(url: SecretString) -> String {
    let config = Config { url, ..config("", Clock::system()) };
    let text = Postgres::open(config).await.err().expect("it is refused").to_string();
    assert!(!text.contains('\n') && !text.contains("at line"), "{text}");
    text
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_character_is_refused() {
    let name = "latin";
    shared()
        .sql("postgres", &format!("CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0"));
    let text = refusal(shared().url(name).into()).await;
    assert!(text.contains("has the encoding LATIN1"), "{text}");
}

#[tokio::test]
async fn a_refusal_for_too_few_connections_says_how_many_are_needed() {
    let database = shared().create_database();
    shared().sql(&database, "CREATE ROLE narrow LOGIN CONNECTION LIMIT 3");
    shared().sql(&database, "GRANT ALL ON SCHEMA public TO narrow");
    let needed = format!("a replica needs {} connections", READERS + CONNECTIONS_BESIDE);
    let text = refusal(url_of("narrow", &database)).await;
    assert!(text.contains("too many connections for role \"narrow\", whose limit is 3"), "{text}");
    assert!(text.ends_with(&needed), "{text}");
    shared().sql(&database, "CREATE ROLE shut LOGIN CONNECTION LIMIT 0");
    let text = refusal(url_of("shut", &database)).await;
    let words = "PostgreSQL says: too many connections for role \"shut\" (53300)";
    assert!(text.contains(words) && text.ends_with(&needed), "{text}");
}

#[tokio::test]
async fn a_missing_database_or_right_is_reported_in_postgresqls_words() {
    let database = shared().create_database();
    shared().sql(&database, "CREATE ROLE poor LOGIN");
    for (url, words) in [
        (
            shared().url("absent").into(),
            "refuses the connection: PostgreSQL says: database \"absent\" does not exist (3D000)",
        ),
        (
            url_of("stranger", &database),
            "refuses the connection: PostgreSQL says: role \"stranger\" does not exist (28000)",
        ),
        (
            url_of("poor", &database),
            "can't be used: PostgreSQL says: permission denied for schema public (42501)",
        ),
    ] {
        let text = refusal(url).await;
        assert!(text.ends_with(words), "{text}");
    }
}

#[tokio::test]
async fn a_server_is_reached_at_its_ipv6_address() {
    let cluster = Cluster::start_with(&[("listen_addresses", "::1,127.0.0.1"), ("fsync", "off")]);
    let url = format!("postgres://facematch@[::1]:{}/postgres", cluster.port());
    let there = Config { url: url.into(), ..config("", Clock::system()) };
    let journal = Postgres::open(there).await.unwrap();
    journal.ping().await.unwrap();
    journal.close().await;
}

/// A cluster that demands a password of the role `fm`.
fn demanding_a_password(folder: &tempfile::TempDir) -> Cluster {
    let hba = folder.path().join("pg_hba.conf");
    std::fs::write(&hba, "host all facematch all trust\nhost all all all scram-sha-256\n").unwrap();
    let cluster = Cluster::start_with(&[("hba_file", hba.to_str().unwrap()), ("fsync", "off")]);
    cluster.sql("postgres", "CREATE ROLE fm LOGIN PASSWORD 'first'");
    cluster.sql("postgres", "CREATE DATABASE fm OWNER fm");
    cluster
}

#[tokio::test]
async fn a_password_that_is_replaced_is_used_by_every_new_connection() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = demanding_a_password(&folder);
    let url = || SecretString::from(format!("postgres://fm@127.0.0.1:{}/fm", cluster.port()));
    let text = refusal(url()).await;
    assert!(text.contains("PostgreSQL says: password authentication failed"), "{text}");

    let password = watch::Sender::new(SecretString::from("first"));
    let given = Some(password.subscribe());
    let with = Config { url: url(), password: given, ..config("", Clock::system()) };
    let journal = Postgres::open(with).await.unwrap();
    journal.ping().await.unwrap();
    cluster.sql("postgres", "ALTER ROLE fm PASSWORD 'second'");
    password.send_replace(SecretString::from("second"));
    cluster.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fm'",
    );
    let again = async {
        while journal.ping().await.is_err() {
            tokio::task::yield_now().await;
        }
        while !journal.may_act() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("it connects again");
    try_twice(async || journal.admit(match_id(0, 1), Arc::new(plain_spec())).await).await;
    journal.close().await;
}

#[tokio::test]
async fn a_write_that_the_database_refuses_for_good_fails_as_refused() {
    let served = open(&shared().create_database(), START).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         RAISE EXCEPTION 'no such character here' USING ERRCODE = '22P05'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW
         WHEN (NEW.body LIKE '%PhotoUploaded%' OR NEW.body LIKE '%photo_uploaded%')
         EXECUTE FUNCTION refuse()";
    let admitted = served.journal().admit(match_id(0, 1), Arc::new(plain_spec())).await.unwrap();
    let Admitted::New(first, claim) = admitted else { panic!("not a new match") };
    shared().sql(&served.database, refuse);
    let refused = served.journal().append(claim, first.sequence, uploaded()).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    let other = served.journal().admit(match_id(0, 2), Arc::new(plain_spec())).await;
    assert!(matches!(other, Ok(Admitted::New(..))), "other matches are still admitted");
}
