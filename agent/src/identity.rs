//! Who the device is: its key, made here and never sent, and the token that it got with it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use otter_protocol::check_in::{EnrollRequest, enrollment_message};
use otter_protocol::device::Pairs;
use otter_protocol::{DeviceId, Model, Version};

use crate::disk::{self, Disk, SECRET};
use crate::net::Token;

const LARGEST: u64 = 4096;

/// The device's key and token in a state folder.
#[derive(Debug)]
pub struct Identity {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

/// Who asks to take part.
#[derive(Debug)]
pub struct Applicant<'a> {
    /// Its name.
    pub id: &'a DeviceId,
    /// What hardware it is.
    pub model: &'a Model,
    /// What it runs.
    pub version: Version,
    /// What it says of itself.
    pub metadata: &'a Pairs,
    /// Lets it in at once.
    pub enrollment_token: Option<String>,
}

impl Identity {
    /// Takes the identity in a state folder.
    pub fn new(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        Self {
            disk,
            folder: folder.to_owned(),
        }
    }

    /// Returns the token, where the device has one.
    pub fn token(&self) -> io::Result<Option<Token>> {
        let bytes = disk::read(
            self.disk.as_ref(),
            &self.folder.join("device.token"),
            LARGEST,
        )?;
        Ok(bytes.map(|bytes| Token::new(String::from_utf8_lossy(&bytes).trim())))
    }

    /// Keeps the token.
    pub fn keep_token(&self, token: &Token) -> io::Result<()> {
        let path = self.folder.join("device.token");
        disk::write_whole(self.disk.as_ref(), &path, token.secret().as_bytes(), SECRET)
    }

    /// Makes the request that enrolls the device, signed with its key; makes the key where there is none.
    pub fn request(&self, applicant: Applicant<'_>) -> io::Result<EnrollRequest> {
        let key = self.key()?;
        let token = applicant.enrollment_token;
        let message = enrollment_message(applicant.id, token.as_deref());
        Ok(EnrollRequest {
            id: applicant.id.clone(),
            model: applicant.model.clone(),
            version: applicant.version,
            public_key: hex::encode(key.verifying_key().as_bytes()),
            proof: hex::encode(key.sign(&message).to_bytes()),
            enrollment_token: token,
            metadata: applicant.metadata.clone(),
        })
    }

    fn key(&self) -> io::Result<SigningKey> {
        let path = self.folder.join("device.key");
        let mut seed = [0; 32];
        if let Some(text) = disk::read(self.disk.as_ref(), &path, LARGEST)? {
            hex::decode_to_slice(text.trim_ascii(), &mut seed).map_err(|_| {
                io::Error::other(format!(
                    "{} holds no device key. Remove it and enroll the device as a new one",
                    path.display()
                ))
            })?;
        } else {
            getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
            let text = hex::encode(seed);
            disk::write_whole(self.disk.as_ref(), &path, text.as_bytes(), SECRET)?;
        }
        Ok(SigningKey::from_bytes(&seed))
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, VerifyingKey};

    use super::*;
    use crate::disk::{Kind, SimulatedDisk};

    #[test]
    fn the_key_stays_and_proves_itself() {
        let disk = Arc::new(SimulatedDisk::default());
        disk.make_dir(Path::new("/s")).unwrap();
        let request = || {
            let applicant = Applicant {
                id: &DeviceId::new("gw-1").unwrap(),
                model: &Model::new("m").unwrap(),
                version: "1".into(),
                metadata: &Pairs::new(),
                enrollment_token: Some("ote_x".to_owned()),
            };
            let identity = Identity::new(disk.clone(), Path::new("/s"));
            identity.request(applicant).unwrap()
        };
        let first = request();
        assert_eq!(first, request());
        let mut key = [0; 32];
        hex::decode_to_slice(&first.public_key, &mut key).unwrap();
        let proof = Signature::from_slice(&hex::decode(&first.proof).unwrap()).unwrap();
        VerifyingKey::from_bytes(&key)
            .unwrap()
            .verify_strict(&enrollment_message(&first.id, Some("ote_x")), &proof)
            .unwrap();
        let kind = disk.kind(Path::new("/s/device.key")).unwrap();
        assert_eq!(
            kind,
            Kind::File {
                len: 64,
                mode: SECRET
            }
        );
    }
}
