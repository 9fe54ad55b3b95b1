//! The AT Protocol data model from JSON to DAG-CBOR (<https://atproto.com/specs/data-model>).

use std::collections::BTreeMap;

use backend_api::Cid;
use data_encoding::{BASE64, BASE64_NOPAD};
use ipld_core::ipld::Ipld;
use serde_json::{Map, Value};

use crate::error::XrpcError;

/// What can be read back everywhere; the decoder's own bound is about 250.
const DEPTH_MAX: usize = 100;

/// The DAG-CBOR value that a JSON value means: `{"$link": ...}` is a CID, `{"$bytes": ...}` a byte string. There are no
/// floats in the data model.
///
/// # Errors
/// `InvalidRequest` with the place.
pub fn from_json(value: &Value) -> Result<Ipld, XrpcError> {
    convert(value, &mut Vec::new()).map_err(|(path, why)| XrpcError::invalid(format!("record{path}: {why}")))
}

type Fault = (String, String);

fn convert<'v>(value: &'v Value, path: &mut Vec<&'v str>) -> Result<Ipld, Fault> {
    let fault = |path: &[&str], why: &str| {
        let path: String = path.iter().map(|part| format!(".{part}")).collect();
        Err((path, why.to_owned()))
    };
    if path.len() > DEPTH_MAX {
        return fault(&path[..4], "is nested deeper than 100 levels");
    }
    Ok(match value {
        Value::Null => Ipld::Null,
        Value::Bool(value) => Ipld::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => Ipld::Integer(value.into()),
            None => return fault(path, "a number that is not an integer of 64 bits"),
        },
        Value::String(text) => Ipld::String(text.clone()),
        Value::Array(items) => {
            path.push("[]");
            let items = items.iter().map(|item| convert(item, path)).collect::<Result<_, _>>()?;
            path.pop();
            Ipld::List(items)
        }
        Value::Object(map) => match special(map) {
            Some(Ok(value)) => value,
            Some(Err(why)) => return fault(path, &why),
            None => {
                let mut out = BTreeMap::new();
                for (key, value) in map {
                    path.push(key);
                    out.insert(key.clone(), convert(value, path)?);
                    path.pop();
                }
                if out.get("$type").is_some_and(|t| !matches!(t, Ipld::String(t) if !t.is_empty())) {
                    return fault(path, "$type is not a text with something in it");
                }
                Ipld::Map(out)
            }
        },
    })
}

/// The value of an object that stands for something else.
fn special(map: &Map<String, Value>) -> Option<Result<Ipld, String>> {
    if let Some(link) = map.get("$link") {
        let Some(text) = link.as_str().filter(|_| map.len() == 1) else {
            return Some(Err("$link is not a text that stands alone".into()));
        };
        return Some(text.parse::<Cid>().map(|cid| link_of(&cid)).map_err(|e| e.to_string()));
    }
    let bytes = map.get("$bytes")?;
    let Some(text) = bytes.as_str().filter(|_| map.len() == 1) else {
        return Some(Err("$bytes is not a text that stands alone".into()));
    };
    let decoded = BASE64_NOPAD.decode(text.as_bytes()).or_else(|_| BASE64.decode(text.as_bytes()));
    Some(decoded.map(Ipld::Bytes).map_err(|e| format!("$bytes: {e}")))
}

/// A link to a CID.
#[must_use]
pub fn link_of(cid: &Cid) -> Ipld {
    // Both are CIDs in the binary form that one wrote for the other.
    ipld_core::cid::Cid::try_from(cid.to_bytes().as_slice()).map_or(Ipld::Null, Ipld::Link)
}

/// The CID of a link, if it is one of those that repositories may hold.
#[must_use]
pub fn cid_of(value: &Ipld) -> Option<Cid> {
    match value {
        Ipld::Link(cid) => Cid::from_bytes(&cid.to_bytes()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn links_and_bytes_are_values_of_their_own() {
        let cid = Cid::of_block(b"x");
        let link = from_json(&json!({"$link": cid.to_string()})).unwrap();
        assert_eq!((cid_of(&link), link), (Some(cid), link_of(&cid)));
        for text in ["AAEC/w", "AAEC/w=="] {
            assert_eq!(from_json(&json!({"$bytes": text})).unwrap(), Ipld::Bytes(vec![0, 1, 2, 255]));
        }
    }

    #[test]
    fn what_is_outside_the_model_is_refused_with_its_place() {
        let mut deep = json!(1);
        for _ in 0..=DEPTH_MAX {
            deep = json!([deep]);
        }
        for (value, place) in [
            (json!({"a": {"b": 1.5}}), "record.a.b"),
            (json!({"n": u64::MAX}), "record.n"),
            (json!({"l": {"$link": "bafy"}}), "record.l"),
            (json!({"l": {"$link": 1}}), "record.l"),
            (json!({"l": {"$link": Cid::of_block(b"x").to_string(), "more": 1}}), "record.l"),
            (json!({"b": [{"$bytes": "?"}]}), "record.b.[]"),
            (json!({"b": {"$bytes": "AA", "more": 1}}), "record.b"),
            (json!({"o": {"$type": 1}}), "record.o"),
            (json!({"o": {"$type": ""}}), "record.o"),
            (deep, "100 levels"),
        ] {
            let error = from_json(&value).unwrap_err();
            assert!(error.message.contains(place), "{error} should name {place}");
        }
    }
}
