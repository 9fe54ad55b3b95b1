//! What a record refers to: blobs, and its subject.

use std::collections::BTreeSet;

use backend_api::{Cid, Codec, Link, limits};
use ipld_core::ipld::Ipld;

use super::data;

/// The blobs that a record refers to, each once.
///
/// # Errors
/// A sentence about what is wrong with one of them.
pub(super) fn blobs(record: &Ipld) -> Result<Vec<Cid>, String> {
    let mut found = BTreeSet::new();
    visit(record, &mut found)?;
    Ok(found.into_iter().collect())
}

/// As deep as the value, which `data::from_json` bounds.
fn visit(value: &Ipld, found: &mut BTreeSet<Cid>) -> Result<(), String> {
    match value {
        Ipld::List(items) => items.iter().try_for_each(|item| visit(item, found)),
        Ipld::Map(map) if matches!(map.get("$type"), Some(Ipld::String(t)) if t == "blob") => {
            let Some(cid) = map.get("ref").and_then(data::cid_of).filter(|cid| cid.codec() == Codec::Raw) else {
                return Err("a blob whose ref is not a link to raw bytes".into());
            };
            if !matches!(map.get("mimeType"), Some(Ipld::String(t)) if !t.is_empty()) {
                return Err(format!("the blob {cid} has no mimeType"));
            }
            if !matches!(map.get("size"), Some(Ipld::Integer(size)) if *size >= 0) {
                return Err(format!("the blob {cid} has no size"));
            }
            found.insert(cid);
            Ok(())
        }
        Ipld::Map(map) => map.values().try_for_each(|value| visit(value, found)),
        _ => Ok(()),
    }
}

/// The subject that a record is about, as follows, blocks, likes and reposts have it: a DID or AT-URI in `subject`, or
/// the `uri` of a strong reference there.
#[must_use]
pub fn links(record: &Ipld) -> Vec<Link> {
    let Ipld::Map(map) = record else { return Vec::new() };
    let (field, target) = match map.get("subject") {
        Some(Ipld::String(target)) => ("subject", target),
        Some(Ipld::Map(subject)) => match subject.get("uri") {
            Some(Ipld::String(target)) => ("subject.uri", target),
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    let is_name = target.starts_with("did:") || target.starts_with("at://");
    if !is_name || target.len() > limits::LINK_TARGET_BYTES_MAX || target.contains('\0') {
        return Vec::new();
    }
    vec![Link { field: field.into(), target: target.as_str().into() }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ipld(value: &Value) -> Ipld {
        data::from_json(value).unwrap()
    }

    fn blob(cid: &Cid) -> Value {
        json!({"$type": "blob", "ref": {"$link": cid.to_string()}, "mimeType": "image/png", "size": 3})
    }

    #[test]
    fn blobs_are_found_anywhere_and_once() {
        let (a, b) = (Cid::of(Codec::Raw, b"a"), Cid::of(Codec::Raw, b"b"));
        let record =
            ipld(&json!({"embed": {"images": [{"image": blob(&a)}, {"image": blob(&b)}]}, "avatar": blob(&a)}));
        let mut expected = vec![a, b];
        expected.sort();
        assert_eq!(blobs(&record).unwrap(), expected);
        assert_eq!(blobs(&ipld(&json!({"text": "no blob", "$type": "x.y.z"}))).unwrap(), []);
    }

    #[test]
    fn malformed_blobs_are_refused() {
        let raw = Cid::of(Codec::Raw, b"a").to_string();
        let block = Cid::of_block(b"a").to_string();
        for bad in [
            json!({"$type": "blob"}),
            json!({"$type": "blob", "ref": raw, "mimeType": "image/png", "size": 3}),
            json!({"$type": "blob", "ref": {"$link": block}, "mimeType": "image/png", "size": 3}),
            json!({"$type": "blob", "ref": {"$link": raw}, "size": 3}),
            json!({"$type": "blob", "ref": {"$link": raw}, "mimeType": "image/png"}),
            json!({"$type": "blob", "ref": {"$link": raw}, "mimeType": "image/png", "size": -3}),
        ] {
            assert!(blobs(&ipld(&json!({"b": [bad]}))).is_err(), "{bad}");
        }
    }

    #[test]
    fn subjects_are_links() {
        let link = |field: &str, target: &str| vec![Link { field: field.into(), target: target.into() }];
        let follow = json!({"subject": "did:plc:ewvi7nxzyoun6zhxrhs64oiz"});
        assert_eq!(links(&ipld(&follow)), link("subject", "did:plc:ewvi7nxzyoun6zhxrhs64oiz"));
        let like = json!({"subject": {"uri": "at://did:plc:a/app.bsky.feed.post/3k", "cid": "bafy"}});
        assert_eq!(links(&ipld(&like)), link("subject.uri", "at://did:plc:a/app.bsky.feed.post/3k"));
        for other in
            [json!({"subject": "a letter"}), json!({"subject": 1}), json!({"subject": {}}), json!({}), json!(1)]
        {
            assert_eq!(links(&ipld(&other)), [], "{other}");
        }
        let long = format!("did:web:{}", "a".repeat(limits::LINK_TARGET_BYTES_MAX));
        assert_eq!(links(&ipld(&json!({"subject": long}))), []);
    }
}
