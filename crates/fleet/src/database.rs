//! Connections and transactions.

use std::path::Path;
use std::time::Duration;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection,
    DatabaseTransaction, EntityTrait, QuerySelect, Select, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

use crate::error::{Error, Result};

/// How long a connection waits for another's write on SQLite, and a request for a connection on both.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects, with what each database needs for many readers beside one writer, and durable commits.
pub(crate) async fn connect(url: &str) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(connect_url(url)?);
    options
        .sqlx_logging(false)
        .acquire_timeout(PATIENCE)
        .max_connections(16);
    options.map_sqlx_sqlite_opts(|sqlite| {
        // Before the journal mode, which may have to wait itself.
        sqlite
            .busy_timeout(PATIENCE)
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", "FULL")
            .pragma("foreign_keys", "ON")
            .create_if_missing(true)
    });
    Ok(Database::connect(options).await?)
}

/// Returns the file that the address of a SQLite database names; none where it is another database, or only in memory.
pub(crate) fn sqlite_file(url: &str) -> Option<&Path> {
    let path = url.strip_prefix("sqlite:")?.trim_start_matches("//");
    let path = path.split('?').next().unwrap_or(path);
    (path != ":memory:").then(|| Path::new(path))
}

/// Makes the folder of a SQLite file, and refuses addresses of other databases.
fn connect_url(url: &str) -> Result<String> {
    if url.starts_with("sqlite:") {
        if let Some(folder) = sqlite_file(url).and_then(Path::parent) {
            std::fs::create_dir_all(folder)?;
        }
        return Ok(url.to_owned());
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(url.to_owned());
    }
    Err(Error::invalid(
        "database_url",
        "the database's address must begin with sqlite:// or postgres://",
    ))
}

/// Begins a transaction that may write: on SQLite it holds the write lock from the start, so that what it read stays true.
pub(crate) async fn begin(connection: &DatabaseConnection) -> Result<DatabaseTransaction> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    Ok(connection.begin_with_options(options).await?)
}

/// Tells whether the database is PostgreSQL, where rows have to be locked by hand.
pub(crate) fn is_postgres(backend: DatabaseBackend) -> bool {
    backend == DatabaseBackend::Postgres
}

/// Locks the rows that a transaction reads before it changes them; SQLite's transactions are alone anyway.
pub(crate) fn locked<E: EntityTrait>(tx: &DatabaseTransaction, select: Select<E>) -> Select<E> {
    if is_postgres(tx.get_database_backend()) {
        select.lock_exclusive()
    } else {
        select
    }
}
