//! Several sorts of files lost at once: what was there is served, or what is missing is named, and all is served when it is
//! back; never anything between the two (promises P1, P4, P7).

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::story::{closed_story, copy, files, killed_story, read_all, small, with_ending};
use backend_api::{Maintenance, Reason, SnapshotItem, VerifyLevel};
use backend_tranquil::{Options, Tranquil};
use conformance::digest::difference;
use conformance::snapshot;

/// So many sorts are lost together.
const SORTS_MAX: u32 = 4;

/// Small files of every sort, with copies of the metadata.
fn options(directory: &Path) -> Options {
    Options { snapshot_log_bytes_min: 1, memtable_bytes_max: 16 << 10, ..small(directory) }
}

/// What may be lost: a name, and the files.
fn sorts(directory: &Path) -> Vec<(&'static str, Vec<PathBuf>)> {
    let (log, events) = (with_ending(&directory.join("log"), "log"), with_ending(&directory.join("events"), "segment"));
    let (meta, copies) = (files(&directory.join("meta")), files(&directory.join("snapshots")));
    let sorts = vec![
        ("metadata and its copies", meta.iter().chain(&copies).cloned().collect()),
        ("metadata", meta),
        ("newest segment", events[events.len() - 1..].to_vec()),
        ("a segment in the middle", vec![events[events.len() / 2].clone()]),
        ("indexes", with_ending(&directory.join("events"), "index")),
        ("sidecars", with_ending(directory, "parity")),
        ("first log file", log[..1].to_vec()),
        ("a log file in the middle", vec![log[log.len() / 2].clone()]),
        ("newest log file", log[log.len() - 1..].to_vec()),
        ("all segments", events),
    ];
    assert!(log.len() > 2 && sorts.iter().all(|(_, files)| !files.is_empty()), "there is something to lose");
    sorts
}

/// True if nothing that is left tells of the newest log file: nobody can. What a kill leaves has no sidecar of it yet, and its
/// metadata is of before.
fn is_beginning(lost: &[&str], is_killed: bool) -> bool {
    let has = |name: &str| lost.iter().any(|lost| lost.starts_with(name));
    has("newest log file") && has("all segments") && (is_killed || has("metadata") && has("sidecars"))
}

async fn whatever_is_lost(dir: &Path, before: &[SnapshotItem], is_killed: bool) {
    let sorts = sorts(dir);
    let (mut served, mut refused) = (0, 0);
    for subset in (1_u32..1 << sorts.len()).filter(|subset| subset.count_ones() <= SORTS_MAX) {
        let lost: Vec<_> = (0..sorts.len()).filter(|i| subset & 1 << i != 0).map(|i| &sorts[i]).collect();
        let names: Vec<_> = lost.iter().map(|(name, _)| *name).collect();
        if is_beginning(&names, is_killed) {
            continue;
        }
        let bad = tempfile::tempdir().unwrap();
        copy(dir, bad.path());
        let mut gone: Vec<_> = lost.iter().flat_map(|(_, files)| files).map(|f| f.strip_prefix(dir).unwrap()).collect();
        gone.sort_unstable();
        gone.dedup();
        gone.iter().for_each(|file| fs::remove_file(bad.path().join(file)).unwrap());
        if names.iter().any(|name| name.starts_with("metadata")) {
            fs::remove_dir_all(bad.path().join("meta")).unwrap();
        }
        let found = [read_all(options(bad.path())).await, read_all(options(bad.path())).await];
        match found {
            [Ok(first), Ok(second)] => {
                assert_eq!(difference(before, &first), None, "without {names:?}");
                assert_eq!(difference(before, &second), None, "without {names:?}, the second time");
                served += 1;
            }
            [Err(first), Err(second)] => {
                let is_told = |reason| matches!(reason, Reason::DataCorrupt | Reason::WrongStore);
                assert!(is_told(first.reason()) && is_told(second.reason()), "without {names:?}: {first}; {second}");
                for file in &gone {
                    fs::create_dir_all(bad.path().join(file).parent().unwrap()).unwrap();
                    fs::copy(dir.join(file), bad.path().join(file)).unwrap();
                }
                let back = read_all(options(bad.path())).await.unwrap_or_else(|e| panic!("{names:?} are back: {e}"));
                assert_eq!(difference(before, &back), None, "{names:?} are back");
                refused += 1;
            }
            [first, second] => {
                panic!("without {names:?}: {:?}, and the second time {:?}", first.map(drop), second.map(drop))
            }
        }
    }
    assert!(served > 20 && refused > 200, "{served} were served, {refused} were refused");
}

#[tokio::test]
async fn whatever_a_closed_store_loses_is_made_again_or_missed() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(options(dir.path()), 60).await;
    whatever_is_lost(dir.path(), &before, false).await;
}

#[tokio::test]
async fn whatever_a_killed_store_loses_is_made_again_or_missed() {
    let (dir, before) = killed_story(options, 60).await;
    whatever_is_lost(dir.path(), &before, true).await;
}

