//! A library in a real PostgreSQL.

use std::{fs, sync::Arc, time::Duration};

use facematch::{
    app::App,
    clock::Clock,
    domain::LibraryFault,
    library::LibrarySource,
    pb::{MatchState, match_update::Event},
};
use futures_util::future::join_all;
use proptest::prelude::*;

use crate::{
    library::{
        by_key, failure, run,
        sql::{Memory, check_fault, checked, fault, open, open_with, read, read_into, settings},
    },
    postgres::{Cluster, Mode, Stop, free_port, shared},
    support::{TestServer, config, event_names, last_match, portrait, simulator},
    tls::authority::Authority,
};

const BY_ID: &str = "SELECT photo FROM customers WHERE id = $1";

/// A database in which a table has a row for each of these keys, whose photo is `photo of KEY`.
fn customers(id_type: &str, keys: &[&str]) -> String {
    let database = shared().create_database();
    let create = format!("CREATE TABLE customers (id {id_type} PRIMARY KEY, photo bytea)");
    shared().sql(&database, &create);
    for key in keys {
        let key = key.replace('\'', "''");
        let insert =
            format!("INSERT INTO customers VALUES ('{key}', convert_to('photo of {key}', 'UTF8'))");
        shared().sql(&database, &insert);
    }
    database
}

fn by_id(database: &str) -> Arc<dyn LibrarySource> {
    open(&shared().url(database), BY_ID)
}

/// The query that returns a text as a photo, if it has no error of its own.
fn shown(text: &str) -> String {
    format!("SELECT convert_to({text}, 'UTF8') WHERE $1::text <> ''")
}

/// Stores the sample portrait.
fn insert_portrait(cluster: &Cluster, database: &str, id: &str) {
    let hex: String = portrait().iter().map(|byte| format!("{byte:02x}")).collect();
    for (part, from) in hex.as_bytes().chunks(60_000).zip(0..) {
        let part = str::from_utf8(part).unwrap();
        let statement = match from {
            0 => format!("INSERT INTO customers VALUES ('{id}', decode('{part}', 'hex'))"),
            _ => format!(
                "UPDATE customers SET photo = photo || decode('{part}', 'hex') WHERE id = '{id}'"
            ),
        };
        cluster.sql(database, &statement);
    }
}

#[tokio::test]
async fn a_match_by_a_customers_number_needs_no_cast() {
    // Its own: no photo may be in the files of the shared one, which are searched for photos.
    let cluster = Cluster::start();
    let database = cluster.create_database();
    cluster.sql(&database, "CREATE TABLE customers (id bigint PRIMARY KEY, photo bytea)");
    insert_portrait(&cluster, &database, "17");
    let library = settings(&cluster.url(&database), BY_ID, None);
    let mut server = TestServer::build_with(|config| config.library = library).await;
    let updates = run(&mut server, "17").await;
    assert_eq!(
        event_names(&updates),
        ["accepted", "photo_uploaded", "analysis_started", "finished"]
    );
    let record = server.oz.record();
    let uploads: Vec<_> = record.iter().flat_map(|asked| &asked.uploads).collect();
    let [upload] = uploads[..] else { panic!("not one upload: {uploads:?}") };
    assert_eq!(upload.digest, blake3::hash(&portrait()).to_string());
    for key in ["18", "customer-17", "9223372036854775808"] {
        assert_eq!(failure(&mut server, key).await.reason, "REFERENCE_NOT_FOUND", "{key}");
    }
    server.assert_released("matches by key").await;
}

