//! The schema: brought forward at every opening, once, never back; from every earlier version with data in it.

use std::sync::Arc;

use crate::common::{database, options, tables};
use backend_api::{AccountName, Accounts as _, At, Maintenance as _, Reason, Records as _, Repos as _, VerifyLevel};
use backend_postgres::{MIGRATIONS, Migration, Postgres, migrate};
use conformance::scene;
use postgres_fixture::{Database, available};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

/// Stores of each version as `pg_dump --inserts` wrote them: an account, a repo with two records, a row, an event, a slot.
const DUMPS: &[(i32, &str)] = &[(1, include_str!("dumps/0001.sql")), (2, include_str!("dumps/0002.sql"))];

async fn connect(database: &Database) -> PgConnection {
    PgConnection::connect(&database.url()).await.unwrap()
}

#[test]
fn steps_are_numbered_and_each_has_a_dump() {
    let numbers: Vec<i32> = MIGRATIONS.iter().map(|step| step.version).collect();
    assert_eq!(numbers, (1..=MIGRATIONS.len() as i32).collect::<Vec<_>>());
    let dumped: Vec<i32> = DUMPS.iter().map(|(version, _)| *version).collect();
    assert_eq!(dumped, numbers, "a released version has a dump");
}

#[tokio::test]
async fn every_earlier_version_is_brought_forward_with_its_data() {
    if !available() {
        return;
    }
    for (version, dump) in DUMPS {
        let database = Database::create().await;
        sqlx::raw_sql(*dump).execute(&mut connect(&database).await).await.unwrap();
        let store = Postgres::open(options(database.url(), &Arc::default())).await.unwrap();
        let report = store.verify(VerifyLevel::Deep).await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new(), "version {version}");
        assert_eq!((report.repos, report.records), (1, 2), "version {version}");
        let did = scene::did("dumped");
        let account = store.account(&AccountName::Handle(scene::handle("dumped"))).await.unwrap();
        assert_eq!(account.map(|account| account.did), Some(did.clone()));
        let record = store.record(&did, &scene::path("com.example.note/1")).await.unwrap();
        assert_eq!(record.map(|record| record.cid), Some(scene::content("one").cid()));
        assert!(store.repo(&did, At::Head).await.unwrap().is_some());
        let newest = sqlx::query("SELECT max(version) FROM migrations").fetch_one(&mut connect(&database).await).await;
        assert_eq!(newest.unwrap().get::<i32, _>(0), MIGRATIONS.len() as i32);
        // Programs of version 1 would go on as before, and tell nobody which event is the oldest.
        let epoch = sqlx::query("SELECT epoch FROM store").fetch_one(&mut connect(&database).await).await.unwrap();
        assert_eq!(epoch.get::<i64, _>(0), if *version == 1 { 2 } else { 1 }, "version {version}");
        store.close().await.unwrap();
        // Nor does one that starts make the row of the store once more.
        let again = "INSERT INTO store (id) VALUES (uuid_send(gen_random_uuid())) ON CONFLICT DO NOTHING";
        sqlx::query(again).execute(&mut connect(&database).await).await.expect_err("version 1 is shut out");
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    if !available() {
        return;
    }
    let database = database().await;
    let newer = "INSERT INTO migrations (version, name, sha256) VALUES (1000, 'later', '')";
    sqlx::query(newer).execute(&mut connect(&database).await).await.unwrap();
    let refused = Postgres::open(options(database.url(), &Arc::default())).await.err().unwrap();
    assert_eq!(refused.reason(), Reason::WrongStore);
    assert!(refused.detail().contains("1000 (later)"), "{refused}");
}

#[tokio::test]
async fn a_database_whose_steps_were_other_ones_is_refused() {
    if !available() {
        return;
    }
    let database = database().await;
    sqlx::query("UPDATE migrations SET sha256 = '\\x00'").execute(&mut connect(&database).await).await.unwrap();
    let refused = Postgres::open(options(database.url(), &Arc::default())).await.err().unwrap();
    assert_eq!(refused.reason(), Reason::WrongStore);
}

/// Not what is bounded by the time of a statement: over much data a step takes hours, and who opens meanwhile waits.
#[tokio::test]
async fn a_step_takes_as_long_as_it_takes() {
    const STEPS: &[Migration] =
        &[Migration { version: 1, name: "long", sql: "CREATE TABLE long (n integer); SELECT pg_sleep(0.6)" }];
    if !available() {
        return;
    }
    let database = Database::create().await;
    let one = async || {
        let mut connection = connect(&database).await;
        // Servers before 17 have not both.
        let set = "SELECT set_config(name, '200ms', false) FROM pg_settings \
                   WHERE name IN ('statement_timeout', 'transaction_timeout')";
        sqlx::query(set).execute(&mut connection).await.unwrap();
        migrate(&mut connection, STEPS).await.unwrap();
        sqlx::query("SHOW statement_timeout").fetch_one(&mut connection).await.unwrap().get::<String, _>(0)
    };
    assert_eq!(tokio::join!(one(), one()), ("200ms".into(), "200ms".into()), "the bound is back afterwards");
}

