//! What gates said, kept with its numbers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use otter_protocol::admin::GateEvaluation;
use otter_protocol::gate::{Tally, Verdict};
use otter_protocol::{RolloutId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, NotSet, QueryFilter, QueryOrder, QuerySelect,
};

use crate::database;
use crate::entity::gate_evaluation;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::webhooks::Notice;

/// Most evaluations that a rollout's page shows.
const MAX_SHOWN: u64 = 100;

/// What was last kept of each rollout, so that a gate that says the same of the same costs no query.
#[derive(Debug, Default)]
pub(crate) struct Evaluations {
    last: Mutex<HashMap<RolloutId, (i32, Verdict, Tally)>>,
}

impl Evaluations {
    fn is_known(&self, id: RolloutId, said: &(i32, Verdict, Tally)) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(&id) == Some(said)
    }

    fn keep(&self, id: RolloutId, said: (i32, Verdict, Tally)) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(id, said);
    }
}

impl Fleet {
    /// Keeps what the open phase's gate said: a line for each kind of verdict in turn, with its newest numbers.
    pub(super) async fn note_gate(
        &self,
        id: RolloutId,
        phase: i32,
        verdict: Verdict,
        tally: Tally,
        now: Timestamp,
    ) -> Result<()> {
        let said = (phase, verdict, tally);
        if self.inner.evaluations.is_known(id, &said) {
            return Ok(());
        }
        let last = gate_evaluation::Entity::find()
            .filter(gate_evaluation::Column::RolloutId.eq(id.0))
            .order_by_desc(gate_evaluation::Column::Id)
            .one(self.db())
            .await?;
        let kind = kind_of(&verdict);
        let goes_on = last.filter(|last| last.phase == phase && last.kind == kind);
        let row = gate_evaluation::ActiveModel {
            id: goes_on.as_ref().map_or(NotSet, |last| Set(last.id)),
            rollout_id: Set(id.0),
            phase: Set(phase),
            kind: Set(kind.to_owned()),
            verdict: Set(json(&verdict)?),
            tally: Set(json(&tally)?),
            since: Set(goes_on.as_ref().map_or(now.0, |last| last.since)),
            at: Set(now.0),
        };
        if goes_on.is_some() {
            gate_evaluation::Entity::update(row).exec(self.db()).await?;
        } else {
            let tx = database::begin(self.db()).await?;
            gate_evaluation::Entity::insert(row)
                .exec_without_returning(&tx)
                .await?;
            let place = i64::from(phase) + 1;
            let notice = Notice::rollout(id, &format!("gate_{kind}"))
                .detail(format!("phase {place}: {verdict}"));
            self.announce(&tx, &[notice]).await?;
            tx.commit().await?;
        }
        self.inner.evaluations.keep(id, said);
        Ok(())
    }

    /// Returns what a rollout's gates said, the newest first.
    pub(crate) async fn gate_evaluations(&self, id: RolloutId) -> Result<Vec<GateEvaluation>> {
        let rows = gate_evaluation::Entity::find()
            .filter(gate_evaluation::Column::RolloutId.eq(id.0))
            .order_by_desc(gate_evaluation::Column::Id)
            .limit(MAX_SHOWN)
            .all(self.db())
            .await?;
        rows.into_iter().map(evaluation_of).collect()
    }
}

fn kind_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Sampling { .. } => "sampling",
        Verdict::Soaking { .. } => "soaking",
        Verdict::AwaitingApproval => "awaiting_approval",
        Verdict::Breached(_) => "breached",
        Verdict::Open => "open",
    }
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Corrupt(error.to_string()))
}

fn evaluation_of(row: gate_evaluation::Model) -> Result<GateEvaluation> {
    let corrupt = |what: &str| Error::Corrupt(format!("{what} of gate evaluation {}", row.id));
    Ok(GateEvaluation {
        phase: u32::try_from(row.phase).map_err(|_| corrupt("the phase"))?,
        verdict: serde_json::from_str(&row.verdict).map_err(|_| corrupt("the verdict"))?,
        tally: serde_json::from_str(&row.tally).map_err(|_| corrupt("the counts"))?,
        since: Timestamp(row.since),
        at: Timestamp(row.at),
    })
}
