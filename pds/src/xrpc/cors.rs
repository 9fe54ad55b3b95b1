//! Clients in browsers come from any origin (<https://atproto.com/specs/xrpc>); tokens travel in headers, never in
//! cookies, so nothing is given away by it.

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const DAY_S: HeaderValue = HeaderValue::from_static("86400");

/// Lets every origin in, and answers the question before it.
pub async fn allow(request: Request, next: Next) -> Response {
    let asked = request.method() == Method::OPTIONS;
    let mut response = if asked { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if asked {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST"));
        let allowed = "Authorization, Content-Type, Atproto-Accept-Labelers, Atproto-Proxy";
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
        headers.insert(ACCESS_CONTROL_MAX_AGE, DAY_S);
    }
    response
}
