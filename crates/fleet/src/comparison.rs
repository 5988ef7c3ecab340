//! What became of the attempts at releases, counted by the database.
//!
//! Nothing here loads an attempt. Ends are counted by model, rollout and state; times by a histogram with steps that grow
//! (seconds within an hour, minutes within a day, hours beyond), so that a million attempts answer with some thousand rows.

use std::collections::{BTreeMap, BTreeSet};

use otter_protocol::admin::ReasonCount;
use otter_protocol::attempt::{AttemptPurpose, AttemptState};
use otter_protocol::comparison::{
    Comparison, Durations, Ends, LEAST_ATTEMPTS, Recommendation, ReleaseRecord, best_of,
};
use otter_protocol::release::Release;
use otter_protocol::{Model, ReleaseId, RolloutId};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect, Select,
};

use crate::entity::{attempt, device, release};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::releases::load_releases;

/// Most releases that are compared at once.
const MAX_COMPARED: usize = 10;
/// Most reasons of rollback that a record names.
const MAX_REASONS: u64 = 10;

/// Attempts by model and release.
type Counted = BTreeMap<(Model, ReleaseId), (Ends, BTreeSet<RolloutId>)>;

/// Which attempts are counted.
#[derive(Debug, Clone, Default)]
struct Scope {
    releases: Vec<i64>,
    rollouts: Vec<i64>,
    model: Option<Model>,
}

impl Fleet {
    /// Compares releases by their attempts, on one model or on all; only within the given rollouts, where any are given.
    pub async fn compare_releases(
        &self,
        releases: &[ReleaseId],
        model: Option<&Model>,
        rollouts: &[RolloutId],
    ) -> Result<Comparison> {
        if releases.is_empty() || releases.len() > MAX_COMPARED {
            let detail = format!("name 1 to {MAX_COMPARED} releases by their numbers");
            return Err(Error::invalid("releases", detail));
        }
        let ids = releases.iter().map(|id| id.0);
        let found = load_releases(
            self.db(),
            Condition::all().add(release::Column::Id.is_in(ids)),
        )
        .await?;
        let mut ordered: Vec<&Release> = Vec::new();
        for id in releases {
            let release = found.iter().find(|release| release.id == *id);
            let release = release
                .ok_or_else(|| Error::invalid("releases", format!("there is no release {id}")))?;
            if !ordered.iter().any(|other| other.id == release.id) {
                ordered.push(release);
            }
        }
        let scope = Scope {
            releases: ordered.iter().map(|release| release.id.0).collect(),
            rollouts: rollouts.iter().map(|id| id.0).collect(),
            model: model.cloned(),
        };
        let counted = self.count_ends(&scope).await?;
        let times = self.durations(&scope).await?;
        let models: BTreeSet<&Model> = counted.keys().map(|(model, _)| model).collect();
        let mut records = Vec::new();
        for model in models {
            for release in &ordered {
                let key = (model.clone(), release.id);
                if let Some((ends, rollouts)) = counted.get(&key) {
                    let time = times.get(&key).copied();
                    let record = self.record(&scope, &key, release, *ends, rollouts, time);
                    records.push(record.await?);
                }
            }
        }
        Ok(Comparison::of(records))
    }

    /// Returns for each model that a published release fits, or for one, which release does best.
    pub async fn recommended(&self, model: Option<&Model>) -> Result<Vec<Recommendation>> {
        let published = self.published_releases().await?;
        let mut models: BTreeSet<Model> = published.iter().flat_map(Release::models).collect();
        if let Some(model) = model {
            models = BTreeSet::from([model.clone()]);
        }
        let scope = Scope {
            releases: published.iter().map(|release| release.id.0).collect(),
            model: model.cloned(),
            ..Scope::default()
        };
        let counted = self.count_ends(&scope).await?;
        let mut recommendations = Vec::new();
        for model in models {
            recommendations.push(self.recommend(model, &published, &counted).await?);
        }
        Ok(recommendations)
    }

