//! The names of the protocol against the published vectors of valid and invalid ones.

use std::fmt::Debug;
use std::str::FromStr;

use crate::support::fixture_text;
use backend_api::{Cid, Did, Error, Handle, Nsid, Reason, RecordKey, RecordPath, Tid};

/// Every line of a vector file; spaces at the ends of a line count.
fn lines(name: &str) -> Option<Vec<String>> {
    let text = fixture_text(&format!("interop/syntax/{name}.txt"))?;
    let lines: Vec<String> =
        text.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect();
    assert!(!lines.is_empty(), "{name} has no vectors");
    Some(lines)
}

fn vectors<T: FromStr<Err = Error> + ToString + Debug>(name: &str, reason: Reason, normal: fn(&str) -> String) {
    for line in lines(&format!("{name}_syntax_valid")).unwrap_or_default() {
        let parsed: T = line.parse().unwrap_or_else(|e| panic!("valid, but refused: {line:?}: {e}"));
        assert_eq!(parsed.to_string(), normal(&line));
    }
    for line in lines(&format!("{name}_syntax_invalid")).unwrap_or_default() {
        // In the file of record keys, `#extra` is meant as a vector, and looks like a comment.
        let error = line.parse::<T>().expect_err(&format!("invalid, but taken: {line:?}"));
        assert_eq!(error.reason(), reason);
        assert!(error.detail().len() < 300, "names the value, but not all of a long one: {error}");
    }
}

#[test]
fn dids() {
    vectors::<Did>("did", Reason::BadDid, str::to_owned);
}

#[test]
fn handles() {
    vectors::<Handle>("handle", Reason::BadHandle, str::to_ascii_lowercase);
}

#[test]
fn nsids() {
    vectors::<Nsid>("nsid", Reason::BadNsid, str::to_owned);
}

#[test]
fn record_keys() {
    vectors::<RecordKey>("recordkey", Reason::BadRecordKey, str::to_owned);
    assert!("#extra".parse::<RecordKey>().is_err());
}

#[test]
fn tids() {
    vectors::<Tid>("tid", Reason::BadTid, str::to_owned);
}

#[test]
fn cids() {
    for line in lines("cid_syntax_invalid").unwrap_or_default() {
        assert!(line.parse::<Cid>().is_err(), "invalid, but taken: {line:?}");
    }
    // Of the valid ones only CIDv1 in base32 of SHA-256 over dag-cbor or raw are of the blessed forms. These are dag-pb.
    for line in lines("cid_syntax_valid").unwrap_or_default() {
        assert_eq!(line.parse::<Cid>().expect_err("not of a blessed form").reason(), Reason::BadCid);
    }
    for blessed in [
        "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq",
        "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity",
    ] {
        assert_eq!(blessed.parse::<Cid>().unwrap().to_string(), blessed);
    }
}

#[test]
fn lengths_at_and_over_the_bound() {
    let did = |len: usize| format!("did:plc:{}", "a".repeat(len - 8)).parse::<Did>();
    assert!(did(2048).is_ok() && did(2049).is_err());
    let rkey = |len: usize| "k".repeat(len).parse::<RecordKey>();
    assert!(rkey(512).is_ok() && rkey(513).is_err());
}

#[test]
fn errors_cut_long_values_between_characters() {
    let error = "é".repeat(5000).parse::<Handle>().unwrap_err();
    assert!(error.detail().contains("(10000 bytes)") && error.detail().len() < 200, "{error}");
}

#[test]
fn paths_have_two_valid_parts_and_sort_as_text() {
    let path: RecordPath = "app.bsky.feed.post/3jzfcijpj2z2a".parse().unwrap();
    assert_eq!((path.collection(), path.rkey()), ("app.bsky.feed.post", "3jzfcijpj2z2a"));
    assert_eq!(RecordPath::new(&path.collection().parse().unwrap(), &path.rkey().parse().unwrap()), path);
    for bad in ["", "/", "app.bsky.feed.post", "app.bsky.feed.post/", "/self", "post/self", "a.b.c/d/e", "a.b.c/.."] {
        assert!(bad.parse::<RecordPath>().is_err(), "{bad:?}");
    }
    let dot: RecordPath = "a.b.c.d/x".parse().unwrap();
    let slash: RecordPath = "a.b.c/x".parse().unwrap();
    assert!(dot < slash, "a dot sorts before a slash");
}

#[test]
fn tids_keep_time_and_order() {
    let tid = Tid::new(1_700_000_000_000_000, 21);
    assert_eq!((tid.micros(), tid.clock_id()), (1_700_000_000_000_000, 21));
    assert_eq!(tid.to_string().parse::<Tid>().unwrap(), tid);
    assert_eq!(Tid::from_u64(tid.as_u64()), tid);
    assert_eq!(Tid::new(0, 0).to_string(), "2222222222222");
    // A clock that stands still, goes back or jumps: always one later, never the same.
    let mut last = tid;
    for now in [1_700_000_000_000_000, 1_600_000_000_000_000, 0, 1_700_000_000_000_009, u64::MAX] {
        let next = Tid::next_after(last, now).unwrap();
        assert!(next > last && next.to_string() > last.to_string());
        assert_eq!(next.clock_id(), 21);
        last = next;
    }
    assert_eq!(Tid::next_after(tid, tid.micros() + 5).unwrap().micros(), tid.micros() + 5);
    assert_eq!(Tid::next_after(Tid::from_u64(u64::MAX), 0), None);
}

#[test]
fn serde_checks_what_it_reads() {
    let handle: Handle = serde_json::from_str("\"Alice.Test\"").unwrap();
    assert_eq!(serde_json::to_string(&handle).unwrap(), "\"alice.test\"");
    assert!(serde_json::from_str::<Did>("\"plc:x\"").unwrap_err().to_string().contains("plc:x"));
    let tid = Tid::new(1, 2);
    assert_eq!(serde_json::to_string(&tid).unwrap(), format!("\"{tid}\""));
    assert!(serde_json::from_str::<Tid>("5").is_err());

    let did: Did = "did:web:example.com".parse().unwrap();
    let binary = postcard::to_allocvec(&(&did, tid)).unwrap();
    assert_eq!(binary.len(), 1 + did.as_str().len() + 2, "a text, and a number in two bytes");
    assert_eq!(postcard::from_bytes::<(Did, Tid)>(&binary).unwrap(), (did, tid));
    let bad = postcard::to_allocvec("no did").unwrap();
    assert!(postcard::from_bytes::<Did>(&bad).is_err());
}
