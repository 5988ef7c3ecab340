//! Listening, and draining when told to stop.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use otter_fleet::Fleet;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::connections::{self, Manner};
use crate::database_lock::DatabaseLock;
use crate::server::Server;
use crate::tls::{self, Tls};
use crate::{audit_heads, router, setup_link, site, webhooks};

/// How long requests may take to finish once the server is to stop.
const DRAIN: Duration = Duration::from_secs(30);

/// Serves until `stop` is cancelled; then finishes what is under way, and writes what is only in memory.
pub async fn serve(config: &Config, stop: CancellationToken) -> anyhow::Result<()> {
    // Before the database is touched: a second server by mistake must change nothing.
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let lock = config
        .fleet
        .sqlite_file()
        .map(DatabaseLock::take)
        .transpose()?;
    let fleet = open(config).await?;
    if lock.is_some() {
        // Whoever holds a lease was killed: nobody else has the lock.
        fleet.take_over_leases().await?;
    }
    let public_url = config.public_url(listener.local_addr()?);
    setup_link::show(&fleet, &public_url, &config.data_dir).await?;
    if !site::is_built() {
        tracing::warn!(
            "this server has no dashboard inside: `cargo xtask build` makes one that has"
        );
    }
    tracing::info!(listen = %listener.local_addr()?, public_url = %public_url, "otter-server is ready");
    run(config, fleet, listener, stop).await
}

/// Opens the fleet, and makes sure that the key that the setup names exists.
pub async fn open(config: &Config) -> anyhow::Result<Fleet> {
    let fleet = Fleet::open(config.fleet.clone())
        .await
        .context("cannot open the fleet's database")?;
    if let Some(key) = &config.api_key {
        fleet.ensure_api_key("OTA_API_KEY", key.expose()).await?;
    }
    Ok(fleet)
}

/// Serves a fleet on a listener until `stop` is cancelled.
pub async fn run(
    config: &Config,
    fleet: Fleet,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
    let address = listener.local_addr()?;
    let public_url = config.public_url(address);
    let pages = site::leptos_options(address);
    let sender = webhooks::Sender::new(config.fleet.webhooks_allow_private)
        .context("webhooks can't be sent")?;
    let server = Server::new(
        fleet.clone(),
        public_url,
        pages,
        config.limits,
        config.firmware_api,
        stop.clone(),
    );
    let app = router::router(server);
    // The engine stops after the last request: it writes what requests have left in memory.
    let stop_engine = CancellationToken::new();
    let engine = tokio::spawn({
        let (fleet, stop_engine) = (fleet.clone(), stop_engine.clone());
        async move { fleet.run(stop_engine).await }
    });
    let exporting = tokio::spawn(audit_heads::run(
        fleet.clone(),
        config.audit_heads.clone(),
        stop_engine.clone(),
    ));
    let telling = tokio::spawn(webhooks::run(fleet, sender, stop_engine.clone()));
    let manner = Manner {
        patience: connections::PATIENCE,
        proxies: config.trusted_proxies.clone(),
        device_header: config.device_header.clone(),
        tls: tls.clone(),
    };
    if let Some(tls) = tls {
        let stop = stop.clone();
        tokio::spawn(async move { tls.follow(tls::LOOK_EVERY, stop).await });
    }
    tokio::select! {
        () = connections::serve(listener, app, manner, stop.clone()) => {}
        () = too_late(stop) => {
            tracing::warn!("some requests didn't finish within {} seconds; they are cut off", DRAIN.as_secs());
        }
    }
    stop_engine.cancel();
    engine.await.context("the engine failed")?;
    telling.await.context("telling webhooks failed")?;
    exporting.await.context("exporting signed heads failed")?;
    tracing::info!("otter-server has stopped");
    Ok(())
}

async fn too_late(stop: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(DRAIN).await;
}

/// Cancels a token at Ctrl-C or SIGTERM.
pub async fn cancel_at_signal(stop: CancellationToken) {
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!("cannot listen for Ctrl-C: {error}");
            pending::<()>().await;
        }
    };
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!("cannot listen for SIGTERM: {error}");
                pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
    tracing::info!("stopping: requests under way are finished first");
    stop.cancel();
}