#[tokio::test]
async fn a_key_has_the_type_of_the_column() {
    const UUID: &str = "5b5b5b5b-5b5b-5b5b-5b5b-5b5b5b5b5b5b";
    shared().sql("postgres", "CREATE DATABASE types");
    shared().sql("types", "CREATE TYPE colour AS ENUM ('red', 'o''neil')");
    shared().sql("types", "CREATE DOMAIN number AS text CHECK (value <> '')");
    for (id_type, good, bad) in [
        ("text", "o'neil ä\\", &["o''neil ä\\", "O'NEIL ä\\"][..]),
        ("varchar(40)", "17", &["017", " 17"]),
        ("char(4)", "17", &["170"]),
        ("name", "17", &["018"]),
        ("smallint", "17", &["18", "017", "17x", "99999", "o'neil"]),
        ("integer", "-17", &["17", "2147483648", "--17"]),
        ("bigint", "9007199254740993", &["9007199254740992", "9007199254740993.0", "1e3"]),
        ("uuid", UUID, &["5b5b5b5b-5b5b-5b5b-5b5b-5b5b5b5b5b5c", "17", "5b5b5b5b"]),
        ("colour", "red", &["blue", "o''neil"]),
        ("number", "17", &["18"]),
    ] {
        shared().sql("types", "DROP TABLE IF EXISTS customers");
        let create = format!("CREATE TABLE customers (id {id_type} PRIMARY KEY, photo bytea)");
        shared().sql("types", &create);
        let key = good.replace('\'', "''");
        shared().sql(
            "types",
            &format!("INSERT INTO customers VALUES (E'{}', 'p')", key.replace('\\', "\\\\")),
        );
        let library = open(&shared().url("types"), BY_ID);
        assert_eq!(library.check().await, Ok(()), "{id_type}");
        assert_eq!(read(&library, good).await.unwrap(), "p", "{id_type}");
        for key in bad {
            let found = fault(&library, key).await;
            assert_eq!(found.0, LibraryFault::NotFound, "{id_type} {key}: {}", found.1);
        }
    }
    let library = open(
        &shared().url("types"),
        "SELECT 'p'::bytea FROM (VALUES (17.50)) AS v (n) WHERE n = CAST($1::text AS numeric)",
    );
    assert_eq!(read(&library, "17.5").await.unwrap(), "p");
    check_fault(fault(&library, "o'neil").await, LibraryFault::NotFound, "22P02");
}

#[test]
fn no_key_finds_the_photo_of_another() {
    const KEYS: [&str; 9] =
        ["17", "'", "\\", "%", "_", "' OR ''='", "17'; DROP TABLE customers; --", "ä", "$1"];
    let database = customers("text", &KEYS);
    let library = by_id(&database);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for key in KEYS {
        let photo = runtime.block_on(read(&library, key)).unwrap();
        assert_eq!(photo, format!("photo of {key}"));
    }
    let keys = "[17'\"\\\\%_;$\u{e4}\u{1f642} =O?-]{1,12}";
    proptest!(ProptestConfig::with_cases(200), |(key in keys)| {
        let found = runtime.block_on(read(&library, &key));
        match KEYS.contains(&key.as_str()) {
            true => prop_assert_eq!(found.unwrap(), format!("photo of {key}")),
            false => prop_assert!(found.is_err()),
        }
    });
    assert_eq!(shared().sql(&database, "SELECT count(*) FROM customers"), KEYS.len().to_string());
}

#[tokio::test]
async fn a_query_is_refused_unless_it_has_one_key_and_one_photo() {
    let database = customers("bigint", &["17"]);
    shared().sql(
        &database,
        "CREATE TABLE others (id bigint, picture oid, encoded text, born date, photo bytea)",
    );
    for (query, part) in [
        ("SELECT photo FROM customers", "has 0 parameters: it must have one, $1"),
        ("SELECT photo FROM customers WHERE id = $1 AND id < $2", "has 2 parameters"),
        ("SELECT id, photo FROM customers WHERE id = $1", "has 2 columns: it must have one"),
        (
            "SELECT picture FROM others WHERE id = $1",
            "has a column of type oid: the photo must be bytea; lo_get",
        ),
        ("SELECT encoded FROM others WHERE id = $1", "decode(COLUMN, 'base64')"),
        ("SELECT photo FROM others WHERE born = $1", "write CAST($1::text AS date) instead of $1"),
        ("SELECT photo FROM nowhere WHERE id = $1", "relation \"nowhere\" does not exist (42P01)"),
        ("SELECT photo FROM customers WHERE id = $1; SELECT 1", "multiple commands"),
        ("SELECT photo FROM customers WHERE id = $1) AS q (p); DROP TABLE customers --", "42601"),
        ("SELECT photo FROM customers WHERE id = $1 /*", "unterminated /* comment"),
        ("DELETE FROM customers WHERE id = $1 RETURNING photo", "42601"),
        ("DELETE FROM customers WHERE id = $1", "has 0 columns"),
        ("photo", "42601"),
    ] {
        let library = open(&shared().url(&database), query);
        check_fault(checked(&library).await, LibraryFault::Protocol, part);
        check_fault(fault(&library, "17").await, LibraryFault::Protocol, part);
    }
    for query in [
        "SELECT photo FROM customers WHERE id = $1;\n",
        "SELECT photo FROM customers WHERE id = $1 -- by the number",
        "WITH c AS (SELECT * FROM customers) SELECT photo FROM c WHERE id = $1 OR id = $1",
        "SELECT photo FROM customers WHERE id = $1 ORDER BY id LIMIT 1",
    ] {
        let library = open(&shared().url(&database), query);
        assert_eq!(library.check().await, Ok(()), "{query}");
        assert_eq!(read(&library, "17").await.unwrap(), "photo of 17", "{query}");
    }
}

