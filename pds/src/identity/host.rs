//! How the network knows this host, and which names it gives out.

use backend_api::{Did, Error, Handle, Reason, Result};

use crate::error::XrpcError;

/// The domain that RFC 2606 reserves for trying things out.
const TEST: &str = ".test";
const LOCAL: &str = "localhost";
/// The shortest name that an account may have below the host's.
const SHORTEST: &str = "a";

/// The host's name, address and manner.
#[derive(Debug, Clone)]
pub struct Host {
    name: String,
    did: Did,
    url: String,
    dev: bool,
}

impl Host {
    /// From the configured name and the port that it listens on.
    ///
    /// # Errors
    /// [`Reason::BadRequest`] for what is no host name, or none below which a handle could stand.
    pub fn new(name: &str, port: u16, dev: bool) -> Result<Self> {
        let name = name.to_ascii_lowercase();
        if let Err(e) = format!("{SHORTEST}.{name}").parse::<Handle>() {
            let detail =
                format!("hostname: {name:?} is not a host name, without scheme and port, below which handles are: {e}");
            return Err(Error::new(Reason::BadRequest, detail));
        }
        let did = format!("did:web:{name}").parse::<Did>().map_err(|e| e.context("hostname"))?;
        let url = if name == LOCAL { format!("http://{LOCAL}:{port}") } else { format!("https://{name}") };
        Ok(Self { name, did, url, dev })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `did:web` of the name.
    #[must_use]
    pub const fn did(&self) -> &Did {
        &self.did
    }

    /// Where others reach it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// True under `serve --dev`: identities are in the local did:plc directory.
    #[must_use]
    pub const fn is_dev(&self) -> bool {
        self.dev
    }

    /// The domains under which it gives out handles, each with its leading dot.
    #[must_use]
    pub fn handle_domains(&self) -> Vec<String> {
        let own = format!(".{}", self.name);
        if self.gives_out_test() { vec![TEST.into(), own] } else { vec![own] }
    }

    /// Checks that it may give out a handle: one label below one of its domains; below `.test` any number.
    ///
    /// # Errors
    /// `UnsupportedDomain` or `InvalidHandle`.
    pub fn admit(&self, handle: &Handle) -> std::result::Result<(), XrpcError> {
        if self.gives_out_test() && handle.as_str().ends_with(TEST) {
            return Ok(());
        }
        let own = format!(".{}", self.name);
        match handle.as_str().strip_suffix(&own) {
            None => {
                let domains = self.handle_domains().join(", ");
                Err(XrpcError::bad("UnsupportedDomain", format!("{handle}: handles of this host end in {domains}")))
            }
            Some(label) if label.contains('.') => {
                Err(XrpcError::bad("InvalidHandle", format!("{handle}: more than one label before {own}")))
            }
            Some(_) => Ok(()),
        }
    }

    fn gives_out_test(&self) -> bool {
        self.dev || self.name == LOCAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(host: &Host, handle: &str) -> Result<(), &'static str> {
        host.admit(&handle.parse().unwrap()).map_err(|e| e.error)
    }

    #[test]
    fn handles_stand_below_the_host() {
        let host = Host::new("pds.example.com", 2583, false).unwrap();
        assert_eq!(host.url(), "https://pds.example.com");
        assert_eq!(host.did().as_str(), "did:web:pds.example.com");
        assert_eq!(admit(&host, "alice.pds.example.com"), Ok(()));
        assert_eq!(admit(&host, "a.b.pds.example.com"), Err("InvalidHandle"));
        assert_eq!(admit(&host, "alice.example.com"), Err("UnsupportedDomain"));
        assert_eq!(admit(&host, "pds.example.com"), Err("UnsupportedDomain"));
        assert_eq!(admit(&host, "alice.test"), Err("UnsupportedDomain"));
    }

    #[test]
    fn test_handles_are_for_trying_things_out() {
        let dev = Host::new("pds.example.com", 2583, true).unwrap();
        assert_eq!((admit(&dev, "alice.test"), admit(&dev, "a.b.test")), (Ok(()), Ok(())));
        let local = Host::new("localhost", 7, false).unwrap();
        assert_eq!((admit(&local, "alice.test"), local.url()), (Ok(()), "http://localhost:7"));
    }

    #[test]
    fn what_no_handle_can_stand_below_is_no_host_name() {
        let long = format!("{}.example.com", vec!["label"; 60].join("."));
        let forms = ["", "no spaces", "localhost:2583", "https://pds.example.com", "pds.example.com/"];
        let parts = [".", "pds.example.com.", ".example.com", "pds..com", "-pds.example.com", "127.0.0.1", "[::1]"];
        for wrong in forms.into_iter().chain(parts).chain([&*long]) {
            let said = Host::new(wrong, 1, false).expect_err(wrong);
            assert!(said.reason() == Reason::BadRequest && said.detail().starts_with("hostname: "), "{said}");
        }
        for right in ["localhost", "PDS.Example.com", "xn--ls8h.example", "a-b.example"] {
            Host::new(right, 1, false).unwrap();
        }
    }
}
