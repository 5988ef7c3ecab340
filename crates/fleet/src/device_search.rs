//! Finding a page of devices among a million: its ids are found from indexes alone, and only then its rows are read.
//!
//! A search for a part of the id lists the ids that begin with it first: they lie side by side. The others come from the index
//! of trigrams where they are few; else from a walk through the list, where they come soon. What is neither, such as two
//! letters that no id has, is walked for no longer than [`PATIENCE`]: then the page ends early, and says where to go on.

mod part;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use otter_protocol::admin::DeviceFilter;
use otter_protocol::device::DeviceState;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Select, Statement,
};

use crate::database::is_postgres;
use crate::entity::device;
use crate::entity::device::Column;
use crate::error::Result;
pub(crate) use part::{behind, pattern};
use part::{has_part, in_trigrams, quoted};

/// How long a page is walked for.
const PATIENCE: Duration = Duration::from_millis(50);
/// Devices that are walked before the time is looked at, at first and at most; as long as steps are brief, they are doubled.
const STEPS: (u64, u64) = (500, 64_000);
/// How long a brief step takes at most.
const BRIEF: Duration = Duration::from_millis(6);
/// A value of a column that no more devices have is looked up on SQLite, whatever its planner thinks.
const FEW_FIT: i64 = 10_000;
/// The most devices that SQLite's index of trigrams is asked for.
const FEW: i64 = 5000;
/// The most hits among one device in a hundred with which PostgreSQL's index of trigrams is asked.
const FEW_SAMPLED: i64 = 10;
/// The longest id, in bytes.
const LONGEST_ID: usize = 128;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The devices of the page.
    pub(crate) rows: Vec<device::Model>,
    /// The id after which to go on, where there may be more.
    pub(crate) next: Option<String>,
}

/// Returns the page of the devices that fit.
pub(crate) async fn page(
    db: &DatabaseConnection,
    filter: &DeviceFilter,
    limit: usize,
) -> Result<Found> {
    let search = filter.search.as_deref().filter(|search| !search.is_empty());
    if !can_be(filter, search) {
        return Ok(Found::default());
    }
    let mut list = List {
        db,
        filter,
        postgres: is_postgres(db.get_database_backend()),
        limit,
        rarest: None,
    };
    list.rarest = list.rarest_column().await?;
    let page = match search {
        None => list.plain().await?,
        Some(part) => list.search(part).await?,
    };
    let place: HashMap<&str, usize> = (0..)
        .zip(&page.ids)
        .map(|(place, id)| (id.as_str(), place))
        .collect();
    let mut rows = device::Entity::find()
        .filter(Column::Id.is_in(&page.ids))
        .all(db)
        .await?;
    rows.sort_by_key(|row| place.get(row.id.as_str()).copied());
    Ok(Found {
        rows,
        next: page.next,
    })
}

/// Tells whether a device can fit at all: what no id or version may hold, a database needn't be asked for.
fn can_be(filter: &DeviceFilter, search: Option<&str>) -> bool {
    let is_part =
        |search: &str| search.len() <= LONGEST_ID && !search.chars().any(char::is_control);
    let holds_nul = |text: &str| text.contains('\0');
    search.is_none_or(is_part)
        && !filter
            .version
            .as_ref()
            .is_some_and(|it| holds_nul(it.as_str()))
        && !filter.cursor.as_deref().is_some_and(holds_nul)
}

/// The ids of a page.
#[derive(Default)]
struct Ids {
    ids: Vec<String>,
    next: Option<String>,
}

/// A part of the list of ids.
#[derive(Clone, Default)]
struct Span {
    after: Option<String>,
    from: Option<String>,
    below: Option<String>,
}

impl Span {
    fn within(&self, query: Select<device::Entity>) -> Select<device::Entity> {
        let bounds = [
            self.after.as_ref().map(|id| Column::Id.gt(id)),
            self.from.as_ref().map(|id| Column::Id.gte(id)),
            self.below.as_ref().map(|id| Column::Id.lt(id)),
        ];
        bounds
            .into_iter()
            .flatten()
            .fold(query, QueryFilter::filter)
    }
}

