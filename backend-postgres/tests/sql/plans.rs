//! Every statement that a host makes often uses an index, at 1,000,000 records: by its plan, not by its time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::common::{SHORT, database, tables};
use backend_postgres::PLANNING;
use postgres_fixture::available;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

/// Statements that read tables whole, and why they may. Every other file of `sql/` must not.
const WHOLE: &[(&str, &str)] = &[
    ("snapshot_", "a copy of everything"),
    ("verify_", "a check of everything"),
    ("stats", "asked for by an operator"),
];

/// A thousand accounts of a thousand records each, and about as much of everything else.
const FILL: &str = include_str!("plans/fill.sql");

/// Many accounts that have a few of each thing: what the planner takes for the usual, also where it meets a large one.
const SMALL: &str = include_str!("plans/small.sql");

async fn run(connection: &mut PgConnection, name: &str, sql: String) -> Vec<sqlx::postgres::PgRow> {
    let found = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await;
    found.unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The plan that is kept for a prepared statement: no value has a part in it.
async fn plan(connection: &mut PgConnection, name: &str, sql: &str) -> Value {
    // One place of a row's lists stands for the four.
    let sql = sql.replace("{n}", "0");
    run(connection, name, format!("PREPARE hot AS {sql}")).await;
    let values = (1..).take_while(|n| sql.contains(&format!("${n}"))).map(|_| "NULL").collect::<Vec<_>>().join(", ");
    let values = if values.is_empty() { values } else { format!("({values})") };
    let rows = run(connection, name, format!("EXPLAIN (FORMAT JSON) EXECUTE hot{values}")).await;
    run(connection, name, "DEALLOCATE hot".to_owned()).await;
    let text: String = rows[0].get_unchecked(0);
    let plans: Value = serde_json::from_str(&text).unwrap();
    plans[0]["Plan"].clone()
}

/// What is long.
struct Long {
    tables: Vec<String>,
    /// The first column of each index, and the next if that is only a kind, of which there are few: what does not name them
    /// goes through all of the index, or much of it.
    leading: HashMap<String, Vec<String>>,
}

impl Long {
    async fn read(connection: &mut PgConnection) -> Self {
        let mut tables = tables(connection).await;
        tables.retain(|table| !SHORT.contains(&table.as_str()));
        let sql = "SELECT c.relname::text, array_agg(a.attname::text) FROM pg_class AS c JOIN pg_attribute AS a \
                   ON a.attrelid = c.oid AND (a.attnum = 1 OR a.attnum = 2 AND \
                       (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1) = 'kind') \
                   WHERE c.relkind = 'i' AND c.relnamespace = 'public'::regnamespace GROUP BY c.relname";
        let rows = sqlx::query(sql).fetch_all(connection).await.unwrap();
        Self { tables, leading: rows.iter().map(|row| (row.get(0), row.get(1))).collect() }
    }

    fn is_bounded(&self, node: &Value) -> bool {
        let text = |field: &str| node[field].as_str().unwrap_or_default();
        let condition = text("Index Cond");
        let words: Vec<&str> = condition.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let leading = self.leading.get(text("Index Name"));
        leading.is_some_and(|leading| leading.iter().all(|column| words.contains(&column.as_str())))
    }
}

/// The long tables that a plan reads from one end: by no index, or by all of one.
fn whole_reads(node: &Value, long: &Long, out: &mut Vec<String>) {
    reads(node, long, false, out);
}

/// Of what is below a limit of one, in the order of an index and of which nothing is thrown away, one entry is read.
fn reads(node: &Value, long: &Long, is_first: bool, out: &mut Vec<String>) {
    let text = |field: &str| node[field].as_str().unwrap_or_default();
    let (kind, table) = (text("Node Type"), text("Relation Name"));
    let is_bounded = match kind {
        "Index Scan" | "Index Only Scan" if is_first && node["Filter"].is_null() => true,
        "Index Scan" | "Index Only Scan" => long.is_bounded(node),
        // What is below it says so.
        "Bitmap Heap Scan" => true,
        kind => !kind.ends_with("Scan"),
    };
    if !is_bounded && long.tables.iter().any(|name| name == table) {
        out.push(format!("{kind} of {table}"));
    }
    let is_ours = long.leading.contains_key(text("Index Name"));
    if kind == "Bitmap Index Scan" && is_ours && !long.is_bounded(node) {
        out.push(format!("{kind} of {}", text("Index Name")));
    }
    let is_first = match kind {
        "Limit" => node["Plan Rows"] == 1,
        "LockRows" | "Append" => is_first,
        _ => false,
    };
    for child in node["Plans"].as_array().into_iter().flatten() {
        reads(child, long, is_first, out);
    }
}

/// What costs little of what is usual, and as much as there is of a large account: what is thrown away behind an index, or
/// sorted for the first of it.
fn unbounded(node: &Value, is_limited: bool, out: &mut Vec<String>) {
    let text = |field: &str| node[field].as_str().unwrap_or_default();
    let kind = text("Node Type");
    let children = || node["Plans"].as_array().into_iter().flatten();
    if kind == "Sort" && is_limited && children().all(|child| child["Node Type"] != "Limit") {
        out.push(format!("Sort by {}", node["Sort Key"]));
    }
    // In a left join for one value of the outer side there is one row of the inner.
    let is_of_one = node["Join Type"] == "Left" && node["Inner Unique"] == true;
    if !node["Join Filter"].is_null() && !is_of_one {
        out.push(format!("{kind} with {}", text("Join Filter")));
    }
    if text("Filter").contains("ANY (") || kind.starts_with("Bitmap") {
        out.push(format!("{kind} of {} with {}", text("Relation Name"), text("Filter")));
    }
    for child in children() {
        unbounded(child, kind == "Limit", out);
    }
}

/// What reads nothing of the store, or asks for figures that not every server has.
const OTHERS: [&str; 2] = ["create_migrations", "server_syncs"];

/// Name and text of every statement: of those in files, and of those of a line that stand in the code.
fn statements() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for (path, text) in files(&root.join("sql")) {
        found.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), text));
    }
    for (path, code) in files(&root.join("src")) {
        let lines = code.lines().enumerate();
        found.extend(lines.filter_map(|(n, line)| Some((format!("{}:{}", path.display(), n + 1), in_code(line)?))));
    }
    found.sort();
    found
}

