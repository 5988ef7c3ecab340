//! How often who may ask. Whoever shows a token that counts is limited by himself alone, however many share his address: a
//! fleet behind one address polls in peace, and so does the rest of it while one device goes wild.
//!
//! What nobody is known by is limited by address: enrollments, and tokens that turn out to be nobody's. An address with too
//! many of those isn't shut out, since devices may be behind it that this server doesn't have in memory yet: their tokens are
//! looked up, too, only a few at a time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use otter_fleet::{KnownDevice, Pace, Rate, Ticks};
use otter_protocol::{DeviceId, ProblemCode, Sha256Digest};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::failure::{Failure, Result};

/// Addresses, unknown tokens and names that are remembered; the least used are forgotten.
const REMEMBERED: u64 = 100_000;
/// How long they are remembered after their last use: longer than any rate looks back.
const MEMORY: Duration = Duration::from_secs(120);
/// How long a token that is nobody's isn't looked up again. Tokens are drawn at random, so that none becomes somebody's later.
const NOBODYS: Duration = Duration::from_secs(60);
/// Tokens from noisy addresses that are looked up at once.
const SLOW_LANE: usize = 4;
/// How long a token waits to be looked up there.
const PATIENCE: Duration = Duration::from_secs(10);
/// Asks of one name at one address to enroll in a minute: devices that wait ask twice.
const ENROLLMENTS_OF_ONE: u32 = 30;
/// Those who are sent away come back within so many seconds more, so that they don't come at once.
const SPREAD_SEC: u64 = 10;

/// How many requests a minute are taken; 0 sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Of one device.
    pub device_requests_per_min: u32,
    /// From one address, to enroll.
    pub enrollments_per_min: u32,
    /// From one address, with a token that is nobody's, before its tokens are looked up slowly.
    pub unknown_tokens_per_min: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            device_requests_per_min: 600,
            enrollments_per_min: 6000,
            unknown_tokens_per_min: 600,
        }
    }
}

/// The limits, and who is how near to them.
#[derive(Debug)]
pub struct Limits {
    ticks: Ticks,
    device: Option<Rate>,
    enrollments: Option<Rate>,
    enrollments_of_one: Option<Rate>,
    unknown: Option<Rate>,
    nameless: Cache<IpAddr, Arc<Pace>>,
    enrolling: Cache<IpAddr, Arc<Pace>>,
    enrolling_names: Cache<(IpAddr, DeviceId), Arc<Pace>>,
    guessing: Cache<IpAddr, Arc<Pace>>,
    nobodys: Cache<Sha256Digest, Arc<Pace>>,
    slow_lane: Semaphore,
}

fn remembered<K, V>(idle: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(REMEMBERED)
        .time_to_idle(idle)
        .build()
}

impl Limits {
    /// Begins with nobody near any limit.
    pub fn new(config: LimitsConfig) -> Self {
        Self {
            ticks: Ticks,
            device: Rate::per_min(config.device_requests_per_min),
            enrollments: Rate::per_min(config.enrollments_per_min),
            enrollments_of_one: Rate::per_min(config.enrollments_per_min.min(ENROLLMENTS_OF_ONE)),
            unknown: Rate::per_min(config.unknown_tokens_per_min),
            nameless: remembered(MEMORY),
            enrolling: remembered(MEMORY),
            enrolling_names: remembered(MEMORY),
            guessing: remembered(MEMORY),
            nobodys: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(NOBODYS)
                .build(),
            slow_lane: Semaphore::new(SLOW_LANE),
        }
    }

    /// Counts a device's request. This stands in the way of every poll: it reads a clock and a number.
    pub(crate) fn count(&self, known: &KnownDevice) -> Result<()> {
        let Some(rate) = self.device else {
            return Ok(());
        };
        known
            .pace
            .take(rate, self.ticks.now_ns())
            .map_err(|wait| too_many("This device asks too often.", wait))
    }

    /// Counts one who wants to enroll, before anything is done for him.
    pub(crate) fn count_enrollment(&self, client: IpAddr, id: &DeviceId) -> Result<()> {
        let address = network(client);
        let (now_ns, key) = (self.ticks.now_ns(), (address, id.clone()));
        if let Some(rate) = self.enrollments_of_one {
            let pace = self.enrolling_names.get_with(key, Arc::default);
            pace.take(rate, now_ns).map_err(|wait| {
                too_many("This device asks to take part too often.", spread(wait))
            })?;
        }
        if let Some(rate) = self.enrollments {
            let pace = self.enrolling.get_with(address, Arc::default);
            pace.take(rate, now_ns).map_err(|wait| {
                let detail = "Too many devices ask to take part from this address.";
                too_many(detail, spread(wait))
            })?;
        }
        Ok(())
    }

    /// Counts a request by somebody who has no name that is known, such as a download; as many are taken from an address as
    /// devices may enroll from it.
    pub(crate) fn count_nameless(&self, client: IpAddr) -> Result<()> {
        let Some(rate) = self.enrollments else {
            return Ok(());
        };
        let pace = self.nameless.get_with(network(client), Arc::default);
        pace.take(rate, self.ticks.now_ns()).map_err(|wait| {
            let detail = "Too many requests of no known device come from this address.";
            too_many(detail, spread(wait))
        })
    }

    /// Lets a token be looked up in the database: at once, or a few at a time where too many that came from the same address
    /// were nobody's. One that was nobody's a moment ago isn't looked up at all.
    pub(crate) async fn look_up(
        &self,
        client: IpAddr,
        token: &Sha256Digest,
    ) -> Result<Option<SemaphorePermit<'_>>> {
        let Some(rate) = self.unknown else {
            return Ok(None);
        };
        let now_ns = self.ticks.now_ns();
        if let Some(pace) = self.nobodys.get(token) {
            // As often as a device may ask that takes part.
            let rate = self.device.unwrap_or(rate);
            pace.take(rate, now_ns).map_err(|wait| {
                too_many("This token doesn't count, and is shown too often.", wait)
            })?;
            let detail = "The device token doesn't count; enroll the device again.";
            return Err(Failure::new(ProblemCode::Unauthenticated, detail));
        }
        let is_noisy = self
            .guessing
            .get(&network(client))
            .is_some_and(|pace| pace.look(rate, now_ns).is_err());
        if !is_noisy {
            return Ok(None);
        }
        match tokio::time::timeout(PATIENCE, self.slow_lane.acquire()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(too_many(
                "Too many tokens that don't count come from this address.",
                spread(PATIENCE),
            )),
        }
    }

    /// Notes that a token was nobody's.
    pub(crate) fn was_nobodys(&self, client: IpAddr, token: Sha256Digest) {
        self.nobodys.insert(token, Arc::default());
        if let Some(rate) = self.unknown {
            let pace = self.guessing.get_with(network(client), Arc::default);
            // Where there is no room left, the address is noisy already.
            let _ = pace.take(rate, self.ticks.now_ns());
        }
    }
}

/// What counts as one address: of IPv6 the network that one customer has.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(prefix.into())
        }
    }
}

fn spread(wait: Duration) -> Duration {
    wait + Duration::from_secs(rand::random_range(0..=SPREAD_SEC))
}

fn too_many(detail: &str, wait: Duration) -> Failure {
    // Rounded up: a moment too early would be too early.
    let sec = wait.as_secs().saturating_add(1);
    Failure::new(
        ProblemCode::TooManyRequests,
        format!("{detail} Ask again in {sec} seconds."),
    )
    .retry_after(sec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let one = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(one("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(one("192.0.2.7"), "192.0.2.7");
    }
}
