//! Every statement that a host makes often uses an index, at 1,000,000 records: by its plan, not by its time.

mod common;

use common::database;
use postgres_fixture::available;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

/// A statement, and values for it that a busy host would have.
struct Hot {
    name: &'static str,
    sql: &'static str,
    values: &'static str,
}

macro_rules! hot {
    ($($file:literal ($values:literal))*) => {
        &[$(Hot { name: $file, sql: include_str!(concat!("../sql/", $file, ".sql")), values: $values }),*]
    };
}

const HOT: &[Hot] = hot! {
    "account_by_did" ("'did:plc:u500'")
    "account_by_handle" ("'u500.test'")
    "account_by_email" ("'u500@example.com'")
    "accounts" ("'did:plc:u500', 101")
    "repo_at_head" ("'did:plc:u500'")
    "repo_at_rev" ("'did:plc:u500', '3zzzzzzzzzzz2'")
    "repo_at_time" ("'did:plc:u500', now()")
    "repos" ("'did:plc:u500', 101")
    "history" ("'did:plc:u500', '~', 101")
    "record" ("'did:plc:u500', 'app.bsky.feed.post/0000500'")
    "records" ("'did:plc:u500', 'app.bsky.feed.post/', 'app.bsky.feed.post0', 51")
    "records_reversed" ("'did:plc:u500', 'app.bsky.feed.post/', 'app.bsky.feed.post0', 51")
    "collections" ("'did:plc:u500'")
    "linking" ("'did:plc:u500', sha256('500'), 'app.bsky.feed.post/', 'app.bsky.feed.post0', 50")
    "blocks" ("'did:plc:u500', false, ARRAY[sha256('500'), sha256('1500')], 1")
    "block_refs" ("'did:plc:u500', false, ARRAY[sha256('500'), sha256('1500')], 1")
    "blob" ("'did:plc:u500', sha256('500')")
    "blobs" ("'did:plc:u500', '', 101")
    "blob_uses" ("'did:plc:u500', sha256('500'), 101")
    "row" ("now(), 1::smallint, '\\x01'")
    "rows_in_range" ("now(), 1::smallint, '', '\\x30', '\\x31', 101")
    "rows_of_owner" ("now(), 'did:plc:u500', 0::smallint, '', 101")
    "event_window" ("")
    "events" ("999000, 100, 1000000")
    "changes" ("999000, 100, 1000000")
    "read_store" ("")
    "load_accounts" ("ARRAY['did:plc:u500', 'did:plc:u501']")
    "load_names" ("ARRAY['u500.test'], ARRAY['u500@example.com']")
    "load_repos" ("ARRAY[500, 501]")
    "load_commits" ("ARRAY['did:plc:u500'], ARRAY['\\x00'::bytea], ARRAY[500], ARRAY['app.bsky.feed.post/0000500'], ARRAY[500], ARRAY['\\x00'::bytea]")
    "load_blobs" ("ARRAY[500], ARRAY['\\x00'::bytea]")
    "load_uses" ("500, '\\x00', 16")
    "load_rows" ("ARRAY[1::smallint], ARRAY['\\x00'::bytea]")
    "load_owned" ("'did:plc:u500', 1000")
    "sweep_past" ("1000, 256, now()")
    "sweep_released" ("ARRAY[500], ARRAY['\\x00'::bytea], ARRAY[1], 100")
    "sweep_rows" ("now(), 100")
    "sweep_events" ("1000000, 100, now()")
};

/// Tables that are too long to be read whole.
const LONG: &[&str] = &[
    "accounts",
    "repos",
    "blocks",
    "records",
    "commits",
    "blobs",
    "blob_uses",
    "links",
    "rows",
    "mutations",
    "events",
    "changes",
];

/// A thousand accounts of a thousand records each, and about as much of everything else.
const FILL: &str = include_str!("plans/fill.sql");

async fn plan(connection: &mut PgConnection, hot: &Hot) -> String {
    // One place of a row's lists stands for the four.
    let sql = hot.sql.replace("{n}", "0");
    let run = async |connection: &mut PgConnection, sql: String| {
        let found = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await;
        found.unwrap_or_else(|e| panic!("{}: {e}", hot.name))
    };
    run(connection, format!("PREPARE hot AS {sql}")).await;
    let values = if hot.values.is_empty() { String::new() } else { format!("({})", hot.values) };
    let rows = run(connection, format!("EXPLAIN EXECUTE hot{values}")).await;
    run(connection, "DEALLOCATE hot".to_owned()).await;
    rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
}

/// Lines of a plan that read a long table whole, or sort more than they were asked for.
fn whole_reads(plan: &str) -> Vec<&str> {
    let reads_whole = |line: &&str| {
        let at = line.find("Seq Scan on ");
        at.is_some_and(|at| LONG.contains(&line[at + 12..].split([' ', '_']).next().unwrap_or_default()))
            || at.is_some_and(|at| LONG.contains(&line[at + 12..].split(' ').next().unwrap_or_default()))
    };
    plan.lines().filter(reads_whole).collect()
}

#[tokio::test]
async fn hot_statements_use_indexes_at_a_million_records() {
    if !available() {
        return;
    }
    let database = database().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut connection).await.unwrap();
    // As the server plans a statement that is executed again and again.
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&mut connection).await.unwrap();
    for hot in HOT {
        let plan = plan(&mut connection, hot).await;
        assert!(whole_reads(&plan).is_empty(), "{}:\n{plan}", hot.name);
    }
    // A guard that finds nothing is none.
    let naive = Hot { name: "naive", sql: "SELECT count(*) FROM records WHERE cid = $1", values: "'\\x00'" };
    assert_eq!(whole_reads(&plan(&mut connection, &naive).await).len(), 1);
}
