//! The end of the log: what users wrote cannot pass for what the store wrote, and nothing is built on a copy that is not
//! what was copied (promises P1, P4, P7).

use std::fs;
use std::sync::Arc;

use crate::common::disk::{Fault, FaultDisk, Faults};
use crate::common::story::{
    Person, closed_story, copy, files, killed_story, read_all, read_all_in, roomy, small, with_ending,
};
use backend_api::{Maintenance, Reason};
use backend_tranquil::Tranquil;
use backend_tranquil::io::Env;
use conformance::digest::difference;
use conformance::snapshot;

const LOG: &str = "log/0000000001.log";

/// The end of a later cycle at an offset, as far as somebody can make one who knows the format and guesses the numbers.
fn guessed_cycle_end(offset: u64) -> Vec<u8> {
    let mut payload = b"CYCLEEND".to_vec();
    for number in [1_000, offset, offset] {
        payload.extend_from_slice(&u64::to_le_bytes(number));
    }
    payload.extend_from_slice(&[1; 8]);
    let mut rest = (payload.len() as u32).to_le_bytes().to_vec();
    rest.extend_from_slice(&[4, 0, 0, 0]);
    rest.extend_from_slice(&payload);
    [&crc32fast::hash(&rest).to_le_bytes()[..], &rest].concat()
}

/// A torn cycle with such bytes in a record is a torn cycle: else whoever may post could keep the store from opening.
#[tokio::test]
async fn content_that_looks_like_a_later_cycle_is_no_later_cycle() {
    let (dead, before) = killed_story(roomy, 9).await;
    let log = dead.path().join(LOG);
    let mut bytes = fs::read(&log).unwrap();
    let used = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
    let at = used + 200;
    let forged = guessed_cycle_end(at as u64);
    bytes[at..at + forged.len()].copy_from_slice(&forged);
    fs::write(&log, &bytes).unwrap();
    let after = read_all(roomy(dead.path())).await.unwrap();
    assert_eq!(difference(&before, &after), None);
    let torn = files(&dead.path().join("log")).into_iter().find(|p| p.to_string_lossy().contains("torn-")).unwrap();
    assert_eq!(fs::read(torn).unwrap(), bytes[used..at + forged.len()], "what was cut off is kept to its last byte");
}

/// The copy of the newest file, and that of a torn tail, are read again before they count.
#[tokio::test]
async fn a_copy_that_is_not_what_was_copied_is_never_built_on() {
    let (dead, before) = killed_story(roomy, 9).await;
    let log = dead.path().join(LOG);
    let mut bytes = fs::read(&log).unwrap();
    let used = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
    bytes[used + 10..used + 500].fill(7);
    fs::write(&log, &bytes).unwrap();
    for name in ["0000000001.tmp", "torn-"] {
        let faults = Arc::<Faults>::default();
        faults.set(Some(Fault::Flip(name)));
        let env = Env { disk: Arc::new(FaultDisk(faults)), ..Env::real() };
        let error = read_all_in(env, roomy(dead.path())).await.unwrap_err();
        assert_eq!(error.reason(), Reason::DataCorrupt, "{name}: {error}");
        assert!(error.detail().contains("was not changed"), "{name}: {error}");
        assert_eq!(fs::read(&log).unwrap(), bytes, "{name}: the log is what it was");
    }
    let after = read_all(roomy(dead.path())).await.unwrap();
    assert_eq!(difference(&before, &after), None);
    assert_eq!(with_ending(&dead.path().join("log"), "tmp"), Vec::<std::path::PathBuf>::new());
}

/// Nor does the copy of a segment take its name, of which a checkpoint vouches for more.
#[tokio::test]
async fn a_copy_of_events_that_is_not_what_was_copied_takes_no_name() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(roomy(dir.path()), 9).await;
    for sidecar in with_ending(dir.path(), "parity") {
        fs::remove_file(sidecar).unwrap();
    }
    let segments = with_ending(&dir.path().join("events"), "segment");
    let bytes = fs::read(&segments[0]).unwrap();
    let faults = Arc::<Faults>::default();
    faults.set(Some(Fault::Flip("rewrite-tmp")));
    let env = Env { disk: Arc::new(FaultDisk(faults)), ..Env::real() };
    let error = read_all_in(env, roomy(dir.path())).await.unwrap_err();
    assert!(error.detail().contains("nothing was changed"), "{error}");
    assert_eq!(fs::read(&segments[0]).unwrap(), bytes, "the events are what they were");
    assert_eq!(difference(&before, &read_all(roomy(dir.path())).await.unwrap()), None);
}

