//! Which addresses the sender connects to: those that were looked at, and no others.

use std::net::{IpAddr, SocketAddr};

use otter_fleet::is_public_address;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Why nothing is sent to an address.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The address itself isn't public.
    #[error("{0} is no public address")]
    Address(IpAddr),
    /// A name leads, perhaps among others, to an address that isn't public.
    #[error("{name} leads to {address}, which is no public address")]
    Name {
        /// The name.
        name: String,
        /// Where it leads.
        address: IpAddr,
    },
    /// A name leads nowhere.
    #[error("{0} has no address")]
    Nowhere(String),
}

/// Resolves names, and lets pass only those of which every address is public. The connection goes to an address that was
/// returned here: a name that leads elsewhere a moment later changes nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    /// Lets every address pass.
    pub(super) allow_private: bool,
}

impl Guard {
    /// Checks an address that is a number; such are connected to without being resolved.
    pub(super) fn check_number(self, url: &Url) -> Result<(), Refusal> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        if self.allow_private || is_public_address(address) {
            Ok(())
        } else {
            Err(Refusal::Address(address))
        }
    }

    fn check_resolved(self, name: &str, found: &[SocketAddr]) -> Result<(), Refusal> {
        if found.is_empty() {
            return Err(Refusal::Nowhere(name.to_owned()));
        }
        let private = found
            .iter()
            .map(SocketAddr::ip)
            .find(|address| !is_public_address(*address));
        match private.filter(|_| !self.allow_private) {
            Some(address) => Err(Refusal::Name {
                name: name.to_owned(),
                address,
            }),
            None => Ok(()),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            guard.check_resolved(name.as_str(), &found)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: Guard = Guard {
        allow_private: false,
    };

    #[test]
    fn one_private_address_among_others_is_enough() {
        let at = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let check = |texts: &[&str]| GUARD.check_resolved("example.org", &at(texts));
        assert!(check(&["1.1.1.1:0", "[2606:4700::1111]:0"]).is_ok());
        assert!(check(&["1.1.1.1:0", "10.0.0.1:0"]).is_err());
        assert!(check(&["[2606:4700::1111]:0", "[::ffff:10.0.0.1]:0"]).is_err());
        assert!(check(&[]).is_err());
    }

    #[test]
    fn numbers_are_looked_at_in_every_form() {
        let check = |text: &str| GUARD.check_number(&Url::parse(text).unwrap());
        for bad in ["http://127.1/", "http://0x7f000001/", "http://[::1]:80/"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check("http://1.1.1.1/").is_ok());
        assert!(
            check("http://localhost/").is_ok(),
            "its turn comes when it is resolved"
        );
    }

    #[tokio::test]
    async fn names_of_this_machine_are_refused() {
        for name in ["localhost", "LOCALHOST"] {
            let refused = GUARD.resolve(name.parse().unwrap()).await.err().unwrap();
            assert!(
                refused.to_string().contains("no public address"),
                "{refused}"
            );
        }
        let open = Guard {
            allow_private: true,
        };
        assert!(open.resolve("localhost".parse().unwrap()).await.is_ok());
    }
}
