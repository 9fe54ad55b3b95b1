//! The JSON text that a stored record is shown as, written while its block is read.
//!
//! No tree of values is built in between: one takes a hundred times the bytes of a record of small numbers, and anybody may
//! ask for records.

use std::borrow::Cow;
use std::fmt;

use backend_api::{Error, Reason};
use data_encoding::BASE64_NOPAD;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_ipld_dagcbor::de::Deserializer as CborDeserializer;

use crate::error::XrpcError;

/// Appends the JSON of a stored record. Values outside the data model, which other hosts may have let in, are shown as
/// near as JSON comes.
///
/// # Errors
/// `InternalServerError` if it is not DAG-CBOR, which was checked when it was taken.
pub fn append_block(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), XrpcError> {
    let corrupt = |e: &dyn fmt::Display| Error::new(Reason::DataCorrupt, format!("record: {e}"));
    let mut cbor = CborDeserializer::from_slice(bytes);
    cbor.deserialize_any(Item(text)).map_err(|e| corrupt(&e))?;
    Ok(cbor.end().map_err(|e| corrupt(&e))?)
}

/// Appends a text with its quotes.
pub fn append_text(text: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(text, value).expect("a text is JSON, and memory takes it");
}

/// Where the next value goes.
struct Item<'t>(&'t mut Vec<u8>);

impl Item<'_> {
    fn write<E>(self, value: impl fmt::Display) -> Result<(), E> {
        self.0.extend_from_slice(value.to_string().as_bytes());
        Ok(())
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of DAG-CBOR")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.write("null")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        self.write("null")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.write(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.write(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.write(value)
    }

    /// What is too large for a number of 64 bits is shown as a text.
    fn visit_i128<E>(self, value: i128) -> Result<(), E> {
        self.write(format_args!("\"{value}\""))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        serde_json::to_writer(self.0, &value).map_err(E::custom)
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        append_text(self.0, value);
        Ok(())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<(), E> {
        self.write(format_args!("{{\"$bytes\":\"{}\"}}", BASE64_NOPAD.encode(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.push(b'[');
        let first = self.0.len();
        loop {
            let end = self.0.len();
            if end > first {
                self.0.push(b',');
            }
            if items.next_element_seed(Item(self.0))?.is_none() {
                self.0.truncate(end);
                break;
            }
        }
        self.0.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut before = b'{';
        while let Some(name) = fields.next_key::<Cow<'de, str>>()? {
            self.0.push(before);
            append_text(self.0, &name);
            self.0.push(b':');
            fields.next_value_seed(Item(self.0))?;
            before = b',';
        }
        self.0.extend_from_slice(if before == b'{' { b"{}" } else { b"}" });
        Ok(())
    }

    /// A link.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, link: D) -> Result<(), D::Error> {
        link.deserialize_bytes(Link(self.0))
    }
}

/// Where the CID of a link goes.
struct Link<'t>(&'t mut Vec<u8>);

impl Visitor<'_> for Link<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a CID")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<(), E> {
        let cid = ipld_core::cid::Cid::try_from(bytes).map_err(E::custom)?;
        Item(self.0).write(format_args!("{{\"$link\":\"{cid}\"}}"))
    }
}

#[cfg(test)]
mod tests {
    use backend_api::{Cid, cbor};
    use ipld_core::ipld::Ipld;
    use serde_json::{Value, json};

    use super::super::data::from_json;
    use super::*;

    fn shown(block: &[u8]) -> String {
        let mut text = Vec::new();
        append_block(&mut text, block).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn values_go_there_and_back() {
        let cid = Cid::of_block(b"x").to_string();
        let value = json!({
            "a": [1, -1, i64::MAX, i64::MIN, true, false, null, "text", [], {}, [[]], "\"\\\n\u{0}π🦀"],
            "link": {"$link": cid}, "bytes": {"$bytes": "AAEC/w"}, "": {"of": {"maps": [{}]}},
        });
        let block = cbor::encode(&from_json(&value).unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&shown(&block)).unwrap(), value);
    }

    #[test]
    fn what_is_outside_the_model_is_shown_as_near_as_json_comes() {
        for (value, text) in [
            (Ipld::Float(1.5), "1.5"),
            (Ipld::Integer(u64::MAX.into()), "18446744073709551615"),
            (Ipld::Integer(-i128::from(u64::MAX)), "\"-18446744073709551615\""),
        ] {
            assert_eq!(shown(&cbor::encode(&value).unwrap()), text);
        }
    }

    #[test]
    fn what_is_no_block_is_an_error() {
        for bytes in [&b""[..], b"\x82\x01", b"\xa0\xa0", b"\xff", b"\xd8\x2a\x41\x00"] {
            assert!(append_block(&mut Vec::new(), bytes).is_err(), "{bytes:?}");
        }
    }
}
