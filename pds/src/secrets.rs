//! What only this host knows. Made once, and kept in the store, so that a copy of the store is a whole host.

use backend_api::{Backend, Did, Expect, Mutation, Op, Reason, Result, Row, RowKey, RowKind};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::env;
use crate::identity::keys::Keypair;

/// Table `host`, key `secrets` of the host's own rows.
const ROW: &[u8] = b"host\0secrets";

/// The secrets of this host.
pub struct Secrets {
    /// Signs tokens.
    pub jwt: [u8; 32],
    /// Signs the operations of did:plc identities.
    pub rotation: Keypair,
}

#[derive(Serialize, Deserialize)]
struct Body {
    v: u8,
    jwt: String,
    rotation: String,
}

impl Secrets {
    /// Those in the store; new ones if there are none.
    ///
    /// # Errors
    /// Those of the store, and [`Reason::DataCorrupt`] if they are not readable.
    pub async fn load(backend: &dyn Backend, host: &Did) -> Result<Self> {
        let key = RowKey { kind: RowKind::Custom, key: ROW.to_vec() };
        if let Some(row) = backend.row(&key).await? {
            return Self::decode(&row.body);
        }
        let made = Self { jwt: env::random(), rotation: Keypair::generate() };
        let row = Row { key: key.clone(), ..Row::new(RowKind::Custom, ROW, made.encode()) };
        let ops = vec![Op::PutRow { row, expect: Expect::Absent }];
        let mutation = Mutation { did: host.clone(), key: env::idempotency_key(), ops, blocks: Vec::new() };
        match backend.apply(mutation).await {
            Ok(_) => Ok(made),
            // Another process of this host was faster.
            Err(e) if e.reason() == Reason::RowExists => match backend.row(&key).await? {
                Some(row) => Self::decode(&row.body),
                None => Err(e),
            },
            Err(e) => Err(e),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let body = Body { v: 1, jwt: HEXLOWER.encode(&self.jwt), rotation: self.rotation.to_hex() };
        serde_json::to_vec(&body).expect("plain structs always serialize")
    }

    fn decode(body: &[u8]) -> Result<Self> {
        let bad = |why: String| backend_api::Error::new(Reason::DataCorrupt, format!("the host's secrets: {why}"));
        let body: Body = serde_json::from_slice(body).map_err(|e| bad(e.to_string()))?;
        let jwt = HEXLOWER.decode(body.jwt.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        let jwt = jwt.ok_or_else(|| bad("jwt is not 32 bytes in hexadecimal digits".into()))?;
        let rotation = Keypair::from_hex(&body.rotation).map_err(|e| e.context("the host's secrets: rotation"))?;
        Ok(Self { jwt, rotation })
    }
}
