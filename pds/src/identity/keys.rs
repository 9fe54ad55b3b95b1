//! Signing keys: secp256k1 (k256), as repositories and identities use them
//! (<https://atproto.com/specs/cryptography>).

use backend_api::{Did, Error, Reason, Result, Row, RowKey, RowKind};
use data_encoding::HEXLOWER;
use k256::ecdsa::signature::Signer;
use k256::ecdsa::{Signature, SigningKey};
use serde::{Deserialize, Serialize};

use super::base58;
use crate::env;

/// Multicodec `secp256k1-pub` (0xe7) as an unsigned varint.
const SECP256K1_PUB: [u8; 2] = [0xe7, 0x01];

/// A key pair.
#[derive(Clone)]
pub struct Keypair(SigningKey);

#[derive(Serialize, Deserialize)]
struct Body {
    v: u8,
    k256: String,
}

impl Keypair {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        loop {
            // One number in 2^128 is no key.
            if let Ok(key) = SigningKey::from_slice(&env::random::<32>()) {
                return Self(key);
            }
        }
    }

    /// From its secret number.
    ///
    /// # Errors
    /// [`Reason::DataCorrupt`] if it is none.
    pub fn from_hex(text: &str) -> Result<Self> {
        let key = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| SigningKey::from_slice(&bytes).ok());
        key.map(Self).ok_or_else(|| Error::new(Reason::DataCorrupt, "not a secp256k1 key of 64 hexadecimal digits"))
    }

    /// Its secret number.
    #[must_use]
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0.to_bytes())
    }

    /// A signature over the SHA-256 of `bytes`: 64 bytes, r and s, s in the lower half of its range.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let signature: Signature = self.0.sign(bytes);
        signature.normalize_s().unwrap_or(signature).to_bytes().into()
    }

    /// The public key in multibase: `z`, base58 of its multicodec and its compressed point.
    #[must_use]
    pub fn public_multibase(&self) -> String {
        let point = self.0.verifying_key().to_encoded_point(true);
        format!("z{}", base58::encode(&[&SECP256K1_PUB, point.as_bytes()].concat()))
    }

    /// The public key as a `did:key`.
    #[must_use]
    pub fn did_key(&self) -> String {
        format!("did:key:{}", self.public_multibase())
    }

    /// The row that keeps it as an account's signing key.
    #[must_use]
    pub fn to_row(&self, did: &Did) -> Row {
        let body = Body { v: 1, k256: self.to_hex() };
        let body = serde_json::to_vec(&body).expect("plain structs always serialize");
        Row { owner: Some(did.clone()), ..Row::new(RowKind::SigningKey, did.as_str(), body) }
    }

    /// From that row.
    ///
    /// # Errors
    /// [`Reason::DataCorrupt`] if it is not readable.
    pub fn from_row(row: &Row) -> Result<Self> {
        let body: Body = serde_json::from_slice(&row.body)
            .map_err(|e| Error::new(Reason::DataCorrupt, format!("a signing key's row: {e}")))?;
        Self::from_hex(&body.k256)
    }

    /// The name of the row of an account's signing key.
    #[must_use]
    pub fn row_key(did: &Did) -> RowKey {
        RowKey { kind: RowKind::SigningKey, key: did.as_str().into() }
    }
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::VerifyingKey;
    use k256::ecdsa::signature::Verifier;

    use super::*;

    /// The published vector of `did:key` for secp256k1 (<https://w3c-ccg.github.io/did-key-spec/#secp256k1>).
    #[test]
    fn a_public_key_is_written_as_published() {
        let secret = "9085d2bef69286a6cbb51623c8fa258629945cd55ca705cc4e66700396894e0c";
        let key = Keypair::from_hex(secret).unwrap();
        assert_eq!(key.did_key(), "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme");
        assert_eq!(key.to_hex(), secret);
    }

    #[test]
    fn signatures_verify_and_have_a_low_s() {
        let key = Keypair::generate();
        for n in 0..50_u32 {
            let bytes = n.to_be_bytes();
            let signature = Signature::from_slice(&key.sign(&bytes)).unwrap();
            assert!(signature.normalize_s().is_none(), "a high s");
            VerifyingKey::from(&key.0).verify(&bytes, &signature).unwrap();
        }
    }

    #[test]
    fn a_row_keeps_the_key() {
        let did: Did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse().unwrap();
        let key = Keypair::generate();
        let row = key.to_row(&did);
        assert_eq!(row.key, Keypair::row_key(&did));
        assert_eq!(Keypair::from_row(&row).unwrap().to_hex(), key.to_hex());
        assert!(Keypair::from_row(&Row::new(RowKind::SigningKey, "k", "{}")).is_err());
        for bad in ["", "00", &"0".repeat(64), &"f".repeat(64)] {
            assert!(Keypair::from_hex(bad).is_err(), "{bad:?}");
        }
    }
}