/// A disk that gives for a while what was there before does not make the last cycle a torn one, where nothing else tells of
/// it.
#[tokio::test]
async fn stale_reads_are_no_torn_tail() {
    let (dead, before) = killed_story(roomy, 9).await;
    for segment in with_ending(&dead.path().join("events"), "segment") {
        fs::remove_file(segment).unwrap();
    }
    let bytes = fs::read(dead.path().join(LOG)).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    let faults = Arc::<Faults>::default();
    // The scan, the look for a later cycle, and some more.
    faults.set(Some(Fault::Stale(".log", used - 20, 6)));
    let env = Env { disk: Arc::new(FaultDisk(faults)), ..Env::real() };
    let error = read_all_in(env, roomy(dead.path())).await.unwrap_err();
    assert!(error.detail().contains("two reads gave different bytes"), "{error}");
    assert!(fs::read(dead.path().join(LOG)).unwrap() == bytes, "nothing is cut");
    assert_eq!(difference(&before, &read_all(roomy(dead.path())).await.unwrap()), None);
}

/// One bad read while a segment is written to fresh blocks, or once more where it is, is told as what it is, not as damage: the
/// next open goes on.
#[tokio::test]
async fn a_bad_read_while_a_segment_is_copied_is_no_damage() {
    for fault in [Fault::BadTail("1.segment"), Fault::NoCopyBadTail("1.segment")] {
        let dir = tempfile::tempdir().unwrap();
        let before = closed_story(roomy(dir.path()), 9).await;
        // Nothing covers it.
        fs::remove_file(with_ending(&dir.path().join("events"), "parity").remove(0)).unwrap();
        let faults = Arc::<Faults>::default();
        faults.set(Some(fault));
        let env = Env { disk: Arc::new(FaultDisk(faults)), ..Env::real() };
        let error = read_all_in(env, roomy(dir.path())).await.unwrap_err();
        assert!(error.detail().contains("two reads gave different bytes"), "{error}");
        assert_eq!(difference(&before, &read_all(roomy(dir.path())).await.unwrap()), None);
    }
}

/// The metadata is lost, so that only its sidecar vouches for a segment, and neither is read rightly: it is not begun again
/// for that.
#[tokio::test]
async fn a_segment_that_is_read_wrongly_is_not_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(roomy(dir.path()), 9).await;
    fs::remove_dir_all(dir.path().join("meta")).unwrap();
    let segment = with_ending(&dir.path().join("events"), "segment").remove(0);
    let bytes = fs::read(&segment).unwrap();
    let faults = Arc::<Faults>::default();
    faults.set(Some(Fault::BadReads));
    let env = Env { disk: Arc::new(FaultDisk(faults)), ..Env::real() };
    let error = read_all_in(env, roomy(dir.path())).await.unwrap_err();
    assert!(error.detail().contains("two reads gave different bytes"), "{error}");
    assert_eq!(fs::read(&segment).unwrap(), bytes, "the events are what they were");
    assert_eq!(difference(&before, &read_all(roomy(dir.path())).await.unwrap()), None);
}

/// No checkpoint vouches for it, and the log has its events: whatever its header lost, the store opens.
#[tokio::test]
async fn a_segment_that_nothing_vouches_for_is_begun_again_whatever_its_header_lost() {
    let (dead, before) = killed_story(roomy, 9).await;
    let segment = with_ending(&dead.path().join("events"), "segment").remove(0);
    let right = fs::read(&segment).unwrap();
    for at in [0, 7, 8, 9, 10, 12, 28, 36, 44, 48, 60, 63] {
        let dir = tempfile::tempdir().unwrap();
        copy(dead.path(), dir.path());
        let mut bytes = right.clone();
        bytes[at] ^= 16;
        bytes[62] ^= 2;
        fs::write(dir.path().join(segment.strip_prefix(dead.path()).unwrap()), bytes).unwrap();
        assert_eq!(difference(&before, &read_all(roomy(dir.path())).await.unwrap()), None, "byte {at}");
    }
}

/// What a crash left behind the last whole event of a segment is cut off for good: nothing of it is there when the segment is
/// sealed, however long it was.
#[tokio::test]
async fn nothing_stays_behind_the_last_event() {
    let dir = tempfile::tempdir().unwrap();
    drop(closed_story(small(dir.path()), 10).await);
    let newest = with_ending(&dir.path().join("events"), "segment").pop().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    bytes.resize(bytes.len() + (64 << 10), 0x5a);
    std::fs::write(&newest, bytes).unwrap();
    let store = Tranquil::open(small(dir.path())).unwrap();
    let mut person = Person::create(&*store, "another", 900).await.unwrap();
    for n in 0..30 {
        person.post(&*store, &format!("note {n}")).await.unwrap();
    }
    let before = snapshot(&*store).await.unwrap();
    store.close().await.unwrap();
    assert!(with_ending(&dir.path().join("events"), "segment").pop() != Some(newest), "it is sealed");
    let store = Tranquil::open(small(dir.path())).unwrap();
    assert_eq!(difference(&before, &snapshot(&*store).await.unwrap()), None);
}
