//! The binary: what it says, and how it ends; on the embedded engine, and once more on Postgres.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::engine::Place;

fn pds(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pds"));
    command.current_dir(place.directory()).args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PDS_")) {
        command.env_remove(name);
    }
    command.envs(place.variables()).env("PDS_PORT", "0").env("PDS_DEV_PLC_PORT", "0");
    command
}

/// A server with its first lines, up to the last of the lines to try.
struct Serving {
    child: Child,
    banner: String,
}

impl Serving {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        Self::of(&mut pds(place, arguments))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut banner = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        while !banner.contains("listRecords") {
            if out.read_line(&mut banner).unwrap() == 0 {
                let mut said = String::new();
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("the server ended: {banner}{said}");
            }
        }
        Self { child, banner }
    }

    fn end(mut self, signal: &str) {
        let killed = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(status.success(), "{status} {said}");
        assert_eq!(said, "", "quiet in a pipe");
    }
}

/// The lines to copy: those that are indented.
fn lines_to_try(banner: &str) -> String {
    banner.lines().filter(|line| line.starts_with("  ")).collect::<Vec<_>>().join("\n")
}

/// What a command says that is to end by itself; one that goes on is killed.
#[allow(clippy::disallowed_methods, reason = "a child is waited for from a thread")]
fn ended(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (pid, (tell, told)) = (child.id().to_string(), mpsc::channel());
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    told.recv_timeout(Duration::from_secs(120))
        .unwrap_or_else(|_| {
            let _ = Command::new("kill").args(["-9", &pid]).status();
            panic!("{command:?} goes on");
        })
        .unwrap()
}

