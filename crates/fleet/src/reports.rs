//! What devices say of their attempts.

use otter_protocol::admin::ChangeKind;
use otter_protocol::attempt::Effect;
use otter_protocol::check_in::ReportReply;
use otter_protocol::{AttemptId, AttemptReport, AttemptState, DeviceId, Timestamp};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QuerySelect,
};

use crate::attempts::count_end;
use crate::database::{self, is_postgres};
use crate::entity::{attempt, attempt_log, attempt_step, device};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::known_device::KnownDevice;
use crate::webhooks::Notice;

/// Most bytes kept of a report's message; the rest is in the attempt's log.
const MAX_MESSAGE: usize = 4096;

/// Most reports kept of one attempt: beyond it only changes of state are.
const MAX_STEPS: i32 = 500;

/// Who counts an attempt's reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// The device, so that repeated and late ones are known as such.
    Device,
    /// Nobody before they arrive: their order is that of their arrival.
    Arrival,
}

impl Fleet {
    /// Takes a report on one of the device's own attempts; `not_found` for another's.
    pub async fn report(
        &self,
        known: &KnownDevice,
        id: AttemptId,
        report: &AttemptReport,
    ) -> Result<ReportReply> {
        self.take_attempt_report(known, id, report, Numbering::Device)
            .await
    }

    /// Takes a report of any dialect.
    pub(crate) async fn take_attempt_report(
        &self,
        known: &KnownDevice,
        id: AttemptId,
        report: &AttemptReport,
        numbering: Numbering,
    ) -> Result<ReportReply> {
        let tx = database::begin(self.db()).await?;
        let row = own_attempt(&tx, &known.device.id, id).await?;
        let state = AttemptState::named(&row.state)
            .ok_or_else(|| Error::Corrupt(format!("the state of attempt {id}")))?;
        let last = u32::try_from(row.last_sequence).unwrap_or(0);
        let report = &match numbering {
            Numbering::Device => report.clone(),
            Numbering::Arrival => AttemptReport {
                sequence: last.saturating_add(1),
                ..report.clone()
            },
        };
        let effect = report
            .effect_on(state, last, &row.version.as_str().into())
            .map_err(|error| Error::invalid("state", error.to_string()))?;
        if effect == Effect::Ignored {
            return Ok(ReportReply {
                applied: false,
                state,
            });
        }
        let now = self.now();
        let changes_state = report.state != state;
        write_report(&tx, &row, report, changes_state, now).await?;
        if report.state == AttemptState::Succeeded {
            write_version(&tx, &known.device.id, &row.version, now).await?;
        }
        if report.state.is_finished() {
            count_end(&tx, &row, report.state, now).await?;
        }
        if changes_state {
            let notice = Notice::attempt(&row, report.state);
            self.announce(&tx, &[notice]).await?;
        }
        tx.commit().await?;
        if changes_state {
            self.forget_device(&known.device.id);
        }
        if report.state.is_finished() {
            self.attempt_ended(&row);
            self.inner.engine_wake.notify_one();
        }
        self.changed(ChangeKind::Device, &known.device.id);
        self.changed(ChangeKind::Rollout, row.rollout_id);
        Ok(ReportReply {
            applied: true,
            state: report.state,
        })
    }

    /// Keeps the log of one of the device's own attempts; a later one takes its place.
    pub async fn put_attempt_log(
        &self,
        known: &KnownDevice,
        id: AttemptId,
        log: &str,
    ) -> Result<()> {
        let tx = database::begin(self.db()).await?;
        own_attempt(&tx, &known.device.id, id).await?;
        // PostgreSQL's texts can't hold a NUL.
        let body = log.replace('\0', "\u{fffd}");
        let row = attempt_log::ActiveModel {
            attempt_id: Set(id.0),
            body: Set(body),
            received_at: Set(self.now().0),
        };
        let replace = OnConflict::column(attempt_log::Column::AttemptId)
            .update_columns([attempt_log::Column::Body, attempt_log::Column::ReceivedAt])
            .to_owned();
        attempt_log::Entity::insert(row)
            .on_conflict(replace)
            .exec_without_returning(&tx)
            .await?;
        tx.commit().await?;
        self.changed(ChangeKind::Device, &known.device.id);
        Ok(())
    }

    /// Returns an attempt's log.
    pub async fn attempt_log(&self, id: AttemptId) -> Result<Option<String>> {
        Ok(attempt_log::Entity::find_by_id(id.0)
            .one(self.db())
            .await?
            .map(|row| row.body))
    }
}

/// Reads an attempt to change it; another device's is as good as none.
async fn own_attempt(
    tx: &DatabaseTransaction,
    device: &DeviceId,
    id: AttemptId,
) -> Result<attempt::Model> {
    let mut query =
        attempt::Entity::find_by_id(id.0).filter(attempt::Column::DeviceId.eq(device.as_str()));
    if is_postgres(tx.get_database_backend()) {
        query = query.lock_exclusive();
    }
    query
        .one(tx)
        .await?
        .ok_or_else(|| Error::not_found(format!("attempt {id} of this device")))
}

async fn write_report(
    tx: &DatabaseTransaction,
    row: &attempt::Model,
    report: &AttemptReport,
    changes_state: bool,
    now: Timestamp,
) -> Result<()> {
    let sequence = i32::try_from(report.sequence)
        .map_err(|_| Error::invalid("sequence", "a sequence fits 31 bits"))?;
    let message = report.message.as_deref().map(shortened);
    let state = report.state.as_str().to_owned();
    let progress = report.progress.map(i32::from);
    if sequence <= MAX_STEPS || changes_state {
        let step = attempt_step::Model {
            attempt_id: row.id,
            sequence,
            state: state.clone(),
            progress,
            message: message.clone(),
            version: report.version.as_ref().map(ToString::to_string),
            at: report.at.map(|at| at.0),
            received_at: now.0,
        };
        attempt_step::Entity::insert(attempt_step::ActiveModel::from(step))
            .exec_without_returning(tx)
            .await?;
    }
    let change = attempt::ActiveModel {
        id: Set(row.id),
        state: Set(state),
        progress: Set(progress),
        message: Set(message.or_else(|| row.message.clone())),
        last_sequence: Set(sequence),
        updated_at: Set(now.0),
        finished_at: Set(report.state.is_finished().then_some(now.0)),
        ..Default::default()
    };
    attempt::Entity::update(change).exec(tx).await?;
    Ok(())
}

/// The device said that it runs the version, so the registry does too.
pub(crate) async fn write_version(
    tx: &DatabaseTransaction,
    device: &DeviceId,
    version: &str,
    now: Timestamp,
) -> Result<()> {
    let change = device::ActiveModel {
        version: Set(version.to_owned()),
        updated_at: Set(now.0),
        ..Default::default()
    };
    device::Entity::update_many()
        .set(change)
        .filter(device::Column::Id.eq(device.as_str()))
        .exec(tx)
        .await?;
    Ok(())
}

pub(crate) fn shortened(text: &str) -> String {
    let clean = text.replace('\0', "\u{fffd}");
    match clean.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => clean.get(..end).unwrap_or(&clean).to_owned(),
        None => clean,
    }
}
