//! did:plc identities of the local directory (<https://web.plc.directory/spec/v0.1/did-plc>).

use std::collections::BTreeMap;

use backend_api::{Did, Handle, Row, RowKind};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::keys::Keypair;

/// Characters of the identifier.
const ID_CHARS: usize = 24;

/// The first operation of an identity, which its DID is the hash of. DAG-CBOR orders the fields of a map by itself.
#[derive(Serialize)]
struct Operation<'a> {
    r#type: &'static str,
    #[serde(rename = "rotationKeys")]
    rotation_keys: [String; 1],
    #[serde(rename = "verificationMethods")]
    verification_methods: BTreeMap<&'static str, String>,
    #[serde(rename = "alsoKnownAs")]
    also_known_as: [String; 1],
    services: BTreeMap<&'static str, Service<'a>>,
    prev: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

#[derive(Serialize)]
struct Service<'a> {
    r#type: &'static str,
    endpoint: &'a str,
}

/// A new identity.
pub struct Genesis {
    /// Its DID.
    pub did: Did,
    /// The row that keeps its first operation.
    pub row: Row,
}

/// Makes an identity for a handle, a signing key and the place of its repo.
///
/// # Errors
/// Those of the encoder.
pub fn genesis(handle: &Handle, signing: &Keypair, rotation: &Keypair, endpoint: &str) -> backend_api::Result<Genesis> {
    let mut operation = Operation {
        r#type: "plc_operation",
        rotation_keys: [rotation.did_key()],
        verification_methods: BTreeMap::from([("atproto", signing.did_key())]),
        also_known_as: [format!("at://{handle}")],
        services: BTreeMap::from([("atproto_pds", Service { r#type: "AtprotoPersonalDataServer", endpoint })]),
        prev: None,
        sig: None,
    };
    let encode = |operation: &Operation<'_>| {
        let subject = "did:plc operation";
        backend_api::cbor::encode(operation).map_err(|e| e.into_error(backend_api::Reason::BadRequest, subject))
    };
    operation.sig = Some(BASE64URL_NOPAD.encode(&rotation.sign(&encode(&operation)?)));
    let mut id = BASE32_NOPAD.encode(&Sha256::digest(encode(&operation)?)).to_ascii_lowercase();
    id.truncate(ID_CHARS);
    let did: Did = format!("did:plc:{id}").parse()?;
    let body = serde_json::to_vec(&operation).expect("plain structs always serialize");
    // Operation 0 of the DID.
    let key = [did.as_str().as_bytes(), &[0], &0_u64.to_be_bytes()].concat();
    let row = Row { owner: Some(did.clone()), ..Row::new(RowKind::PlcOperation, key, body) };
    Ok(Genesis { did, row })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_did_is_the_hash_of_the_signed_operation() {
        let (signing, rotation) = (Keypair::generate(), Keypair::generate());
        let handle: Handle = "alice.test".parse().unwrap();
        let made = genesis(&handle, &signing, &rotation, "http://localhost:2583").unwrap();
        let operation: serde_json::Value = serde_json::from_slice(&made.row.body).unwrap();
        let bytes = backend_api::cbor::encode(&operation).unwrap();
        let id = BASE32_NOPAD.encode(&Sha256::digest(&bytes)).to_ascii_lowercase();
        assert_eq!(made.did.as_str(), format!("did:plc:{}", &id[..24]));
        assert_eq!(operation["alsoKnownAs"][0], "at://alice.test");
        assert_eq!(operation["verificationMethods"]["atproto"], signing.did_key());
        assert_eq!(operation["services"]["atproto_pds"]["endpoint"], "http://localhost:2583");
        assert!(operation["prev"].is_null() && operation["sig"].is_string());
        let other = genesis(&"bob.test".parse().unwrap(), &signing, &rotation, "http://localhost:2583").unwrap();
        assert_ne!(other.did, made.did);
    }
}
