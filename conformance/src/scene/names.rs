//! Names and contents, made from short words.

use backend_api::cbor::Writer;
use backend_api::{Cid, Codec, Did, Email, Handle, Link, Nsid, RecordKey, RecordPath};
use bytes::Bytes;

/// `did:plc:word`.
#[must_use]
pub fn did(word: &str) -> Did {
    parse(&format!("did:plc:{word}"))
}

/// `word.example.com`.
#[must_use]
pub fn handle(word: &str) -> Handle {
    parse(&format!("{word}.example.com"))
}

/// `word@example.com`.
#[must_use]
pub fn email(word: &str) -> Email {
    parse(&format!("{word}@example.com"))
}

/// A record's path.
#[must_use]
pub fn path(text: &str) -> RecordPath {
    parse(text)
}

/// A collection.
#[must_use]
pub fn nsid(text: &str) -> Nsid {
    parse(text)
}

/// A record key.
#[must_use]
pub fn rkey(text: &str) -> RecordKey {
    parse(text)
}

/// The CID of the blob whose content is `text`.
#[must_use]
pub fn blob_cid(text: &str) -> Cid {
    Cid::of(Codec::Raw, text.as_bytes())
}

/// A link.
#[must_use]
pub fn link(field: &str, target: &str) -> Link {
    Link { field: field.into(), target: target.into() }
}

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The CID of its block.
    pub cid: Cid,
    /// Its block.
    pub bytes: Bytes,
    /// The blobs that it refers to.
    pub blobs: Vec<Cid>,
    /// The links that it makes.
    pub links: Vec<Link>,
}

impl Content {
    /// A record of these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { cid: Cid::of_block(&bytes), bytes, blobs: Vec::new(), links: Vec::new() }
    }

    /// The CID of its block.
    #[must_use]
    pub const fn cid(&self) -> Cid {
        self.cid
    }

    /// The same, referring to a blob.
    #[must_use]
    pub fn with_blob(mut self, cid: Cid) -> Self {
        self.blobs.push(cid);
        self
    }

    /// The same, making a link.
    #[must_use]
    pub fn with_link(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }
}

/// A record with a text.
#[must_use]
pub fn content(text: &str) -> Content {
    let mut w = Writer::new();
    w.map(2).text("text").text(text).text("$type").text("com.example.note");
    Content::new(w.into_bytes())
}

/// A record whose block has exactly `len` bytes; `len` is 100 or more.
#[must_use]
pub fn content_of_bytes(len: usize) -> Content {
    // The header of a text grows with it, so the last bytes are found by trial.
    let fits = (len - 60..len).find_map(|text| {
        let made = content(&"x".repeat(text));
        (made.bytes.len() == len).then_some(made)
    });
    fits.unwrap_or_else(|| panic!("no text makes a record of {len} bytes"))
}

/// The cases know what they name.
fn parse<T: std::str::FromStr<Err = backend_api::Error>>(text: &str) -> T {
    text.parse().unwrap_or_else(|e| panic!("a name in a case: {e}"))
}
