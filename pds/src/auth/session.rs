//! Sessions: opened by a password, kept alive by refresh tokens that change at every use.
//!
//! Rows: a [`RowKind::Session`] under the session's name, and a [`RowKind::RefreshToken`] for each refresh token that is
//! still good. A used one names its successor and stays for a while, so that a client whose answer got lost, or that
//! refreshes twice at once, gets the same successor again and is not logged out (LESSONS A25).

use backend_api::{Backend, Did, Expect, Micros, Mutation, Op, Reason, Row, RowKey, RowKind, RowScope};
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

use super::token::{Claims, Scope, Tokens};
use crate::app::App;
use crate::env;
use crate::error::XrpcError;

const ACCESS_S: u64 = 2 * 3_600;
const REFRESH_S: u64 = 90 * 86_400;
/// How long a used refresh token may be used again.
const GRACE_S: u64 = 2 * 3_600;
const MICROS: u64 = 1_000_000;
/// The store's time may be so much later than was assumed when a session was written; else too little of its time is left.
const LATE_S: u64 = 300;
/// Refreshes of one token that may collide, and sessions that may be written too early, before one gives up.
const ATTEMPTS_MAX: usize = 4;
/// Used refresh tokens that one session keeps, the newest: a client that refreshes all the time must not fill the store.
const SPENT_MAX: usize = 16;
/// Rows that are deleted at once.
const ROWS_MAX: usize = 900;

/// A session's tokens.
#[derive(Debug, Clone)]
pub struct Issued {
    /// To use the account.
    pub access: String,
    /// To get new tokens.
    pub refresh: String,
}

#[derive(Serialize, Deserialize)]
struct SessionBody {
    v: u8,
    created_at: Micros,
}

#[derive(Serialize, Deserialize)]
struct RefreshBody {
    v: u8,
    session: String,
    next: Option<String>,
}

/// A new session: its tokens and the operations that make it real.
#[must_use]
pub fn open(tokens: &Tokens, did: &Did, now: Micros) -> (Issued, Vec<Op>) {
    let (session, refresh) = (name(), name());
    let row = session_row(&session, did, json(&SessionBody { v: 1, created_at: now }), now);
    let ops = vec![
        Op::PutRow { row, expect: Expect::Absent },
        Op::PutRow { row: refresh_row(&refresh, did, &session, None, now, REFRESH_S), expect: Expect::Absent },
    ];
    (issue(tokens, did, &session, &refresh, now), ops)
}

/// Writes a new session. If the store's time turns out to be far later than this host took it to be, what was written has
/// expired, and another one is written.
///
/// # Errors
/// Those of the store.
pub async fn create(app: &App, did: &Did) -> Result<Issued, XrpcError> {
    for _ in 0..ATTEMPTS_MAX {
        let now = app.clock.now();
        let (issued, ops) = open(&app.tokens, did, now);
        let receipt = app.apply(mutation(did, ops)).await?;
        if !is_late(now, receipt.at) {
            return Ok(issued);
        }
    }
    Err(XrpcError::busy("the time of the store runs away"))
}

/// True if a store that took something `at` judges what was written for `now` by too different a time.
#[must_use]
pub fn is_late(now: Micros, at: Micros) -> bool {
    at.0.saturating_sub(now.0) > LATE_S * MICROS
}

/// New tokens for a refresh token, which is used up by it.
///
/// # Errors
/// `ExpiredToken` if the token or its session is gone.
pub async fn refresh(app: &App, claims: &Claims) -> Result<Issued, XrpcError> {
    let (backend, tokens, did) = (&*app.backend, &app.tokens, &claims.sub);
    for _ in 0..ATTEMPTS_MAX {
        let now = app.clock.now();
        let used = backend.row(&key(RowKind::RefreshToken, &claims.jti)).await?.ok_or_else(gone)?;
        let body: RefreshBody = serde_json::from_slice(&used.body).map_err(XrpcError::internal)?;
        let session = backend.row(&key(RowKind::Session, &body.session)).await?.ok_or_else(gone)?;
        if let Some(next) = &body.next {
            return Ok(issue(tokens, did, &body.session, next, now));
        }
        let next = name();
        let spent = refresh_row(&claims.jti, did, &body.session, Some(next.clone()), now, GRACE_S);
        let mut ops = vec![
            Op::PutRow { row: spent, expect: Expect::Body(used.body) },
            Op::PutRow { row: refresh_row(&next, did, &body.session, None, now, REFRESH_S), expect: Expect::Absent },
            // The session must still be there, and lives on.
            Op::PutRow {
                row: session_row(&body.session, did, session.body.clone(), now),
                expect: Expect::Body(session.body),
            },
        ];
        ops.extend(spent_too_many(backend, &body.session).await?);
        match app.apply(mutation(did, ops)).await {
            Ok(receipt) if is_late(now, receipt.at) => return create(app, did).await,
            Ok(_) => return Ok(issue(tokens, did, &body.session, &next, now)),
            // Somebody else used it meanwhile: there is a successor now.
            Err(e) if e.reason() == Reason::RowMismatch => {}
            Err(e) if matches!(e.reason(), Reason::RowMissing | Reason::AccountMissing) => return Err(gone()),
            Err(e) => return Err(e.into()),
        }
    }
    Err(XrpcError::busy("the token is being refreshed by many at once"))
}