/// The README's promise: a URL, lines to try, and they work as they stand.
#[test]
fn the_lines_that_it_prints_work_as_they_stand() {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var("CI").is_err(), "CI needs curl");
        println!("skipped: there is no curl here");
        return;
    }
    for arguments in [&["serve", "--dev"][..], &["serve"]] {
        let place = Place::new_blocking();
        let serving = Serving::start(&place, arguments);
        let script = lines_to_try(&serving.banner);
        let output = Command::new("sh").args(["-c", &script]).env("no_proxy", "*").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{script}\n{said}");
        assert!(said.contains(r#""handle":"alice.test""#) && said.contains("validationStatus"), "{script}\n{said}");
        let read_back = said.rsplit_once(r#"{"records":"#).map(|(_, records)| records);
        assert!(read_back.is_some_and(|records| records.contains(r#""text":"Hello""#)), "{script}\n{said}");
        serving.end("-TERM");
    }
}

#[test]
fn signals_end_it_in_good_order_and_its_data_is_there_again() {
    let place = Place::new_blocking();
    for signal in ["-INT", "-TERM"] {
        let serving = Serving::start(&place, &["serve", "--dev"]);
        assert!(serving.banner.contains("http://127.0.0.1:"), "{}", serving.banner);
        assert!(place.directory().join("data").is_dir());
        // A second server over the same data is refused, and says why.
        let second = ended(&mut pds(&place, &["serve"]));
        let said = String::from_utf8(second.stderr).unwrap();
        assert!(!second.status.success() && said.starts_with("pds: ") && said.contains("Locked"), "{said}");
        serving.end(signal);
    }
}

#[test]
fn the_template_is_a_configuration() {
    let place = Place::new_blocking();
    let printed = pds(&place, &["config"]).output().unwrap();
    assert!(printed.status.success());
    let text = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(pds::config::Config::parse(&text).unwrap(), pds::config::Config::parse("").unwrap());
    std::fs::write(place.directory().join("mine.toml"), &text).unwrap();
    Serving::start(&place, &["serve", "--dev", "--config", "mine.toml"]).end("-TERM");
}

#[test]
fn a_wrong_configuration_is_refused_by_name() {
    let place = Place::new_blocking();
    let refused = |command: &mut Command| {
        let output = ended(command);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    std::fs::write(place.directory().join("pds.toml"), "port = 2583\nprot = 1\n").unwrap();
    let said = refused(&mut pds(&place, &["serve"]));
    assert!(said.contains("pds.toml") && said.contains("prot") && said.contains("line 2"), "{said}");
    std::fs::remove_file(place.directory().join("pds.toml")).unwrap();
    let said = refused(pds(&place, &["serve"]).env("PDS_PROT", "1"));
    assert!(said.contains("PDS_PROT"), "{said}");
    let said =
        refused(pds(&place, &["serve"]).env("PDS_STORAGE_BACKEND", "postgres").env_remove("PDS_STORAGE_POSTGRES_URL"));
    assert!(said.contains("storage.postgres.url: not set"), "{said}");
    std::fs::write(place.directory().join("pds.toml"), "[storage.tranquil]\nhistory_window_hours = 0\n").unwrap();
    let said = refused(pds(&place, &["serve"]).env("PDS_STORAGE_BACKEND", "tranquil"));
    assert!(said.contains("storage.tranquil.history_window_hours: 0"), "{said}");
    std::fs::remove_file(place.directory().join("pds.toml")).unwrap();
    let said = refused(&mut pds(&place, &["serve", "--config", "none.toml"]));
    assert!(said.contains("none.toml"), "{said}");
    assert!(!place.directory().join("data").exists(), "nothing was made");
}

/// Idle connections must not take the descriptors that the store needs for its files.
#[test]
fn it_takes_all_descriptors_that_it_may_have() {
    let place = Place::new_blocking();
    let program = pds(&place, &["serve", "--dev"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -S -n 128 && exec \"$0\" serve --dev", env!("CARGO_BIN_EXE_pds")]);
    limited.current_dir(place.directory());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let serving = Serving::of(&mut limited);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serving.child.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let bounds: Vec<&str> = files.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(bounds[0], bounds[1], "soft and hard: {files}");
    serving.end("-TERM");
}

/// What a process has in memory, in MiB.
fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

async fn call(url: &str, method: &str, token: &str, body: Value) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("{url}/xrpc/{method}")).bearer_auth(token).json(&body);
    request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
}

/// One commit of two megabytes must not stay in the memory of each connection for as long as that is open.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_event_leaves_nothing_with_those_who_took_it() {
    const SUBSCRIBERS: usize = 150;
    const EVENT_MIB: usize = 2;
    let place = Place::new().await;
    let serving = Serving::start(&place, &["serve", "--dev"]);
    let url = serving.banner.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:")).unwrap();
    let alice = json!({"handle": "alice.test", "email": "alice@example.com", "password": "a long one"});
    let alice = call(url, "com.atproto.server.createAccount", "", alice).await;
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let subscribers = (0..SUBSCRIBERS).map(|_| async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let firehose = format!("ws://{address}/xrpc/com.atproto.sync.subscribeRepos");
        tokio_tungstenite::client_async(firehose, stream).await.unwrap().0
    });
    let subscribers = join_all(subscribers).await;
    let before = resident_mib(serving.child.id());
    let writes: Vec<Value> = (0..EVENT_MIB)
        .map(|n| {
            let value = json!({"$type": "com.example.thing", "n": n, "text": "x".repeat(950_000)});
            json!({"$type": "com.atproto.repo.applyWrites#create", "collection": "com.example.thing", "value": value})
        })
        .collect();
    let body = json!({"repo": alice["did"], "writes": writes});
    call(url, "com.atproto.repo.applyWrites", alice["accessJwt"].as_str().unwrap(), body).await;
    let took = subscribers.into_iter().map(|mut subscriber| async move {
        while subscriber.next().await.unwrap().unwrap().len() < 1_000_000 {}
        subscriber
    });
    let connected = tokio::time::timeout(Duration::from_secs(60), join_all(took)).await.unwrap();
    let more = resident_mib(serving.child.id()).saturating_sub(before);
    assert!(more < (SUBSCRIBERS * EVENT_MIB / 2) as u64, "{more} MiB more with {} subscribers", connected.len());
    drop(connected);
    serving.end("-TERM");
}
