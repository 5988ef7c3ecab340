//! Devices that became unhealthy after they succeeded, counted in the phase that brought them there.

use otter_protocol::admin::ChangeKind;
use otter_protocol::device::Device;
use otter_protocol::{AttemptState, RolloutId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder};

use crate::database::{self, locked};
use crate::entity::{attempt, rollout_phase};
use crate::error::Result;
use crate::fleet::Fleet;
use crate::webhooks::Notice;

impl Fleet {
    /// Takes in that a device says it is healthy, or not, where that changed. Said twice it counts once.
    pub(crate) async fn note_health(&self, device: &Device, now: Timestamp) -> Result<()> {
        let is_unhealthy = device.conditions.is_healthy == Some(false);
        let tx = database::begin(self.db()).await?;
        let newest = attempt::Entity::find()
            .filter(attempt::Column::DeviceId.eq(device.id.as_str()))
            .order_by_desc(attempt::Column::Id);
        let Some(row) = locked(&tx, newest).one(&tx).await? else {
            return Ok(());
        };
        let counts = row.state == AttemptState::Succeeded.as_str();
        if !counts || row.unhealthy_at.is_some() == is_unhealthy {
            return Ok(());
        }
        let change = attempt::ActiveModel {
            id: Set(row.id),
            unhealthy_at: Set(is_unhealthy.then_some(now.0)),
            ..Default::default()
        };
        attempt::Entity::update(change).exec(&tx).await?;
        let by = if is_unhealthy { 1 } else { -1 };
        rollout_phase::Entity::update_many()
            .col_expr(
                rollout_phase::Column::Unhealthy,
                Expr::col(rollout_phase::Column::Unhealthy).add(by),
            )
            .filter(rollout_phase::Column::RolloutId.eq(row.rollout_id))
            .filter(rollout_phase::Column::Position.eq(row.phase))
            .exec(&tx)
            .await?;
        self.announce(&tx, &[Notice::health(&row, !is_unhealthy)])
            .await?;
        tx.commit().await?;
        self.changed(ChangeKind::Rollout, RolloutId(row.rollout_id));
        self.inner.engine_wake.notify_one();
        Ok(())
    }
}