/// Events that are made again may be in other segments than they were: of those behind the gap nothing stays.
#[tokio::test]
async fn what_was_behind_a_gap_in_the_events_goes() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(options(dir.path()), 60).await;
    let segments = with_ending(&dir.path().join("events"), "segment");
    fs::remove_dir_all(dir.path().join("meta")).unwrap();
    fs::remove_dir_all(dir.path().join("snapshots")).unwrap();
    fs::remove_file(&segments[segments.len() / 2]).unwrap();
    let smaller = || Options { segment_bytes: 3 << 10, ..options(dir.path()) };
    for time in 1..=2 {
        assert_eq!(difference(&before, &read_all(smaller()).await.unwrap()), None, "opened {time} times");
    }
    assert!(with_ending(&dir.path().join("events"), "segment").len() > segments.len());
}

/// Nothing but its sidecar tells of the newest log file: it is missed, and not begun again.
#[tokio::test]
async fn a_sidecar_tells_of_a_lost_end_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(options(dir.path()), 60).await;
    for room in ["meta", "snapshots", "events"] {
        fs::remove_dir_all(dir.path().join(room)).unwrap();
    }
    let log = with_ending(&dir.path().join("log"), "log").pop().unwrap();
    let bytes = fs::read(&log).unwrap();
    fs::remove_file(&log).unwrap();
    let error = read_all(options(dir.path())).await.unwrap_err();
    let name = format!("{}: the file is missing", log.display());
    assert!(error.reason() == Reason::DataCorrupt && error.detail().contains(&name), "{error}");
    fs::write(&log, bytes).unwrap();
    assert_eq!(difference(&before, &read_all(options(dir.path())).await.unwrap()), None);
}

/// An open that is refused has lost nothing: what it had put aside, or found behind a gap, is there when the next one comes.
/// The metadata is sound, and the newest segment is lost; or a segment in the middle, and the metadata. The log cannot make
/// them again, because a block in it is damaged, of which there is no sidecar: the events have it.
#[tokio::test]
async fn a_refused_open_throws_away_neither_metadata_nor_events() {
    let dir = tempfile::tempdir().unwrap();
    let without_copies = |directory: &Path| Options { snapshot_log_bytes_min: 1 << 40, ..small(directory) };
    let before = closed_story(without_copies(dir.path()), 60).await;
    let hints = with_ending(&dir.path().join("log"), "hint");
    let segments = with_ending(&dir.path().join("events"), "segment");
    let mut refused = [0; 4];
    for (hint, at) in hints.iter().flat_map(|hint| (0..3).map(move |i| (hint, 500 + i * 6_000))) {
        let damaged = hint.with_extension("log").strip_prefix(dir.path()).unwrap().to_owned();
        let bad = tempfile::tempdir().unwrap();
        copy(dir.path(), bad.path());
        fs::remove_file(bad.path().join(&damaged).with_extension("parity")).unwrap();
        let mut bytes = fs::read(bad.path().join(&damaged)).unwrap();
        bytes[at] ^= 0x55;
        fs::write(bad.path().join(&damaged), bytes).unwrap();
        for (case, refused) in refused.iter_mut().enumerate() {
            let other = tempfile::tempdir().unwrap();
            copy(bad.path(), other.path());
            let (has_metadata, has_hints) = (case & 1 == 0, case & 2 == 0);
            let lost = if has_metadata { segments.last().unwrap() } else { &segments[1] };
            let lost = lost.strip_prefix(dir.path()).unwrap();
            fs::remove_file(other.path().join(lost)).unwrap();
            if !has_metadata {
                fs::remove_dir_all(other.path().join("meta")).unwrap();
            }
            if !has_hints {
                with_ending(other.path(), "hint").iter().for_each(|hint| fs::remove_file(hint).unwrap());
            }
            if let Ok(found) = read_all(without_copies(other.path())).await {
                assert_eq!(difference(&before, &found), None);
                continue;
            }
            *refused += 1;
            // Once more: it is no better for having been tried.
            drop(read_all(without_copies(other.path())).await);
            fs::copy(dir.path().join(lost), other.path().join(lost)).unwrap();
            if !has_metadata {
                drop(fs::remove_dir_all(other.path().join("meta")));
                copy(&dir.path().join("meta"), &other.path().join("meta"));
            }
            let store = Tranquil::open(without_copies(other.path())).unwrap_or_else(|e| panic!("all is back: {e}"));
            let report = store.verify(VerifyLevel::Repair).await.unwrap();
            assert_eq!(
                report.problems,
                Vec::<String>::new(),
                "{} byte {at} is healed from an event",
                damaged.display()
            );
            assert_eq!(difference(&before, &snapshot(&*store).await.unwrap()), None);
            store.close().await.unwrap();
        }
    }
    assert!(refused.iter().all(|times| *times > 0), "{refused:?}");
}
