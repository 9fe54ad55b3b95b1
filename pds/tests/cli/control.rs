//! The control socket, and commands beside a running server.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use crate::support::{Repo, export, file, has_account, read_car, store};
use async_trait::async_trait;
use backend_api::{Backend, Reason, VerifyLevel, VerifyReport};
use pds::cli::work::{Outcome, Request, Verified};
use pds::cli::{Session, listen};
use pds::config::Config;
use pds::control::{Caller, Client, Frame, Handler, SOCKET_NAME, Server};
use tokio::sync::mpsc;

fn config(directory: &Path) -> Config {
    Config { data_directory: directory.to_owned(), ..Config::default() }
}

async fn run(directory: &Path, request: Request, file: Option<File>) -> backend_api::Result<Outcome> {
    Session::open(config(directory), false).await?.run("test", request, file, None).await
}

#[tokio::test]
async fn commands_work_beside_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let backend = store().await;
    let server = listen(directory.path(), Arc::clone(&backend)).unwrap();
    let repo = Repo::new("socket", 3_000);
    let request = Request::Import { name: "socket.car".into() };
    let Outcome::Imported(imported) = run(directory.path(), request, Some(file(&repo.car()))).await.unwrap() else {
        panic!("an import");
    };
    assert_eq!(imported.file, "socket.car");
    let Outcome::Figures(figures) = run(directory.path(), Request::Stats, None).await.unwrap() else {
        panic!("figures");
    };
    assert_eq!((figures.records, figures.repos), (3_000, 1));
    let Outcome::Verified(verified) =
        run(directory.path(), Request::Verify { deep: true, repair: false }, None).await.unwrap()
    else {
        panic!("a report");
    };
    assert_eq!((verified.records, verified.problems), (3_000, vec![]));
    run(directory.path(), Request::Checkpoint, None).await.unwrap();
    let Outcome::Swept(swept) = run(directory.path(), Request::Sweep, None).await.unwrap() else { panic!("a sweep") };
    assert!(swept.done);
    server.stop().await;
    assert!(!directory.path().join(SOCKET_NAME).exists());
}

#[tokio::test]
async fn an_export_through_the_socket_is_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let backend = store().await;
    let server = listen(directory.path(), Arc::clone(&backend)).unwrap();
    let repo = Repo::new("bytes", 3_000);
    crate::support::import(&*backend, &repo.car()).await.unwrap();
    let client = Client::connect(directory.path()).await.unwrap().unwrap();
    let request = Request::Export { did: repo.did.clone(), since: None };
    let (mut answers, _open) = client.call(&serde_json::to_string(&request).unwrap(), None).await.unwrap();
    let (mut out, mut lines) = (Vec::new(), Vec::new());
    while let Some(frame) = answers.next().await.unwrap() {
        match frame {
            Frame::Bytes(bytes) => out.extend_from_slice(&bytes),
            Frame::Line(line) => lines.push(line),
        }
    }
    assert_eq!(out, export(&*backend, &repo.did, None).await.unwrap());
    assert!(lines.last().unwrap().starts_with("{\"done\":"), "{lines:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_comes_through_with_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let backend = store().await;
    let _server = listen(directory.path(), Arc::clone(&backend)).unwrap();
    let request = Request::Import { name: "half.car".into() };
    let repo = Repo::new("half", 20);
    let bytes = repo.car();
    let error = run(directory.path(), request, Some(file(&bytes[..bytes.len() / 2]))).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BadCar, "{error}");
    assert!(error.detail().starts_with("half.car: byte "), "{error}");
    let error = run(directory.path(), Request::Import { name: "none.car".into() }, None).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BadRequest, "{error}");
    assert!(!has_account(&*backend, &repo.did).await);
    let client = Client::connect(directory.path()).await.unwrap().unwrap();
    let (mut answers, _open) = client.call("{\"command\":\"dance\"}", None).await.unwrap();
    let Some(Frame::Line(line)) = answers.next().await.unwrap() else { panic!("an answer") };
    assert!(line.starts_with("{\"failed\":{\"reason\":\"BadRequest\""), "{line}");
}

#[tokio::test]
async fn the_socket_is_its_owners_only_and_one_server_has_it() {
    let directory = tempfile::tempdir().unwrap();
    assert!(Client::connect(directory.path()).await.unwrap().is_none());
    let _server = listen(directory.path(), store().await).unwrap();
    let mode = std::fs::metadata(directory.path().join(SOCKET_NAME)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = listen(directory.path(), store().await).err().unwrap();
    assert_eq!(second.reason(), Reason::Locked, "{second}");
    assert!(Client::connect(directory.path()).await.unwrap().is_some(), "the first still listens");
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_a_file_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SOCKET_NAME);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists() && Client::connect(directory.path()).await.unwrap().is_none());
    let server = listen(directory.path(), store().await).unwrap();
    assert!(Client::connect(directory.path()).await.unwrap().is_some());
    server.stop().await;
    std::fs::write(&path, "somebody's notes").unwrap();
    let error = listen(directory.path(), store().await).err().unwrap();
    assert_eq!(error.reason(), Reason::WrongStore, "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"somebody's notes");
}