struct List<'a> {
    db: &'a DatabaseConnection,
    filter: &'a DeviceFilter,
    postgres: bool,
    limit: usize,
    /// The column by which few devices fit: its index is the way to them.
    rarest: Option<&'static str>,
}

impl List<'_> {
    async fn plain(&self) -> Result<Ids> {
        let span = Span {
            after: self.filter.cursor.clone(),
            ..Span::default()
        };
        let ids = self
            .ids(span.within(self.fitting()), self.limit + 1)
            .await?;
        Ok(self.cut(ids))
    }

    async fn search(&self, part: &str) -> Result<Ids> {
        let cursor = self.filter.cursor.clone();
        let is_among_first = cursor.as_ref().is_none_or(|id| id.starts_with(part));
        let behind = behind(part);
        let mut ids = Vec::new();
        if is_among_first {
            let span = Span {
                after: cursor.clone(),
                from: Some(part.to_owned()),
                below: behind.clone(),
            };
            ids = self
                .ids(span.within(self.fitting()), self.limit + 1)
                .await?;
            if ids.len() > self.limit {
                return Ok(self.cut(ids));
            }
        }
        let after = cursor.filter(|_| !is_among_first);
        let before = Span {
            after: after.clone(),
            from: None,
            below: Some(part.to_owned()),
        };
        let mut others = vec![before];
        if behind.is_some() {
            others.push(Span {
                after,
                from: behind,
                below: None,
            });
        }
        let rare = self.is_rare(part).await?;
        self.others(part, rare, others, ids).await
    }

    /// Adds the ids that have a part, but don't begin with it.
    async fn others(
        &self,
        part: &str,
        rare: bool,
        spans: Vec<Span>,
        mut ids: Vec<String>,
    ) -> Result<Ids> {
        let began = Instant::now();
        let is_whole = rare || self.rarest.is_some();
        let mut length = STEPS.0;
        for mut span in spans {
            loop {
                let step_began = Instant::now();
                let end = match is_whole {
                    true => None,
                    false => self.end_of_step(&span, length).await?,
                };
                let step = Span {
                    below: end.clone().or(span.below.clone()),
                    ..span.clone()
                };
                let query = step.within(self.fitting());
                let query = query.filter(has_part(part, self.postgres, rare));
                let query = match rare && !self.postgres {
                    true => query.filter(in_trigrams(part)),
                    false => query,
                };
                ids.extend(self.ids(query, self.limit + 1 - ids.len()).await?);
                if ids.len() > self.limit {
                    return Ok(self.cut(ids));
                }
                let Some(end) = end else { break };
                if began.elapsed() >= PATIENCE {
                    // The last before the end: the next page begins with that.
                    let next = self.last_before(&span, &end).await?;
                    return Ok(Ids { ids, next });
                }
                if step_began.elapsed() <= BRIEF {
                    length = std::cmp::min(length * 2, STEPS.1);
                }
                span = Span {
                    after: None,
                    from: Some(end),
                    below: span.below,
                };
            }
        }
        Ok(Ids { ids, next: None })
    }

    /// Returns the id that ends a step from the beginning of a span; `None` where the span ends before.
    async fn end_of_step(&self, span: &Span, length: u64) -> Result<Option<String>> {
        let query = span.within(self.fitting()).offset(length);
        Ok(self.ids(query, 1).await?.pop())
    }

    async fn last_before(&self, span: &Span, end: &str) -> Result<Option<String>> {
        let span = Span {
            below: Some(end.to_owned()),
            ..span.clone()
        };
        let query = span.within(self.fitting()).order_by_desc(Column::Id);
        Ok(self.ids(query, 1).await?.pop())
    }

    /// Tells whether a part is so rare that the index of trigrams is the way to it; that knows three characters or more.
    async fn is_rare(&self, part: &str) -> Result<bool> {
        if part.chars().count() < 3 {
            return Ok(false);
        }
        let (sql, value) = if self.postgres {
            let sql = "SELECT count(*) FROM devices TABLESAMPLE SYSTEM (1) WHERE id ILIKE $1";
            (sql.to_owned(), pattern(part))
        } else {
            let most = FEW + 1;
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM device_ids WHERE device_ids MATCH ? LIMIT {most})"
            );
            (sql, quoted(part))
        };
        let backend = self.db.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, [value.into()]);
        let row = self.db.query_one_raw(statement).await?;
        let found: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(found <= if self.postgres { FEW_SAMPLED } else { FEW })
    }

    async fn ids(&self, query: Select<device::Entity>, most: usize) -> Result<Vec<String>> {
        let ids = query
            .select_only()
            .column(Column::Id)
            .order_by_asc(Column::Id)
            .limit(most as u64);
        Ok(ids.into_tuple().all(self.db).await?)
    }

    /// Makes a page of one id more than fit on it.
    fn cut(&self, mut ids: Vec<String>) -> Ids {
        let has_more = ids.len() > self.limit;
        ids.truncate(self.limit);
        let next = ids.last().filter(|_| has_more).cloned();
        Ids { ids, next }
    }

    /// Returns the columns that are asked for, and their values.
    fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let filter = self.filter;
        let fields = [
            ("model", filter.model.as_ref().map(|it| it.as_str())),
            ("version", filter.version.as_ref().map(|it| it.as_str())),
            ("state", filter.state.map(DeviceState::as_str)),
            ("group_name", filter.group.as_ref().map(|it| it.as_str())),
        ];
        fields
            .into_iter()
            .filter_map(|(column, value)| Some((column, value?)))
    }

    /// Returns the column by which the fewest devices fit, where they are few. SQLite counts on every value of a column being
    /// equally rare, so it has to be told; PostgreSQL knows.
    async fn rarest_column(&self) -> Result<Option<&'static str>> {
        if self.postgres {
            return Ok(None);
        }
        let mut rarest = None;
        for (column, value) in self.given() {
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM devices WHERE {column} = ? LIMIT {FEW_FIT})"
            );
            let backend = self.db.get_database_backend();
            let statement = Statement::from_sql_and_values(backend, sql, [value.into()]);
            let row = self.db.query_one_raw(statement).await?;
            let fit: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
            if fit < FEW_FIT && rarest.is_none_or(|(_, least)| fit < least) {
                rarest = Some((column, fit));
            }
        }
        Ok(rarest.map(|(column, _)| column))
    }

    /// Finds what fits the filter, search and cursor aside.
    fn fitting(&self) -> Select<device::Entity> {
        // The plus keeps SQLite from walking another column's index. Where no value is rare, that of the state is the one
        // that nearly all devices have.
        let walks = |column: &str| match self.rarest {
            _ if self.postgres => true,
            Some(rarest) => column == rarest,
            None => column != "state" || self.given().count() == 1,
        };
        let fits = |(column, value): (&'static str, &str)| match walks(column) {
            true => Expr::col(column).eq(value),
            false => Expr::cust_with_values(format!("+{column} = ?"), [value]),
        };
        self.given()
            .map(fits)
            .fold(device::Entity::find(), QueryFilter::filter)
    }
}

/// Returns the different models: each is looked up behind the one before, since they are few and the devices many.
pub(crate) async fn models(db: &DatabaseConnection) -> Result<Vec<String>> {
    let sql = "WITH RECURSIVE found (model) AS (
            SELECT min(model) FROM devices
            UNION ALL
            SELECT (SELECT min(model) FROM devices WHERE devices.model > found.model)
            FROM found WHERE found.model IS NOT NULL
        ) SELECT model FROM found WHERE model IS NOT NULL";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok(row.try_get_by_index(0)?))
        .collect()
}
