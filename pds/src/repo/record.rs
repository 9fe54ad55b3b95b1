//! Records as clients send them. This host knows no lexicons: it holds records to the data model and to their limits.

use backend_api::cbor;
use backend_api::{Block, Cid, Link, Nsid, Reason, limits};
use ipld_core::ipld::Ipld;
use serde_json::Value;

use super::{data, links};
use crate::error::XrpcError;

/// A record that may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Its block.
    pub block: Block,
    /// Blobs that it refers to.
    pub blobs: Vec<Cid>,
    /// Links that it makes.
    pub links: Vec<Link>,
}

impl NewRecord {
    /// Reads a record of a collection. A `$type` that is not there is filled in.
    ///
    /// # Errors
    /// `InvalidRequest` with the place, `PayloadTooLarge` over a limit.
    pub fn from_json(collection: &Nsid, value: &Value) -> Result<Self, XrpcError> {
        let Ipld::Map(mut map) = data::from_json(value)? else {
            return Err(XrpcError::invalid("record: is not an object"));
        };
        let found = map.entry("$type".into()).or_insert_with(|| Ipld::String(collection.as_str().into()));
        if !matches!(found, Ipld::String(t) if t == collection.as_str()) {
            return Err(XrpcError::invalid(format!("record.$type: is not {collection}, the collection's")));
        }
        let record = Ipld::Map(map);
        let bytes = cbor::encode(&record).map_err(|e| e.into_error(Reason::BadRequest, "record"))?;
        if bytes.len() > limits::RECORD_BYTES_MAX {
            let (len, max) = (bytes.len(), limits::RECORD_BYTES_MAX);
            return Err(XrpcError::too_large(format!("record: {len} bytes is more than {max}")));
        }
        let blobs = links::blobs(&record).map_err(|why| XrpcError::invalid(format!("record: {why}")))?;
        if blobs.len() > limits::RECORD_BLOBS_MAX {
            return Err(XrpcError::too_large(format!("record: more than {} blobs", limits::RECORD_BLOBS_MAX)));
        }
        Ok(Self { links: links::links(&record), block: Block::new(bytes.into()), blobs })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn post(value: &Value) -> Result<NewRecord, XrpcError> {
        NewRecord::from_json(&"app.bsky.feed.post".parse().unwrap(), value)
    }

    #[test]
    fn the_type_is_filled_in_or_must_match() {
        let without = post(&json!({"text": "hi"})).unwrap();
        let with = post(&json!({"$type": "app.bsky.feed.post", "text": "hi"})).unwrap();
        assert_eq!(without, with);
        let Ipld::Map(map) = cbor::decode(with.block.bytes()).unwrap() else { panic!("a map") };
        assert_eq!(map["$type"], Ipld::String("app.bsky.feed.post".into()));
        assert_eq!(post(&json!({"$type": "app.bsky.feed.like"})).unwrap_err().error, "InvalidRequest");
        for other in [json!([]), json!("text"), json!(null), json!({"$link": Cid::of_block(b"x").to_string()})] {
            assert_eq!(post(&other).unwrap_err().error, "InvalidRequest", "{other}");
        }
    }

    #[test]
    fn a_record_of_a_million_bytes_is_the_largest() {
        let overhead = post(&json!({"text": "a".repeat(100_000)})).unwrap().block.bytes().len() - 100_000;
        let text = "a".repeat(limits::RECORD_BYTES_MAX - overhead);
        assert_eq!(post(&json!({"text": text})).unwrap().block.bytes().len(), limits::RECORD_BYTES_MAX);
        assert_eq!(post(&json!({"text": format!("{text}a")})).unwrap_err().error, "PayloadTooLarge");
    }
}
