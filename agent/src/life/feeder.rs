//! Feeds watchdogs while the state machine keeps its promises.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::Heart;

/// Something that restarts the agent, or the whole device, where it isn't fed.
pub trait Watchdog: Send + fmt::Debug {
    /// Returns how often it is to be fed.
    fn interval(&self) -> Duration;

    /// Feeds it, and arms it with the first time.
    fn feed(&mut self) -> io::Result<()>;

    /// Disarms it where it was armed: the agent stops in order. One that is only dropped stays armed.
    fn dismiss(&mut self) -> io::Result<()>;
}

/// Feeds watchdogs, in tasks of their own: what keeps the agent's own task busy is no reason to starve before its promise is
/// over. Dropped, it feeds no more and dismisses nothing.
#[derive(Debug)]
pub(crate) struct Feeder {
    stop: watch::Sender<()>,
    tasks: JoinSet<Box<dyn Watchdog>>,
}

impl Feeder {
    /// Begins to feed.
    pub(crate) fn begin(watchdogs: Vec<Box<dyn Watchdog>>, heart: &Heart) -> Self {
        let stop = watch::Sender::new(());
        let mut tasks = JoinSet::new();
        for mut watchdog in watchdogs {
            let (heart, mut stopped) = (heart.clone(), stop.subscribe());
            tasks.spawn(async move {
                tokio::select! {
                    () = feed(watchdog.as_mut(), &heart) => {}
                    _ = stopped.changed() => {}
                }
                watchdog
            });
        }
        Self { stop, tasks }
    }

    /// Stops in order, so that nothing bites afterwards.
    pub(crate) async fn end(mut self) {
        self.stop.send_replace(());
        while let Some(watchdog) = self.tasks.join_next().await {
            let dismissed = watchdog.map_err(io::Error::other);
            if let Err(error) = dismissed.and_then(|mut watchdog| watchdog.dismiss()) {
                tracing::error!("a watchdog can't be disarmed: {error}");
            }
        }
    }
}

/// No watchdog needs more.
const OFTEN: Duration = Duration::from_millis(1);

/// Feeds a watchdog for ever, as long as the heart beats.
async fn feed(watchdog: &mut dyn Watchdog, heart: &Heart) {
    let mut ticks = tokio::time::interval(watchdog.interval().max(OFTEN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Told once, and once more when it is over: this comes every few seconds.
    let mut trouble: Option<String> = None;
    loop {
        ticks.tick().await;
        let now = if heart.is_alive() {
            watchdog.feed().err().map(|error| error.to_string())
        } else {
            Some("the agent hangs: it gave no sign within the time that it should need".to_owned())
        };
        if now != trouble {
            match &now {
                Some(now) => tracing::error!("a watchdog is not fed: {now}"),
                None => tracing::warn!("the watchdog is fed again"),
            }
            trouble = now;
        }
    }
}
