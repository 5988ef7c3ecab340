//! Periodic work is one server's at a time: the one that holds its lease in the database.

use sea_orm::{ConnectionTrait, Statement};

use crate::database::is_postgres;
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

    /// Gives up a lease, so that another server needn't wait for its end.
    pub(crate) async fn release_lease(&self, name: &str) -> Result<()> {
        use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

        use crate::entity::lease;
        lease::Entity::delete_many()
            .filter(lease::Column::Name.eq(name))
            .filter(lease::Column::Holder.eq(&self.inner.holder))
            .exec(self.db())
            .await?;
        Ok(())
    }
}