#[tokio::test]
async fn a_step_is_made_once_by_many_at_the_same_time_or_not_at_all() {
    const STEPS: &[Migration] = &[
        Migration { version: 1, name: "one", sql: "CREATE TABLE one (n integer); INSERT INTO one VALUES (1)" },
        Migration { version: 2, name: "two", sql: "ALTER TABLE one ADD m integer; UPDATE one SET m = n + 1" },
    ];
    const BROKEN: &[Migration] = &[
        Migration { version: 1, name: "one", sql: STEPS[0].sql },
        Migration { version: 2, name: "two", sql: STEPS[1].sql },
        Migration { version: 3, name: "three", sql: "INSERT INTO one VALUES (3, 3); SELECT 1 / 0" },
    ];
    if !available() {
        return;
    }
    let mut database = Arc::new(Database::create().await);
    // Which row of the catalogue the slower ones stumble over is a matter of luck: several times.
    for round in 0..10 {
        if round > 0 {
            database = Arc::new(Database::create().await);
        }
        // Connected before, so that they come together.
        let mut connections = Vec::new();
        for _ in 0..8 {
            connections.push(connect(&database).await);
        }
        let mut all = tokio::task::JoinSet::new();
        for mut connection in connections {
            all.spawn(async move { migrate(&mut connection, STEPS).await });
        }
        while let Some(ended) = all.join_next().await {
            ended.unwrap().unwrap();
        }
    }
    let mut connection = connect(&database).await;
    let rows = sqlx::query("SELECT n, m FROM one").fetch_all(&mut connection).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<(i32, i32)>>(), [(1, 2)]);
    assert!(migrate(&mut connection, BROKEN).await.is_err());
    let mut connection = connect(&database).await;
    let rows = sqlx::query("SELECT n FROM one").fetch_all(&mut connection).await.unwrap();
    assert_eq!(rows.len(), 1, "a step that fails leaves nothing");
}

/// Who writes has locked the row of the store, and goes on to other tables: in whatever order a step takes those.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_and_who_writes_do_not_wait_for_each_other() {
    const SQL: &str = "ALTER TABLE events ADD COLUMN later integer; ALTER TABLE store ADD COLUMN later integer";
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity \
                           WHERE wait_event_type = 'Lock' AND datname = current_database()";
    if !available() {
        return;
    }
    let database = database().await;
    let (mut writer, mut other) = (connect(&database).await, connect(&database).await);
    let mut writer = writer.begin().await.unwrap();
    sqlx::query("SELECT turn FROM store FOR UPDATE").execute(&mut *writer).await.unwrap();
    let mut migrating = connect(&database).await;
    let migrating = tokio::spawn(async move {
        let again = MIGRATIONS.iter().map(|step| Migration { version: step.version, name: step.name, sql: step.sql });
        let later = Migration { version: MIGRATIONS.len() as i32 + 1, name: "later", sql: SQL };
        migrate(&mut migrating, &again.chain([later]).collect::<Vec<_>>()).await
    });
    while sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&mut other).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    let write = "INSERT INTO events (seq, at, frame) VALUES (1, now(), '')";
    sqlx::query(write).execute(&mut *writer).await.unwrap();
    writer.commit().await.unwrap();
    migrating.await.unwrap().unwrap();
}

#[tokio::test]
async fn stores_in_two_schemas_of_one_database_are_two() {
    if !available() {
        return;
    }
    let database = Database::create().await;
    let open = async |schema: &str| {
        let mut options = options(database.url(), &Arc::default());
        options.schema = schema.into();
        Postgres::open(options).await
    };
    let (a, b) = (open("store_a").await.unwrap(), open("store_b").await.unwrap());
    let cx = scene::did("alice");
    let mutation = backend_api::Mutation {
        did: cx.clone(),
        key: backend_api::IdempotencyKey([1; 16]),
        ops: vec![conformance::create_account("alice")],
        blocks: Vec::new(),
    };
    backend_api::Writes::apply(&*a, mutation).await.unwrap();
    assert!(a.account(&AccountName::Did(cx.clone())).await.unwrap().is_some());
    assert!(b.account(&AccountName::Did(cx)).await.unwrap().is_none());
    for bad in ["", "Upper", "a b", "1a", "a;drop", "a\"b"] {
        assert_eq!(open(bad).await.err().map(|e| e.reason()), Some(Reason::BadRequest), "{bad:?}");
    }
}

