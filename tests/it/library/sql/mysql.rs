//! A library in a real MariaDB.

use std::{fs, sync::Arc, time::Duration};

use facematch::{
    domain::LibraryFault,
    library::LibrarySource,
    pb::{MatchState, match_update::Event},
};
use futures_util::future::join_all;

use crate::{
    library::{
        by_key, failure, run,
        sql::{Memory, check_fault, checked, fault, open, open_with, read, read_into, settings},
    },
    mysql::{Server, shared},
    support::{TestServer, event_names, last_match, portrait},
    tls::authority::Authority,
};

const BY_ID: &str = "SELECT photo FROM customers WHERE id = ?";

/// A database in which a table has a row for each of these keys, whose photo is `photo of KEY`.
async fn customers(id_type: &str, keys: &[&str]) -> String {
    let database = shared().create_database().await;
    let create = format!("CREATE TABLE customers (id {id_type} PRIMARY KEY, photo LONGBLOB)");
    shared().sql(&database, &create).await;
    for key in keys {
        let key = key.replace('\\', "\\\\").replace('\'', "''");
        let insert = format!("INSERT INTO customers VALUES ('{key}', 'photo of {key}')");
        shared().sql(&database, &insert).await;
    }
    database
}

fn open_as_root(database: &str, query: &str) -> Arc<dyn LibrarySource> {
    open(&shared().url("root", database), query)
}

async fn insert_portrait(server: &Server, database: &str, id: &str) {
    let hex: String = portrait().iter().map(|byte| format!("{byte:02x}")).collect();
    server.sql(database, &format!("INSERT INTO customers VALUES ('{id}', x'{hex}')")).await;
}

