//! How long an attempt takes, by those that were made.

use std::collections::{HashMap, HashSet};

use otter_protocol::{AttemptState, Model};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::entity::{attempt, device};
use crate::error::Result;
use crate::fleet::Fleet;

/// The newest attempts that are looked at.
const LOOKED_AT: u64 = 1_000;

/// Seconds that an attempt is taken to last where none was made yet.
const GUESSED_SEC: u64 = 120;

/// How long an attempt takes, in seconds, and how many that is the median of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttemptTime {
    pub(super) sec: u64,
    pub(super) measured: u64,
}

impl Fleet {
    /// Returns the median of the newest attempts of some models that succeeded.
    pub(super) async fn attempt_time(&self, models: &[Model]) -> Result<AttemptTime> {
        let rows: Vec<(String, i64, Option<i64>)> = attempt::Entity::find()
            .select_only()
            .columns([
                attempt::Column::DeviceId,
                attempt::Column::CreatedAt,
                attempt::Column::FinishedAt,
            ])
            .filter(attempt::Column::State.eq(AttemptState::Succeeded.as_str()))
            .filter(attempt::Column::FinishedAt.is_not_null())
            .order_by_desc(attempt::Column::FinishedAt)
            .limit(LOOKED_AT)
            .into_tuple()
            .all(self.db())
            .await?;
        let ids: HashSet<&str> = rows.iter().map(|(device, ..)| device.as_str()).collect();
        let of_models: HashMap<String, String> = device::Entity::find()
            .select_only()
            .columns([device::Column::Id, device::Column::Model])
            .filter(device::Column::Id.is_in(ids))
            .filter(device::Column::Model.is_in(models.iter().map(Model::as_str)))
            .into_tuple()
            .all(self.db())
            .await?
            .into_iter()
            .collect();
        let took_ms = rows
            .iter()
            .filter(|(device, ..)| of_models.contains_key(device))
            .filter_map(|(_, began, ended)| Some((*ended)? - began));
        Ok(median(took_ms.collect()))
    }
}

fn median(mut took_ms: Vec<i64>) -> AttemptTime {
    took_ms.sort_unstable();
    let Some(middle) = took_ms.get(took_ms.len() / 2) else {
        return AttemptTime {
            sec: GUESSED_SEC,
            measured: 0,
        };
    };
    let sec = u64::try_from(*middle).unwrap_or(0).div_ceil(1000);
    AttemptTime {
        sec: sec.max(1),
        measured: took_ms.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_counts_and_nothing_is_a_guess() {
        let time = |sec, measured| AttemptTime { sec, measured };
        assert_eq!(median(vec![]), time(GUESSED_SEC, 0));
        assert_eq!(median(vec![90_000, 1, 30_000]), time(30, 3));
        // A clock that was set back.
        assert_eq!(median(vec![-5]), time(1, 1));
    }
}
