//! The devices that a rollout may be for, one after another: a rollout keeps no row per device, so whoever counts looks at
//! the fleet.
//!
//! A million devices are looked at in seconds: by ranges of their ids, so that no read lasts long, only the columns that the
//! rules need, while another thread weighs those that were read before.

mod rows;
mod stories;

use otter_protocol::Plan;
use otter_protocol::device::Device;
use otter_protocol::plan::PlannedRollout;
use otter_protocol::rollout::{Audience, RolloutState};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::fleet::Fleet;
use rows::{DeviceRow, Reader};
use stories::Stories;

/// Which devices of a release's models a scan shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those that the rollout may still wait for.
    Candidates,
    /// All that take part or ask to, those that run the release already, too.
    Everybody,
}

/// What a scan shows of a device.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    /// The device, with its attempts at the rollouts whose stories were asked for.
    pub(crate) device: &'a Device,
    /// When the database says that it was last seen, in milliseconds since 1970.
    pub(crate) last_seen_at: Option<i64>,
}

/// Whoever looks at devices; works on a thread of its own.
pub(crate) trait Look: Send + 'static {
    /// Looks at a device; in each model they come by their ids.
    fn look(&mut self, shown: &Shown<'_>);
}

/// Who looks, and what it takes to make devices of rows.
struct Looking<L> {
    look: L,
    reader: Reader,
    stories: Stories,
}

impl<L: Look> Looking<L> {
    fn look_at(&mut self, rows: Vec<DeviceRow>) -> Result<()> {
        for row in rows {
            let last_seen_at = row.last_seen_at();
            let (mut device, lent) = self.reader.device(row)?;
            self.stories.complete(&mut device);
            self.look.look(&Shown {
                device: &device,
                last_seen_at,
            });
            self.reader.take_back(device, lent);
        }
        Ok(())
    }
}

impl Fleet {
    /// Shows the devices of a rollout's models, with their attempts at `rollouts`; returns who looked.
    pub(crate) async fn scan<L: Look>(
        &self,
        plan: &Plan,
        rollouts: &[&PlannedRollout],
        scope: Scope,
        look: L,
    ) -> Result<L> {
        let Some(planned) = rollouts.first() else {
            return Ok(look);
        };
        let with_pairs = looks_at_pairs(plan, rollouts);
        let looking = Looking {
            look,
            reader: Reader::default(),
            stories: self.stories_of(rollouts).await?,
        };
        let mut busy: JoinHandle<Result<Looking<L>>> =
            tokio::task::spawn_blocking(move || Ok(looking));
        for model in planned.release.models() {
            let mut after = String::new();
            loop {
                let rows = self
                    .device_rows(planned, &model, scope, with_pairs, &after)
                    .await?;
                let Some(last) = rows.last() else {
                    break;
                };
                last.id().clone_into(&mut after);
                let is_last = rows.len() < rows::CHUNK;
                let mut looking = joined(busy).await?;
                // While these are looked at, the next are read.
                busy = tokio::task::spawn_blocking(move || {
                    looking.look_at(rows)?;
                    Ok(looking)
                });
                if is_last {
                    break;
                }
            }
        }
        Ok(joined(busy).await?.look)
    }
}

async fn joined<T>(busy: JoinHandle<Result<T>>) -> Result<T> {
    busy.await
        .map_err(|error| Error::Corrupt(format!("the fleet can't be looked at: {error}")))?
}

/// Tells whether any rule may ask for what devices say of themselves and what is said of them: reading that takes half of the time.
fn looks_at_pairs(plan: &Plan, rollouts: &[&PlannedRollout]) -> bool {
    let of_spec = rollouts.iter().any(|planned| {
        let spec = &planned.rollout.spec;
        matches!(spec.audience, Audience::Selector { .. }) || spec.exclude.selector.is_some()
    });
    of_spec || plan.groups().any(|group| group.selector.is_some())
}

fn goes_back(planned: &PlannedRollout) -> bool {
    planned.rollout.state == RolloutState::RollingBack
}
