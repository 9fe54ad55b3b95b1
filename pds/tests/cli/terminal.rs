//! What people see on a terminal while the work goes on, and that nothing of it stays.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::commands::Pds;
use crate::support::Repo;

/// Runs a command whose standard error is a terminal; what that was sent.
#[allow(clippy::disallowed_methods, reason = "a terminal is read from a thread, so that a child that hangs is noticed")]
fn on_a_terminal(command: &mut Command) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let terminal = File::options().read(true).write(true).open(path).unwrap();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(terminal).spawn().unwrap();
    // The command held the other end too.
    command.stderr(Stdio::null());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut master, mut sent) = (File::from(master), Vec::new());
        // It ends with an error when nobody has the other end any more.
        let _ = master.read_to_end(&mut sent);
        tell.send(sent)
    });
    let sent = told.recv_timeout(Duration::from_secs(120));
    if sent.is_err() {
        let _ = child.kill();
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8(sent.expect("the command ends")).unwrap()
}

/// The line of the terminal after each time that its start was gone back to.
fn lines(sent: &str) -> Vec<String> {
    let mut line: Vec<char> = Vec::new();
    let mut seen = Vec::new();
    for written in sent.split('\r') {
        let written: Vec<char> = written.chars().collect();
        assert!(!written.contains(&'\n'), "one line is painted over and over: {sent:?}");
        line.resize(line.len().max(written.len()), ' ');
        line[..written.len()].copy_from_slice(&written);
        seen.push(line.iter().collect::<String>().trim_end().to_owned());
    }
    seen
}

/// Each phase counts up, nothing of a longer line stays behind a shorter one, and at the end the line is empty.
fn is_progress(sent: &str) {
    let seen = lines(sent);
    // The whole file may be read at once.
    for (phase, unit, least) in [("reading", "B", 1), ("checking", "blocks", 2), ("writing", "blocks", 2)] {
        let percents: Vec<u32> = seen
            .iter()
            .filter_map(|line| line.strip_prefix("seen.car: ")?.strip_prefix(phase)?.strip_prefix(' '))
            .map(|rest| {
                let (percent, total) = rest.split_once(" % of ").unwrap_or_else(|| panic!("{rest:?} in {sent:?}"));
                assert!(total.ends_with(unit) && total.split(' ').count() == 2, "{total:?} in {sent:?}");
                percent.parse().unwrap()
            })
            .collect();
        assert!(percents.len() >= least && percents.is_sorted(), "{phase}: {percents:?}");
        // The commit itself is not counted as checked.
        assert!(percents.last() >= Some(&99), "{phase}: {percents:?}");
    }
    assert_eq!(seen.last().map(String::as_str), Some(""), "the line is taken away: {sent:?}");
}

#[test]
fn an_import_shows_how_far_it_is() {
    let pds = Pds::new();
    pds.file("seen.car", &Repo::new("seen", 5_000).car());
    is_progress(&on_a_terminal(&mut pds.command(&["import", "seen.car"])));
}

#[test]
fn an_import_into_a_server_shows_how_far_it_is() {
    let pds = Pds::new();
    let server = pds.serve();
    pds.file("seen.car", &Repo::new("seen", 5_000).car());
    is_progress(&on_a_terminal(&mut pds.command(&["import", "seen.car"])));
    server.end();
}
