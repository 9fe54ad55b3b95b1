//! What is of another version or another store, or is open already, is refused, and nothing is changed (promises P1, P4).

use std::fs;

use crate::common::story::{closed_story, copy, files, read_all, roomy, small, with_ending};
use backend_api::Reason;
use backend_tranquil::Tranquil;

#[tokio::test]
async fn a_file_of_another_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed_story(small(dir.path()), 3).await;
    let store = dir.path().join("STORE");
    let mut bytes = fs::read(&store).unwrap();
    bytes[9] = 2;
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(&store, bytes).unwrap();
    let error = read_all(small(dir.path())).await.unwrap_err();
    assert_eq!(error.reason(), Reason::WrongStore);
    assert!(error.detail().contains("format version 2, this program reads version 1"), "{error}");
}

#[tokio::test]
async fn a_second_open_is_refused_at_once_and_told_by_whom() {
    let dir = tempfile::tempdir().unwrap();
    let store = Tranquil::open(small(dir.path())).unwrap();
    let Err(error) = Tranquil::open(small(dir.path())) else { panic!("two at once") };
    assert_eq!(error.reason(), Reason::Locked);
    assert!(error.detail().contains(&format!("pid {}", std::process::id())), "{error}");
    drop(store);
    assert!(Tranquil::open(small(dir.path())).is_ok(), "and taken over when it is gone");
}

/// An empty log beside events or metadata is a lost log, not a new store.
#[tokio::test]
async fn a_log_that_was_lost_is_not_a_new_store() {
    let dir = tempfile::tempdir().unwrap();
    closed_story(small(dir.path()), 9).await;
    for log in with_ending(&dir.path().join("log"), "log") {
        fs::remove_file(log).unwrap();
    }
    let kept = files(&dir.path().join("events"));
    let error = read_all(small(dir.path())).await.unwrap_err();
    assert!(
        error.reason() == Reason::DataCorrupt && error.detail().contains("0000000001.log: the file is missing"),
        "{error}"
    );
    for sidecar in with_ending(&dir.path().join("log"), "parity") {
        fs::remove_file(sidecar).unwrap();
    }
    let error = read_all(small(dir.path())).await.unwrap_err();
    assert_eq!(error.reason(), Reason::WrongStore, "{error}");
    assert!(dir.path().join("meta").exists() && kept == files(&dir.path().join("events")), "nothing was changed");
    fs::remove_dir_all(dir.path().join("meta")).unwrap();
    let error = read_all(small(dir.path())).await.unwrap_err();
    assert_eq!(error.reason(), Reason::WrongStore, "{error}");
}

/// A closed store whose metadata stands at the start of a log file: it was killed when that file had just been begun.
async fn at_the_start_of_a_file() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    closed_story(roomy(dir.path()), 9).await;
    let log = dir.path().join("log");
    let bytes = fs::read(log.join("0000000001.log")).unwrap();
    // It ends with the end of a cycle: magic, number, begin and end of it (u64 each), frames, chain (u32 each).
    let end = &bytes[bytes.len() - 40..];
    let next_cycle = u64::from_le_bytes(end[8..16].try_into().unwrap()) + 1;
    let mut header = bytes[..64].to_vec();
    header[28..36].copy_from_slice(&2_u64.to_le_bytes());
    header[36..44].copy_from_slice(&next_cycle.to_le_bytes());
    header[44..48].copy_from_slice(&end[36..40]);
    let crc = crc32fast::hash(&header[..60]);
    header[60..].copy_from_slice(&crc.to_le_bytes());
    fs::write(log.join("0000000002.log"), header).unwrap();
    fs::remove_dir_all(dir.path().join("meta")).unwrap();
    read_all(roomy(dir.path())).await.unwrap();
    dir
}

#[tokio::test]
async fn metadata_of_another_store_is_refused_also_at_the_start_of_a_log_file() {
    let (one, other) = (at_the_start_of_a_file().await, at_the_start_of_a_file().await);
    read_all(roomy(one.path())).await.unwrap();
    fs::remove_dir_all(one.path().join("meta")).unwrap();
    copy(&other.path().join("meta"), &one.path().join("meta"));
    let error = read_all(roomy(one.path())).await.unwrap_err();
    assert_eq!(error.reason(), Reason::WrongStore, "{error}");
}

