//! What a record refers to: blobs, and the subjects that it is found by.

use std::collections::{BTreeMap, BTreeSet};

use backend_api::limits::LINK_TARGET_BYTES_MAX;
use backend_api::{Cid, Codec, Error, Link, Reason, Result};
use ipld_core::ipld::Ipld;

/// Record types that are found by the DID in `subject`.
const SUBJECT_IS_DID: [&str; 2] = ["app.bsky.graph.follow", "app.bsky.graph.block"];

/// Record types that are found by the AT-URI in `subject.uri`.
const SUBJECT_HAS_URI: [&str; 2] = ["app.bsky.feed.like", "app.bsky.feed.repost"];

/// What a record refers to, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// Blobs.
    pub blobs: Vec<Cid>,
    /// Links.
    pub links: Vec<Link>,
}

/// Reads a record's block.
///
/// # Errors
/// [`Reason::BadRequest`] unless it is DAG-CBOR with a map at its top.
pub fn of(block: &[u8]) -> Result<References> {
    let bad = |why: String| Error::new(Reason::BadRequest, format!("not a record: {why}"));
    let record: Ipld = serde_ipld_dagcbor::from_slice(block).map_err(|e| bad(format!("not DAG-CBOR: {e}")))?;
    let Ipld::Map(fields) = &record else { return Err(bad("not a map".into())) };
    let links = link(fields).into_iter().collect();
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
    Ok(References { blobs: blobs.into_iter().collect(), links })
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

fn link(fields: &BTreeMap<String, Ipld>) -> Option<Link> {
    let Some(Ipld::String(kind)) = fields.get("$type") else { return None };
    let (field, target) = match fields.get("subject")? {
        Ipld::String(did) if SUBJECT_IS_DID.contains(&kind.as_str()) && did.starts_with("did:") => ("subject", did),
        Ipld::Map(subject) if SUBJECT_HAS_URI.contains(&kind.as_str()) => match subject.get("uri")? {
            Ipld::String(uri) if uri.starts_with("at://") => ("subject.uri", uri),
            _ => return None,
        },
        _ => return None,
    };
    let fits = target.len() <= LINK_TARGET_BYTES_MAX && !target.contains('\0');
    fits.then(|| Link { field: field.into(), target: target.as_str().into() })
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
    fn subjects_are_links_for_the_types_that_are_found_by_them() {
        let follow = ipld!({ "$type": "app.bsky.graph.follow", "subject": "did:plc:abc" });
        assert_eq!(read(&follow).links, [Link { field: "subject".into(), target: "did:plc:abc".into() }]);
        let like = ipld!({ "$type": "app.bsky.feed.like", "subject": { "uri": "at://did:plc:abc/c/k", "cid": "x" } });
        assert_eq!(read(&like).links, [Link { field: "subject.uri".into(), target: "at://did:plc:abc/c/k".into() }]);
        assert_eq!(read(&ipld!({ "$type": "com.example.x", "subject": "did:plc:abc" })).links, []);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for block in [&b"\xff"[..], b"\x01", b"\xa0\xa0", b""] {
            assert_eq!(of(block).unwrap_err().reason(), Reason::BadRequest, "{block:02x?}");
        }
    }
}
