//! What an operator is promised: questions in SQL, TLS, and a password that is never shown.

mod checks;
mod feeds;
mod opening;
mod options;
mod sweeps;

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::common::{database, options};
use backend_api::{IdempotencyKey, Maintenance as _, Mutation, Writes as _};
use backend_postgres::{Options, Postgres};
use conformance::{create_account, scene};
use postgres_fixture::{Durability, available, local};
use scene::SceneRepo;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

const DOCUMENT: &str = include_str!("../../../../docs/postgres.md");

/// The statements of the document's SQL blocks.
fn statements() -> Vec<String> {
    let blocks = DOCUMENT.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    blocks.flat_map(|block| block.split(';')).map(|sql| sql.trim().to_owned()).filter(|sql| !sql.is_empty()).collect()
}

#[tokio::test]
async fn the_queries_of_the_document_give_what_they_say() {
    if !available() {
        return;
    }
    let database = database().await;
    let store = Postgres::open(options(database.url(), &Arc::default())).await.unwrap();
    let mut repo = SceneRepo::new(scene::did("alice"));
    let key = |n: u8| IdempotencyKey([n; 16]);
    let ops = vec![create_account("alice")];
    store.apply(Mutation { did: repo.did.clone(), key: key(1), ops, blocks: vec![] }).await.unwrap();
    let mut posted = 0;
    for (n, path) in ["app.bsky.feed.post/1", "app.bsky.feed.post/2", "app.bsky.feed.like/1"].into_iter().enumerate() {
        let content = scene::content(&"x".repeat(n * 100));
        if path.contains("post") {
            posted += content.bytes.len() as i64;
        }
        let draft = repo.draft(&[scene::Write::Put(scene::path(path), content)]);
        store.apply(draft.mutation(key(2 + n as u8))).await.unwrap();
        repo = draft.after;
    }
    let stats = store.stats().await.unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let mut answers = Vec::new();
    for sql in statements() {
        let sql = sql.replace("alice.example.com", scene::handle("alice").as_str());
        let rows = sqlx::query(AssertSqlSafe(sql.clone())).fetch_all(&mut connection).await;
        answers.push(rows.unwrap_or_else(|e| panic!("{sql}: {e}")));
    }
    assert_eq!(answers.len(), 5, "the document has so many queries");
    let posts = &answers[0][0];
    assert_eq!((posts.get::<i64, _>(0), posts.get::<i64, _>(1)), (2, posted), "posts and their bytes");
    let repos = &answers[1][0];
    let size = format!("{} bytes", stats.bytes);
    assert_eq!((repos.get::<i64, _>(1), repos.get::<&str, _>(2)), (3, size.as_str()), "records and bytes of a repo");
    assert_eq!(answers[2].len(), 0, "nobody has logged in");
    assert_eq!(answers[3].len(), 0, "nothing is to be deleted");
    assert!(answers[4].iter().any(|row| row.get::<String, _>(0) == "blocks"), "every table has a size");
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql/operator").join(name)
}

#[tokio::test]
async fn certificates_are_checked_as_the_url_says() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!("listen_addresses = '127.0.0.1'\nport = {port}\n");
    let Some(server) = local(Durability::Fast, &settings) else { return };
    let data = server.socket().join("data");
    let owner = std::fs::metadata(&data).unwrap();
    for name in ["server.crt", "server.key"] {
        let to = data.join(name);
        std::fs::copy(file(name), &to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
        chown(&to, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let url = |host: &str, query: &str| format!("postgres://postgres@{host}:{port}/postgres?{query}");
    let open = async |host: &str, query: String| Postgres::open(Options::new(url(host, &query))).await;
    let refused = open("localhost", "sslmode=require".into()).await.err().expect("it has no TLS yet");
    assert!(refused.detail().to_lowercase().contains("tls"), "{refused}");
    let mut connection = PgConnection::connect(&url("localhost", "sslmode=disable")).await.unwrap();
    for sql in ["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    // It has read its files again when a new connection says so.
    loop {
        let mut connection = PgConnection::connect(&url("localhost", "sslmode=disable")).await.unwrap();
        let row = sqlx::query("SHOW ssl").fetch_one(&mut connection).await.unwrap();
        if row.get::<String, _>(0) == "on" {
            break;
        }
    }
    let (own, other) = (file("server.crt"), file("other.crt"));
    let root = |mode: &str, path: &Path| format!("sslmode={mode}&sslrootcert={}", path.display());
    for (host, query, is_good) in [
        ("localhost", "sslmode=require".to_owned(), true),
        ("localhost", root("verify-full", &own), true),
        ("127.0.0.1", root("verify-ca", &own), true),
        ("127.0.0.1", root("verify-full", &own), false),
        ("localhost", root("verify-full", &other), false),
        ("localhost", "sslmode=verify-full".to_owned(), false),
    ] {
        let store = match (open(host, query.clone()).await, is_good) {
            (Ok(store), true) => store,
            (Err(_), false) => continue,
            (Ok(_), false) => panic!("{host} {query}: the certificate is not the one of that name"),
            (Err(e), true) => panic!("{host} {query}: {e}"),
        };
        store.stats().await.unwrap();
        let sql = "SELECT count(*) FILTER (WHERE s.ssl), count(*) FROM pg_stat_ssl AS s \
                   JOIN pg_stat_activity AS a ON a.pid = s.pid WHERE a.application_name = 'tranquil-store'";
        let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
        let (encrypted, all): (i64, i64) = (row.get(0), row.get(1));
        assert!(all > 0 && encrypted == all, "{query}: {encrypted} of {all} connections are encrypted");
        store.close().await.unwrap();
    }
}

/// What is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_password_is_never_shown() {
    const PASSWORD: &str = "correct-horse-battery";
    let log = Log::default();
    let writer = log.clone();
    let logging = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    let _logging = tracing::subscriber::set_default(logging.finish());
    tracing::trace!("the test listens");
    let mut said = Vec::new();
    let mut urls = vec![
        format!("postgres://pds:{PASSWORD}@localhost:99999/pds"),
        format!("postgres://pds:{PASSWORD}@[/pds"),
        format!("mysql://pds:{PASSWORD}@localhost/pds"),
        format!("postgres://pds:{PASSWORD}@localhost:1/pds"),
        format!("postgres://pds:{PASSWORD}@localhost/pds?sslmode=perhaps"),
        format!("postgres://pds:{PASSWORD}@localhost:1/pds?password={PASSWORD}"),
        // What is misspelt, or not written as a URL has it.
        format!("postgres://pds@localhost:1/pds?pasword={PASSWORD}"),
        format!("postgres://pds:?{PASSWORD}@localhost:1/pds"),
    ];
    let database = if available() { Some(database().await) } else { None };
    if let Some(database) = &database {
        urls.push(database.url().replace("postgres://postgres@", &format!("postgres://nobody:{PASSWORD}@")));
    }
    for url in urls {
        let options = Options::new(&url);
        said.push(format!("{options:?}"));
        let error = Postgres::open(options).await.err().unwrap_or_else(|| panic!("{url} leads nowhere"));
        said.push(format!("{error} {error:?}"));
    }
    if let Some(database) = &database {
        let url = database.url().replace("postgres://postgres@", &format!("postgres://postgres:{PASSWORD}@"));
        let store = Postgres::open(Options::new(url)).await.unwrap();
        said.push(format!("{:?}", store.stats().await.unwrap()));
        store.close().await.unwrap();
    }
    said.push(String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned());
    for said in &said {
        assert!(!said.contains(PASSWORD), "{said}");
    }
    assert!(said.last().is_some_and(|log| log.contains("the test listens")), "the log was listened to");
}