#[tokio::test]
async fn a_start_with_a_bad_query_names_the_setting() {
    let database = customers("bigint", &[]);
    let url = shared().url(&database);
    let directory = tempfile::tempdir().unwrap();
    let oz = simulator().await;
    let mut config = config(&oz, directory.path());
    config.library = settings(&url, "SELECT id FROM customers WHERE id = $1", None);
    let refused = App::build(config, Clock::system()).await.err().unwrap().to_string();
    assert!(refused.contains("has a column of type int8: the photo must be bytea"), "{refused}");
    assert!(refused.contains("library-query"), "{refused}");
}

#[tokio::test]
async fn only_one_row_with_a_photo_is_a_photo() {
    let database = customers("bigint", &["17"]);
    shared().sql(&database, "INSERT INTO customers VALUES (18, NULL), (19, '')");
    let library = by_id(&database);
    check_fault(fault(&library, "1").await, LibraryFault::NotFound, "no row");
    check_fault(fault(&library, "18").await, LibraryFault::NotFound, "is NULL");
    assert_eq!(read(&library, "19").await.unwrap(), "");
    let all = open(&shared().url(&database), "SELECT photo FROM customers WHERE id <> $1");
    check_fault(fault(&all, "1").await, LibraryFault::Ambiguous, "more than one row");
    let sub = "SELECT (SELECT photo FROM customers WHERE id <> $1)";
    let sub = open(&shared().url(&database), sub);
    check_fault(fault(&sub, "1").await, LibraryFault::Ambiguous, "21000");
}

#[tokio::test]
async fn a_photo_over_the_limit_is_not_fetched() {
    let database = customers("bigint", &[]);
    let photo = "decode(repeat('00', {}), 'hex')";
    for (id, bytes) in [(1, 10_485_760), (2, 10_485_761), (3, 100_000_000)] {
        let photo = photo.replace("{}", &bytes.to_string());
        shared().sql(&database, &format!("INSERT INTO customers VALUES ({id}, {photo})"));
    }
    let library = by_id(&database);
    let mut memory = Memory::default();
    assert_eq!(read_into(&library, "1", &mut memory).await.unwrap().len(), 10_485_760);
    assert_eq!(memory.0, 10_485_760);
    for key in ["2", "3"] {
        let mut memory = Memory::default();
        let refused = read_into(&library, key, &mut memory).await.unwrap_err().to_string();
        assert!(refused.contains("the photo has "), "{refused}");
        assert_eq!(memory.0, 0);
    }
}

#[tokio::test]
async fn a_row_of_a_gigabyte_is_not_fetched() {
    let database = customers("bigint", &[]);
    let row = "INSERT INTO customers SELECT 4, convert_to(repeat('x', 1000000000), 'UTF8')";
    shared().sql(&database, row);
    let mut memory = Memory::default();
    let refused = read_into(&by_id(&database), "4", &mut memory).await.unwrap_err().to_string();
    assert!(refused.contains("1000000000 bytes"), "{refused}");
    assert_eq!(memory.0, 0);
}

