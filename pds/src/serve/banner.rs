//! What the host says when it is ready: lines to copy and try.

use std::io::{self, Write};
use std::net::SocketAddr;

use crate::identity::host::Host;

/// Prints it. Nobody may be reading.
pub(super) fn print(host: &Host, address: SocketAddr, plc_address: Option<SocketAddr>) {
    let _ = io::stdout().write_all(text(host, address, plc_address).as_bytes());
}

fn text(host: &Host, address: SocketAddr, plc_address: Option<SocketAddr>) -> String {
    let url = format!("http://{address}");
    let domains = host.handle_domains();
    let handle = format!("alice{}", domains.first().map_or("", String::as_str));
    let plc = plc_address.map(|plc| format!("did:plc directory on http://{plc}\n")).unwrap_or_default();
    format!(
        r#"pds is ready on {url}
{plc}
Try it. Create an account:

  curl -s {url}/xrpc/com.atproto.server.createAccount -H 'Content-Type: application/json' \
    -d '{{"handle": "{handle}", "email": "alice@example.com", "password": "hunter2"}}'

Write a post, with a token for it, and read it back:

  TOKEN=$(curl -s {url}/xrpc/com.atproto.server.createSession -H 'Content-Type: application/json' \
    -d '{{"identifier": "{handle}", "password": "hunter2"}}' | sed 's/.*"accessJwt":"\([^"]*\)".*/\1/') && \
  curl -s {url}/xrpc/com.atproto.repo.createRecord -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    -d '{{"repo": "{handle}", "collection": "app.bsky.feed.post", "record": {{"text": "Hello", "createdAt": "2026-01-01T00:00:00Z"}}}}' && \
  curl -s '{url}/xrpc/com.atproto.repo.listRecords?repo={handle}&collection=app.bsky.feed.post'

"#
    )
}
