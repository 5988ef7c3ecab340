//! Passwords: argon2id, a few at a time, and only so many tries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use otter_protocol::{ProblemCode, Timestamp};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Failures for a name or an address within [`SPAN_SEC`], after which no more tries are taken.
const MOST_FAILURES: usize = 10;
/// A quarter of an hour.
const SPAN_SEC: u64 = 15 * 60;
/// Names and addresses from which on those whose failures are past are dropped.
const MOST_KEPT: usize = 10_000;
/// Each takes 19 MiB and a core for a moment.
const MOST_AT_ONCE: usize = 2;

/// Checked where there is no account of a name, so that it takes as long: of no password that anybody knows.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$b3R0ZXItbm9ib2R5cy1zYWx0$0sXn4uEOqhm0H1EYJ0lB7cHh0Bz4gD8ZrX2b1L5cZ2M";

/// Who failed to log in of late.
#[derive(Debug)]
pub(crate) struct Passwords {
    failures: Mutex<HashMap<Key, Vec<Timestamp>>>,
    permits: Arc<Semaphore>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Name(String),
    Address(String),
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            failures: Mutex::default(),
            permits: Arc::new(Semaphore::new(MOST_AT_ONCE)),
        }
    }
}

impl Passwords {
    /// Hashes a password for keeping.
    pub(crate) async fn hash(&self, password: &str) -> Result<String> {
        let password = password.to_owned();
        self.run(move || {
            let hash = argon2()?
                .hash_password(password.as_bytes())
                .map_err(fault)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Tells whether a password fits a hash; takes as long where there is none.
    pub(crate) async fn verify(&self, password: &str, hash: Option<String>) -> Result<bool> {
        let password = password.to_owned();
        self.run(move || {
            let fits =
                argon2()?.verify_password(password.as_bytes(), hash.as_deref().unwrap_or(NOBODYS));
            match fits {
                Ok(()) => Ok(hash.is_some()),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(fault(error)),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        // Goes with the work, which goes on even where nobody waits for it any more.
        let permit = self.permits.clone().acquire_owned().await.map_err(fault)?;
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        })
        .await
        .map_err(fault)?
    }

    /// Notes a try; refuses it where there were too many that failed.
    pub(crate) fn begin(&self, name: &str, address: &str, now: Timestamp) -> Result<()> {
        let mut failures = self.failures();
        let since = now.minus_sec(SPAN_SEC);
        if failures.len() > MOST_KEPT {
            failures.retain(|_, times| times.last().is_some_and(|last| *last > since));
        }
        let keys = keys(name, address);
        for key in &keys {
            let Some(times) = failures.get_mut(key) else {
                continue;
            };
            times.retain(|time| *time > since);
            if let Some(oldest) = times.first().filter(|_| times.len() >= MOST_FAILURES) {
                let minutes = oldest.plus_sec(SPAN_SEC).sec_since(now).div_ceil(60).max(1);
                let detail =
                    format!("Too many failed tries to log in. Try again in {minutes} minutes.");
                return Err(Error::problem(ProblemCode::TooManyRequests, detail));
            }
        }
        for key in keys {
            failures.entry(key).or_default().push(now);
        }
        Ok(())
    }

    /// Notes that a try was no failure: the name's are past, the address has one less.
    pub(crate) fn succeed(&self, name: &str, address: &str) {
        let mut failures = self.failures();
        let [name, address] = keys(name, address);
        failures.remove(&name);
        if let Some(times) = failures.get_mut(&address) {
            times.pop();
            if times.is_empty() {
                failures.remove(&address);
            }
        }
    }

    /// Forgets the failures of a name.
    pub(crate) fn forgive_name(&self, name: &str) {
        self.failures().remove(&Key::Name(name.to_owned()));
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<Key, Vec<Timestamp>>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keys(name: &str, address: &str) -> [Key; 2] {
    // A name may be of any length here; as a key, its beginning will do.
    let name = name.chars().take(64).collect();
    [Key::Name(name), Key::Address(address.to_owned())]
}

/// OWASP's least for argon2id: 19 MiB, two passes, one lane.
fn argon2() -> Result<Argon2<'static>> {
    let params = Params::new(19_456, 2, 1, None).map_err(fault)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn fault(error: impl std::fmt::Display) -> Error {
    Error::Corrupt(format!("a password couldn't be checked: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobodys_hash_is_checked_and_fits_nothing() {
        let passwords = Passwords::default();
        assert!(
            !passwords
                .verify("correct horse battery", None)
                .await
                .unwrap()
        );
        let hash = passwords.hash("correct horse battery").await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(
            passwords
                .verify("correct horse battery", Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify("correct horse batterY", Some(hash))
                .await
                .unwrap()
        );
    }

    #[test]
    fn ten_failures_for_a_name_or_an_address_are_enough() {
        let (passwords, now) = (Passwords::default(), Timestamp(1_000_000_000));
        for n in 0..10 {
            passwords
                .begin("ann", &format!("address {n}"), now)
                .unwrap();
            passwords
                .begin(&format!("name {n}"), "address", now)
                .unwrap();
        }
        for (name, address) in [("ann", "new"), ("new", "address")] {
            let error = passwords
                .begin(name, address, now.plus_sec(1))
                .unwrap_err()
                .to_problem();
            assert_eq!(error.code, ProblemCode::TooManyRequests);
            assert!(error.detail.contains("15 minutes"), "{}", error.detail);
            passwords
                .begin(name, address, now.plus_sec(SPAN_SEC))
                .unwrap();
        }
        passwords.begin("new", "new", now).unwrap();
    }

    #[test]
    fn a_success_takes_its_own_try_back() {
        let (passwords, now) = (Passwords::default(), Timestamp(1_000_000_000));
        for _ in 0..100 {
            passwords.begin("ann", "address", now).unwrap();
            passwords.succeed("ann", "address");
        }
        assert!(passwords.failures().is_empty());
    }
}
