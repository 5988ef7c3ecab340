//! A secret key in a JSON file, encrypted under a passphrase.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use crate::document::{canonical, malformed};
use crate::{PublicKey, Role, SecretKey, TrustError};

const FORMAT: u32 = 1;
/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// A file may ask for more than we do, but not for so much that opening it stops the machine.
const MOST_MEMORY_KIB: u32 = 1 << 20;
const MOST_PASSES: u32 = 64;
const MOST_LANES: u32 = 16;

/// An encrypted key; its public part, role and comment are readable without the passphrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    otter_key: u32,
    role: Role,
    comment: String,
    key_id: String,
    public: PublicKey,
    kdf: Kdf,
    cipher: Cipher,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    algorithm: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cipher {
    algorithm: String,
    nonce: String,
    ciphertext: String,
}

impl KeyFile {
    /// Encrypts a key under a passphrase; takes about as long as a blink, on purpose.
    ///
    /// Fails on an empty passphrase and without randomness.
    pub fn seal(
        key: &SecretKey,
        role: Role,
        passphrase: &str,
        comment: &str,
    ) -> Result<Self, TrustError> {
        if passphrase.is_empty() {
            return Err(TrustError::Key(
                "the passphrase is empty. Choose one that nobody guesses".to_owned(),
            ));
        }
        let salt: [u8; 16] = random()?;
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut file = Self {
            otter_key: FORMAT,
            role,
            comment: comment.to_owned(),
            key_id: key.public().key_id(),
            public: key.public(),
            kdf: Kdf {
                algorithm: "argon2id".to_owned(),
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                lanes: LANES,
                salt: STANDARD.encode(salt),
            },
            cipher: Cipher {
                algorithm: "aes-256-gcm".to_owned(),
                nonce: STANDARD.encode(nonce),
                ciphertext: String::new(),
            },
        };
        let mut sealed = Zeroizing::new(key.seed().to_vec());
        file.cipher_key(passphrase)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(file.bound()?),
                &mut *sealed,
            )
            .map_err(|_| TrustError::Key("the key could not be encrypted".to_owned()))?;
        file.cipher.ciphertext = STANDARD.encode(&*sealed);
        Ok(file)
    }

    /// Decrypts the key.
    ///
    /// [`TrustError::WrongPassphrase`] when the passphrase is another, or the file was tampered with.
    pub fn open(&self, passphrase: &str) -> Result<SecretKey, TrustError> {
        let nonce: [u8; NONCE_LEN] = decode(&self.cipher.nonce)?
            .try_into()
            .map_err(|_| malformed("the key file", "its nonce has the wrong length"))?;
        let mut sealed = Zeroizing::new(decode(&self.cipher.ciphertext)?);
        let seed = self
            .cipher_key(passphrase)?
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(self.bound()?),
                &mut sealed,
            )
            .map_err(|_| TrustError::WrongPassphrase)?;
        let seed: &[u8; 32] = (&*seed)
            .try_into()
            .map_err(|_| malformed("the key file", "its key has the wrong length"))?;
        let key = SecretKey::from_seed(seed);
        if key.public() != self.public {
            return Err(malformed(
                "the key file",
                "its public part belongs to another key",
            ));
        }
        Ok(key)
    }

    /// Reads a key file; the key stays encrypted.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let file: Self =
            serde_json::from_slice(bytes).map_err(|error| malformed("the key file", error))?;
        if file.otter_key != FORMAT {
            return Err(malformed(
                "the key file",
                format!("format {} is not known here", file.otter_key),
            ));
        }
        Ok(file)
    }

    /// Writes the file, readable by a person. Store it so that only its owner can read it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TrustError> {
        let mut bytes =
            serde_json::to_vec_pretty(self).map_err(|error| malformed("the key file", error))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Returns the role that the key was made for.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Returns what its owner wrote about it.
    #[must_use]
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Returns the public part.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Everything readable is bound to the ciphertext: changed by a stranger, the key doesn't open.
    fn bound(&self) -> Result<Vec<u8>, TrustError> {
        canonical(&json!({
            "otter_key": self.otter_key, "role": self.role, "comment": self.comment,
            "key_id": self.key_id, "public": self.public.to_tuf(),
        }))
    }

    fn cipher_key(&self, passphrase: &str) -> Result<LessSafeKey, TrustError> {
        let Kdf {
            algorithm,
            memory_kib,
            passes,
            lanes,
            salt,
        } = &self.kdf;
        let refused = |what: &str| malformed("the key file", what);
        if algorithm != "argon2id" || self.cipher.algorithm != "aes-256-gcm" {
            return Err(refused("its encryption is not known here"));
        }
        if *memory_kib > MOST_MEMORY_KIB || *passes > MOST_PASSES || *lanes > MOST_LANES {
            return Err(refused("it asks for too much work to open it"));
        }
        let params = Params::new(*memory_kib, *passes, *lanes, Some(32))
            .map_err(|error| malformed("the key file", error))?;
        let mut derived = Zeroizing::new([0_u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &decode(salt)?, derived.as_mut())
            .map_err(|error| malformed("the key file", error))?;
        UnboundKey::new(&AES_256_GCM, derived.as_ref())
            .map(LessSafeKey::new)
            .map_err(|_| refused("its encryption could not be set up"))
    }
}