#[tokio::test]
async fn a_read_is_short_and_writes_nothing() {
    let database = customers("bigint", &["17"]);
    let url = shared().url(&database);
    for (setting, value) in [
        ("statement_timeout", "20s"),
        ("transaction_read_only", "on"),
        ("transaction_isolation", "repeatable read"),
        ("application_name", "facematch"),
    ] {
        let library = open(&url, &shown(&format!("current_setting('{setting}')")));
        assert_eq!(read(&library, "17").await.unwrap(), value, "{setting}");
    }
    shared().sql(
        &database,
        "CREATE FUNCTION forget(bigint) RETURNS bytea LANGUAGE sql
         AS 'DELETE FROM customers WHERE id = $1 RETURNING photo'",
    );
    let library = open(&url, "SELECT forget($1)");
    check_fault(fault(&library, "17").await, LibraryFault::Protocol, "25006");
    assert_eq!(read(&by_id(&database), "17").await.unwrap(), "photo of 17");
    let slow = "SELECT photo FROM customers, pg_sleep(60) WHERE id = $1";
    let slow = open(&format!("{url}?options=-c%20statement_timeout%3D100"), slow);
    check_fault(fault(&slow, "17").await, LibraryFault::Unreachable, "57014");
}

#[tokio::test]
async fn settings_of_the_url_hold_and_a_view_will_do() {
    let database = customers("bigint", &["17"]);
    shared().sql(
        &database,
        "CREATE SCHEMA kyc; CREATE VIEW kyc.faces AS SELECT id, photo FROM public.customers",
    );
    let url = format!("{}?options[search_path]=kyc", shared().url(&database));
    let library = open(&url, "SELECT photo FROM faces WHERE id = $1");
    assert_eq!(library.check().await, Ok(()));
    assert_eq!(read(&library, "17").await.unwrap(), "photo of 17");
}

#[tokio::test]
async fn what_the_role_may_not_read_is_forbidden() {
    let database = customers("bigint", &["17"]);
    shared().sql(&database, "CREATE ROLE reader LOGIN; CREATE ROLE stranger LOGIN");
    shared().sql(&database, "GRANT SELECT ON customers TO reader");
    let url = |role| shared().url(&database).replace("facematch@", &format!("{role}@"));
    assert_eq!(read(&open(&url("reader"), BY_ID), "17").await.unwrap(), "photo of 17");
    let library = open(&url("stranger"), BY_ID);
    let part = "permission denied for table customers (42501)";
    check_fault(checked(&library).await, LibraryFault::Forbidden, part);
    check_fault(fault(&library, "17").await, LibraryFault::Forbidden, part);
    // The right is lost after the query was described.
    let library = open(&url("reader"), BY_ID);
    assert_eq!(library.check().await, Ok(()));
    shared().sql(&database, "REVOKE SELECT ON customers FROM reader");
    check_fault(fault(&library, "17").await, LibraryFault::Forbidden, "SQLSTATE 42501");
    let library = open(&url("unknown"), BY_ID);
    check_fault(checked(&library).await, LibraryFault::Forbidden, "does not exist (28000)");
}

#[tokio::test]
async fn a_query_is_described_again_after_its_tables_have_changed() {
    let database = customers("bigint", &["17"]);
    let library = by_id(&database);
    assert_eq!(read(&library, "17").await.unwrap(), "photo of 17");
    shared().sql(&database, "ALTER TABLE customers ALTER id TYPE text");
    check_fault(fault(&library, "17").await, LibraryFault::Protocol, "SQLSTATE 42883");
    assert_eq!(read(&library, "17").await.unwrap(), "photo of 17");
    shared().sql(&database, "DROP TABLE customers");
    check_fault(fault(&library, "17").await, LibraryFault::Protocol, "SQLSTATE 42P01");
    check_fault(fault(&library, "17").await, LibraryFault::Protocol, "relation \"customers\"");
}

#[tokio::test]
async fn errors_of_the_operators_own_do_not_show_the_key() {
    let database = customers("text", &[]);
    shared().sql(
        &database,
        "CREATE FUNCTION photo_of(text) RETURNS bytea LANGUAGE plpgsql
         AS 'BEGIN RAISE EXCEPTION USING MESSAGE = ''no customer '' || $1,
             ERRCODE = split_part($1, '' '', 1); END'",
    );
    let library = open(&shared().url(&database), "SELECT photo_of($1)");
    for (code, expected) in [
        ("P0001", LibraryFault::Protocol),
        ("P0002", LibraryFault::NotFound),
        ("P0003", LibraryFault::Ambiguous),
        ("22P02", LibraryFault::NotFound),
        ("22003", LibraryFault::NotFound),
        ("42501", LibraryFault::Forbidden),
        ("28000", LibraryFault::Forbidden),
        ("53300", LibraryFault::Unreachable),
        ("53200", LibraryFault::Unreachable),
        ("57P01", LibraryFault::Unreachable),
        ("40001", LibraryFault::Unreachable),
        ("XX000", LibraryFault::Unreachable),
        ("22012", LibraryFault::Protocol),
    ] {
        check_fault(fault(&library, &format!("{code} 4711")).await, expected, code);
    }
}