/// The statement of a line of code that reads or writes tables of the store.
fn in_code(line: &str) -> Option<String> {
    let texts = line.split('"').skip(1).step_by(2);
    let mut statements = texts.filter(|text| {
        let is_statement = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "].iter().any(|verb| text.starts_with(verb));
        is_statement && !text.contains("pg_") && !text.contains("current_setting")
    });
    statements.next().map(str::to_owned)
}

/// All files below a folder, and what is in them.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

#[tokio::test]
async fn hot_statements_use_indexes_at_a_million_records() {
    if !available() {
        return;
    }
    let database = database().await;
    let options: PgConnectOptions = database.url().parse().unwrap();
    let mut connection = PgConnection::connect_with(&options.options(PLANNING)).await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut connection).await.unwrap();
    let long = Long::read(&mut connection).await;
    let (mut hot, mut wrong) = (0, Vec::new());
    for (name, sql) in statements() {
        if WHOLE.iter().any(|(whole, _)| name.starts_with(whole)) || OTHERS.contains(&name.as_str()) {
            continue;
        }
        let plan = plan(&mut connection, &name, &sql).await;
        let mut found = Vec::new();
        whole_reads(&plan, &long, &mut found);
        wrong.extend(found.into_iter().map(|found| format!("{name}: {found}\n{plan:#}")));
        hot += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(hot > 80, "{hot} statements");
    // A guard that finds nothing is none.
    for naive in [
        "SELECT count(*) FROM records WHERE cid = $1",
        "SELECT key FROM rows WHERE kind = $1 AND body = $2",
        "SELECT path FROM records ORDER BY repo, path LIMIT $1",
        "SELECT seq FROM store",
        "SELECT id FROM sweeps ORDER BY pos LIMIT 1",
        "SELECT id FROM sweeps WHERE pos > $1 ORDER BY since LIMIT 1",
        "SELECT b.cid FROM unnest($1::bytea[]) AS k (cid) JOIN blocks AS b ON b.cid = k.cid",
    ] {
        let mut found = Vec::new();
        whole_reads(&plan(&mut connection, "naive", naive).await, &long, &mut found);
        assert!(!found.is_empty(), "{naive}");
    }
}

