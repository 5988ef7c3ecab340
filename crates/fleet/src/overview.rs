//! The fleet at a glance.

use std::collections::BTreeMap;

use otter_protocol::AttemptState;
use otter_protocol::admin::{AttemptSummary, Overview, VersionCount};
use otter_protocol::device::DeviceState;
use otter_protocol::gate::Tally;
use otter_protocol::release::ReleaseState;
use otter_protocol::rollout::RolloutState;
use otter_protocol::{DeviceId, Model, Version};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::attempts::summary_of;
use crate::database::is_postgres;
use crate::entity::{attempt, device, release, rollout};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::releases::load_releases;

/// A device that was seen within ten minutes is online.
const ONLINE_SEC: u64 = 600;
/// Devices counted as online although their last sighting isn't written yet: among more, those that just came are few, and
/// the count is behind by the seconds until the next write.
const MOST_UNWRITTEN: usize = 10_000;
const DAY_SEC: u64 = 24 * 3600;
const MAX_FAILURES: u64 = 10;

impl Fleet {
    /// Returns what the dashboard's first page shows.
    pub async fn overview(&self) -> Result<Overview> {
        let draft = release::Column::State.eq(ReleaseState::Draft.as_str());
        let mut drafts = load_releases(self.db(), Condition::all().add(draft)).await?;
        drafts.reverse();
        let live = RolloutState::ALL
            .into_iter()
            .filter(|state| state.is_live())
            .map(RolloutState::as_str);
        let rollouts = rollout::Entity::find()
            .filter(rollout::Column::State.is_in(live))
            .order_by_desc(rollout::Column::Id)
            .all(self.db())
            .await?;
        Ok(Overview {
            devices_by_state: self.devices_by_state().await?,
            versions: self.version_counts().await?,
            online: self.online().await?,
            last_day: self.last_day().await?,
            rollouts: self.rollout_summaries(rollouts).await?,
            failures: self.newest_failures().await?,
            drafts,
        })
    }

    async fn devices_by_state(&self) -> Result<BTreeMap<String, u64>> {
        let rows: Vec<(String, i64)> = device::Entity::find()
            .select_only()
            .column(device::Column::State)
            .column_as(rows(), "devices")
            .group_by(device::Column::State)
            .into_tuple()
            .all(self.db())
            .await?;
        Ok(rows
            .into_iter()
            .map(|(state, devices)| (state, count(devices)))
            .collect())
    }

    /// Counts accepted devices by model and version.
    pub(crate) async fn version_counts(&self) -> Result<Vec<VersionCount>> {
        let rows: Vec<(String, String, i64)> = device::Entity::find()
            .select_only()
            .columns([device::Column::Model, device::Column::Version])
            .column_as(rows(), "devices")
            .filter(device::Column::State.eq(DeviceState::Accepted.as_str()))
            .group_by(device::Column::Model)
            .group_by(device::Column::Version)
            .into_tuple()
            .all(self.db())
            .await?;
        let mut counts = rows
            .into_iter()
            .map(|(model, version, devices)| {
                let model = Model::new(model).map_err(|error| Error::Corrupt(error.to_string()))?;
                Ok(VersionCount {
                    model,
                    version: version.into(),
                    devices: count(devices),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let plan = self.plan();
        let newest_first = |a: &Version, b: &Version| plan.versions().compare(b, a);
        counts.sort_by(|a, b| {
            a.model
                .cmp(&b.model)
                .then_with(|| newest_first(&a.version, &b.version))
        });
        Ok(counts)
    }

    async fn online(&self) -> Result<u64> {
        let since = self.now().minus_sec(ONLINE_SEC);
        let mut is_online = Condition::any().add(device::Column::LastSeenAt.gte(since.0));
        let unwritten = self.inner.presence.unwritten_devices(since, MOST_UNWRITTEN);
        if !unwritten.is_empty() {
            let ids = unwritten.iter().map(DeviceId::as_str);
            is_online = is_online.add(device::Column::Id.is_in(ids));
        }
        // The plus keeps SQLite from looking at every accepted device: those that are online are in an index.
        let accepted = DeviceState::Accepted.as_str();
        let is_accepted = match is_postgres(self.db().get_database_backend()) {
            true => device::Column::State.eq(accepted),
            false => Expr::cust_with_values("+state = ?", [accepted]),
        };
        let online = device::Entity::find().filter(is_accepted).filter(is_online);
        Ok(online.count(self.db()).await?)
    }

    async fn last_day(&self) -> Result<Tally> {
        let rows: Vec<(String, i64)> = attempt::Entity::find()
            .select_only()
            .column(attempt::Column::State)
            .column_as(attempt::Column::Id.count(), "attempts")
            .filter(attempt::Column::FinishedAt.gte(self.now().minus_sec(DAY_SEC).0))
            .group_by(attempt::Column::State)
            .into_tuple()
            .all(self.db())
            .await?;
        let mut tally = Tally::default();
        for (state, attempts) in rows {
            let state = AttemptState::named(&state);
            let counted =
                match state.ok_or_else(|| Error::Corrupt("the state of an attempt".into()))? {
                    AttemptState::Succeeded => &mut tally.succeeded,
                    AttemptState::Failed => &mut tally.failed,
                    AttemptState::RolledBack => &mut tally.rolled_back,
                    AttemptState::TimedOut => &mut tally.timed_out,
                    AttemptState::Cancelled | AttemptState::Superseded => &mut tally.cancelled,
                    _ => &mut tally.under_way,
                };
            *counted += count(attempts);
        }
        Ok(tally)
    }

    async fn newest_failures(&self) -> Result<Vec<AttemptSummary>> {
        let failures = AttemptState::ALL
            .into_iter()
            .filter(|state| state.is_failure())
            .map(AttemptState::as_str);
        let rows = attempt::Entity::find()
            .filter(attempt::Column::State.is_in(failures))
            .order_by_desc(attempt::Column::FinishedAt)
            .limit(MAX_FAILURES)
            .all(self.db())
            .await?;
        rows.into_iter().map(summary_of).collect()
    }
}

/// Counts rows, not a column: an index alone answers that.
fn rows() -> Expr {
    Expr::cust("count(*)")
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
