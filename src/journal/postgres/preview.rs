//! Looks at the database, and says what opening a journal in it would do. It writes nothing and
//! takes no lease.

use secrecy::SecretString;
use sqlx::{AssertSqlSafe, PgConnection, query_as, raw_sql};
use tokio::sync::watch;

use crate::journal::{
    Preview,
    postgres::{
        CONNECTIONS_BESIDE, OpenError, READERS,
        connect::{self, Database, STATEMENT_TIMEOUT},
        opening::checked,
        schema::{self, Found},
    },
};

/// The tables into which every replica writes.
const WRITTEN: [&str; 10] = [
    "store",
    "erased",
    "incarnations",
    "leases",
    "commits",
    "matches",
    "match_states",
    "match_analyses",
    "match_labels",
    "events",
];

/// What opening the journal would do. Makes two connections, and checks all that an opening checks,
/// and the rights that it needs.
///
/// # Errors
/// [`OpenError`] if the database couldn't be used.
pub async fn preview(
    url: &SecretString,
    password: Option<watch::Receiver<SecretString>>,
) -> Result<Preview, OpenError> {
    let database = Database::parse(url, password).map_err(|source| OpenError::Url { source })?;
    let needed = READERS + CONNECTIONS_BESIDE;
    let mut connection = checked(&database, needed).await?;
    let unusable = |source| OpenError::of(&database, needed, true, source);
    match schema::inspect(&mut connection).await.map_err(unusable)? {
        Found::Ours { version: 0 } => match lacking(&mut connection).await.map_err(unusable)? {
            Some(schema) => Err(OpenError::NoTables { database: database.to_string(), schema }),
            None => Ok(Preview::Create),
        },
        Found::Ours { version } => {
            explain_writes(&mut connection).await.map_err(unusable)?;
            let lacks = schema::lacks_additions(&mut connection).await.map_err(unusable)?;
            Ok(match Preview::of(version, schema::VERSION) {
                Preview::Open if lacks => Preview::Extend,
                preview => preview,
            })
        }
        Found::Newer { version } => Err(OpenError::newer(&database, version)),
        Found::Foreign => Err(OpenError::NotAJournal { database: database.to_string() }),
    }
}

/// The schema in which new tables would be, if the role may create none there.
async fn lacking(connection: &mut PgConnection) -> sqlx::Result<Option<String>> {
    const RIGHT: &str = "SELECT coalesce('the schema ' || current_schema(), 'any schema'),
        coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let asked = query_as::<_, (String, bool)>(RIGHT).fetch_one(connection);
    let (schema, may_create) = connect::in_time(STATEMENT_TIMEOUT, asked).await?;
    Ok((!may_create).then_some(schema))
}

/// Has writes planned and not executed: PostgreSQL refuses those for which the role lacks a right.
async fn explain_writes(connection: &mut PgConnection) -> sqlx::Result<()> {
    for table in WRITTEN {
        let plan = format!("EXPLAIN INSERT INTO {table} SELECT * FROM {table}");
        let planned = raw_sql(AssertSqlSafe(plan)).execute(&mut *connection);
        connect::in_time(STATEMENT_TIMEOUT, planned).await?;
    }
    Ok(())
}
