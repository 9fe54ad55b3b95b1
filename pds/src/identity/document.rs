//! DID documents (<https://atproto.com/specs/did#did-documents>).

use backend_api::{Account, Backend};
use serde_json::{Value, json};

use super::host::Host;
use super::keys::Keypair;
use crate::error::XrpcError;

/// The document of an account of this host, without a key if it has none here.
///
/// # Errors
/// Those of the store.
pub async fn of_account(backend: &dyn Backend, host: &Host, account: &Account) -> Result<Value, XrpcError> {
    let did = account.did.as_str();
    let method = |key: Keypair| {
        json!({
            "id": format!("{did}#atproto"),
            "type": "Multikey",
            "controller": did,
            "publicKeyMultibase": key.public_multibase(),
        })
    };
    let methods: Vec<Value> = stored_key(backend, account).await?.into_iter().map(method).collect();
    let names: Vec<String> = account.handle.iter().map(|handle| format!("at://{handle}")).collect();
    Ok(json!({
        "@context": [
            "https://www.w3.org/ns/did/v1",
            "https://w3id.org/security/multikey/v1",
            "https://w3id.org/security/suites/secp256k1-2019/v1",
        ],
        "id": did,
        "alsoKnownAs": names,
        "verificationMethod": methods,
        "service": [{
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": host.url(),
        }],
    }))
}

/// The document of this host.
#[must_use]
pub fn of_host(host: &Host) -> Value {
    json!({
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": host.did().as_str(),
        "service": [{
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": host.url(),
        }],
    })
}

/// The key that signs an account's commits.
///
/// # Errors
/// Those of the store, also if the account has none, as one that was moved here without its key.
pub async fn signing_key(backend: &dyn Backend, account: &Account) -> Result<Keypair, XrpcError> {
    let key = stored_key(backend, account).await?;
    key.ok_or_else(|| XrpcError::invalid(format!("this host has no signing key of {}", account.did)))
}

async fn stored_key(backend: &dyn Backend, account: &Account) -> Result<Option<Keypair>, XrpcError> {
    let row = backend.row(&Keypair::row_key(&account.did)).await?;
    Ok(row.as_ref().map(Keypair::from_row).transpose()?)
}
