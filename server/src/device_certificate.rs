//! What a connection proves of the device behind it: by its own certificate, or by the word of a proxy that checked one.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};
use otter_protocol::DeviceId;

use crate::proxies::TrustedProxies;

/// What is known of the device behind a request, beside the token that it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Certified {
    /// A certificate that was verified names this device.
    Device(DeviceId),
    /// Somebody claims that one was, who isn't believed; nothing that comes with such a claim counts.
    Refused(&'static str),
}

/// Reads the header in which a reverse proxy names the device whose certificate it verified, and takes it from the request.
pub(crate) fn by_proxy(
    header: &HeaderName,
    headers: &mut HeaderMap,
    peer: IpAddr,
    proxies: &TrustedProxies,
) -> Option<Certified> {
    let mut values = headers.get_all(header).iter();
    let (value, more) = (values.next()?, values.next());
    let claim = if !proxies.trusts(peer) {
        Some(Certified::Refused(
            "A header that only a trusted proxy may send says which device this is.",
        ))
    } else if more.is_some() {
        Some(Certified::Refused(
            "The proxy sends the device's name more than once: it must replace what its clients send.",
        ))
    } else if value.is_empty() {
        // What proxies write where the client showed no certificate.
        None
    } else {
        let name = value.to_str().ok().and_then(name_in);
        Some(name.map_or(
            Certified::Refused("The proxy's name for the device's certificate can't be read."),
            Certified::Device,
        ))
    };
    headers.remove(header);
    claim
}

/// Reads a device's id, or a certificate's subject as RFC 4514 writes it, such as `CN=gw-1,O=Acme`.
///
/// A subject with escapes or quotes isn't read at all: what they hide could read like a second name.
fn name_in(value: &str) -> Option<DeviceId> {
    let value = value.trim();
    if !value.contains('=') {
        return DeviceId::new(value).ok();
    }
    if value.contains(['\\', '"', '+', '#', ';']) {
        return None;
    }
    let mut found = None;
    for part in value.split(',') {
        let (kind, name) = part.split_once('=')?;
        if kind.trim().eq_ignore_ascii_case("CN") && found.replace(name.trim()).is_some() {
            return None;
        }
    }
    DeviceId::new(found?).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(peer: &str, values: &[&str]) -> Option<Certified> {
        let header = HeaderName::from_static("x-device");
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&header, HeaderValue::from_str(value).unwrap());
        }
        let proxies = TrustedProxies::parse(&["10.0.0.0/8".to_owned()]).unwrap();
        let read = by_proxy(&header, &mut headers, peer.parse().unwrap(), &proxies);
        assert!(headers.is_empty(), "nobody else may read it");
        read
    }

    #[test]
    fn only_a_trusted_proxy_says_which_device_it_is() {
        let device = |id| Some(Certified::Device(DeviceId::new(id).unwrap()));
        assert_eq!(read("10.0.0.1", &["gw-1"]), device("gw-1"));
        assert_eq!(read("10.0.0.1", &["CN=gw-1,O=Acme"]), device("gw-1"));
        assert_eq!(read("10.0.0.1", &["O=Acme, cn = gw-1"]), device("gw-1"));
        assert_eq!(read("10.0.0.1", &[]), None);
        assert_eq!(read("10.0.0.1", &[""]), None);
        let refused = [
            ("203.0.113.9", vec!["gw-1"]),
            ("203.0.113.9", vec![""]),
            ("10.0.0.1", vec!["gw-1", "gw-2"]),
            ("10.0.0.1", vec!["O=Acme"]),
            ("10.0.0.1", vec!["CN=gw-1,CN=gw-2"]),
            ("10.0.0.1", vec!["O=Acme\\,CN=gw-2,CN=gw-1"]),
            ("10.0.0.1", vec!["O=\"Acme,CN=gw-2\",OU=x"]),
            ("10.0.0.1", vec!["gw-1,CN=gw-2"]),
        ];
        for (peer, values) in refused {
            let read = read(peer, &values);
            assert!(matches!(read, Some(Certified::Refused(_))), "{values:?}");
        }
    }
}