/// A plan is made for what is usual, whoever is asked for.
#[tokio::test]
async fn a_large_account_among_small_ones_costs_no_more_than_what_is_asked() {
    if !available() {
        return;
    }
    let database = database().await;
    let options: PgConnectOptions = database.url().parse().unwrap();
    let mut connection = PgConnection::connect_with(&options.options(PLANNING)).await.unwrap();
    sqlx::raw_sql(SMALL).execute(&mut connection).await.unwrap();
    let long = Long::read(&mut connection).await;
    let mut wrong = Vec::new();
    for (name, sql) in statements() {
        let is_whole = WHOLE.iter().any(|(whole, _)| name.starts_with(whole)) && name != "verify_blocks";
        // The sizes are in the server's own tables.
        if is_whole || OTHERS.contains(&name.as_str()) || name == "space" {
            continue;
        }
        let plan = plan(&mut connection, &name, &sql).await;
        let mut found = Vec::new();
        whole_reads(&plan, &long, &mut found);
        unbounded(&plan, false, &mut found);
        wrong.extend(found.into_iter().map(|found| format!("{name}: {found}\n{plan:#}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for naive in [
        "SELECT cid FROM blocks WHERE repo = $1 AND refs = ANY ($2)",
        "SELECT u.cid FROM blob_uses AS u WHERE u.repo = $1 AND NOT EXISTS \
         (SELECT FROM blobs AS b WHERE b.account = $2 AND b.cid = u.cid)",
        "SELECT path FROM records WHERE repo = $1 ORDER BY cid LIMIT $2",
    ] {
        let mut found = Vec::new();
        unbounded(&plan(&mut connection, "naive", naive).await, false, &mut found);
        assert!(!found.is_empty(), "{naive}");
    }
}

/// While anybody holds an old snapshot every version of a row since then is kept: nobody may have to look through them. By
/// the pages that are touched, not by time.
#[tokio::test]
async fn an_old_snapshot_makes_nobody_look_through_the_past() {
    const TURNS: i64 = 4_000;
    const PAGES_MAX: u64 = 16;
    if !available() {
        return;
    }
    let database = database().await;
    let mut old = PgConnection::connect(&database.url()).await.unwrap();
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM store";
    sqlx::raw_sql(begin).fetch_all(&mut old).await.unwrap();
    let options: PgConnectOptions = database.url().parse().unwrap();
    let mut connection = PgConnection::connect_with(&options.options(PLANNING)).await.unwrap();
    let first: i64 = sqlx::query("SELECT turn FROM store").fetch_one(&mut connection).await.unwrap().get(0);
    for turn in first..first + TURNS {
        let update = sqlx::query("UPDATE store SET turn = turn + 1 WHERE turn = $1").bind(turn);
        assert_eq!(update.execute(&mut connection).await.unwrap().rows_affected(), 1);
    }
    let reads = statements().into_iter().filter(|(_, sql)| sql.contains("ORDER BY turn DESC") && !sql.contains('$'));
    let update = format!("UPDATE store SET turn = turn + 1 WHERE turn = {}", first + TURNS);
    let mut seen = 0;
    for (name, sql) in reads.chain([("update".to_owned(), update)]) {
        let sql = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}");
        let text: String = run(&mut connection, &name, sql).await[0].get_unchecked(0);
        let plans: Value = serde_json::from_str(&text).unwrap();
        let touched = |what: &str| plans[0]["Plan"][what].as_u64().unwrap();
        let pages = touched("Shared Hit Blocks") + touched("Shared Read Blocks");
        assert!((1..=PAGES_MAX).contains(&pages), "{name} touches {pages} pages");
        seen += 1;
    }
    assert!(seen >= 4, "{seen} statements");
}
