//! Who a request comes from, where reverse proxies stand between: only those that the setup trusts are believed.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Networks whose machines say the truth of who asked them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads addresses and networks, `10.0.0.7` or `10.0.0.0/8`; the error names what is neither.
    pub fn parse(networks: &[String]) -> Result<Self, String> {
        let given = networks
            .iter()
            .map(|text| text.trim())
            .filter(|text| !text.is_empty());
        given.map(network).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the client's address: the nearest one that no trusted proxy has.
    ///
    /// `X-Forwarded-For` and `Forwarded` (RFC 7239) are read from the right, where the nearest proxy wrote. What a proxy
    /// that isn't trusted wrote counts for nothing. Where both headers are there and differ, the client may have sent one
    /// of them itself, so neither is believed.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.has(peer) {
            return peer;
        }
        let listed = |name, read| {
            let values = headers.get_all(name);
            let hops = hops(values.iter().map(|value| value.as_bytes()), read);
            (!hops.is_empty()).then(|| self.walk(peer, &hops))
        };
        let (usual, standard) = (
            listed(X_FORWARDED_FOR, address),
            listed(header::FORWARDED, forwarded_for),
        );
        match (usual, standard) {
            (Some(one), Some(other)) if one != other => peer,
            (one, other) => one.or(other).unwrap_or(peer),
        }
    }

    /// Goes from hop to hop for as long as a trusted one says where the request came from.
    fn walk(&self, peer: IpAddr, hops: &[Option<IpAddr>]) -> IpAddr {
        let mut client = peer;
        for hop in hops.iter().rev() {
            match hop {
                Some(hop) if self.has(client) => client = *hop,
                _ => break,
            }
        }
        client
    }

    /// Tells whether whoever connected is a trusted proxy.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.has(peer.to_canonical())
    }

    fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl std::fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let networks: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&networks.join(", "))
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| {
        format!("{text} is neither an address nor a network, such as 10.0.0.7 or 10.0.0.0/8")
    })
}

/// Reads a header's list, which may be spread over several lines; none stands for what is no address.
fn hops<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    read: fn(&str) -> Option<IpAddr>,
) -> Vec<Option<IpAddr>> {
    lines
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(|element| read(std::str::from_utf8(element).ok()?.trim()))
        .collect()
}

/// Reads the address in an element of `Forwarded`, such as `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_for = name.trim().eq_ignore_ascii_case("for");
        is_for.then(|| address(value.trim().trim_matches('"')))?
    })
}