/// Ends the session of a refresh token. A session that is gone already is fine.
///
/// # Errors
/// Those of the store.
pub async fn close(app: &App, claims: &Claims) -> Result<(), XrpcError> {
    let backend = &*app.backend;
    let Some(row) = backend.row(&key(RowKind::RefreshToken, &claims.jti)).await? else { return Ok(()) };
    let body: RefreshBody = serde_json::from_slice(&row.body).map_err(XrpcError::internal)?;
    let session = key(RowKind::Session, &body.session);
    // A token that is made meanwhile is of no use without its session.
    let tokens = tokens_of(backend, &body.session).await?;
    let ops = std::iter::once(session).chain(tokens.into_iter().map(|row| row.key)).map(delete).collect();
    app.apply(mutation(&claims.sub, ops)).await?;
    Ok(())
}

/// Ends some sessions of an account: no more than one mutation can. False if there was none.
///
/// # Errors
/// Those of the store.
pub async fn close_some(app: &App, did: &Did) -> Result<bool, XrpcError> {
    let page = app.backend.rows(&RowScope::Owner(did.clone()), None, ROWS_MAX).await?;
    let keys = page.items.into_iter().map(|row| row.key);
    let ops: Vec<Op> =
        keys.filter(|key| matches!(key.kind, RowKind::Session | RowKind::RefreshToken)).map(delete).collect();
    if ops.is_empty() {
        return Ok(false);
    }
    app.apply(mutation(did, ops)).await?;
    Ok(true)
}

/// What takes away the oldest used tokens of a session, of which there will be one more.
async fn spent_too_many(backend: &dyn Backend, session: &str) -> Result<Vec<Op>, XrpcError> {
    let mut spent = Vec::new();
    for row in tokens_of(backend, session).await? {
        let body: RefreshBody = serde_json::from_slice(&row.body).map_err(XrpcError::internal)?;
        if body.next.is_some() {
            spent.push(row);
        }
    }
    // All of them had the same time left when they were used.
    spent.sort_by_key(|row| row.expires_at);
    spent.truncate((spent.len() + 1).saturating_sub(SPENT_MAX));
    Ok(spent.into_iter().map(|row| delete(row.key)).collect())
}

async fn tokens_of(backend: &dyn Backend, session: &str) -> Result<Vec<Row>, XrpcError> {
    let scope = RowScope::Lookup { kind: RowKind::RefreshToken, index: 0, value: session.as_bytes().to_vec() };
    Ok(backend.rows(&scope, None, ROWS_MAX).await?.items)
}

fn delete(key: RowKey) -> Op {
    Op::DeleteRow { key, expect: Expect::Any }
}

/// True if the session of an access token has not ended.
///
/// # Errors
/// Those of the store.
pub async fn is_open(backend: &dyn Backend, claims: &Claims) -> Result<bool, XrpcError> {
    let row = backend.row(&key(RowKind::Session, &claims.jti)).await?;
    Ok(row.is_some_and(|row| row.owner.as_ref() == Some(&claims.sub)))
}

fn issue(tokens: &Tokens, did: &Did, session: &str, refresh: &str, now: Micros) -> Issued {
    let now_s = now.0 / MICROS;
    Issued {
        access: tokens.sign(Scope::Access, did, session, now_s, ACCESS_S),
        refresh: tokens.sign(Scope::Refresh, did, refresh, now_s, REFRESH_S),
    }
}

fn session_row(name: &str, did: &Did, body: Vec<u8>, now: Micros) -> Row {
    let expires_at = Some(Micros(now.0 + REFRESH_S * MICROS));
    Row { owner: Some(did.clone()), expires_at, ..Row::new(RowKind::Session, name, body) }
}

fn refresh_row(name: &str, did: &Did, session: &str, next: Option<String>, now: Micros, lifetime_s: u64) -> Row {
    let body = json(&RefreshBody { v: 1, session: session.to_owned(), next });
    Row {
        owner: Some(did.clone()),
        lookup: vec![session.as_bytes().to_vec()],
        expires_at: Some(Micros(now.0 + lifetime_s * MICROS)),
        ..Row::new(RowKind::RefreshToken, name, body)
    }
}

fn mutation(did: &Did, ops: Vec<Op>) -> Mutation {
    Mutation { did: did.clone(), key: env::idempotency_key(), ops, blocks: Vec::new() }
}

fn key(kind: RowKind, name: &str) -> RowKey {
    RowKey { kind, key: name.as_bytes().to_vec() }
}

fn name() -> String {
    BASE32_NOPAD.encode(&env::random::<20>()).to_ascii_lowercase()
}

fn json<T: Serialize>(body: &T) -> Vec<u8> {
    serde_json::to_vec(body).expect("plain structs always serialize")
}

fn gone() -> XrpcError {
    XrpcError::bad("ExpiredToken", "the session has ended, or the token was used before")
}
