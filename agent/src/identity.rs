//! Who the device is: its key, made here and never sent, and the token that it got with it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use otter_protocol::check_in::{
    EnrollRequest, RotateRequest, enrollment_message, rotation_message,
};
use otter_protocol::device::Pairs;
use otter_protocol::{DeviceId, Model, Sha256Digest, Timestamp, Version};

use crate::disk::{self, Disk, SECRET};
use crate::net::Token;

const LARGEST: u64 = 4096;

/// The device's key and token in a state folder.
#[derive(Debug)]
pub struct Identity {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

/// One of the device's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one that it has.
    Present,
    /// The one that it changes to.
    Next,
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

    /// Makes the request that enrolls the device, signed with one of its keys; makes the present one where there is none.
    pub fn request(&self, applicant: Applicant<'_>, which: Which) -> io::Result<EnrollRequest> {
        let key = self.key(which)?;
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

    /// Returns the keys that the server may know, the likeliest first: of a change whose answer never came nobody here knows
    /// whether it was made.
    pub fn candidates(&self) -> io::Result<Vec<Which>> {
        let next = disk::find(self.disk.as_ref(), &self.path(Which::Next))?;
        Ok(match next {
            Some(_) => vec![Which::Next, Which::Present],
            None => vec![Which::Present],
        })
    }

    /// Makes the request that changes the key and the token. The next key is on the disk before anybody hears of it.
    pub fn rotation(&self, id: &DeviceId) -> io::Result<RotateRequest> {
        let present = self.key(Which::Present)?;
        let mut next = self.key(Which::Next)?;
        if next == present {
            // A former change was made, and a power cut brought its key back.
            disk::remove_if_there(self.disk.as_ref(), &self.path(Which::Next))?;
            next = self.key(Which::Next)?;
        }
        let token = self.token()?;
        let token = token.map(|token| Sha256Digest::of(token.secret().as_bytes()));
        let public_key = hex::encode(next.verifying_key().as_bytes());
        let message = rotation_message(id, token, &public_key);
        Ok(RotateRequest {
            proof: hex::encode(present.sign(&message).to_bytes()),
            new_proof: hex::encode(next.sign(&message).to_bytes()),
            public_key,
        })
    }

    /// Keeps the key that the server took, and the token that it gave for it; then there is no other.
    ///
    /// The key goes first: with it alone a token can be had again.
    pub fn settle(&self, which: Which, token: &Token) -> io::Result<()> {
        let next = self.path(Which::Next);
        if which == Which::Next {
            let key = self.key(Which::Next)?;
            self.write_key(Which::Present, &key)?;
        }
        self.keep_token(token)?;
        disk::remove_if_there(self.disk.as_ref(), &next)
    }

    /// Returns since when the device has its key, as far as that was noted.
    pub fn changed_at(&self) -> io::Result<Option<Timestamp>> {
        let path = self.folder.join("device.key.since");
        let text = disk::read(self.disk.as_ref(), &path, LARGEST)?;
        Ok(text.and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok()))
    }

    /// Notes since when the device has its key.
    pub fn note_change(&self, at: Timestamp) -> io::Result<()> {
        let path = self.folder.join("device.key.since");
        disk::write_whole(self.disk.as_ref(), &path, at.to_string().as_bytes(), SECRET)
    }

    fn path(&self, which: Which) -> PathBuf {
        self.folder.join(match which {
            Which::Present => "device.key",
            Which::Next => "device.key.next",
        })
    }

    fn write_key(&self, which: Which, key: &SigningKey) -> io::Result<()> {
        let text = hex::encode(key.to_bytes());
        let path = self.path(which);
        disk::write_whole(self.disk.as_ref(), &path, text.as_bytes(), SECRET)
    }

    fn key(&self, which: Which) -> io::Result<SigningKey> {
        let path = self.path(which);
        let mut seed = [0; 32];
        if let Some(text) = disk::read(self.disk.as_ref(), &path, LARGEST)? {
            hex::decode_to_slice(text.trim_ascii(), &mut seed).map_err(|_| {
                io::Error::other(format!(
                    "{} holds no device key. Remove it and enroll the device as a new one",
                    path.display()
                ))
            })?;
            return Ok(SigningKey::from_bytes(&seed));
        }
        getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
        let key = SigningKey::from_bytes(&seed);
        self.write_key(which, &key)?;
        Ok(key)
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
            identity.request(applicant, Which::Present).unwrap()
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

    #[test]
    fn a_change_of_the_key_is_whole_wherever_it_is_cut() {
        let disk = Arc::new(SimulatedDisk::default());
        disk.make_dir(Path::new("/s")).unwrap();
        let identity = Identity::new(disk.clone(), Path::new("/s"));
        let id = DeviceId::new("gw-1").unwrap();
        identity.keep_token(&Token::new("otd_old")).unwrap();
        assert_eq!(identity.candidates().unwrap(), [Which::Present]);
        let first = identity.rotation(&id).unwrap();
        // The answer didn't come: the same change is asked for again, and enrolling tries its key first.
        assert_eq!(identity.rotation(&id).unwrap(), first);
        assert_eq!(
            identity.candidates().unwrap(),
            [Which::Next, Which::Present]
        );
        identity
            .settle(Which::Next, &Token::new("otd_new"))
            .unwrap();
        assert_eq!(identity.candidates().unwrap(), [Which::Present]);
        assert_eq!(identity.token().unwrap(), Some(Token::new("otd_new")));
        let key = identity.key(Which::Present).unwrap();
        assert_eq!(
            hex::encode(key.verifying_key().as_bytes()),
            first.public_key
        );
        assert_ne!(identity.rotation(&id).unwrap().public_key, first.public_key);
        // A power cut after the change can bring its key back.
        identity.write_key(Which::Next, &key).unwrap();
        assert_ne!(identity.rotation(&id).unwrap().public_key, first.public_key);
    }
}
