//! What a record refers to: blobs, and the subjects that it is found by.

use std::collections::{BTreeMap, BTreeSet};

use backend_api::{Cid, Codec, Error, Link, Reason, Result};
use ipld_core::ipld::Ipld;

use crate::repo::links;

/// What a record refers to, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// Blobs.
    pub blobs: Vec<Cid>,
    /// Links.
    pub links: Vec<Link>,
}

/// Reads a record's block. More is taken for a blob than when a record is written here: what others let in long ago must
/// come in, too.
///
/// # Errors
/// [`Reason::BadRequest`] unless it is DAG-CBOR with a map at its top.
pub fn of(block: &[u8]) -> Result<References> {
    let bad = |why: String| Error::new(Reason::BadRequest, format!("not a record: {why}"));
    let record: Ipld = serde_ipld_dagcbor::from_slice(block).map_err(|e| bad(format!("not DAG-CBOR: {e}")))?;
    if !matches!(record, Ipld::Map(_)) {
        return Err(bad("not a map".into()));
    }
    let mut blobs = BTreeSet::new();
    let mut pending = vec![&record];
    while let Some(value) = pending.pop() {
        match value {
            Ipld::List(items) => pending.extend(items),
            Ipld::Map(fields) => match blob(fields) {
                Some(cid) => {
                    blobs.insert(cid);
                }
                None => pending.extend(fields.values()),
            },
            _ => {}
        }
    }
    Ok(References { blobs: blobs.into_iter().collect(), links: links(&record) })
}

/// A blob, in today's form or the one before (<https://atproto.com/specs/data-model#blob-type>).
fn blob(fields: &BTreeMap<String, Ipld>) -> Option<Cid> {
    match (fields.get("$type"), fields.get("ref")) {
        (Some(Ipld::String(kind)), Some(Ipld::Link(cid))) if kind == "blob" => {
            return Cid::from_bytes(&cid.to_bytes()).ok().filter(|cid| cid.codec() == Codec::Raw);
        }
        _ => {}
    }
    match (fields.len(), fields.get("cid"), fields.get("mimeType")) {
        (2, Some(Ipld::String(cid)), Some(Ipld::String(_))) => cid.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ipld_core::ipld;

    use super::*;

    fn read(record: &Ipld) -> References {
        of(&serde_ipld_dagcbor::to_vec(record).unwrap()).unwrap()
    }

    fn link_to(cid: Cid) -> Ipld {
        Ipld::Link(ipld_core::cid::Cid::try_from(cid.to_bytes().as_slice()).unwrap())
    }

    #[test]
    fn blobs_of_both_forms_are_found_once_wherever_they_are() {
        let (new, old) = (Cid::of(Codec::Raw, b"new"), Cid::of(Codec::Raw, b"old"));
        let blob = ipld!({ "$type": "blob", "ref": link_to(new), "mimeType": "image/png", "size": 3 });
        let legacy = ipld!({ "cid": old.to_string(), "mimeType": "image/png" });
        let record = ipld!({ "a": [{ "image": blob.clone() }, legacy], "b": blob, "c": link_to(Cid::of_block(b"x")) });
        let mut expected = vec![new, old];
        expected.sort();
        assert_eq!(read(&record), References { blobs: expected, links: vec![] });
    }

    #[test]
    fn subjects_are_links() {
        let follow = ipld!({ "$type": "app.bsky.graph.follow", "subject": "did:plc:abc" });
        assert_eq!(read(&follow).links, [Link { field: "subject".into(), target: "did:plc:abc".into() }]);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for block in [&b"\xff"[..], b"\x01", b"\xa0\xa0", b""] {
            assert_eq!(of(block).unwrap_err().reason(), Reason::BadRequest, "{block:02x?}");
        }
    }
}
