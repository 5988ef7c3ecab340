//! The device that a client's certificate names.

use otter_protocol::DeviceId;
use x509_cert::Certificate;
use x509_cert::der::asn1::{PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::der::{Decode as _, Tagged as _};

/// Returns the device that a verified certificate names by its subject's common name (RFC 5280, section 4.1.2.6); none where
/// it has no name, more than one, or one that is no device's.
pub(crate) fn device_of(certificate: &[u8]) -> Option<DeviceId> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let subject = &certificate.tbs_certificate.subject.0;
    let mut names = subject
        .iter()
        .flat_map(|part| part.0.iter())
        .filter(|attribute| attribute.oid == CN);
    let (Some(name), None) = (names.next(), names.next()) else {
        return None;
    };
    let value = &name.value;
    let text = match value.tag() {
        x509_cert::der::Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok()?.to_string(),
        x509_cert::der::Tag::PrintableString => value
            .decode_as::<PrintableStringRef<'_>>()
            .ok()?
            .to_string(),
        x509_cert::der::Tag::TeletexString => {
            value.decode_as::<TeletexStringRef<'_>>().ok()?.to_string()
        }
        _ => return None,
    };
    DeviceId::new(text).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_is_the_device() {
        let named = certificate(&[
            (DnType::OrganizationName, "Acme, CN=gw-2"),
            (DnType::CommonName, "gw-1"),
        ]);
        assert_eq!(device_of(&named), Some(DeviceId::new("gw-1").unwrap()));
        let nameless = certificate(&[(DnType::OrganizationName, "Acme")]);
        assert_eq!(device_of(&nameless), None);
        let control = certificate(&[(DnType::CommonName, "gw\n1")]);
        assert_eq!(device_of(&control), None);
        assert_eq!(device_of(b"no certificate"), None);
    }
}