    async fn recommend(
        &self,
        model: Model,
        published: &[Release],
        counted: &Counted,
    ) -> Result<Recommendation> {
        let fitting = published
            .iter()
            .filter(|release| release.artifact_for(&model).is_some());
        let mut fitting: Vec<&Release> = fitting.collect();
        let plan = self.plan();
        // Stable: of versions that are alike, the one that was published later stays last.
        fitting.sort_by(|a, b| plan.versions().compare(&a.version, &b.version));
        let ends_of = |release: &Release| {
            let found = counted.get(&(model.clone(), release.id));
            found.map(|(ends, _)| *ends).unwrap_or_default()
        };
        let ends: Vec<_> = fitting.iter().map(|one| (one.id, ends_of(one))).collect();
        let Some(best) = best_of(&ends).and_then(|place| fitting.get(place)) else {
            let reason = why_none(&fitting, ends_of);
            return Ok(Recommendation {
                model,
                recommended: None,
                reason,
            });
        };
        let scope = Scope {
            releases: vec![best.id.0],
            model: Some(model.clone()),
            ..Scope::default()
        };
        let key = (model.clone(), best.id);
        let time = self.durations(&scope).await?.get(&key).copied();
        let none = (Ends::default(), BTreeSet::new());
        let (ends, rollouts) = counted.get(&key).unwrap_or(&none);
        let record = self.record(&scope, &key, best, *ends, rollouts, time);
        let record = record.await?;
        let low = record.success_rate.map_or(0.0, |rate| rate.low * 100.0);
        let reason = format!(
            "{} of {} attempts at {} succeeded and stayed healthy: at least {low:.1} % with 95 % certainty, the best \
             of the published releases with at least {LEAST_ATTEMPTS} finished attempts.",
            ends.successes(),
            ends.finished(),
            best.version
        );
        Ok(Recommendation {
            model,
            recommended: Some(record),
            reason,
        })
    }

    async fn record(
        &self,
        scope: &Scope,
        key: &(Model, ReleaseId),
        release: &Release,
        ends: Ends,
        rollouts: &BTreeSet<RolloutId>,
        time_to_update: Option<Durations>,
    ) -> Result<ReleaseRecord> {
        let rollback_reasons = match ends.rolled_back {
            0 => Vec::new(),
            _ => self.rollback_reasons(scope, key).await?,
        };
        Ok(ReleaseRecord {
            model: key.0.clone(),
            release: release.id,
            version: release.version.clone(),
            finished: ends.finished(),
            success_rate: ends.success_rate(),
            ends,
            time_to_update,
            rollback_reasons,
            rollouts: rollouts.iter().copied().collect(),
        })
    }

    async fn count_ends(&self, scope: &Scope) -> Result<Counted> {
        let states = [
            AttemptState::Succeeded,
            AttemptState::Failed,
            AttemptState::RolledBack,
            AttemptState::TimedOut,
        ];
        let rows: Vec<(String, i64, i64, String, i64, i64)> = attempts(scope)
            .filter(attempt::Column::State.is_in(states.map(AttemptState::as_str)))
            .column(device::Column::Model)
            .columns([
                attempt::Column::ReleaseId,
                attempt::Column::RolloutId,
                attempt::Column::State,
            ])
            .column_as(attempt::Column::Id.count(), "attempts")
            .column_as(attempt::Column::UnhealthyAt.count(), "unhealthy")
            .group_by(device::Column::Model)
            .group_by(attempt::Column::ReleaseId)
            .group_by(attempt::Column::RolloutId)
            .group_by(attempt::Column::State)
            .into_tuple()
            .all(self.db())
            .await?;
        let mut counted = Counted::new();
        for (model, release, rollout, state, attempts, unhealthy) in rows {
            let key = (model_of(&model)?, ReleaseId(release));
            let (ends, rollouts) = counted.entry(key).or_default();
            rollouts.insert(RolloutId(rollout));
            let end = match AttemptState::named(&state) {
                Some(AttemptState::Succeeded) => {
                    ends.unhealthy += number(unhealthy);
                    &mut ends.succeeded
                }
                Some(AttemptState::RolledBack) => &mut ends.rolled_back,
                Some(AttemptState::TimedOut) => &mut ends.timed_out,
                _ => &mut ends.failed,
            };
            *end += number(attempts);
        }
        Ok(counted)
    }

