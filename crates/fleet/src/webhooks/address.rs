//! Which addresses a webhook may reach: only those that the whole Internet routes.
//!
//! A server stands where others don't reach: in a company's network, beside a cloud's metadata service. Whoever may make a
//! webhook must not reach through it. The ranges are those of IANA's special-purpose registries (RFC 6890 and its updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::error::{Error, Result};

/// Most bytes of a webhook's address.
const MAX_URL: usize = 2000;

/// Ranges of IPv4 that aren't everybody's, with the bits that count.
const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network, RFC 791
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private, RFC 1918
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared behind carriers' NAT, RFC 6598
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback, RFC 1122
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, RFC 3927; clouds' metadata
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private, RFC 1918
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments, RFC 6890
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation, RFC 5737
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays, RFC 7526
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private, RFC 1918
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks, RFC 2544
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation, RFC 5737
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation, RFC 5737
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast, RFC 5771
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, and broadcast, RFC 1112
];

/// Ranges within IPv6's global unicast (2000::/3) that aren't everybody's, with the bits that count.
const SPECIAL_V6: [(Ipv6Addr, u32); 3] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo among them, RFC 2928
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation, RFC 3849
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation, RFC 9637
];

/// Tells whether an address is one that the whole Internet routes; one within another counts as the one within.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4
        .iter()
        .any(|(range, bits)| (address.to_bits() ^ range.to_bits()) >> (32 - bits) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(within) = within(address) {
        return is_public_v4(within);
    }
    // Outside of global unicast there is nothing to reach: loopback, unique-local, link-local, multicast.
    let is_global_unicast = address.to_bits() >> 125 == 1;
    is_global_unicast
        && !SPECIAL_V6
            .iter()
            .any(|(range, bits)| (address.to_bits() ^ range.to_bits()) >> (128 - bits) == 0)
}

/// Returns the IPv4 address that one of IPv6 stands for: mapped (RFC 4291), behind NAT64 (RFC 6052), or 6to4 (RFC 3056).
fn within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(v4(high, low))
        }
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Reads and checks a webhook's address. What its name resolves to is looked at whenever something is sent.
pub(super) fn check_url(text: &str, allow_private: bool) -> Result<Url> {
    let invalid = |why: String| Error::invalid("url", why);
    if text.len() > MAX_URL {
        return Err(invalid(format!(
            "An address has at most {MAX_URL} bytes, this one has {}.",
            text.len()
        )));
    }
    let url = Url::parse(text).map_err(|error| {
        invalid(format!(
            "This is no address ({error}); write one such as https://example.org/otter."
        ))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(format!(
            "A webhook is called by https:// or http://, not by {}://.",
            url.scheme()
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "The address must not hold a name and a password: what is sent is signed.".to_owned(),
        ));
    }
    if url.fragment().is_some() {
        return Err(invalid(
            "The part from the # on is never sent; leave it out.".to_owned(),
        ));
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
        None => return Err(invalid("The address must name a host.".to_owned())),
    };
    match address.filter(|address| !allow_private && !is_public(*address)) {
        Some(address) => Err(invalid(format!(
            "{address} is no public address. The server's operator may allow such by OTTER_WEBHOOKS_ALLOW_PRIVATE."
        ))),
        None => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "only tests stand here")]

    use super::*;

    #[test]
    fn only_what_the_internet_routes_is_public() {
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        let special = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "2002:7f00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for text in special {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_address_is_read_as_the_sender_reads_it() {
        for good in [
            "https://example.org/otter?key=1",
            "http://1.1.1.1:8080/",
            "https://[2606:4700::1111]/",
        ] {
            check_url(good, false).unwrap();
        }
        // Numbers in every form that a URL knows.
        for bad in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://169.254.169.254/latest",
        ] {
            let error = check_url(bad, false).unwrap_err().to_problem();
            assert_eq!(error.field.as_deref(), Some("url"), "{bad}");
            check_url(bad, true).unwrap();
        }
    }

    #[test]
    fn what_no_webhook_can_be_is_said() {
        let long = format!("https://example.org/{}", "x".repeat(2000));
        for (bad, word) in [
            ("", "no address"),
            ("example.org", "no address"),
            ("ftp://example.org/", "ftp://"),
            ("file:///etc/passwd", "file://"),
            ("https://ann:secret@example.org/", "password"),
            ("https://example.org/#x", "#"),
            ("https://", "no address"),
            (&long, "2000 bytes"),
        ] {
            let problem = check_url(bad, true).unwrap_err().to_problem();
            assert!(problem.detail.contains(word), "{bad}: {}", problem.detail);
            assert_eq!(problem.field.as_deref(), Some("url"));
        }
    }
}
