//! Artifacts that are part of no release: uploads that nothing came of, and what a deleted draft left.
//!
//! First one is condemned, in a change of its own: from then on it counts as absent, so that whoever needs it uploads it again,
//! which pardons it. Later its bytes go. Whoever brings bytes says so first (`spare_artifact`), and that waits for a removal
//! that is under way: so bytes that came are never taken for those that were to go.

use otter_protocol::{Sha256Digest, Timestamp};
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
};

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database;
use crate::entity::{artifact, release_artifact};
use crate::error::{Error, Result};
use crate::fleet::Fleet;

const HOUR_SEC: u64 = 60 * 60;
/// Seconds between condemnation and removal: longer than a request that had seen the artifact before may take.
const CONDEMNED_SEC: u64 = HOUR_SEC;
/// How long the right to collect lasts, in seconds.
const LEASE_SEC: u64 = 600;

impl Fleet {
    /// Condemns what is part of no release for longer than its grace, and removes what was condemned; one server at a time.
    pub async fn collect_garbage(&self) -> Result<()> {
        if !self.hold_lease("garbage", LEASE_SEC).await? {
            return Ok(());
        }
        self.pardon_used().await?;
        let garbage = artifact::Entity::find()
            .filter(self.is_garbage())
            .filter(artifact::Column::CondemnedAt.is_null())
            .all(self.db())
            .await?;
        for artifact in garbage {
            self.condemn(&artifact).await?;
        }
        let long_ago = Timestamp(self.now().0.saturating_sub(millis(CONDEMNED_SEC)));
        let is_due = artifact::Column::CondemnedAt.lte(long_ago.0);
        let condemned = artifact::Entity::find()
            .filter(is_due.clone())
            .all(self.db())
            .await?;
        for artifact in condemned {
            self.remove(&artifact, is_due.clone()).await?;
        }
        Ok(())
    }

    /// Returns until when an artifact stays that comes now.
    pub(crate) fn kept_until(&self) -> i64 {
        let hours = u64::from(self.config().artifacts_grace_hours);
        self.now().plus_sec(hours.saturating_mul(HOUR_SEC)).0
    }

    /// Takes back what met the making of a release: each saw the other too late.
    async fn pardon_used(&self) -> Result<()> {
        artifact::Entity::update_many()
            .col_expr(artifact::Column::CondemnedAt, Expr::val(None::<i64>))
            .filter(artifact::Column::CondemnedAt.is_not_null())
            .filter(artifact::Column::Sha256.in_subquery(used()))
            .exec(self.db())
            .await?;
        Ok(())
    }

    /// What holds for an artifact that nobody needs. Its grace is over by the hour that it came, too: an older server doesn't
    /// write until when it is kept.
    fn is_garbage(&self) -> Condition {
        let grace = u64::from(self.config().artifacts_grace_hours).saturating_mul(HOUR_SEC);
        let now = self.now().0;
        Condition::all()
            .add(artifact::Column::CreatedAt.lt(now.saturating_sub(millis(grace))))
            .add(artifact::Column::KeptUntil.lt(now))
            .add(artifact::Column::Sha256.not_in_subquery(used()))
    }

    async fn condemn(&self, artifact: &artifact::Model) -> Result<()> {
        let tx = database::begin(self.db()).await?;
        let condemned = artifact::Entity::update_many()
            .col_expr(artifact::Column::CondemnedAt, Expr::val(self.now().0))
            .filter(artifact::Column::Sha256.eq(&artifact.sha256))
            .filter(artifact::Column::CondemnedAt.is_null())
            .filter(self.is_garbage())
            .exec(&tx)
            .await?;
        if condemned.rows_affected > 0 {
            self.record_artifact(&tx, "artifact.condemn", artifact)
                .await?;
        }
        Ok(tx.commit().await?)
    }

    /// Removes row and bytes, the bytes while the row is locked: what stays of a removal that breaks off is condemned still.
    async fn remove(&self, artifact: &artifact::Model, is_due: impl Into<Condition>) -> Result<()> {
        let sha256: Sha256Digest = artifact
            .sha256
            .parse()
            .map_err(|_| Error::Corrupt(format!("artifact {}", artifact.sha256)))?;
        let tx = database::begin(self.db()).await?;
        let removed = artifact::Entity::delete_many()
            .filter(artifact::Column::Sha256.eq(&artifact.sha256))
            .filter(is_due.into())
            .filter(self.is_garbage())
            .exec(&tx)
            .await?;
        if removed.rows_affected > 0 {
            self.record_artifact(&tx, "artifact.remove", artifact)
                .await?;
            self.inner.artifacts.remove(sha256).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn record_artifact(
        &self,
        tx: &DatabaseTransaction,
        action: &'static str,
        artifact: &artifact::Model,
    ) -> Result<()> {
        let about = serde_json::json!({ "size": artifact.size, "created_at": artifact.created_at });
        let happening = Happening::new(&Actor::Engine, action, "artifact", &artifact.sha256);
        audit::record(tx, self.now(), happening.before(about)).await
    }
}

/// The artifacts of releases, whatever their state.
fn used() -> SelectStatement {
    Query::select()
        .column(release_artifact::Column::Sha256)
        .from(release_artifact::Entity)
        .to_owned()
}

fn millis(sec: u64) -> i64 {
    i64::try_from(sec.saturating_mul(1000)).unwrap_or(i64::MAX)
}