fn decode(text: &str) -> Result<Vec<u8>, TrustError> {
    STANDARD
        .decode(text)
        .map_err(|error| malformed("the key file", error))
}

fn random<const N: usize>() -> Result<[u8; N], TrustError> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        TrustError::Key(format!(
            "the system gave no randomness: {error}. Try again later"
        ))
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> (SecretKey, KeyFile) {
        let key = SecretKey::from_seed(&[9; 32]);
        let file = KeyFile::seal(&key, Role::Targets, "correct horse", "Ada's laptop").unwrap();
        (key, file)
    }

    #[test]
    fn opens_with_its_passphrase_only() {
        let (key, file) = sealed();
        let file = KeyFile::parse(&file.to_bytes().unwrap()).unwrap();
        assert_eq!(file.open("correct horse").unwrap().seed(), key.seed());
        for wrong in ["", "correct horse ", "Correct horse"] {
            let error = file.open(wrong).unwrap_err();
            assert!(matches!(error, TrustError::WrongPassphrase), "{error}");
        }
    }

    #[test]
    fn shows_what_is_public_and_nothing_else() {
        let (key, file) = sealed();
        assert_eq!(file.role(), Role::Targets);
        assert_eq!(file.comment(), "Ada's laptop");
        assert_eq!(*file.public(), key.public());
        let text = String::from_utf8(file.to_bytes().unwrap()).unwrap();
        assert!(text.contains(&key.public().key_id()));
        assert!(!text.contains(&hex::encode(key.seed())));
        assert!(!text.contains(key.to_text().as_str()));
    }

    #[test]
    fn two_files_of_one_key_share_nothing_secret() {
        let (_, one) = sealed();
        let (_, two) = sealed();
        assert_ne!(one.kdf.salt, two.kdf.salt);
        assert_ne!(one.cipher.nonce, two.cipher.nonce);
        assert_ne!(one.cipher.ciphertext, two.cipher.ciphertext);
    }

    #[test]
    fn a_changed_file_does_not_open() {
        let (_, file) = sealed();
        let other = SecretKey::from_seed(&[8; 32]).public();
        let tampered = [
            KeyFile {
                role: Role::Root,
                ..file.clone()
            },
            KeyFile {
                comment: "Eve's laptop".to_owned(),
                ..file.clone()
            },
            KeyFile {
                public: other,
                ..file.clone()
            },
        ];
        for file in tampered {
            let error = file.open("correct horse").unwrap_err();
            assert!(matches!(error, TrustError::WrongPassphrase), "{error}");
        }
    }

    #[test]
    fn a_file_that_asks_for_the_whole_memory_is_refused() {
        let (_, mut file) = sealed();
        file.kdf.memory_kib = u32::MAX;
        let error = file.open("correct horse").unwrap_err();
        assert!(error.to_string().contains("too much work"), "{error}");
    }

    #[test]
    fn an_empty_passphrase_is_refused() {
        let key = SecretKey::from_seed(&[9; 32]);
        assert!(KeyFile::seal(&key, Role::Root, "", "").is_err());
    }

    #[test]
    fn unknown_formats_are_refused() {
        let (_, mut file) = sealed();
        file.otter_key = 2;
        let error = KeyFile::parse(&file.to_bytes().unwrap()).unwrap_err();
        assert!(error.to_string().contains("format 2"), "{error}");
    }
}