/// What would tie the store to one session, one server's extensions, or a superuser.
#[test]
fn statements_stay_within_plain_sql() {
    const BANNED: &[&str] = &[
        "advisory",
        "create extension",
        "temporary",
        "temp table",
        "set session",
        "set local",
        " set_config",
        "discard ",
        "create function",
        "do $$",
        "copy ",
        "declare ",
        "prepare ",
        "dblink",
        "pg_sleep",
        "superuser",
        "lo_",
    ];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for folder in ["sql", "migrations"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
            let code: String =
                text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
            for word in BANNED {
                assert!(!code.contains(word), "{}: {word:?}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen} files");
    assert!(BANNED.iter().any(|word| "select pg_advisory_lock(1)".contains(word)), "the list finds what it is for");
}

/// Texts of a source that begin as a statement does and go over a line's end.
fn long_statements(code: &str) -> Vec<&str> {
    const VERBS: [&str; 8] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "CREATE ", "ALTER ", "LOCK "];
    let begins = VERBS.iter().flat_map(|verb| code.match_indices(verb)).map(|(at, _)| at);
    let texts = begins.filter(|at| code[..*at].ends_with('"')).filter_map(|at| code[at..].split('"').next());
    texts.filter(|text| text.contains('\n')).collect()
}

#[test]
fn statements_of_more_than_a_line_are_in_files_of_their_own() {
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let code = std::fs::read_to_string(&path).unwrap();
            assert_eq!(long_statements(&code), Vec::<&str>::new(), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} files");
    assert_eq!(long_statements("query(\"SELECT 1 \\\n FROM a\")").len(), 1);
}

/// Makes the dump of the newest version anew: `DUMP=1 cargo test -p backend-postgres --test migrations dump`. Otherwise checks
/// that the dumped store and one that is made now hold the same rows.
#[tokio::test]
async fn dump_of_the_newest_version_is_what_is_written_now() {
    if !available() {
        return;
    }
    let database = database().await;
    let clock: Arc<conformance::ManualClock> = Arc::new(conformance::ManualClock::new(conformance::START));
    let store = Postgres::open(options(database.url(), &clock)).await.unwrap();
    let mut repo = scene::SceneRepo::new(scene::did("dumped"));
    let key = |n: u8| backend_api::IdempotencyKey([n; 16]);
    let account = backend_api::Mutation {
        did: repo.did.clone(),
        key: key(1),
        ops: vec![conformance::create_account("dumped"), scene::put_row(scene::row("key", "{\"json\": true}"))],
        blocks: Vec::new(),
    };
    backend_api::Writes::apply(&*store, account).await.unwrap();
    for (n, (path, text)) in [("com.example.note/1", "one"), ("com.example.note/2", "two")].into_iter().enumerate() {
        let content = scene::content(text).with_link(scene::link("subject", "did:plc:x"));
        let content = if n == 0 { scene::content(text) } else { content };
        let draft = repo.draft(&[scene::Write::Put(scene::path(path), content)]);
        backend_api::Writes::apply(&*store, draft.mutation(key(2 + n as u8))).await.unwrap();
        repo = draft.after;
    }
    let now = rows(&database).await;
    if std::env::var_os("DUMP").is_some() {
        dump(&database);
    }
    let then = Database::create().await;
    let (_, newest) = DUMPS.last().unwrap();
    sqlx::raw_sql(*newest).execute(&mut connect(&then).await).await.unwrap();
    assert_eq!(rows(&then).await, now);
}

/// Every row of the tables, as text.
async fn rows(database: &Database) -> Vec<String> {
    let mut connection = connect(database).await;
    let mut out = Vec::new();
    for table in tables(&mut connection).await {
        // What tells one store from another, and when it was made.
        let row = match table.as_str() {
            "migrations" => "to_jsonb(t) - 'applied_at'",
            "store" => "to_jsonb(t) - 'id'",
            _ => "t",
        };
        let sql = format!("SELECT ({row})::text FROM public.{table} AS t ORDER BY 1");
        let found = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
        out.extend(found.iter().map(|row| format!("{table}: {}", row.get::<String, _>(0))));
    }
    out
}

fn dump(database: &Database) {
    let url = database.url();
    let dumped = std::process::Command::new("pg_dump")
        .args(["--inserts", "--no-owner", "--no-privileges", "--dbname", &url])
        .output()
        .unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    let text = String::from_utf8(dumped.stdout).unwrap();
    // What only psql understands, and what a session keeps.
    let text: Vec<&str> = text
        .lines()
        .filter(|line| {
            !line.starts_with('\\') && !line.starts_with("SET ") && !line.contains("set_config('search_path'")
        })
        .collect();
    let file = format!("{}/tests/sql/dumps/{:04}.sql", env!("CARGO_MANIFEST_DIR"), MIGRATIONS.len());
    std::fs::write(file, text.join("\n") + "\n").unwrap();
}