/// What a name says in another way than the engine does is no file of the store, whatever is in it: it is passed over, and
/// nothing goes because of it.
#[tokio::test]
async fn names_that_are_nearly_right_are_nobodys() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(small(dir.path()), 20).await;
    let segment = with_ending(&dir.path().join("events"), "segment").remove(0);
    let log = dir.path().join("log/0000000001.log");
    let nearly = [
        (&segment, &["1.segment", "+1.segment", "5.segment", "00000000000000000001.segment", "9999999.segment"][..]),
        (&segment, &["7.index", "999.parity", "18446744073709551616.segment", "0000000000000001.segment.bak"][..]),
        (&log, &["1.log", "+2.log", "3.log", "99.log", "4294967296.log", "0000000001.log.bak", ".1.log"][..]),
        (&log, &["99.parity", "99.hint", "9999.tmp.log", "00000000099.parity", "torn-9-64"][..]),
        (&log, &["../snapshots/5.snapshot", "../snapshots/+000000000000005.snapshot"][..]),
    ];
    for (like, names) in nearly {
        for name in names {
            for has_metadata in [true, false] {
                let other = tempfile::tempdir().unwrap();
                copy(dir.path(), other.path());
                if !has_metadata {
                    fs::remove_dir_all(other.path().join("meta")).unwrap();
                }
                let like = other.path().join(like.strip_prefix(dir.path()).unwrap());
                let (stray, there) = (like.with_file_name(name), files(other.path()));
                fs::create_dir_all(other.path().join("snapshots")).unwrap();
                fs::copy(like, &stray).unwrap();
                for _ in 0..2 {
                    let found = read_all(small(other.path())).await.unwrap_or_else(|e| panic!("beside {name}: {e}"));
                    assert!(found == before, "beside {name}");
                }
                let is_data = |file: &&std::path::PathBuf| !file.starts_with(other.path().join("meta"));
                let gone: Vec<_> = there.iter().filter(is_data).filter(|file| !file.exists()).collect();
                assert!(gone.is_empty() && stray.exists(), "because of {name}: {gone:?}");
            }
        }
    }
}

/// What is left of a log that is gone tells that there was one.
#[tokio::test]
async fn whatever_is_left_of_a_log_tells_of_it() {
    let dir = tempfile::tempdir().unwrap();
    closed_story(small(dir.path()), 20).await;
    let log = "log/0000000002.log";
    for left in ["STORE.copy", "log/0000000002.hint", "log/0000000002.log.damaged-1", "log/torn-0000000002-64", "meta"]
    {
        let other = tempfile::tempdir().unwrap();
        fs::copy(dir.path().join("STORE"), other.path().join("STORE")).unwrap();
        match left {
            "meta" => copy(&dir.path().join("meta"), &other.path().join("meta")),
            _ => {
                fs::create_dir(other.path().join("log")).unwrap();
                let from = if left == "STORE.copy" { "STORE" } else { log };
                fs::copy(dir.path().join(from), other.path().join(left)).unwrap();
            }
        }
        for _ in 0..2 {
            let error = read_all(small(other.path())).await.expect_err(left);
            let is_told = matches!(error.reason(), Reason::DataCorrupt | Reason::WrongStore);
            assert!(is_told && error.detail().contains("nothing was changed"), "{left}: {error}");
        }
        assert!(!other.path().join(log).exists() && !other.path().join("log/0000000001.log").exists(), "{left}");
        // The identity was lost too: it is not made anew.
        fs::remove_file(other.path().join("STORE")).unwrap();
        if left != "STORE.copy" {
            let error = read_all(small(other.path())).await.expect_err(left);
            let is_told = error.reason() == Reason::WrongStore && error.detail().contains("STORE is missing");
            assert!(is_told && !other.path().join("STORE").exists(), "{left}: {error}");
        }
    }
}
