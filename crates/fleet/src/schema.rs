//! The schema's age: an older one is brought up to date, by one server at a time; a newer one is refused.

use std::fs::File;
use std::path::Path;

use otter_migrations::{Migrator, MigratorTrait};
use otter_protocol::ProblemCode;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, TransactionTrait};

use crate::database::is_postgres;
use crate::error::{Error, Result};

/// Names the lock among PostgreSQL's: "otter" in ASCII.
const LOCK: i64 = 0x6f_7474_6572;

/// Brings the schema up to date, and says so in the log; `conflict` where a newer server wrote it.
///
/// `file` is the database's, where it is SQLite's.
pub(crate) async fn bring_up_to_date(db: &DatabaseConnection, file: Option<&Path>) -> Result<()> {
    let _one_at_a_time = Turn::take(db, file).await?;
    Migrator::install(db).await?;
    let steps = pending(db).await?;
    let Some(last) = steps.last() else {
        return Ok(());
    };
    tracing::info!(steps = steps.len(), to = %last, "bringing the database's schema up to date");
    Migrator::up(db, None).await?;
    tracing::info!(schema = %last, "the database's schema is up to date");
    Ok(())
}

/// Returns the names of the steps that a database lacks, in order; `conflict` where a newer server wrote it.
pub(crate) async fn pending(db: &DatabaseConnection) -> Result<Vec<String>> {
    let applied: Vec<String> = applied(db).await?;
    let known: Vec<String> = Migrator::migrations()
        .iter()
        .map(|step| step.name().to_owned())
        .collect();
    if let Some(newer) = applied.iter().find(|name| !known.contains(name)) {
        let detail = format!(
            "The database's schema is newer than this otter-server {}, which doesn't know its step {newer}. Nothing was \
             changed. Start the version that wrote it, or a later one; or restore a back-up of before the upgrade.",
            env!("CARGO_PKG_VERSION")
        );
        return Err(Error::problem(ProblemCode::Conflict, detail));
    }
    Ok(known
        .into_iter()
        .filter(|name| !applied.contains(name))
        .collect())
}

/// Returns the names of the steps that a database has.
pub(crate) async fn applied(db: &DatabaseConnection) -> Result<Vec<String>> {
    let models = Migrator::get_migration_models(db).await?;
    Ok(models.into_iter().map(|model| model.version).collect())
}

/// The right to change the schema; ends when dropped.
enum Turn {
    /// PostgreSQL's lock lasts as long as the transaction.
    Postgres { _transaction: DatabaseTransaction },
    /// SQLite has none for what takes several connections: a file beside the database's.
    Sqlite { _lock: File },
    /// A database in memory is nobody else's.
    Alone,
}

impl Turn {
    async fn take(db: &DatabaseConnection, file: Option<&Path>) -> Result<Self> {
        if is_postgres(db.get_database_backend()) {
            let transaction = db.begin().await?;
            let lock = format!("SELECT pg_advisory_xact_lock({LOCK})");
            transaction.execute_unprepared(&lock).await?;
            return Ok(Self::Postgres {
                _transaction: transaction,
            });
        }
        let Some(file) = file else {
            return Ok(Self::Alone);
        };
        let path = file.with_extension("schema.lock");
        let lock = tokio::task::spawn_blocking(move || {
            let lock = File::create(path)?;
            lock.lock()?;
            std::io::Result::Ok(lock)
        });
        let lock = lock
            .await
            .map_err(|_| std::io::Error::other("waiting for the schema's lock was broken off"))??;
        Ok(Self::Sqlite { _lock: lock })
    }
}
