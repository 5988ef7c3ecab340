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
/// Failures for a second factor within [`SPAN_SEC`]: of a million codes, three fit at a time.
const MOST_CODE_FAILURES: usize = 5;
/// Each takes 19 MiB and a core for a moment.
const MOST_AT_ONCE: usize = 2;
/// Those who wait for their turn: some seconds' work.
const MOST_WAITING: usize = 64;

/// Checked where there is no account of a name, so that it takes as long: of no password that anybody knows.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$b3R0ZXItbm9ib2R5cy1zYWx0$0sXn4uEOqhm0H1EYJ0lB7cHh0Bz4gD8ZrX2b1L5cZ2M";

/// Who failed to log in of late.
#[derive(Debug)]
pub(crate) struct Passwords {
    failures: Mutex<HashMap<Key, Vec<Timestamp>>>,
    permits: Arc<Semaphore>,
    waiting: Semaphore,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Name(String),
    Address(String),
    /// The second factor of an account.
    Code(i64),
}

impl Key {
    fn most_failures(&self) -> usize {
        match self {
            Self::Code(_) => MOST_CODE_FAILURES,
            Self::Name(_) | Self::Address(_) => MOST_FAILURES,
        }
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            failures: Mutex::default(),
            permits: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            waiting: Semaphore::new(MOST_WAITING),
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
        let Ok(_turn) = self.waiting.try_acquire() else {
            return Err(Error::problem(
                ProblemCode::Unavailable,
                "Very many people log in at this moment; try again in a few seconds.",
            ));
        };
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

    /// Notes a try with a password; refuses it where there were too many that failed.
    pub(crate) fn begin(&self, name: &str, address: &str, now: Timestamp) -> Result<()> {
        self.note(keys(name, address), now)
    }

    /// Notes a try with a code; refuses it where there were too many that failed.
    pub(crate) fn begin_code(&self, person: i64, address: &str, now: Timestamp) -> Result<()> {
        self.note(code_keys(person, address), now)
    }

    fn note(&self, keys: [Key; 2], now: Timestamp) -> Result<()> {
        let mut failures = self.failures();
        let since = now.minus_sec(SPAN_SEC);
        if failures.len() > MOST_KEPT {
            failures.retain(|_, times| times.last().is_some_and(|last| *last > since));
        }
        for key in &keys {
            let Some(times) = failures.get_mut(key) else {
                continue;
            };
            times.retain(|time| *time > since);
            let oldest = times.first().filter(|_| times.len() >= key.most_failures());
            if let Some(oldest) = oldest {
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
        self.take_back(keys(name, address));
    }

    /// The same for a code.
    pub(crate) fn succeed_code(&self, person: i64, address: &str) {
        self.take_back(code_keys(person, address));
    }

    fn take_back(&self, [whose, address]: [Key; 2]) {
        let mut failures = self.failures();
        failures.remove(&whose);
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

fn code_keys(person: i64, address: &str) -> [Key; 2] {
    [Key::Code(person), Key::Address(address.to_owned())]
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
    fn five_failures_with_a_code_are_enough() {
        let (passwords, now) = (Passwords::default(), Timestamp(1_000_000_000));
        for n in 0..5 {
            passwords.begin_code(7, &format!("{n}"), now).unwrap();
        }
        let error = passwords.begin_code(7, "new", now).unwrap_err();
        assert_eq!(error.to_problem().code, ProblemCode::TooManyRequests);
        passwords.begin_code(8, "new", now).unwrap();
        passwords.succeed_code(7, "4");
        passwords.begin_code(7, "new", now).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn few_are_checked_at_once_and_a_crowd_is_sent_away() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let passwords = Arc::new(Passwords::default());
        let (at_work, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new((Mutex::new(false), std::sync::Condvar::new()));
        let tries: Vec<_> = (0..MOST_WAITING + 20)
            .map(|_| {
                let (passwords, gate) = (passwords.clone(), gate.clone());
                let (at_work, most) = (at_work.clone(), most.clone());
                let work = move || {
                    most.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let opened = gate.0.lock().unwrap();
                    drop(gate.1.wait_while(opened, |opened| !*opened).unwrap());
                    at_work.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                };
                tokio::spawn(async move { passwords.run(work).await })
            })
            .collect();
        // Those that don't find room even to wait are told at once, while none of the others has come through: of those as many are at
        // work as may be.
        let sent_away = async {
            while tries.iter().filter(|one| one.is_finished()).count() < 20
                || at_work.load(Ordering::SeqCst) < MOST_AT_ONCE
            {
                tokio::task::yield_now().await;
            }
        };
        let patience = std::time::Duration::from_secs(20);
        tokio::time::timeout(patience, sent_away).await.unwrap();
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        let mut refused = 0;
        for one in tries {
            if let Err(error) = one.await.unwrap() {
                assert_eq!(error.to_problem().code, ProblemCode::Unavailable);
                refused += 1;
            }
        }
        assert_eq!(refused, 20);
        assert_eq!(most.load(Ordering::SeqCst), MOST_AT_ONCE);
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