#[tokio::test]
async fn a_library_has_four_connections_and_reads_wait_for_them() {
    let database = customers("bigint", &["17"]);
    let slow = "SELECT photo FROM customers, pg_sleep(0.05) WHERE id = $1";
    let library = open(&shared().url(&database), slow);
    let reads = join_all((0..16).map(|_| read(&library, "17"))).await;
    assert!(reads.iter().all(|photo| photo.as_ref().unwrap() == "photo of 17"));
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
    assert_eq!(shared().sql("postgres", &count), "4");
}

#[tokio::test]
async fn a_read_that_is_given_up_disturbs_no_other() {
    let database = customers("bigint", &["17", "18"]);
    let slow = "SELECT photo FROM customers, pg_sleep(CASE id WHEN 17 THEN 0.3 ELSE 0 END)
                WHERE id = $1";
    let library = open(&shared().url(&database), slow);
    for _ in 0..6 {
        let given_up = tokio::time::timeout(Duration::from_millis(60), read(&library, "17"));
        assert!(given_up.await.is_err());
        assert_eq!(read(&library, "18").await.unwrap(), "photo of 18");
    }
}

#[tokio::test]
async fn reads_go_through_a_pooler_of_transactions() {
    let database = customers("bigint", &["17"]);
    let pooler = shared().pooler(Mode::Transaction, 2);
    let libraries = [(); 3].map(|()| open(&pooler.url(&database), BY_ID));
    for _ in 0..4 {
        let reads = libraries.iter().flat_map(|library| [(); 5].map(|()| read(library, "17")));
        for photo in join_all(reads).await {
            assert_eq!(photo.unwrap(), "photo of 17");
        }
    }
    let checks = join_all(libraries.iter().map(|library| library.check())).await;
    assert!(checks.iter().all(Result::is_ok), "{checks:?}");
}

#[tokio::test]
async fn a_database_that_restarts_is_waited_for() {
    let cluster = Cluster::start();
    let database = cluster.create_database();
    cluster.sql(&database, "CREATE TABLE customers (id bigint PRIMARY KEY, photo bytea)");
    insert_portrait(&cluster, &database, "17");
    let library = settings(&cluster.url(&database), BY_ID, None);
    let mut server = TestServer::build_with(|config| config.library = library).await;
    assert_eq!(last_match(&run(&mut server, "17").await).state(), MatchState::Finished);
    cluster.stop(Stop::Fast);
    let folder = server.folder();
    let updates = server.client.run_match(by_key(&folder, "17")).await.unwrap();
    let mut updates = updates.into_inner();
    let mut all = Vec::new();
    while let Some(update) = updates.message().await.unwrap() {
        if let Some(Event::AttemptFailed(trouble)) = &update.event {
            assert_eq!(trouble.cause, "LIBRARY_UNREACHABLE");
            if !event_names(&all).contains(&"attempt_failed") {
                cluster.start_again();
            }
        }
        all.push(update);
    }
    assert_eq!(event_names(&all)[..3], ["accepted", "attempt_failed", "photo_uploaded"]);
    assert_eq!(last_match(&all).state(), MatchState::Finished);
    // Connections that broke while nothing was read are not noticed at all.
    cluster.restart(Stop::Immediate);
    let updates = run(&mut server, "17").await;
    assert_eq!(
        event_names(&updates),
        ["accepted", "photo_uploaded", "analysis_started", "finished"]
    );
}

