//! What a request says: query parameters and JSON bodies, refused in the words of XRPC.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::app::App;
use crate::error::XrpcError;

/// Query parameters.
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = XrpcError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, XrpcError> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(params)| Self(params))
            .map_err(|e| XrpcError::invalid(format!("parameters: {}", e.body_text())))
    }
}

/// A JSON body.
pub struct Input<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Input<T> {
    type Rejection = XrpcError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, XrpcError> {
        let content_type =
            request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(XrpcError::invalid("Content-Type: must be application/json"));
        }
        let bytes = timeout(app.timing.body, Bytes::from_request(request, app)).await.map_err(|_| late())?;
        let bytes = bytes.map_err(body_refused)?;
        serde_json::from_slice(&bytes).map(Self).map_err(|e| XrpcError::invalid(format!("body: {e}")))
    }
}

/// The connection ends with it: the rest of the body is not waited for.
fn late() -> XrpcError {
    XrpcError::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeout", "the body took too long")
}

fn body_refused(e: BytesRejection) -> XrpcError {
    if e.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return XrpcError::too_large("the body is larger than this method takes");
    }
    XrpcError::invalid(format!("body: {}", e.body_text()))
}
