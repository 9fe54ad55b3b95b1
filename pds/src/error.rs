//! Errors as XRPC says them: a status, and a body `{error, message}`.

use std::borrow::Cow;
use std::fmt;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use backend_api::{Error, Kind, Reason};
use serde_json::json;

/// An answer that is not the one asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XrpcError {
    /// The status.
    pub status: StatusCode,
    /// The name that programs compare.
    pub error: &'static str,
    /// The sentence that people read.
    pub message: Cow<'static, str>,
}

impl XrpcError {
    /// Any error.
    pub fn new(status: StatusCode, error: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, error, message: message.into() }
    }

    /// 400 with a name of the method's own.
    pub fn bad(error: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, message)
    }

    /// 400: a parameter or the body is wrong.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad("InvalidRequest", message)
    }

    /// 401.
    pub fn unauthorized(error: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error, message)
    }

    /// 413.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", message)
    }

    /// 503: nothing was changed, try again.
    pub fn busy(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "NotEnoughResources", message)
    }

    /// 500. What it was stays in the log: it is nobody's business outside.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!("internal error: {cause}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "an error inside the server; see its log")
    }
}

impl From<Error> for XrpcError {
    fn from(e: Error) -> Self {
        let named = match e.reason() {
            Reason::AccountMissing | Reason::RepoMissing => Some("RepoNotFound"),
            Reason::HandleTaken => Some("HandleNotAvailable"),
            Reason::AccountInactive => Some("RepoDeactivated"),
            _ => None,
        };
        let message = e.detail().to_owned();
        match e.kind() {
            Kind::Invalid | Kind::Missing | Kind::Conflict | Kind::Gone => {
                Self::bad(named.unwrap_or("InvalidRequest"), message)
            }
            Kind::Limit => Self::too_large(message),
            Kind::Busy => {
                tracing::warn!("the store is busy: {e}");
                Self::busy("the store cannot do this now; nothing was changed")
            }
            Kind::Stopped => {
                tracing::error!("the store has stopped: {e}");
                Self::busy("the store takes no writes now; nothing was changed")
            }
            Kind::OutcomeUnknown => {
                tracing::error!("a write may or may not have happened: {e}");
                let message = "it is not known whether this was written; read before you try again";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "OutcomeUnknown", message)
            }
            Kind::Corrupt => Self::internal(e),
        }
    }
}

impl fmt::Display for XrpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.error, self.message)
    }
}

impl std::error::Error for XrpcError {}

impl IntoResponse for XrpcError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.error, "message": self.message}))).into_response()
    }
}
