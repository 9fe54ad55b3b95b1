//! The bearer of a request, from its `Authorization` header.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use backend_api::Account;

use super::session;
use super::token::{Claims, Refused, Scope};
use crate::app::App;
use crate::error::XrpcError;

/// The account that an access token of an open session speaks for.
pub struct Bearer(pub Account);

/// A refresh token. Its session may have ended.
pub struct Refresher(pub Claims);

impl FromRequestParts<Arc<App>> for Bearer {
    type Rejection = XrpcError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, XrpcError> {
        let claims = claims(parts, app, Scope::Access)?.ok_or_else(missing)?;
        // Read first: a session that is open afterwards is this account's, and not of one that had the DID before.
        let account = app.account(&claims.sub).await;
        if !session::is_open(&*app.backend, &claims).await? {
            return Err(XrpcError::bad("ExpiredToken", "the session has ended"));
        }
        Ok(Self(account?))
    }
}

impl OptionalFromRequestParts<Arc<App>> for Bearer {
    type Rejection = XrpcError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Option<Self>, XrpcError> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        <Self as FromRequestParts<Arc<App>>>::from_request_parts(parts, app).await.map(Some)
    }
}

impl FromRequestParts<Arc<App>> for Refresher {
    type Rejection = XrpcError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, XrpcError> {
        claims(parts, app, Scope::Refresh)?.map(Self).ok_or_else(missing)
    }
}

fn claims(parts: &Parts, app: &App, scope: Scope) -> Result<Option<Claims>, XrpcError> {
    let Some(header) = parts.headers.get(AUTHORIZATION) else { return Ok(None) };
    let token = header.to_str().ok().and_then(|text| text.split_once(' '));
    let Some((_, token)) = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
        return Err(XrpcError::unauthorized("InvalidToken", "Authorization: not of the form Bearer token"));
    };
    match app.tokens.read(scope, token.trim(), app.clock.now_s()) {
        Ok(claims) => Ok(Some(claims)),
        Err(Refused::Expired) => Err(XrpcError::bad("ExpiredToken", "the token has expired")),
        Err(Refused::Invalid) => Err(XrpcError::bad("InvalidToken", "the token is not one of this host for this use")),
    }
}

fn missing() -> XrpcError {
    XrpcError::unauthorized("AuthMissing", "this needs an Authorization header")
}
