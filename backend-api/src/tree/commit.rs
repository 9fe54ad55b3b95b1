//! The signed commit at the top of a repository (<https://atproto.com/specs/repository#commit-objects>).

use crate::cbor::{Malformed, Reader, Writer};
use crate::cid::Cid;
use crate::error::{Error, Reason, Result};
use crate::ids::{Did, Tid};

/// A commit block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitBlock {
    /// Whose repository.
    pub did: Did,
    /// Version of the format: 3, or 2 in old exports.
    pub version: u64,
    /// Root of the tree.
    pub data: Cid,
    /// The revision.
    pub rev: Tid,
    /// The commit before; null in version 3 as it is written today.
    pub prev: Option<Cid>,
    /// The signature over [`CommitBlock::unsigned_bytes`].
    pub sig: Vec<u8>,
}

impl CommitBlock {
    /// Decodes a block. Checks neither the hash nor the signature.
    ///
    /// # Errors
    /// [`Reason::CommitMismatch`] unless it is the canonical block of a commit of version 2 or 3.
    pub fn decode(block: &[u8]) -> Result<Self> {
        let commit = Self::parse(block).map_err(|e| e.into_error(Reason::CommitMismatch, "commit block"))?;
        if matches!(commit.version, 2 | 3) {
            return Ok(commit);
        }
        let detail = format!("commit block: version {} is neither 2 nor 3", commit.version);
        Err(Error::new(Reason::CommitMismatch, detail))
    }

    fn parse(block: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(block);
        let pairs = r.map()?;
        if pairs != 6 {
            return Err(Malformed::new(
                0,
                format!("a map of {pairs} keys, expected did, rev, sig, data, prev, version"),
            ));
        }
        r.key("did")?;
        let did = named(&mut r)?;
        r.key("rev")?;
        let rev = named(&mut r)?;
        r.key("sig")?;
        let sig = r.bytes()?.to_vec();
        r.key("data")?;
        let data = r.link()?;
        r.key("prev")?;
        let prev = r.link_or_null()?;
        r.key("version")?;
        let version = r.uint()?;
        r.end()?;
        Ok(Self { did, version, data, rev, prev, sig })
    }

    /// The canonical block.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.write(Some(&self.sig))
    }

    /// What is signed: the block without its signature.
    #[must_use]
    pub fn unsigned_bytes(&self) -> Vec<u8> {
        self.write(None)
    }

    fn write(&self, sig: Option<&[u8]>) -> Vec<u8> {
        let mut w = Writer::with_capacity(256);
        w.map(5 + usize::from(sig.is_some()));
        w.text("did").text(self.did.as_str()).text("rev").text(&self.rev.to_string());
        if let Some(sig) = sig {
            w.text("sig").bytes(sig);
        }
        w.text("data").link(&self.data).text("prev").link_or_null(self.prev.as_ref());
        w.text("version").uint(self.version);
        w.into_bytes()
    }
}

fn named<T: std::str::FromStr<Err = Error>>(r: &mut Reader<'_>) -> Result<T, Malformed> {
    let offset = r.offset();
    r.text()?.parse().map_err(|e: Error| Malformed::new(offset, e.to_string()))
}
