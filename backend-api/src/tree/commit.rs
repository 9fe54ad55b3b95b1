//! The commit block: the signed statement of what a repository holds.

use crate::cbor::{Malformed, Reader, Writer};
use crate::cid::Cid;
use crate::error::{Error, Reason, Result};
use crate::ids::{Did, Tid};

/// Bytes of a signature at the most. Those of today's curves have 64.
const SIG_BYTES_MAX: usize = 256;

/// A commit block of version 3. Field order of the block: did, rev, sig, data, prev, version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitBlock {
    /// Whose repository it is.
    pub did: Did,
    /// Version of the format. Always 3 in what [`CommitBlock::decode`] gives.
    pub version: u64,
    /// Root of the tree.
    pub data: Cid,
    /// The revision.
    pub rev: Tid,
    /// The commit before. Kept from earlier versions; null in what is written today.
    pub prev: Option<Cid>,
    /// The signature over [`CommitBlock::unsigned_bytes`].
    pub sig: Vec<u8>,
}

/// A commit block of version 2, as old exports hold it. It may have no revision. Where `prev` is set, it means a chain of
/// commits that is of no more use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitBlockV2 {
    /// Whose repository it is.
    pub did: Did,
    /// Root of the tree, which is of the same form as in version 3.
    pub data: Cid,
    /// The revision, if it has one.
    pub rev: Option<Tid>,
    /// The commit before.
    pub prev: Option<Cid>,
    /// The signature.
    pub sig: Vec<u8>,
}

/// A commit block of any version that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyCommit {
    /// Today's.
    V3(CommitBlock),
    /// The one before.
    V2(CommitBlockV2),
}

impl CommitBlock {
    /// Decodes a commit block of version 3, which must be canonical. Does not look at the signature.
    ///
    /// # Errors
    /// [`Reason::CommitMismatch`]; the detail says so if it is of version 2.
    pub fn decode(block: &[u8]) -> Result<Self> {
        match AnyCommit::decode(block)? {
            AnyCommit::V3(commit) => Ok(commit),
            AnyCommit::V2(commit) => {
                let detail =
                    format!("the commit block of {} is of version 2; only version 3 is taken here", commit.did);
                Err(Error::new(Reason::CommitMismatch, detail))
            }
        }
    }

    /// The block.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.write(Some(&self.sig))
    }

    /// The bytes that are signed: the block without its signature.
    #[must_use]
    pub fn unsigned_bytes(&self) -> Vec<u8> {
        self.write(None)
    }

    fn write(&self, sig: Option<&[u8]>) -> Vec<u8> {
        let mut w = Writer::with_capacity(256 + self.did.as_str().len());
        w.map(5 + usize::from(sig.is_some())).text("did").text(self.did.as_str());
        w.text("rev").text(&self.rev.to_string());
        if let Some(sig) = sig {
            w.text("sig").bytes(sig);
        }
        w.text("data").link(&self.data);
        w.text("prev").link_or_null(self.prev.as_ref());
        w.text("version").uint(self.version);
        w.into_bytes()
    }
}

impl AnyCommit {
    /// Decodes a commit block of version 3 or 2, which must be canonical. Does not look at the signature.
    ///
    /// # Errors
    /// [`Reason::CommitMismatch`] with what is wrong and where.
    pub fn decode(block: &[u8]) -> Result<Self> {
        parse(block).map_err(|e| e.into_error(Reason::CommitMismatch, "not a commit block"))
    }
}

fn parse(block: &[u8]) -> std::result::Result<AnyCommit, Malformed> {
    let mut r = Reader::new(block);
    let pairs = r.map()?;
    if !matches!(pairs, 5 | 6) {
        return Err(Malformed::new(0, format!("a map of {pairs} fields")));
    }
    r.key("did")?;
    let did = field(&r, "did", r.clone().text()?.parse::<Did>())?;
    r.text()?;
    // Only version 2 may be without a revision, and only that makes five fields of six.
    let rev = if pairs == 6 {
        r.key("rev")?;
        let rev = field(&r, "rev", r.clone().text()?.parse::<Tid>())?;
        r.text()?;
        Some(rev)
    } else {
        None
    };
    r.key("sig")?;
    let at = r.offset();
    let sig = r.bytes()?;
    if sig.is_empty() || sig.len() > SIG_BYTES_MAX {
        return Err(Malformed::new(at, format!("a signature of {} bytes", sig.len())));
    }
    let sig = sig.to_vec();
    r.key("data")?;
    let data = r.link()?;
    r.key("prev")?;
    let prev = r.link_or_null()?;
    r.key("version")?;
    let at = r.offset();
    let version = r.uint()?;
    r.end()?;
    match (version, rev) {
        (3, Some(rev)) => Ok(AnyCommit::V3(CommitBlock { did, version, data, rev, prev, sig })),
        (3, None) => Err(Malformed::new(at, "version 3 without a rev")),
        (2, rev) => Ok(AnyCommit::V2(CommitBlockV2 { did, data, rev, prev, sig })),
        (other, _) => Err(Malformed::new(at, format!("version {other}; 3 and 2 are known"))),
    }
}

fn field<T>(r: &Reader<'_>, name: &str, parsed: Result<T>) -> std::result::Result<T, Malformed> {
    parsed.map_err(|e| Malformed::new(r.offset(), format!("{name}: {}", e.detail())))
}