    async fn durations(&self, scope: &Scope) -> Result<BTreeMap<(Model, ReleaseId), Durations>> {
        let rows: Vec<(String, i64, i64, i64)> = attempts(scope)
            .filter(attempt::Column::State.eq(AttemptState::Succeeded.as_str()))
            .filter(attempt::Column::FinishedAt.is_not_null())
            .column(device::Column::Model)
            .column(attempt::Column::ReleaseId)
            .column_as(taken_sec(), "taken")
            .column_as(attempt::Column::Id.count(), "attempts")
            .group_by(device::Column::Model)
            .group_by(attempt::Column::ReleaseId)
            .group_by(taken_sec())
            .order_by_asc(taken_sec())
            .into_tuple()
            .all(self.db())
            .await?;
        let mut histograms: BTreeMap<_, Vec<(u64, u64)>> = BTreeMap::new();
        for (model, release, taken, attempts) in rows {
            let key = (model_of(&model)?, ReleaseId(release));
            let histogram = histograms.entry(key).or_default();
            histogram.push((number(taken), number(attempts)));
        }
        let durations = histograms.into_iter();
        Ok(durations
            .filter_map(|(key, histogram)| Some((key, Durations::of(&histogram)?)))
            .collect())
    }

    async fn rollback_reasons(
        &self,
        scope: &Scope,
        (model, release): &(Model, ReleaseId),
    ) -> Result<Vec<ReasonCount>> {
        let scope = Scope {
            releases: vec![release.0],
            rollouts: scope.rollouts.clone(),
            model: Some(model.clone()),
        };
        let rows: Vec<(Option<String>, i64)> = attempts(&scope)
            .filter(attempt::Column::State.eq(AttemptState::RolledBack.as_str()))
            .column(attempt::Column::Message)
            .column_as(attempt::Column::Id.count(), "attempts")
            .group_by(attempt::Column::Message)
            .order_by_desc(attempt::Column::Id.count())
            .order_by_asc(attempt::Column::Message)
            .limit(MAX_REASONS)
            .into_tuple()
            .all(self.db())
            .await?;
        let counted = rows.into_iter().map(|(reason, attempts)| ReasonCount {
            reason: reason.unwrap_or_else(|| "no word".to_owned()),
            count: number(attempts),
        });
        Ok(counted.collect())
    }
}

/// Selects nothing yet of the attempts in scope that were to bring their rollout's release.
fn attempts(scope: &Scope) -> Select<attempt::Entity> {
    let to_device = attempt::Entity::belongs_to(device::Entity)
        .from(attempt::Column::DeviceId)
        .to(device::Column::Id)
        .into();
    // By way of the rollouts, whose attempts an index has together.
    let rollouts = sea_orm::sea_query::Query::select()
        .column(crate::entity::rollout::Column::Id)
        .from(crate::entity::rollout::Entity)
        .and_where(crate::entity::rollout::Column::ReleaseId.is_in(scope.releases.iter().copied()))
        .to_owned();
    let mut select = attempt::Entity::find()
        .select_only()
        .join(JoinType::InnerJoin, to_device)
        .filter(attempt::Column::RolloutId.in_subquery(rollouts))
        .filter(attempt::Column::Purpose.eq(AttemptPurpose::Update.as_str()));
    if !scope.rollouts.is_empty() {
        select = select.filter(attempt::Column::RolloutId.is_in(scope.rollouts.iter().copied()));
    }
    if let Some(model) = &scope.model {
        select = select.filter(device::Column::Model.eq(model.as_str()));
    }
    select
}

/// Returns how long an attempt took in seconds, in steps that grow with it: integers divide to integers in both databases.
fn taken_sec() -> SimpleExpr {
    Expr::cust(
        "CASE WHEN attempts.finished_at - attempts.created_at < 3600000 \
         THEN (attempts.finished_at - attempts.created_at) / 1000 \
         WHEN attempts.finished_at - attempts.created_at < 86400000 \
         THEN (attempts.finished_at - attempts.created_at) / 60000 * 60 \
         ELSE (attempts.finished_at - attempts.created_at) / 3600000 * 3600 END",
    )
}

fn why_none(fitting: &[&Release], ends_of: impl Fn(&Release) -> Ends) -> String {
    let tried = fitting
        .iter()
        .map(|release| (ends_of(release).finished(), &release.version));
    match tried.max_by_key(|(finished, _)| *finished) {
        None => "No published release fits this model.".to_owned(),
        Some((finished, version)) => format!(
            "No published release has {LEAST_ATTEMPTS} finished attempts yet; {version} has the most, {finished}."
        ),
    }
}

fn model_of(text: &str) -> Result<Model> {
    Model::new(text).map_err(|error| Error::Corrupt(error.to_string()))
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
