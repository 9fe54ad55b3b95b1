//! The commands as they are typed, beside a server and without one, on the embedded engine and once more on Postgres: what
//! they print, and how they end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::engine::{Place, is_postgres};
use crate::support::{Repo, read_car};
use serde_json::Value;

/// A place where commands are typed.
pub struct Pds {
    place: Place,
}

impl Pds {
    pub fn new() -> Self {
        Self { place: Place::new_blocking() }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pds"));
        let data = self.place.directory().join("data");
        command.args(args).current_dir(self.place.directory()).env("PDS_DATA_DIRECTORY", data);
        command.envs(self.place.variables()).env("PDS_PORT", "0");
        command
    }

    /// A server that listens.
    pub fn serve(&self) -> Server {
        let mut child = self.command(&["serve"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        assert!(line.contains("is ready"), "{line}");
        // It goes on talking.
        child.stdout = Some(out.into_inner());
        Server(child)
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs something that must succeed, and gives what it printed, as JSON.
    fn json(&self, args: &[&str]) -> Value {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", text(&output.stdout)))
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.place.directory().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// A server that is gone with the test, however that ends.
pub struct Server(Child);

impl Server {
    /// Asks it to end, and waits until it has, in good order.
    pub fn end(mut self) {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_repository_goes_in_is_verified_and_comes_out() {
    round(&Pds::new(), 3);
}

#[test]
fn all_of_it_works_beside_a_server() {
    let pds = Pds::new();
    let server = pds.serve();
    round(&pds, 3);
    server.end();
    // And what it did is there without one.
    assert_eq!(pds.json(&["stats", "--json"])["records"], 100);
    assert_eq!(pds.json(&["verify", "--deep", "--json"])["problems"], Value::Array(vec![]));
}

/// Everything that an operator does, once; after it so many events were told.
fn round(pds: &Pds, events: u64) {
    let repo = Repo::new("typed", 100);
    let file = pds.file("in.car", &repo.car());
    let imported = pds.json(&["import", "--json", name(&file)]);
    assert_eq!((&imported["records"], &imported["did"]), (&100.into(), &repo.did.as_str().into()));
    let verified = pds.json(&["verify", "--deep", "--json"]);
    assert_eq!((&verified["records"], &verified["problems"]), (&100.into(), &Value::Array(vec![])));
    let stats = pds.json(&["stats", "--json"]);
    assert_eq!(
        (&stats["repos"], &stats["head_seq"], &stats["backend"]),
        (&1.into(), &events.into(), &pds.place.backend().into())
    );
    pds.json(&["checkpoint", "--json"]);
    assert_eq!(pds.json(&["sweep", "--json"])["done"], true);
    let output = pds.run(&["export", repo.did.as_str()]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(read_car(&output.stdout).1, read_car(&repo.car()).1);
    let to = pds.place.directory().join("out.car");
    let output = pds.run(&["export", repo.did.as_str(), "--output", name(&to)]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(read_car(&std::fs::read(to).unwrap()).0, repo.commit().0);
    let since = pds.run(&["export", repo.did.as_str(), "--since", &repo.rev.to_string()]);
    assert_eq!(read_car(&since.stdout).1.len(), 1, "nothing is new but the commit that is the root");
}

#[test]
fn without_a_terminal_there_is_no_progress() {
    let pds = Pds::new();
    let file = pds.file("quiet.car", &Repo::new("quiet", 2_000).car());
    let output = pds.run(&["import", name(&file)]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout).lines().count(), 1);
}

#[test]
fn the_exit_code_says_how_it_ended() {
    let pds = Pds::new();
    let repo = Repo::new("codes", 10);
    let (good, cut) = (pds.file("good.car", &repo.car()), pds.file("cut.car", &repo.car()[..500]));
    let code = |args: &[&str]| pds.run(args).status.code();
    assert_eq!(code(&["import"]), Some(2), "no file is named");
    assert_eq!(code(&["export", "not a did"]), Some(2));
    assert_eq!(code(&["import", "there-is-no-such.car"]), Some(3));
    // One refusal does not keep the others out.
    let output = pds.run(&["import", name(&cut), name(&good)]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("cut.car: byte "), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("good.car"), "{}", text(&output.stdout));
    assert_eq!(code(&["import", name(&good)]), Some(3), "it is here already");
    assert_eq!(code(&["export", "did:web:nobody.example.com"]), Some(3));
    let to = pds.place.directory().join("none.car");
    assert_eq!(code(&["export", "did:web:nobody.example.com", "-o", name(&to)]), Some(3));
    let left = std::fs::read_dir(pds.place.directory()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| name != "data").count(), 2, "no half of a file is left");
    assert_eq!(code(&["verify"]), Some(0));
    let nowhere = pds.command(&["stats"]).env("PDS_DATA_DIRECTORY", &good).output().unwrap();
    let said = text(&nowhere.stderr);
    assert_eq!(nowhere.status.code(), Some(4));
    assert!(said.contains("Not a directory") && !said.contains("Locked"), "{said}");
}

/// Only a file is replaced by a whole one: of `/dev/null` there is one for everybody.
#[test]
fn an_export_goes_into_a_pipe_and_takes_the_place_of_files_only() {
    let pds = Pds::new();
    let repo = Repo::new("places", 300);
    let file = pds.file("in.car", &repo.car());
    pds.json(&["import", "--json", name(&file)]);
    let expected = read_car(&repo.car()).1;
    let at = |name: &str| pds.place.directory().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let reader = Command::new("cat").arg(at("pipe")).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(pds.run(&["export", repo.did.as_str(), "-o", name(&at("pipe"))]).status.code(), Some(0));
    assert!(!at("pipe").is_file(), "it is still a pipe");
    assert_eq!(read_car(&reader.wait_with_output().unwrap().stdout).1, expected);

    let old = pds.file("old.car", b"old");
    std::os::unix::fs::symlink(&old, at("link.car")).unwrap();
    let beside = pds.file("old.car.part", b"somebody's");
    assert_eq!(pds.run(&["export", repo.did.as_str(), "-o", name(&at("link.car"))]).status.code(), Some(0));
    assert!(at("link.car").is_symlink());
    assert_eq!(read_car(&std::fs::read(old).unwrap()).1, expected);
    assert_eq!(std::fs::read(beside).unwrap(), b"somebody's");
    assert_eq!(pds.run(&["export", repo.did.as_str(), "-o", name(pds.place.directory())]).status.code(), Some(3));
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_told_and_no_panic() {
    let pds = Pds::new();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (command, code) in [("config", 1), ("stats", 4), ("verify", 4), ("sweep", 4)] {
        let output = pds.command(&[command]).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        let said = text(&output.stderr);
        assert!(said.starts_with("pds: ") && said.contains("standard output"), "{command}: {said}");
        assert_eq!(output.status.code(), Some(code), "{command}: {said}");
    }
    let refused = pds.command(&["import", "there-is-no-such.car"]).stderr(full()).status().unwrap();
    assert_eq!(refused.code(), Some(3));
}

#[test]
fn a_store_that_another_process_holds_is_refused_at_once_saying_who() {
    if is_postgres() {
        // There any number of processes holds it: `all_of_it_works_beside_a_server` of another data directory.
        return;
    }
    let pds = Pds::new();
    let store = pds.place.directory().join("data/store");
    let mut holder = pds
        .command(&["dev-writer", "--seed", "1", "--directory", name(&store)])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(holder.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let output = pds.run(&["stats"]);
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said = text(&output.stderr);
    assert!(said.contains(&format!("pid {}", holder.id())) && said.contains("Locked"), "{said}");
    assert_eq!(pds.run(&["verify", "--deep"]).status.code(), Some(0));
}
