//! Sends the statements that many operations have in common: one copy for each operation, and many
//! copies in one trip to SQLite's thread.
//!
//! Every trip to that thread and back costs two thread switches, more than the statements
//! themselves. So a template is written out twice, four times, eight times … with its values
//! numbered consecutively, and each of these texts is prepared once. If all operations of a
//! transaction share one template, the whole transaction is such a text, BEGIN and COMMIT included.

use std::sync::{Arc, OnceLock};

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Either, Executor, query};

use crate::journal::{
    Error,
    batch::Failure,
    sqlite::{
        operation::{Job, Rows, Tx},
        rows::Query,
    },
};

/// The most copies in one text. More would save little, and each text stays prepared.
const COPIES_MAX: usize = 32;

/// One text for each power of two up to [`COPIES_MAX`].
const TEXTS: usize = COPIES_MAX.ilog2() as usize + 1;

/// Statements with values `$1` to `$n`, each statement ended by a semicolon.
pub(super) struct Template {
    statement_count: usize,
    value_count: usize,
    sql: &'static str,
    copies: [OnceLock<Arc<str>>; TEXTS],
    transactions: [OnceLock<Arc<str>>; TEXTS],
}

impl Template {
    pub(super) const fn new(statements: usize, values: usize, sql: &'static str) -> Self {
        Self {
            statement_count: statements,
            value_count: values,
            sql,
            copies: [const { OnceLock::new() }; TEXTS],
            transactions: [const { OnceLock::new() }; TEXTS],
        }
    }

    /// One copy of the statements.
    pub(super) fn sql(&self) -> &'static str {
        self.sql
    }

    /// `2^power` copies of the statements.
    fn copies(&self, power: u32) -> Arc<str> {
        let copies =
            || (0..1 << power).map(|copy| self.renumbered(copy * self.value_count)).collect();
        let text = self.copies[power as usize].get_or_init(|| {
            let text: String = copies();
            text.into()
        });
        Arc::clone(text)
    }

    /// A transaction of `2^power` copies.
    fn transaction(&self, power: u32) -> Arc<str> {
        let whole = || format!("BEGIN IMMEDIATE; {} COMMIT;", self.copies(power)).into();
        Arc::clone(self.transactions[power as usize].get_or_init(whole))
    }

    fn renumbered(&self, offset: usize) -> String {
        let mut parts = self.sql.split('$');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let (number, rest) = part.split_at(end);
            let number: usize = number.parse().expect("values are written as $ and a number");
            text.push_str(&format!("${}{rest}", number + offset));
        }
        text
    }
}

/// The template that all jobs begin with, if there is a text with exactly one copy for each job.
pub(super) fn shared_template(jobs: &[Box<dyn Job>]) -> Option<&'static Template> {
    let template = jobs.first()?.template()?;
    let fits = jobs.len().is_power_of_two() && jobs.len() <= COPIES_MAX;
    let is_sole = jobs.iter().all(|job| job.template().is_some_and(|t| std::ptr::eq(t, template)));
    (fits && is_sole).then_some(template)
}

/// Runs a whole transaction of the jobs' template in one trip, with its BEGIN and COMMIT. Returns
/// the rows of each job's statements.
pub(super) async fn run_transaction(
    tx: &mut Tx<'_>,
    template: &Template,
    jobs: &[Box<dyn Job>],
) -> Result<Vec<Rows>, Failure> {
    let mut query: Query<'_> = query(AssertSqlSafe(template.transaction(jobs.len().ilog2())));
    for job in jobs {
        query = job.bind(query, tx);
    }
    let mut rows: Vec<Rows> = jobs.iter().map(|_| Rows::new()).collect();
    let mut steps = tx.connection().fetch_many(query);
    let (mut statements_done, of_jobs) = (0, template.statement_count * jobs.len());
    loop {
        match steps.try_next().await {
            Ok(Some(Either::Left(_))) => statements_done += 1,
            // The first statement was BEGIN.
            Ok(Some(Either::Right(row))) => {
                rows[(statements_done - 1) / template.statement_count].push(row);
            }
            Ok(None) => return Ok(rows),
            Err(error) if (1..=of_jobs).contains(&statements_done) => {
                return Err(Failure::Job(error.into()));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends the templates that the jobs begin with, in as few trips as possible. Returns the rows of
/// each job's statements, in the order of the jobs; none for a job without a template.
pub(super) async fn run_templates(
    tx: &mut Tx<'_>,
    jobs: &[Box<dyn Job>],
) -> Result<Vec<Rows>, Error> {
    let mut rows: Vec<Rows> = jobs.iter().map(|_| Rows::new()).collect();
    let mut todo: Vec<usize> = (0..jobs.len()).collect();
    while let Some(template) = todo.iter().find_map(|job| jobs[*job].template()) {
        let is_same =
            |job: &usize| jobs[*job].template().is_some_and(|t| std::ptr::eq(t, template));
        let same: Vec<usize> = todo.extract_if(.., |job| is_same(job)).collect();
        todo.retain(|job| jobs[*job].template().is_some());
        let mut rest = same.as_slice();
        while !rest.is_empty() {
            let power = rest.len().min(COPIES_MAX).ilog2();
            let (now, later) = rest.split_at(1 << power);
            run_copies(tx, template, power, jobs, now, &mut rows).await?;
            rest = later;
        }
    }
    Ok(rows)
}

async fn run_copies(
    tx: &mut Tx<'_>,
    template: &Template,
    power: u32,
    jobs: &[Box<dyn Job>],
    now: &[usize],
    rows: &mut [Rows],
) -> Result<(), Error> {
    let mut query: Query<'_> = query(AssertSqlSafe(template.copies(power)));
    for job in now {
        query = jobs[*job].bind(query, tx);
    }
    let mut steps = tx.connection().fetch_many(query);
    let mut statements_done = 0;
    while let Some(step) = steps.try_next().await? {
        match step {
            Either::Left(_) => statements_done += 1,
            Either::Right(row) => rows[now[statements_done / template.statement_count]].push(row),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_have_values_of_their_own() {
        let template = Template::new(2, 11, "SELECT $1, $11; SELECT $2;");
        assert_eq!(&*template.copies(0), "SELECT $1, $11; SELECT $2;");
        assert_eq!(&*template.copies(1), "SELECT $1, $11; SELECT $2;SELECT $12, $22; SELECT $13;");
    }
}