#[tokio::test]
async fn a_data_directory_of_any_length_has_a_socket() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("a-long-name".repeat(10)).join("another-long-name".repeat(10));
    std::fs::create_dir_all(&deep).unwrap();
    assert!(deep.as_os_str().len() > 107);
    let server = listen(&deep, store().await).unwrap();
    run(&deep, Request::Stats, None).await.unwrap();
    assert!(deep.join(SOCKET_NAME).exists());
    server.stop().await;
    assert!(!deep.join(SOCKET_NAME).exists());
}

/// Says when it begins, and ends when nobody is left who waits.
struct Patient(mpsc::UnboundedSender<&'static str>);

#[async_trait]
impl Handler for Patient {
    async fn handle(&self, _: String, _: Option<File>, caller: Caller) {
        self.0.send("begun").unwrap();
        caller.gone().await;
        assert!(caller.is_gone());
        caller.line("\"given up\"".into()).await;
        self.0.send("ended").unwrap();
    }
}

#[tokio::test]
async fn work_is_told_when_its_caller_hangs_up() {
    let directory = tempfile::tempdir().unwrap();
    let (sender, mut told) = mpsc::unbounded_channel();
    let _server = Server::listen(directory.path(), Arc::new(Patient(sender))).unwrap();
    let client = Client::connect(directory.path()).await.unwrap().unwrap();
    let (mut answers, open) = client.call("{}", None).await.unwrap();
    assert_eq!(told.recv().await, Some("begun"));
    drop(open);
    assert_eq!(told.recv().await, Some("ended"));
    assert_eq!(answers.next().await.unwrap(), Some(Frame::Line("\"given up\"".into())));
    assert_eq!(answers.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_server_that_stops_waits_for_its_work_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let (sender, mut told) = mpsc::unbounded_channel();
    let server = Server::listen(directory.path(), Arc::new(Patient(sender))).unwrap();
    let client = Client::connect(directory.path()).await.unwrap().unwrap();
    let (mut answers, _open) = client.call("{}", None).await.unwrap();
    assert_eq!(told.recv().await, Some("begun"));
    server.stop().await;
    assert_eq!(told.try_recv(), Ok("ended"));
    assert_eq!(answers.next().await.unwrap(), Some(Frame::Line("\"given up\"".into())));
}

#[tokio::test]
async fn many_callers_are_served_at_the_same_time() {
    let directory = tempfile::tempdir().unwrap();
    let backend: Arc<dyn Backend> = store().await;
    let _server = listen(directory.path(), Arc::clone(&backend)).unwrap();
    let runs = (0..20).map(|n| {
        let directory = directory.path().to_owned();
        tokio::spawn(async move {
            let repo = Repo::new(&format!("many{n}"), 50);
            run(&directory, Request::Import { name: format!("{n}.car") }, Some(file(&repo.car()))).await.unwrap();
            let out = Request::Export { did: repo.did.clone(), since: None };
            run(&directory, out, None).await.unwrap();
            read_car(&repo.car()).1.len()
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
    assert_eq!(backend.stats().await.unwrap().repos, 20);
}

/// Found and healed this many blocks.
struct Healer(usize);

#[async_trait]
impl Handler for Healer {
    async fn handle(&self, _: String, _: Option<File>, caller: Caller) {
        let sentence =
            |n| format!("log/0000000001.log: byte {n}: block \"bafyrei\" was damaged, and was healed from parity");
        let healed: Vec<String> = (0..self.0).map(sentence).collect();
        let report = VerifyReport { problems: healed.clone(), healed, ..VerifyReport::default() };
        let outcome = Outcome::Verified(Verified::new(report, VerifyLevel::Repair));
        caller.line(format!("{{\"done\":{}}}", serde_json::to_string(&outcome).unwrap())).await;
    }
}

#[tokio::test]
async fn a_report_of_any_length_comes_through() {
    for (count, is_whole) in [(20_000, true), (200_000, false)] {
        let directory = tempfile::tempdir().unwrap();
        let _server = Server::listen(directory.path(), Arc::new(Healer(count))).unwrap();
        let request = Request::Verify { deep: true, repair: true };
        let Outcome::Verified(v) = run(directory.path(), request, None).await.unwrap() else { panic!("a report") };
        for (named, more) in [(v.problems.len(), v.problems_more), (v.healed.len(), v.healed_more)] {
            assert!(named >= 20_000, "{named} are named");
            assert_eq!((named + more as usize, more == 0), (count, is_whole));
        }
    }
}
