//! Frames of the firehose, decoded with a DAG-CBOR library that the store does not write them with.

use std::collections::BTreeMap;

use backend_api::car::{CarEvent, CarReader};
use backend_api::tree::BlockMap;
use backend_api::{Cid, Error, Reason, Result};
use ipld_core::ipld::Ipld;

/// A decoded frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// `op` of the header.
    pub op: i128,
    /// `t` of the header.
    pub t: String,
    /// The body.
    pub body: BTreeMap<String, Ipld>,
}

impl Frame {
    /// Decodes two CBOR values and nothing after them, and checks that they are in the canonical form.
    ///
    /// # Errors
    /// [`Reason::BadRequest`] if they are not.
    pub fn decode(frame: &[u8]) -> Result<Self> {
        // The decoder wants one value; a header `{op, t}` has a length that its own bytes tell.
        let split = (1..frame.len()).find(|at| serde_ipld_dagcbor::from_slice::<Ipld>(&frame[..*at]).is_ok());
        let split = split.ok_or_else(|| bad("no header"))?;
        let (header, body) = (map(&frame[..split])?, map(&frame[split..])?);
        let (Some(Ipld::Integer(op)), t) = (header.get("op"), header.get("t")) else { return Err(bad("no op")) };
        let t = match t {
            Some(Ipld::String(t)) => t.clone(),
            _ => String::new(),
        };
        Ok(Self { op: *op, t, body })
    }

    /// The names of the body's fields, sorted.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        self.body.keys().map(String::as_str).collect()
    }

    /// A field that is a text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        match self.body.get(field) {
            Some(Ipld::String(text)) => Some(text),
            _ => None,
        }
    }

    /// A field that is an integer.
    #[must_use]
    pub fn int(&self, field: &str) -> Option<i128> {
        match self.body.get(field) {
            Some(Ipld::Integer(int)) => Some(*int),
            _ => None,
        }
    }

    /// The CAR in `blocks`: its root and its blocks, in order, each checked against its CID.
    ///
    /// # Errors
    /// [`Reason::BadCar`] and what else the reader finds.
    pub fn car(&self) -> Result<(Cid, Vec<Cid>, BlockMap)> {
        let Some(Ipld::Bytes(bytes)) = self.body.get("blocks") else { return Err(bad("no blocks")) };
        let mut reader = CarReader::new();
        reader.push(bytes);
        let (mut roots, mut order, mut blocks) = (Vec::new(), Vec::new(), BlockMap::new());
        while let Some(event) = reader.next()? {
            match event {
                CarEvent::Header { roots: found } => roots = found,
                CarEvent::Block { cid, bytes, .. } => {
                    order.push(cid);
                    blocks.insert(cid, bytes);
                }
            }
        }
        reader.finish()?;
        match roots.as_slice() {
            [root] => Ok((*root, order, blocks)),
            _ => Err(bad("not one root")),
        }
    }
}

/// A CID as the frames' decoder has it.
#[must_use]
pub fn as_link(cid: &Cid) -> Ipld {
    let cid = ipld_core::cid::Cid::try_from(cid.to_bytes().as_slice());
    cid.map_or(Ipld::Null, Ipld::Link)
}

fn map(bytes: &[u8]) -> Result<BTreeMap<String, Ipld>> {
    let value: Ipld = serde_ipld_dagcbor::from_slice(bytes).map_err(|e| bad(&e.to_string()))?;
    let again = serde_ipld_dagcbor::to_vec(&value).map_err(|e| bad(&e.to_string()))?;
    if again != bytes {
        return Err(bad("not canonical"));
    }
    match value {
        Ipld::Map(map) => Ok(map),
        other => Err(bad(&format!("{other:?} where a map belongs"))),
    }
}

fn bad(what: &str) -> Error {
    Error::new(Reason::BadRequest, format!("frame: {what}"))
}
