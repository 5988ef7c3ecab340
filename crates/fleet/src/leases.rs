//! Periodic work is one server's at a time: the one that holds its lease in the database.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement};

use crate::database::is_postgres;
use crate::entity::lease;
use crate::error::Result;
use crate::fleet::Fleet;

impl Fleet {
    /// Takes or renews a lease for `sec` seconds; false while another server holds it.
    pub(crate) async fn hold_lease(&self, name: &str, sec: u64) -> Result<bool> {
        let now = self.now();
        let backend = self.db().get_database_backend();
        let sql = if is_postgres(backend) {
            "INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
             WHERE leases.holder = excluded.holder OR leases.until < $4"
        } else {
            "INSERT INTO leases (name, holder, until) VALUES (?, ?, ?)
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
             WHERE leases.holder = excluded.holder OR leases.until < ?"
        };
        let values = [
            name.into(),
            self.inner.holder.as_str().into(),
            now.plus_sec(sec).0.into(),
            now.0.into(),
        ];
        let result = self
            .db()
            .execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
        Ok(result.rows_affected() > 0)
    }

    /// Takes every lease from the servers that held them, so that their work needn't wait for the leases' end.
    ///
    /// Only for a server that knows itself to be the database's only one, such as the one that has a SQLite database to
    /// itself: what holds a lease there has died.
    pub async fn take_over_leases(&self) -> Result<()> {
        lease::Entity::delete_many()
            .filter(lease::Column::Holder.ne(&self.inner.holder))
            .exec(self.db())
            .await?;
        Ok(())
    }

    /// Gives up a lease, so that another server needn't wait for its end.
    pub(crate) async fn release_lease(&self, name: &str) -> Result<()> {
        lease::Entity::delete_many()
            .filter(lease::Column::Name.eq(name))
            .filter(lease::Column::Holder.eq(&self.inner.holder))
            .exec(self.db())
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Fleet, FleetConfig};

    #[tokio::test]
    async fn a_lease_is_kept_from_others_until_the_only_server_takes_it_over() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/otter.db", folder.path().display());
        let open = async || {
            let config = FleetConfig::new(&url, folder.path().join("artifacts"));
            Fleet::open(config).await.unwrap()
        };
        let killed = open().await;
        assert!(killed.hold_lease("engine", 3600).await.unwrap());
        let next = open().await;
        assert!(!next.hold_lease("engine", 3600).await.unwrap());
        next.take_over_leases().await.unwrap();
        assert!(next.hold_lease("engine", 3600).await.unwrap());
        next.take_over_leases().await.unwrap();
        assert!(!killed.hold_lease("engine", 3600).await.unwrap());
    }
}
