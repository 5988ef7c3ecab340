//! What the fleet ran when: now and then one row that counts devices by version, kept the longer the coarser it is.
//!
//! Counting a million devices reads an index of a million entries, so that the next count waits a hundred times as long as
//! the last one took: sampling is never more than a hundredth of the database's time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use otter_protocol::timeline::{Sample, Span, Timeline};
use otter_protocol::{Timestamp, Version};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::entity::{check_in_count, version_sample};
use crate::error::{Error, Result};
use crate::fleet::Fleet;

/// Versions that a sample names; devices on others are counted together.
const MOST_KEPT: usize = 24;
/// Versions that a timeline names.
const MOST_SHOWN: usize = 8;
/// How many times as long as a count takes the next one waits.
const REST: i64 = 100;
/// How long the lease lasts that isn't renewed, in seconds.
const LEASE_SEC: u64 = 120;
/// How long counts of check-ins are kept, in seconds.
const CHECK_INS_SEC: u64 = 2 * 3600;

/// When the next sample may be taken, and check-ins that aren't written yet.
#[derive(Debug, Default)]
pub(crate) struct Sampling {
    not_before: AtomicI64,
    check_ins: AtomicU64,
}

impl Sampling {
    /// Counts a check-in.
    pub(crate) fn count_check_in(&self) {
        self.check_ins.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts as they are kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Counts {
    versions: BTreeMap<String, u64>,
    others: u64,
}

impl Counts {
    /// Keeps the versions that most devices run.
    fn of(counted: BTreeMap<String, u64>) -> Self {
        let mut ordered: Vec<_> = counted.into_iter().collect();
        ordered.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let others = ordered
            .iter()
            .skip(MOST_KEPT)
            .map(|(_, devices)| devices)
            .sum();
        ordered.truncate(MOST_KEPT);
        Self {
            versions: ordered.into_iter().collect(),
            others,
        }
    }
}

impl Fleet {
    /// Takes a sample where it is time for one, and lets go of those that are too old; one server at a time.
    pub async fn take_sample(&self) -> Result<()> {
        self.write_check_ins().await?;
        let now = self.now();
        if now.0 < self.inner.sampling.not_before.load(Ordering::Relaxed)
            || !self.hold_lease("samples", LEASE_SEC).await?
        {
            return Ok(());
        }
        let last = self.newest_sample().await?.map(|row| Timestamp(row.at));
        let Some(span) = Span::of_sample(now, last) else {
            return Ok(());
        };
        let began = Instant::now();
        let mut counted = BTreeMap::new();
        for count in self.version_counts().await? {
            *counted.entry(count.version.to_string()).or_default() += count.devices;
        }
        let took = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let rest = now.0.saturating_add(took.saturating_mul(REST));
        self.inner
            .sampling
            .not_before
            .store(rest, Ordering::Relaxed);
        let counts = serde_json::to_string(&Counts::of(counted));
        let row = version_sample::ActiveModel {
            at: Set(now.0),
            span: Set(i32::try_from(span.step_sec()).unwrap_or(i32::MAX)),
            counts: Set(counts.map_err(|error| Error::Corrupt(error.to_string()))?),
        };
        version_sample::Entity::insert(row)
            .exec_without_returning(self.db())
            .await?;
        self.thin_samples(now).await
    }

    async fn thin_samples(&self, now: Timestamp) -> Result<()> {
        for span in Span::ALL {
            version_sample::Entity::delete_many()
                .filter(version_sample::Column::Span.eq(span.step_sec()))
                .filter(version_sample::Column::At.lt(now.minus_sec(span.keep_sec()).0))
                .exec(self.db())
                .await?;
        }
        check_in_count::Entity::delete_many()
            .filter(check_in_count::Column::Minute.lt(minute_of(now.minus_sec(CHECK_INS_SEC))))
            .exec(self.db())
            .await?;
        Ok(())
    }

    /// Adds the check-ins that this server answered to those of the minute; what can't be written stays counted.
    async fn write_check_ins(&self) -> Result<()> {
        let check_ins = self.inner.sampling.check_ins.swap(0, Ordering::Relaxed);
        let Ok(count @ 1..) = i64::try_from(check_ins) else {
            return Ok(());
        };
        let row = check_in_count::ActiveModel {
            minute: Set(minute_of(self.now())),
            check_ins: Set(count),
        };
        let together =
            Expr::col((check_in_count::Entity, check_in_count::Column::CheckIns)).add(count);
        let add = OnConflict::column(check_in_count::Column::Minute)
            .value(check_in_count::Column::CheckIns, together)
            .to_owned();
        let written = check_in_count::Entity::insert(row)
            .on_conflict(add)
            .exec_without_returning(self.db())
            .await;
        if written.is_err() {
            self.inner
                .sampling
                .check_ins
                .fetch_add(check_ins, Ordering::Relaxed);
        }
        written?;
        Ok(())
    }

    /// Returns what the fleet ran over a span, and how many devices check in.
    pub async fn timeline(&self, span: Span) -> Result<Timeline> {
        let until = self.now();
        let steps = Span::ALL.into_iter().filter(|other| *other >= span);
        let mut rows = version_sample::Entity::find()
            .filter(version_sample::Column::Span.is_in(steps.map(Span::step_sec)))
            .filter(version_sample::Column::At.gte(until.minus_sec(span.sec()).0))
            .order_by_asc(version_sample::Column::At)
            .all(self.db())
            .await?;
        // However coarse the others are, the last word is the newest.
        if let Some(newest) = self.newest_sample().await?
            && rows.last().is_none_or(|last| last.at < newest.at)
            && newest.at >= until.minus_sec(span.sec()).0
        {
            rows.push(newest);
        }
        let mut samples = Vec::with_capacity(rows.len());
        for row in rows {
            let counts: Counts = serde_json::from_str(&row.counts)
                .map_err(|error| Error::Corrupt(format!("the sample of {}: {error}", row.at)))?;
            samples.push((Timestamp(row.at), counts));
        }
        let versions = self.most_run(&samples);
        let minute = minute_of(until) - 1;
        let check_ins = check_in_count::Entity::find_by_id(minute)
            .one(self.db())
            .await?;
        Ok(Timeline {
            span,
            until,
            samples: samples
                .into_iter()
                .map(|(at, counts)| sample(at, counts, &versions))
                .collect(),
            versions,
            check_ins_per_minute: check_ins
                .map_or(0, |row| u64::try_from(row.check_ins).unwrap_or(0)),
        })
    }

    async fn newest_sample(&self) -> Result<Option<version_sample::Model>> {
        Ok(version_sample::Entity::find()
            .order_by_desc(version_sample::Column::At)
            .limit(1)
            .one(self.db())
            .await?)
    }

    /// Returns the versions that most devices ran at any time, the oldest version first.
    fn most_run(&self, samples: &[(Timestamp, Counts)]) -> Vec<Version> {
        let mut most: BTreeMap<&str, u64> = BTreeMap::new();
        for (version, devices) in samples.iter().flat_map(|(_, counts)| &counts.versions) {
            let known = most.entry(version).or_default();
            *known = std::cmp::max(*known, *devices);
        }
        let mut ordered: Vec<_> = most.into_iter().collect();
        ordered.sort_by_key(|(_, devices)| std::cmp::Reverse(*devices));
        let mut versions: Vec<Version> = ordered
            .into_iter()
            .take(MOST_SHOWN)
            .map(|(version, _)| version.into())
            .collect();
        let plan = self.plan();
        versions.sort_by(|a, b| plan.versions().compare(a, b));
        versions
    }
}

fn sample(at: Timestamp, mut counts: Counts, versions: &[Version]) -> Sample {
    let devices = versions
        .iter()
        .map(|version| counts.versions.remove(version.as_str()).unwrap_or(0))
        .collect();
    Sample {
        at,
        devices,
        others: counts.others + counts.versions.values().sum::<u64>(),
    }
}

/// Returns the minute of a time, counted since 1970.
fn minute_of(at: Timestamp) -> i64 {
    at.0.div_euclid(60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_names_a_few_versions_and_counts_all_devices() {
        let many = (0..100).map(|place| (format!("1.{place}.0"), 100 - place));
        let counts = Counts::of(many.collect());
        assert_eq!(counts.versions.len(), MOST_KEPT);
        assert!(counts.versions.contains_key("1.0.0"));
        assert_eq!(counts.others + counts.versions.values().sum::<u64>(), 5050);
    }
}
