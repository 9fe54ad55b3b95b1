//! The long tail of a PDS's tables: typed rows over one mechanism.

use serde::{Deserialize, Serialize};

use crate::ids::Did;
use crate::number::Micros;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// What a row is. A closed set: the code is stored, and never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum RowKind { $($(#[$doc])* $name = $code,)* }

        impl RowKind {
            /// Every kind, in order of code.
            pub const ALL: &'static [RowKind] = &[$(RowKind::$name,)*];

            /// The kind with a stored code.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A login session; key: token id.
    Session = 1,
    /// A refresh token; key: token id.
    RefreshToken = 2,
    /// An application password; key: DID and name.
    AppPassword = 3,
    /// A one-time token sent by e-mail; key: token.
    EmailToken = 4,
    /// An invite code with uses left; key: code.
    InviteCode = 5,
    /// A use of an invite code; key: code and DID.
    InviteUse = 6,
    /// A signing key held for an account; key: DID.
    SigningKey = 7,
    /// A signing key reserved before its account exists; key: public key or DID.
    ReservedKey = 8,
    /// A preference; key: DID, namespace and name.
    Preference = 9,
    /// An OAuth authorization request; key: request id.
    OauthRequest = 10,
    /// An OAuth token; key: token id.
    OauthToken = 11,
    /// An OAuth client's cached metadata; key: client id.
    OauthClient = 12,
    /// A device known to an account; key: device id.
    Device = 13,
    /// A second factor; key: DID and name.
    Factor = 14,
    /// An operation of the host's local DID directory; key: DID and number.
    PlcOperation = 15,
    /// A moderation decision; key: subject.
    Moderation = 16,
    /// The host's own tables; key: table name, 0x00, key. The body is JSON.
    Custom = 17,
}

/// Names a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowKey {
    /// What it is.
    pub kind: RowKind,
    /// Its primary key within the kind; any bytes, at most [`ROW_KEY_BYTES_MAX`](crate::limits::ROW_KEY_BYTES_MAX).
    pub key: Vec<u8>,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub key: RowKey,
    /// The account that it goes away with. Such a row can be changed only by mutations of that DID.
    pub owner: Option<Did>,
    /// Values that no other live row of the kind has at the same place of this list.
    pub unique: Vec<Vec<u8>>,
    /// Values that the row is found by, place by place; others may have the same.
    pub lookup: Vec<Vec<u8>>,
    /// From this time on the row is not there.
    pub expires_at: Option<Micros>,
    /// The content, in the host's encoding.
    pub body: Vec<u8>,
}

impl Row {
    /// A row without owner, indexes or expiry.
    #[must_use]
    pub fn new(kind: RowKind, key: impl Into<Vec<u8>>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            key: RowKey { kind, key: key.into() },
            owner: None,
            unique: Vec::new(),
            lookup: Vec::new(),
            expires_at: None,
            body: body.into(),
        }
    }

    /// True if the row is there at `now`.
    #[must_use]
    pub fn is_live(&self, now: Micros) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }
}

/// What a put or delete demands of the row that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// Nothing: put over it, or delete what there is.
    Any,
    /// No live row with the key.
    Absent,
    /// A live row with exactly this body.
    Body(Vec<u8>),
}

/// Which rows a listing gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowScope {
    /// All of a kind, by key.
    Kind(RowKind),
    /// Those of a kind whose key starts with some bytes, by key.
    Prefix(RowKind, Vec<u8>),
    /// Those that an account owns, by kind, then key.
    Owner(Did),
    /// Those of a kind with a value at a place of their look-up list, by key.
    Lookup {
        /// The kind.
        kind: RowKind,
        /// The place in the list.
        index: u8,
        /// The value.
        value: Vec<u8>,
    },
}
