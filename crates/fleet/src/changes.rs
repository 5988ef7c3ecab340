//! What changed, for open pages and for the memory of this server and others.

use std::collections::HashSet;

use otter_protocol::admin::{Change, ChangeKind};
use otter_protocol::{DeviceId, RolloutId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tokio::sync::broadcast;

use crate::database::is_postgres;
use crate::entity::{attempt, event, event_head, rollout};
use crate::error::Result;
use crate::fleet::Fleet;
use crate::rollouts::{load_of, phases_of};

/// How far behind its clock another server's write may become visible, in milliseconds.
const OVERLAP_MS: i64 = 2_000;

/// How far others' changes were followed.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    sequence: i64,
    attempts_at: i64,
}

impl Fleet {
    /// Returns the changes from now on; one that lags misses some, and has to look at everything anew.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes.subscribe()
    }

    /// Tells open pages that something changed.
    pub(crate) fn changed(&self, kind: ChangeKind, id: impl ToString) {
        // Nobody may be looking.
        let _ = self.inner.changes.send(Change {
            kind,
            id: id.to_string(),
        });
    }

    /// Returns the point from which others' changes are to be followed.
    pub(crate) async fn follow_from_now(&self) -> Result<Followed> {
        let head = event_head::Entity::find_by_id(1).one(self.db()).await?;
        Ok(Followed {
            sequence: head.map_or(0, |head| head.sequence),
            attempts_at: self.now().0,
        })
    }

    /// Takes in what this server or another changed since the last look: the audit log tells.
    pub(crate) async fn follow(&self, followed: &mut Followed) -> Result<()> {
        let rows = event::Entity::find()
            .filter(event::Column::Sequence.gt(followed.sequence))
            .order_by_asc(event::Column::Sequence)
            .limit(10_000)
            .all(self.db())
            .await?;
        let (mut plan_changed, mut webhooks_changed) = (false, false);
        for row in &rows {
            followed.sequence = row.sequence;
            let kind = match row.subject_kind.as_str() {
                "device" => {
                    if let Ok(id) = DeviceId::new(&row.subject) {
                        self.forget_device(&id);
                    }
                    ChangeKind::Device
                }
                "rollout" => ChangeKind::Rollout,
                "release" => ChangeKind::Release,
                "group" => {
                    // Its members by hand are in none now, and which those were isn't told.
                    if row.action == "group.delete" {
                        self.forget_devices();
                    }
                    ChangeKind::Group
                }
                "webhook" => {
                    webhooks_changed = true;
                    ChangeKind::Settings
                }
                _ => ChangeKind::Settings,
            };
            plan_changed |= matches!(
                kind,
                ChangeKind::Rollout | ChangeKind::Release | ChangeKind::Group
            );
            self.changed(kind, &row.subject);
        }
        if plan_changed {
            self.renew_plan().await?;
        }
        if webhooks_changed {
            self.renew_webhooks().await?;
        }
        if is_postgres(self.db().get_database_backend()) {
            self.follow_attempts(followed).await?;
        }
        Ok(())
    }

    /// Takes in attempts that another server moved; attempts are no events. On SQLite there is no other server.
    async fn follow_attempts(&self, followed: &mut Followed) -> Result<()> {
        let now = self.now().0;
        let rows: Vec<(String, i64, i64)> = attempt::Entity::find()
            .select_only()
            .columns([
                attempt::Column::DeviceId,
                attempt::Column::RolloutId,
                attempt::Column::UpdatedAt,
            ])
            .filter(attempt::Column::UpdatedAt.gt(followed.attempts_at - OVERLAP_MS))
            .into_tuple()
            .all(self.db())
            .await?;
        let moved: HashSet<i64> = rows.iter().map(|(_, rollout, _)| *rollout).collect();
        for rollout in moved {
            self.refresh_load(RolloutId(rollout)).await?;
        }
        for (device, rollout, updated_at) in rows {
            // Those within the overlap may have been told before; telling twice does no harm.
            if let Ok(id) = DeviceId::new(&device)
                && self.is_behind(&id, updated_at)
            {
                self.forget_device(&id);
            }
            self.changed(ChangeKind::Device, device);
            self.changed(ChangeKind::Rollout, rollout);
        }
        followed.attempts_at = now;
        Ok(())
    }

    /// Reads anew how much of a rollout is under way: another server began or ended some of it.
    async fn refresh_load(&self, id: RolloutId) -> Result<()> {
        let row = rollout::Entity::find_by_id(id.0).one(self.db()).await?;
        let Some(row) = row else {
            return Ok(());
        };
        let load = load_of(&phases_of(self.db(), &[id.0]).await?, row.next_grant_at);
        self.change_load(id, |known| *known = load.clone());
        Ok(())
    }
}