#[tokio::test]
async fn a_database_that_is_out_says_why() {
    let port = free_port();
    let library = open(&format!("postgres://u@127.0.0.1:{port}/bank"), BY_ID);
    let place = format!("postgres://127.0.0.1:{port}/bank: ");
    let found = checked(&library).await;
    assert!(found.1.starts_with(&place), "{}", found.1);
    check_fault(found, LibraryFault::Unreachable, "refused");
    let cluster =
        Cluster::start_with(&[("max_connections", "4"), ("superuser_reserved_connections", "3")]);
    cluster.sql("postgres", "CREATE ROLE reader LOGIN");
    let url = cluster.url("postgres").replace("facematch@", "reader@");
    let holder = open(&url, "SELECT ''::bytea FROM pg_sleep(30) WHERE $1 <> ''");
    let holding = holder.check().await;
    assert_eq!(holding, Ok(()));
    check_fault(checked(&open(&url, BY_ID)).await, LibraryFault::Unreachable, "(53300)");
    let missing = cluster.url("nowhere");
    check_fault(checked(&open(&missing, BY_ID)).await, LibraryFault::Unreachable, "(3D000)");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = listener.local_addr().unwrap().port();
    let library = open(&format!("postgres://u@127.0.0.1:{mute}/bank"), BY_ID);
    check_fault(checked(&library).await, LibraryFault::Unreachable, "no connection");
}

/// Writes a file of the server, as the server's user.
fn write_file(cluster: &Cluster, name: &str, text: &str) {
    let text = text.replace('\'', "''");
    cluster.sql(
        "postgres",
        &format!(
            "COPY (SELECT regexp_split_to_table('{text}', E'\\n')) TO PROGRAM 'umask 077; cat > {name}'"
        ),
    );
}

#[tokio::test]
async fn a_password_that_changes_is_read_from_its_file_again() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE customers (id bigint PRIMARY KEY, photo bytea)");
    insert_portrait(&cluster, "postgres", "17");
    cluster.sql("postgres", "CREATE ROLE reader LOGIN PASSWORD 'hunter2'");
    cluster.sql("postgres", "GRANT SELECT ON customers TO reader");
    let access = "host all reader 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust";
    write_file(&cluster, "pg_hba.conf", access);
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "hunter1\n").unwrap();
    let url = cluster.url("postgres").replace("facematch@", "reader@");
    let found = checked(&open_with(&url, BY_ID, Some(secret.clone()), None)).await;
    assert!(!found.1.contains("hunter1"), "{}", found.1);
    check_fault(found, LibraryFault::Forbidden, "password authentication failed");
    let library = settings(&url, BY_ID, Some(secret.clone()));
    let mut server = TestServer::build_with(|config| config.library = library).await;
    assert_eq!(failure(&mut server, "17").await.reason, "LIBRARY_FORBIDDEN");
    fs::write(&secret, "hunter2\n").unwrap();
    server.reload().await;
    assert_eq!(last_match(&run(&mut server, "17").await).state(), MatchState::Finished);
}

#[tokio::test]
async fn certificates_to_trust_are_checked() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE customers (id bigint PRIMARY KEY, photo bytea)");
    cluster.sql("postgres", "INSERT INTO customers VALUES (17, 'photo')");
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let file = |name: &str, authority: &Authority| {
        let file = directory.path().join(name);
        fs::write(&file, authority.pem()).unwrap();
        Some(file)
    };
    let (trusted, other) = (file("ours", &ours), file("theirs", &theirs));
    let url = cluster.url("postgres");
    // A server without TLS is refused, and a network that removes it with it.
    let library = open_with(&url, BY_ID, None, trusted.clone());
    check_fault(checked(&library).await, LibraryFault::Unreachable, "TLS");
    let install = |authority: &Authority, name: &str| {
        let identity = authority.server_named(name);
        write_file(&cluster, "server.crt", &identity.cert);
        write_file(&cluster, "server.key", &identity.key);
        cluster.sql("postgres", "ALTER SYSTEM SET ssl = on");
        cluster.restart(Stop::Fast);
    };
    install(&ours, "127.0.0.1");
    assert_eq!(read(&open_with(&url, BY_ID, None, trusted.clone()), "17").await.unwrap(), "photo");
    let stranger = open_with(&url, BY_ID, None, other);
    check_fault(checked(&stranger).await, LibraryFault::Unreachable, "UnknownIssuer");
    install(&ours, "elsewhere");
    let misnamed = open_with(&url, BY_ID, None, trusted);
    check_fault(checked(&misnamed).await, LibraryFault::Unreachable, "certificate");
    // Without certificates to trust, the URL decides.
    let url = format!("{url}?sslmode=require");
    assert_eq!(read(&open(&url, BY_ID), "17").await.unwrap(), "photo");
}
