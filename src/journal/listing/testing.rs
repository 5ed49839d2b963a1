//! The statements of lists as text, for tests that run EXPLAIN on them.

use std::fmt::Write;

use crate::{
    domain::TenantId,
    journal::{
        Filter,
        listing::{
            plan::plan,
            statement::{Piece, ScanRange, scan},
        },
    },
};

/// The statement that scans the first range of a list, with numbered parameters.
pub(in crate::journal) fn statement(filter: &Filter) -> String {
    let (tenant, plan) = (TenantId::from_stored("anna"), plan(filter));
    let pieces = scan(&plan, &tenant, ScanRange { before: None, rows: 512 });
    pieces.iter().zip(1..).fold(String::new(), |mut sql, (piece, number)| {
        match piece {
            Piece::Sql(text) => sql.push_str(text),
            _ => write!(sql, "?{number}").expect("writing to a string can't fail"),
        }
        sql
    })
}

/// Two statements for PostgreSQL: the first prepares the same scan, the second explains its
/// execution. The plan is generic, so it doesn't depend on the values.
#[cfg(feature = "postgres-tests")]
pub(in crate::journal) fn prepared(filter: &Filter, explain: &str) -> [String; 2] {
    let (tenant, plan) = (TenantId::from_stored("anna"), plan(filter));
    let pieces = scan(&plan, &tenant, ScanRange { before: None, rows: 512 });
    let (mut sql, mut types, mut values) = (String::new(), Vec::new(), Vec::new());
    for piece in &pieces {
        let (kind, value) = match piece {
            Piece::Sql(text) => {
                sql.push_str(text);
                continue;
            }
            Piece::Text(text) => ("text", format!("'{text}'")),
            Piece::Id(id) => ("uuid", format!("'{id}'")),
            Piece::Number(number) => ("bigint", number.to_string()),
        };
        types.push(kind);
        values.push(value);
        write!(sql, "${}", values.len()).expect("writing to a string can't fail");
    }
    let name = format!("l{}", uuid::Uuid::new_v4().simple());
    let (types, values) = (types.join(", "), values.join(", "));
    [format!("PREPARE {name} ({types}) AS {sql}"), format!("{explain} EXECUTE {name} ({values})")]
}