#[tokio::test]
async fn a_match_by_a_customers_number_is_uploaded_byte_for_byte() {
    let database = customers("BIGINT", &[]).await;
    insert_portrait(shared(), &database, "17").await;
    let library = settings(&shared().url("root", &database), BY_ID, None);
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
    for key in ["18", "17x", "customer-17"] {
        assert_eq!(failure(&mut server, key).await.reason, "REFERENCE_NOT_FOUND", "{key}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_quite_a_number_finds_no_photo() {
    let numbers = ["17", "9007199254740992"];
    for id_type in ["BIGINT", "INT UNSIGNED", "DECIMAL(20)"] {
        let numbers = if id_type == "INT UNSIGNED" { &numbers[..1] } else { &numbers[..] };
        let library = open_as_root(&customers(id_type, numbers).await, BY_ID);
        for key in numbers {
            assert_eq!(read(&library, key).await.unwrap(), format!("photo of {key}"), "{id_type}");
        }
        for key in ["17x", "17 x", "x17", "17'", "17;", "17 OR 1=1", "9007199254740993", "0x11"] {
            let found = fault(&library, key).await;
            assert_eq!(found.0, LibraryFault::NotFound, "{id_type} {key}: {}", found.1);
        }
    }
    let uuid = "5b5b5b5b-5b5b-5b5b-5b5b-5b5b5b5b5b5b";
    let library = open_as_root(&customers("UUID", &[uuid]).await, BY_ID);
    assert_eq!(read(&library, uuid).await.unwrap(), format!("photo of {uuid}"));
    check_fault(fault(&library, "5b5b").await, LibraryFault::NotFound, "");
}

#[tokio::test]
async fn a_query_that_rounds_the_key_is_refused() {
    let library = open_as_root(&customers("DOUBLE", &["17", "9007199254740992"]).await, BY_ID);
    assert_eq!(read(&library, "17").await.unwrap(), "photo of 17");
    for key in ["9007199254740992", "9007199254740993"] {
        check_fault(fault(&library, key).await, LibraryFault::Protocol, "CAST(? AS SIGNED)");
    }
    let cast = "SELECT photo FROM customers WHERE id = CAST(? AS SIGNED)";
    let numbers = ["17", "9007199254740992", "9007199254740993"];
    let library = open_as_root(&customers("BIGINT", &numbers).await, cast);
    for key in numbers {
        assert_eq!(read(&library, key).await.unwrap(), format!("photo of {key}"));
    }
    for key in ["9007199254740991", "17x", "x"] {
        check_fault(fault(&library, key).await, LibraryFault::NotFound, "");
    }
}

#[tokio::test]
async fn text_is_bound_and_compared_as_the_column_has_it() {
    const KEYS: [&str; 7] = ["17", "'", "\\", "%", "' OR ''='", "ä", "\u{1f642}"];
    let id_type = "VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
    let library = open_as_root(&customers(id_type, &KEYS).await, BY_ID);
    for key in KEYS {
        assert_eq!(read(&library, key).await.unwrap(), format!("photo of {key}"));
    }
    for key in ["_", "a", "Ä", "17'; DROP TABLE customers; --", "\\'", "''", "' OR '1'='1"] {
        let found = fault(&library, key).await;
        assert_eq!(found.0, LibraryFault::NotFound, "{key}: {}", found.1);
    }
    assert_eq!(read(&library, "17").await.unwrap(), "photo of 17");
    // The column has no such character.
    let latin = open_as_root(&customers("VARCHAR(9) CHARACTER SET latin1", &["17"]).await, BY_ID);
    check_fault(fault(&latin, "17\u{1f642}").await, LibraryFault::NotFound, "");
    assert_eq!(read(&latin, "17").await.unwrap(), "photo of 17");
}

#[tokio::test]
async fn a_query_is_refused_unless_it_has_one_key_and_one_photo() {
    let database = customers("BIGINT", &["17"]).await;
    shared().sql(&database, "CREATE TABLE others (id BIGINT, encoded TEXT, facts JSON)").await;
    for (query, part) in [
        ("SELECT photo FROM customers", "has 0 parameters: it must have one, ?"),
        ("SELECT photo FROM customers WHERE id = ? AND id < ?", "has 2 parameters"),
        ("SELECT id, photo FROM customers WHERE id = ?", "has 2 columns: it must have one"),
        ("SELECT encoded FROM others WHERE id = ?", "the photo must be a BLOB"),
        ("SELECT id FROM others WHERE id = ?", "has a column of type BIGINT"),
        ("SELECT photo FROM nowhere WHERE id = ?", "nowhere' doesn't exist (1146)"),
        ("SELECT photo FROM customers WHERE id = ?; SELECT 1", "(1064)"),
        ("SELECT photo FROM customers WHERE id = ?) SELECT 1, 2 -- ", "(1064)"),
        ("DELETE FROM customers WHERE id = ?", "(1792)"),
        ("photo", "(1064)"),
    ] {
        let library = open_as_root(&database, query);
        check_fault(checked(&library).await, LibraryFault::Protocol, part);
        check_fault(fault(&library, "17").await, LibraryFault::Protocol, part);
    }
    for query in [
        "SELECT photo FROM customers WHERE id = ?;\n",
        "SELECT photo FROM customers WHERE id = ? -- by the number",
        "SELECT photo FROM customers WHERE id = ? # by the number",
        "WITH c AS (SELECT * FROM customers) SELECT photo FROM c WHERE id = ?",
    ] {
        let library = open_as_root(&database, query);
        assert_eq!(library.check().await, Ok(()), "{query}");
        assert_eq!(read(&library, "17").await.unwrap(), "photo of 17", "{query}");
    }
}

#[tokio::test]
async fn every_binary_type_will_do() {
    for column in ["TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB", "BINARY(5)", "VARBINARY(9)"] {
        let database = shared().create_database().await;
        let create = format!(
            "CREATE TABLE customers (id INT PRIMARY KEY, photo {column}); \
             INSERT INTO customers VALUES (17, 'photo')"
        );
        shared().sql(&database, &create).await;
        assert_eq!(read(&open_as_root(&database, BY_ID), "17").await.unwrap(), "photo", "{column}");
    }
}

#[tokio::test]
async fn only_one_row_with_a_photo_is_a_photo() {
    let database = customers("BIGINT", &["17"]).await;
    shared().sql(&database, "INSERT INTO customers VALUES (18, NULL), (19, '')").await;
    let library = open_as_root(&database, BY_ID);
    check_fault(fault(&library, "1").await, LibraryFault::NotFound, "no row");
    check_fault(fault(&library, "18").await, LibraryFault::NotFound, "is NULL");
    assert_eq!(read(&library, "19").await.unwrap(), "");
    let all = open_as_root(&database, "SELECT photo FROM customers WHERE id <> ?");
    check_fault(fault(&all, "1").await, LibraryFault::Ambiguous, "more than one row");
    let sub = open_as_root(&database, "SELECT (SELECT photo FROM customers WHERE id <> ?)");
    check_fault(fault(&sub, "1").await, LibraryFault::Ambiguous, "error 1242");
}

#[tokio::test]
async fn a_photo_over_the_limit_is_not_fetched() {
    let database = customers("BIGINT", &[]).await;
    for (id, bytes) in [(1, 10_485_760), (2, 10_485_761), (3, 100_000_000)] {
        let insert = format!("INSERT INTO customers VALUES ({id}, repeat('x', {bytes}))");
        shared().sql(&database, &insert).await;
    }
    let library = open_as_root(&database, BY_ID);
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

/// The row is made by the query: a stored one of this size needs a log of ten times as much.
#[tokio::test]
async fn a_row_of_a_gigabyte_is_not_fetched() {
    let database = customers("BIGINT", &["17"]).await;
    let query = "SELECT repeat(photo, 90000000) FROM customers WHERE id = ?";
    let library = open_as_root(&database, query);
    let mut memory = Memory::default();
    let refused = read_into(&library, "17", &mut memory).await.unwrap_err().to_string();
    assert!(refused.contains("990000000 bytes"), "{refused}");
    assert_eq!(memory.0, 0);
}

#[tokio::test]
async fn a_read_is_short_and_writes_nothing() {
    let database = customers("BIGINT", &["17"]).await;
    for (setting, value) in [("max_statement_time", "20.000000"), ("in_transaction", "1")] {
        let query = format!("SELECT CAST(@@{setting} AS BINARY) FROM customers WHERE id = ?");
        assert_eq!(read(&open_as_root(&database, &query), "17").await.unwrap(), value);
    }
    shared()
        .sql(
            &database,
            "CREATE FUNCTION forget(k BIGINT) RETURNS LONGBLOB MODIFIES SQL DATA
             BEGIN DELETE FROM customers WHERE id = k; RETURN ''; END",
        )
        .await;
    let library = open_as_root(&database, "SELECT forget(?)");
    check_fault(fault(&library, "17").await, LibraryFault::Protocol, "(1792)");
    assert_eq!(read(&open_as_root(&database, BY_ID), "17").await.unwrap(), "photo of 17");
}

#[tokio::test]
async fn what_the_account_may_not_read_is_forbidden() {
    let database = customers("BIGINT", &["17"]).await;
    shared()
        .sql(
            &database,
            &format!(
                "CREATE USER reader@'127.0.0.1'; GRANT SELECT ON {database}.customers TO \
                 reader@'127.0.0.1'; CREATE TABLE secrets (id BIGINT, photo BLOB); CREATE USER \
                 locked@'127.0.0.1' IDENTIFIED BY 'hunter2'"
            ),
        )
        .await;
    let url = shared().url("reader", &database);
    assert_eq!(read(&open(&url, BY_ID), "17").await.unwrap(), "photo of 17");
    let secrets = open(&url, "SELECT photo FROM secrets WHERE id = ?");
    check_fault(checked(&secrets).await, LibraryFault::Forbidden, "denied to user");
    let locked = open(&shared().url("locked:hunter1", &database), BY_ID);
    let found = checked(&locked).await;
    assert!(!found.1.contains("hunter1"), "{}", found.1);
    check_fault(found, LibraryFault::Forbidden, "(1045)");
    let missing = open_as_root("nowhere", BY_ID);
    check_fault(checked(&missing).await, LibraryFault::Unreachable, "(1049)");
    // The right is lost after the query was described.
    let library = open(&url, BY_ID);
    assert_eq!(library.check().await, Ok(()));
    let revoke = format!("REVOKE SELECT ON {database}.customers FROM reader@'127.0.0.1'");
    shared().sql(&database, &revoke).await;
    check_fault(fault(&library, "17").await, LibraryFault::Forbidden, "error 1142");
}

#[tokio::test]
async fn errors_of_the_operators_own_do_not_show_the_key() {
    let database = shared().create_database().await;
    shared()
        .sql(
            &database,
            "CREATE FUNCTION photo_of(k TEXT) RETURNS LONGBLOB DETERMINISTIC NO SQL
             BEGIN
                 DECLARE number INT DEFAULT CAST(SUBSTRING_INDEX(k, ' ', 1) AS SIGNED);
                 DECLARE words TEXT DEFAULT CONCAT('no customer ', k);
                 SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = number, MESSAGE_TEXT = words;
                 RETURN '';
             END",
        )
        .await;
    let library = open_as_root(&database, "SELECT photo_of(?)");
    for (number, expected) in [
        ("1644", LibraryFault::Protocol),
        ("1142", LibraryFault::Forbidden),
        ("1366", LibraryFault::NotFound),
        ("1242", LibraryFault::Ambiguous),
        ("1040", LibraryFault::Unreachable),
        ("1205", LibraryFault::Unreachable),
        ("1969", LibraryFault::Unreachable),
        ("3024", LibraryFault::Unreachable),
    ] {
        let found = fault(&library, &format!("{number} 4711")).await;
        check_fault(found, expected, &format!("error {number}"));
    }
}

#[tokio::test]
async fn a_read_that_is_given_up_disturbs_no_other() {
    let database = customers("BIGINT", &["17", "18"]).await;
    let slow = "SELECT photo FROM customers WHERE id = ? AND IF(id = 17, SLEEP(0.3), 0) = 0";
    let library = open_as_root(&database, slow);
    for _ in 0..6 {
        let given_up = tokio::time::timeout(Duration::from_millis(60), read(&library, "17"));
        assert!(given_up.await.is_err());
        assert_eq!(read(&library, "18").await.unwrap(), "photo of 18");
    }
    let reads = join_all((0..16).map(|_| read(&library, "18"))).await;
    assert!(reads.iter().all(|photo| photo.as_ref().unwrap() == "photo of 18"));
}

#[tokio::test]
async fn a_server_that_restarts_and_a_password_that_changes_are_waited_for() {
    let mariadb = Server::start_with(&[]);
    let database = mariadb.create_database().await;
    mariadb
        .sql(
            &database,
            &format!(
                "CREATE TABLE customers (id BIGINT PRIMARY KEY, photo LONGBLOB); CREATE USER \
                 reader@'127.0.0.1' IDENTIFIED BY 'hunter2'; GRANT SELECT ON {database}.* TO \
                 reader@'127.0.0.1'"
            ),
        )
        .await;
    insert_portrait(&mariadb, &database, "17").await;
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "hunter1\n").unwrap();
    let url = mariadb.url("reader", &database);
    let library = settings(&url, BY_ID, Some(secret.clone()));
    let mut server = TestServer::build_with(|config| config.library = library).await;
    assert_eq!(failure(&mut server, "17").await.reason, "LIBRARY_FORBIDDEN");
    fs::write(&secret, "hunter2\n").unwrap();
    server.reload().await;
    assert_eq!(last_match(&run(&mut server, "17").await).state(), MatchState::Finished);
    mariadb.kill();
    let folder = server.folder();
    let updates = server.client.run_match(by_key(&folder, "17")).await.unwrap();
    let mut updates = updates.into_inner();
    let mut all = Vec::new();
    while let Some(update) = updates.message().await.unwrap() {
        if let Some(Event::AttemptFailed(trouble)) = &update.event {
            assert_eq!(trouble.cause, "LIBRARY_UNREACHABLE");
            if !event_names(&all).contains(&"attempt_failed") {
                mariadb.start_again();
            }
        }
        all.push(update);
    }
    let begun = ["accepted", "attempt_failed", "photo_uploaded"];
    assert_eq!(event_names(&all)[..3], begun, "{:?}", last_match(&all).error);
    assert_eq!(last_match(&all).state(), MatchState::Finished);
}

#[tokio::test]
async fn certificates_to_trust_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let file = |name: &str, text: &str| {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        file
    };
    let identity = ours.server_named("127.0.0.1");
    let settings = [
        format!("--ssl-cert={}", file("server.crt", &identity.cert).display()),
        format!("--ssl-key={}", file("server.key", &identity.key).display()),
    ];
    let mariadb = Server::start_with(&settings);
    let database = mariadb.create_database().await;
    mariadb
        .sql(
            &database,
            "CREATE TABLE customers (id INT, photo BLOB); INSERT INTO customers VALUES (17, 'p')",
        )
        .await;
    let url = mariadb.url("root", &database);
    let trusting = |authority: &Authority, url: &str| {
        open_with(url, BY_ID, None, Some(file("ca", &authority.pem())))
    };
    assert_eq!(read(&trusting(&ours, &url), "17").await.unwrap(), "p");
    let stranger = trusting(&theirs, &url);
    check_fault(checked(&stranger).await, LibraryFault::Unreachable, "UnknownIssuer");
    let misnamed = trusting(&ours, &url.replace("127.0.0.1", "localhost"));
    check_fault(checked(&misnamed).await, LibraryFault::Unreachable, "certificate");
    // A server without TLS is refused, and a network that removes it with it.
    let plain = trusting(&ours, &shared().url("root", "mysql"));
    check_fault(checked(&plain).await, LibraryFault::Unreachable, "TLS");
    // Without certificates to trust, the URL decides.
    assert_eq!(read(&open(&format!("{url}?ssl-mode=REQUIRED"), BY_ID), "17").await.unwrap(), "p");
}
