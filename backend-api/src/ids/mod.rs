//! Names of the AT Protocol as checked types: a value that exists is well-formed, and is never checked again.
//!
//! The syntax is that of the protocol's published regular expressions, no stricter and no laxer, so that this store
//! takes exactly what other implementations take.

mod did;
mod handle;
mod nsid;
mod path;
mod record_key;
mod tid;

pub use did::Did;
pub use handle::Handle;
pub use nsid::Nsid;
pub use path::RecordPath;
pub use record_key::RecordKey;
pub use tid::Tid;

use crate::error::{Error, Reason};

/// The most of a refused value that an error message repeats, in bytes.
const SHOWN_BYTES_MAX: usize = 80;

/// The longest label of a host name, and the longest name of an NSID, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// A refusal that names the value, cut short if it is long.
fn refuse(reason: Reason, value: &str, why: &str) -> Error {
    if value.len() <= SHOWN_BYTES_MAX {
        return Error::new(reason, format!("{value:?} {why}"));
    }
    let cut = (0..=SHOWN_BYTES_MAX).rev().find(|&at| value.is_char_boundary(at)).unwrap_or(0);
    Error::new(reason, format!("{:?}... ({} bytes) {why}", &value[..cut], value.len()))
}

/// True for `[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?`, one label of a host name.
fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let [first, .., last] = bytes else { return bytes.len() == 1 && bytes[0].is_ascii_alphanumeric() };
    bytes.len() <= LABEL_BYTES_MAX
        && first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

/// Everything that the textual names have in common. The type has one field, `Box<str>`, and a function
/// `check(&str) -> Result<()>`; `normal` turns a checked value into its normal form.
macro_rules! text_name {
    ($name:ident, normal: $normal:expr) => {
        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as text, taken out of its type.
            #[must_use]
            pub fn into_string(self) -> String {
                self.0.into_string()
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::error::Error;

            fn from_str(text: &str) -> crate::error::Result<Self> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = crate::error::Error;

            fn try_from(text: String) -> crate::error::Result<Self> {
                Self::check(&text)?;
                let normal: fn(String) -> String = $normal;
                Ok(Self(normal(text).into_boxed_str()))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = crate::error::Error;

            fn try_from(text: &str) -> crate::error::Result<Self> {
                text.parse()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        /// The order, equality and hash are those of the text.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(d)?;
                Self::try_from(text).map_err(serde::de::Error::custom)
            }
        }
    };
}
use text_name;