/// Reads an address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    };
    let address: IpAddr = bare.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const XFF: &str = "x-forwarded-for";
    const FORWARDED: &str = "forwarded";

    /// A header's name and value.
    type Line = (&'static str, &'static str);

    fn proxies(networks: &[&str]) -> Result<TrustedProxies, String> {
        let networks: Vec<String> = networks.iter().map(|text| (*text).to_owned()).collect();
        TrustedProxies::parse(&networks)
    }

    fn client(peer: &str, lines: &[Line]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(*name, value);
        }
        let proxies = proxies(&["10.0.0.0/8", "fd00::/8", "192.0.2.1"]).unwrap();
        let client = proxies.client(peer.parse().unwrap(), &headers);
        client.to_string()
    }

    #[test]
    fn the_client_is_the_nearest_one_that_no_trusted_proxy_has() {
        let cases: &[(&str, &str, &[Line], &str)] = &[
            ("no proxy", "203.0.113.9", &[], "203.0.113.9"),
            (
                "a stranger's word",
                "203.0.113.9",
                &[(XFF, "8.8.8.8")],
                "203.0.113.9",
            ),
            (
                "a stranger's word",
                "203.0.113.9",
                &[(FORWARDED, "for=8.8.8.8")],
                "203.0.113.9",
            ),
            ("a proxy that says nothing", "10.0.0.1", &[], "10.0.0.1"),
            (
                "one proxy",
                "10.0.0.1",
                &[(XFF, "203.0.113.9")],
                "203.0.113.9",
            ),
            (
                "a single address",
                "192.0.2.1",
                &[(XFF, "203.0.113.9")],
                "203.0.113.9",
            ),
            (
                "what the client claims",
                "10.0.0.1",
                &[(XFF, "8.8.8.8, 203.0.113.9")],
                "203.0.113.9",
            ),
            (
                "two proxies",
                "10.0.0.1",
                &[(XFF, "8.8.8.8, 203.0.113.9, 10.7.0.2")],
                "203.0.113.9",
            ),
            (
                "two lines",
                "10.0.0.1",
                &[(XFF, "8.8.8.8,203.0.113.9"), (XFF, "10.7.0.2")],
                "203.0.113.9",
            ),
            (
                "trusted all the way",
                "10.0.0.1",
                &[(XFF, "10.0.0.3, 10.0.0.2")],
                "10.0.0.3",
            ),
            (
                "no address",
                "10.0.0.1",
                &[(XFF, "203.0.113.9, unknown")],
                "10.0.0.1",
            ),
            (
                "no address further on",
                "10.0.0.1",
                &[(XFF, "8.8.8.8, what, 10.7.0.2")],
                "10.7.0.2",
            ),
            ("nothing", "10.0.0.1", &[(XFF, "")], "10.0.0.1"),
            ("bytes", "10.0.0.1", &[(XFF, "8.8.8.8, \u{e4}")], "10.0.0.1"),
            (
                "a port",
                "10.0.0.1",
                &[(XFF, "203.0.113.9:4711")],
                "203.0.113.9",
            ),
            ("IPv6", "fd00::1", &[(XFF, "2001:db8::9")], "2001:db8::9"),
            (
                "IPv6 with a port",
                "fd00::1",
                &[(XFF, "[2001:db8::9]:4711")],
                "2001:db8::9",
            ),
            (
                "IPv4 in IPv6",
                "::ffff:10.0.0.1",
                &[(XFF, "::ffff:203.0.113.9")],
                "203.0.113.9",
            ),
            (
                "RFC 7239",
                "10.0.0.1",
                &[(FORWARDED, "for=203.0.113.9")],
                "203.0.113.9",
            ),
            (
                "RFC 7239 with everything",
                "10.0.0.1",
                &[(
                    FORWARDED,
                    "for=8.8.8.8, proto=https; For=\"[2001:db8::9]:4711\";by=10.0.0.1",
                )],
                "2001:db8::9",
            ),
            (
                "a hidden one",
                "10.0.0.1",
                &[(FORWARDED, "for=8.8.8.8, for=_hidden")],
                "10.0.0.1",
            ),
            (
                "without for",
                "10.0.0.1",
                &[(FORWARDED, "for=8.8.8.8, proto=https")],
                "10.0.0.1",
            ),
            (
                "an open quote",
                "10.0.0.1",
                &[(FORWARDED, "for=\"8.8.8.8, for=203.0.113.9")],
                "203.0.113.9",
            ),
            (
                "both, agreed",
                "10.0.0.1",
                &[
                    (XFF, "8.8.8.8, 203.0.113.9"),
                    (FORWARDED, "for=203.0.113.9"),
                ],
                "203.0.113.9",
            ),
            (
                "one of both made up",
                "10.0.0.1",
                &[(XFF, "203.0.113.9"), (FORWARDED, "for=8.8.8.8")],
                "10.0.0.1",
            ),
        ];
        for (what, peer, lines, expected) in cases {
            assert_eq!(
                client(peer, lines),
                *expected,
                "{what}: {lines:?} from {peer}"
            );
        }
    }

    #[test]
    fn without_trusted_proxies_nobody_is_believed() {
        let mut headers = HeaderMap::new();
        headers.insert(XFF, HeaderValue::from_static("8.8.8.8"));
        let peer = "127.0.0.1".parse().unwrap();
        assert_eq!(TrustedProxies::default().client(peer, &headers), peer);
    }

    #[test]
    fn networks_are_addresses_and_ranges() {
        let read = proxies(&["10.0.0.0/8", " 192.0.2.1", "", "fd00::/8"]).unwrap();
        assert_eq!(read.to_string(), "10.0.0.0/8, 192.0.2.1/32, fd00::/8");
        assert_eq!(proxies(&[""]).unwrap(), TrustedProxies::default());
        for wrong in ["proxy.example", "10.0.0.0/33", "10.0.0", "*"] {
            let error = proxies(&["10.0.0.1", wrong]).unwrap_err();
            assert!(error.starts_with(wrong), "{error}");
        }
    }
}
