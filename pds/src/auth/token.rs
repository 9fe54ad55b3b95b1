//! Access and refresh tokens: JWTs signed with HMAC-SHA-256 (RFC 7519, RFC 7515), the secret known to this host alone.

use backend_api::Did;
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// To use the account.
    #[serde(rename = "com.atproto.access")]
    Access,
    /// To get new tokens, or to give the session up.
    #[serde(rename = "com.atproto.refresh")]
    Refresh,
}

impl Scope {
    const fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "refresh+jwt",
        }
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// What it is good for.
    pub scope: Scope,
    /// The account.
    pub sub: Did,
    /// The host.
    pub aud: String,
    /// When it was issued, in seconds since 1970.
    pub iat: u64,
    /// When it ends, in seconds since 1970.
    pub exp: u64,
    /// The session of an access token, the row of a refresh token.
    pub jti: String,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not ours, or tampered with, or for another purpose.
    Invalid,
    /// It was good.
    Expired,
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    typ: &'a str,
    alg: &'a str,
}

/// Signs and reads tokens.
#[derive(Clone)]
pub struct Tokens {
    secret: [u8; 32],
    audience: String,
}

impl Tokens {
    /// With a secret of this host, for an audience, which is the host's DID.
    #[must_use]
    pub const fn new(secret: [u8; 32], audience: String) -> Self {
        Self { secret, audience }
    }

    /// The host's DID, which tokens are for.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Signs a token that is good for some seconds.
    #[must_use]
    pub fn sign(&self, scope: Scope, did: &Did, jti: &str, now_s: u64, lifetime_s: u64) -> String {
        let header = Header { typ: scope.typ(), alg: "HS256" };
        let claims = Claims {
            scope,
            sub: did.clone(),
            aud: self.audience.clone(),
            iat: now_s,
            exp: now_s.saturating_add(lifetime_s),
            jti: jti.to_owned(),
        };
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.mac(&signed).finalize().into_bytes();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    /// Reads a token of one scope.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn read(&self, scope: Scope, token: &str, now_s: u64) -> Result<Claims, Refused> {
        self.verified(scope, token).filter(|claims| claims.aud == self.audience).map_or(
            Err(Refused::Invalid),
            |claims| {
                if claims.exp > now_s { Ok(claims) } else { Err(Refused::Expired) }
            },
        )
    }

    fn verified(&self, scope: Scope, token: &str) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        self.mac(signed).verify_slice(&signature).ok()?;
        let header = BASE64URL_NOPAD.decode(header.as_bytes()).ok()?;
        let header: Header<'_> = serde_json::from_slice(&header).ok()?;
        let claims: Claims = serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?).ok()?;
        (header.alg == "HS256" && header.typ == scope.typ() && claims.scope == scope).then_some(claims)
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(signed.as_bytes());
        mac
    }
}

fn part<T: Serialize>(value: &T) -> String {
    BASE64URL_NOPAD.encode(&serde_json::to_vec(value).expect("plain structs always serialize"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> (Tokens, Did) {
        (Tokens::new([7; 32], "did:web:localhost".into()), "did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse().unwrap())
    }

    #[test]
    fn a_token_is_good_for_its_scope_and_time() {
        let (tokens, did) = tokens();
        let token = tokens.sign(Scope::Access, &did, "s1", 1_000, 60);
        let claims = tokens.read(Scope::Access, &token, 1_059).unwrap();
        assert_eq!((claims.sub, claims.jti.as_str(), claims.exp), (did, "s1", 1_060));
        assert_eq!(tokens.read(Scope::Access, &token, 1_060), Err(Refused::Expired));
        assert_eq!(tokens.read(Scope::Refresh, &token, 1_001), Err(Refused::Invalid));
    }

    #[test]
    fn a_changed_or_foreign_token_is_refused() {
        let (tokens, did) = tokens();
        let token = tokens.sign(Scope::Access, &did, "s1", 1_000, 60);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            // The last character of a 32-byte signature carries four bits only, so flip one of these.
            changed[at] = if changed[at] == b'Q' { b'g' } else { b'Q' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(tokens.read(Scope::Access, &changed, 1_001), Err(Refused::Invalid), "byte {at}");
        }
        let other = Tokens::new([8; 32], "did:web:localhost".into());
        assert_eq!(other.read(Scope::Access, &token, 1_001), Err(Refused::Invalid));
        let other = Tokens::new([7; 32], "did:web:elsewhere".into());
        assert_eq!(other.read(Scope::Access, &token, 1_001), Err(Refused::Invalid));
        for text in ["", ".", "..", "a.b.c", "é.é.é"] {
            assert_eq!(tokens.read(Scope::Access, text, 0), Err(Refused::Invalid), "{text:?}");
        }
    }
}
