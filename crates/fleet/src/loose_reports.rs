//! What devices say of updates without naming an attempt: on the attempt at that version where there is one, else kept as
//! the device's last word on it. Read together, the newest first.

use otter_protocol::attempt::AttemptState;
use otter_protocol::device::Device;
use otter_protocol::{AttemptId, DeviceId, Timestamp, Version};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::database;
use crate::entity::{attempt, loose_report};
use crate::error::{Error, Result};
use crate::firmware::FirmwareReport;
use crate::fleet::Fleet;
use crate::reports::{shortened, write_version};

/// Which words on updates to list; whatever is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateFilter {
    /// Of this device.
    pub device: Option<DeviceId>,
    /// On this version.
    pub version: Option<Version>,
    /// At most so many.
    pub limit: u64,
}

/// The last word on one device's update to one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateWord {
    /// Whose update.
    pub device: String,
    /// To which version.
    pub version: String,
    /// Where it is.
    pub state: AttemptState,
    /// How much of the state's work is done, 0 to 100.
    pub progress: Option<i32>,
    /// The device's words, or why the server ended it.
    pub message: Option<String>,
    /// When it was offered, or first heard of.
    pub started_at: Timestamp,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
    /// When something was last heard of it.
    pub reported_at: Timestamp,
}

impl Fleet {
    /// Lists what is known of updates, the newest first.
    pub async fn update_words(&self, filter: &UpdateFilter) -> Result<Vec<UpdateWord>> {
        let mut attempts = attempt::Entity::find()
            .order_by_desc(attempt::Column::UpdatedAt)
            .limit(filter.limit);
        let mut loose = loose_report::Entity::find()
            .order_by_desc(loose_report::Column::ReportedAt)
            .limit(filter.limit);
        if let Some(device) = &filter.device {
            attempts = attempts.filter(attempt::Column::DeviceId.eq(device.as_str()));
            loose = loose.filter(loose_report::Column::DeviceId.eq(device.as_str()));
        }
        if let Some(version) = &filter.version {
            attempts = attempts.filter(attempt::Column::Version.eq(version.as_str()));
            loose = loose.filter(loose_report::Column::Version.eq(version.as_str()));
        }
        let mut words = Vec::new();
        for row in attempts.all(self.db()).await? {
            words.push(of_attempt(row)?);
        }
        for row in loose.all(self.db()).await? {
            words.push(of_loose(row)?);
        }
        words.sort_by_key(|word| std::cmp::Reverse(word.reported_at));
        words.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
        Ok(words)
    }

    /// Returns a device's newest attempt at a version, and whether it is under way.
    pub(crate) async fn newest_attempt_at(
        &self,
        device: &DeviceId,
        version: &Version,
    ) -> Result<Option<(AttemptId, bool)>> {
        let row = attempt::Entity::find()
            .filter(attempt::Column::DeviceId.eq(device.as_str()))
            .filter(attempt::Column::Version.eq(version.as_str()))
            .order_by_desc(attempt::Column::Id)
            .one(self.db())
            .await?;
        Ok(row.map(|row| (AttemptId(row.id), row.finished_at.is_none())))
    }

    /// Keeps a device's word on a version that no attempt is at.
    pub(crate) async fn keep_loose_report(
        &self,
        device: &DeviceId,
        word: &FirmwareReport,
    ) -> Result<()> {
        use loose_report::Column;
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        let row = loose_report::ActiveModel {
            device_id: Set(device.to_string()),
            version: Set(word.version.to_string()),
            state: Set(word.state.as_str().to_owned()),
            progress: Set(word.progress.map(i32::from)),
            message: Set(word.message.as_deref().map(shortened)),
            started_at: Set(now.0),
            reported_at: Set(now.0),
            finished_at: Set(word.state.is_finished().then_some(now.0)),
        };
        let renewed = [
            Column::State,
            Column::Progress,
            Column::Message,
            Column::ReportedAt,
            Column::FinishedAt,
        ];
        let replace = OnConflict::columns([Column::DeviceId, Column::Version])
            .update_columns(renewed)
            .to_owned();
        loose_report::Entity::insert(row)
            .on_conflict(replace)
            .exec_without_returning(&tx)
            .await?;
        if word.state == AttemptState::Succeeded {
            write_version(&tx, device, word.version.as_str(), now).await?;
        }
        tx.commit().await?;
        self.device_changed(device);
        Ok(())
    }

    /// Notes what a device says that it runs.
    pub(crate) async fn note_version(&self, device: &Device, version: &Version) -> Result<()> {
        if device.version == *version {
            return Ok(());
        }
        let tx = database::begin(self.db()).await?;
        write_version(&tx, &device.id, version.as_str(), self.now()).await?;
        tx.commit().await?;
        self.device_changed(&device.id);
        Ok(())
    }
}

fn of_attempt(row: attempt::Model) -> Result<UpdateWord> {
    let state = AttemptState::named(&row.state)
        .ok_or_else(|| Error::Corrupt(format!("the state of attempt {}", row.id)))?;
    let by_server = match state {
        AttemptState::Cancelled => Some("taken back by the server"),
        AttemptState::TimedOut => Some("no word for too long"),
        AttemptState::Superseded => Some("another attempt took its place"),
        _ => None,
    };
    Ok(UpdateWord {
        device: row.device_id,
        version: row.version,
        state,
        progress: row.progress,
        message: row.message.or_else(|| by_server.map(str::to_owned)),
        started_at: Timestamp(row.created_at),
        finished_at: row.finished_at.map(Timestamp),
        reported_at: Timestamp(row.updated_at),
    })
}

fn of_loose(row: loose_report::Model) -> Result<UpdateWord> {
    let state = AttemptState::named(&row.state)
        .ok_or_else(|| Error::Corrupt(format!("the last word of device {}", row.device_id)))?;
    Ok(UpdateWord {
        device: row.device_id,
        version: row.version,
        state,
        progress: row.progress,
        message: row.message,
        started_at: Timestamp(row.started_at),
        finished_at: row.finished_at.map(Timestamp),
        reported_at: Timestamp(row.reported_at),
    })
}
