//! The handle on everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use otter_protocol::admin::{Change, Page};
use otter_protocol::{Plan, Timestamp};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tokio::sync::{Mutex, Notify, broadcast};

use crate::artifact_store::ArtifactStore;
use crate::config::FleetConfig;
use crate::database;
use crate::engine::{Evaluations, WaitingCounts};
use crate::error::Result;
use crate::figures::CountedFigures;
use crate::known_device::KnownDevices;
use crate::passwords::Passwords;
use crate::presence::Presence;
use crate::samples::Sampling;
use crate::schema;
use crate::trust_files::TrustFiles;
use crate::webhooks::Listeners;

/// Changes that an open page may be behind before it has to look at everything anew.
const CHANGES_KEPT: usize = 1024;

/// A fleet: cheap to clone, each clone the same fleet.
#[derive(Clone)]
pub struct Fleet {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) db: DatabaseConnection,
    pub(crate) config: FleetConfig,
    pub(crate) artifacts: ArtifactStore,
    pub(crate) statements: Arc<AtomicU64>,
    pub(crate) plan: ArcSwap<Plan>,
    /// One renewal of the plan at a time, so that an older one never replaces a newer one.
    pub(crate) plan_renewal: Mutex<()>,
    /// One look at the whole fleet for a person at a time: the rest of the machine is for devices.
    pub(crate) preview_turn: Mutex<()>,
    pub(crate) known: KnownDevices,
    pub(crate) presence: Presence,
    /// When the fleet is counted, and check-ins since the last count.
    pub(crate) sampling: Sampling,
    pub(crate) changes: broadcast::Sender<Change>,
    /// When which rollout's devices were counted.
    pub(crate) waiting: WaitingCounts,
    /// What gates said last.
    pub(crate) evaluations: Evaluations,
    /// Wakes the engine before its time.
    pub(crate) engine_wake: Notify,
    pub(crate) passwords: Passwords,
    pub(crate) trust_files: TrustFiles,
    pub(crate) webhooks: Listeners,
    pub(crate) figures: CountedFigures,
    /// This server's name in leases.
    pub(crate) holder: String,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fleet")
    }
}

impl Fleet {
    /// Connects, brings the schema up to date, and loads the plan.
    pub async fn open(config: FleetConfig) -> Result<Self> {
        let mut db = database::connect(&config.database_url).await?;
        let statements = Arc::new(AtomicU64::new(0));
        let counter = statements.clone();
        db.set_metric_callback(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let redirect = config.artifacts_redirect.clone();
        let artifacts = ArtifactStore::open(&config.artifacts, redirect).await?;
        schema::bring_up_to_date(&db, config.sqlite_file()).await?;
        let inner = Inner {
            known: KnownDevices::new(config.max_known_devices),
            db,
            config,
            artifacts,
            statements,
            plan: ArcSwap::default(),
            plan_renewal: Mutex::new(()),
            preview_turn: Mutex::new(()),
            presence: Presence::default(),
            sampling: Sampling::default(),
            changes: broadcast::channel(CHANGES_KEPT).0,
            waiting: WaitingCounts::default(),
            evaluations: Evaluations::default(),
            engine_wake: Notify::new(),
            passwords: Passwords::default(),
            trust_files: TrustFiles::default(),
            webhooks: Listeners::default(),
            figures: CountedFigures::default(),
            holder: uuid::Uuid::new_v4().to_string(),
        };
        let fleet = Self {
            inner: Arc::new(inner),
        };
        fleet.ensure_rings().await?;
        fleet.ensure_rings_template().await?;
        fleet.renew_plan().await?;
        fleet.renew_webhooks().await?;
        Ok(fleet)
    }

    /// Checks that the database answers.
    pub async fn check_health(&self) -> Result<()> {
        self.db().execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// Returns how the fleet was set up.
    pub fn config(&self) -> &FleetConfig {
        &self.inner.config
    }

    /// Returns how many statements were sent to the database since the fleet was opened.
    pub fn database_statements(&self) -> u64 {
        self.inner.statements.load(Ordering::Relaxed)
    }

    /// Returns what is under way, as this server knows it.
    pub fn plan(&self) -> Arc<Plan> {
        self.inner.plan.load_full()
    }

    /// Returns the time now.
    pub fn now(&self) -> Timestamp {
        self.inner.config.clock.now()
    }

    pub(crate) fn db(&self) -> &DatabaseConnection {
        &self.inner.db
    }
}

/// Makes a page of one row more than fit on it.
pub(crate) fn page<R, T>(
    mut rows: Vec<R>,
    limit: u64,
    cursor: impl Fn(&R) -> String,
    item: impl Fn(R) -> Result<T>,
) -> Result<Page<T>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(cursor);
    Ok(Page {
        items: rows.into_iter().map(item).collect::<Result<_>>()?,
        next,
    })
}
