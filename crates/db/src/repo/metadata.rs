//! What is known of catalogs and resources beside their samples: unit, description, groups, readme.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::Value;
use sheaf_model::{CatalogId, CatalogPath, IdError, Properties, ResourceId};

use super::{Transaction, check_catalog, damaged_row, to_json};
use crate::Database;
use crate::entity::{catalogs, resources};
use crate::error::RepositoryError;
use crate::table::{Existing, Sql, Table, behind, delete_keys, insert, select, select_keys};

/// Properties of a catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogMetadata {
    /// The catalog.
    pub catalog: CatalogId,
    /// What is known of it.
    pub properties: Properties,
}

/// Properties of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceMetadata {
    /// The catalog that it lies in.
    pub catalog: CatalogId,
    /// Its name there.
    pub resource: ResourceId,
    /// What is known of it.
    pub properties: Properties,
}

/// The properties of catalogs and resources. Nothing need be known of one for it to exist, and something may be known of one
/// that does not: to have no properties is the same as not to be here.
#[derive(Clone, Debug)]
pub struct Metadata {
    database: Database,
}

impl Metadata {
    pub(crate) fn new(database: Database) -> Metadata {
        Metadata { database }
    }

    /// The properties of a catalog; none if nothing is known of it.
    ///
    /// # Errors
    /// The database fails, or the row is damaged.
    pub async fn catalog(&self, catalog: &CatalogId) -> Result<Properties, RepositoryError> {
        let found = self
            .rows::<catalogs::Entity>(|sql| sql.text(" WHERE \"catalog\" = ").value(catalog.as_str()))
            .await?;
        Ok(found.into_iter().next().map(|(_, properties)| properties).unwrap_or_default())
    }

    /// The properties of catalogs, one answer for each.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn catalogs(&self, wanted: &[CatalogId]) -> Result<Vec<Properties>, RepositoryError> {
        type Table = catalogs::Entity;
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return Ok(vec![Properties::default(); wanted.len()]);
        };
        let found = by_key::<Table>(&transaction, wanted.iter()).await?;
        Ok(wanted.iter().map(|key| found.get(key).cloned().unwrap_or_default()).collect())
    }

    /// The properties of a resource; none if nothing is known of it.
    ///
    /// # Errors
    /// The database fails, or the row is damaged.
    pub async fn resource(
        &self,
        catalog: &CatalogId,
        resource: &ResourceId,
    ) -> Result<Properties, RepositoryError> {
        let found = self
            .rows::<resources::Entity>(|sql| {
                let sql = sql.text(" WHERE \"catalog\" = ").value(catalog.as_str());
                sql.text(" AND \"resource\" = ").value(resource.as_str())
            })
            .await?;
        Ok(found.into_iter().next().map(|(_, properties)| properties).unwrap_or_default())
    }

    /// The properties of resources, one answer for each.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn resources(
        &self,
        wanted: &[(CatalogId, ResourceId)],
    ) -> Result<Vec<Properties>, RepositoryError> {
        type Table = resources::Entity;
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return Ok(vec![Properties::default(); wanted.len()]);
        };
        let found = by_key::<Table>(&transaction, wanted.iter()).await?;
        Ok(wanted.iter().map(|key| found.get(key).cloned().unwrap_or_default()).collect())
    }

    /// The first `limit` catalogs with properties that are at or below `path` and come after `after`, by id, byte by byte.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn catalogs_below(
        &self,
        path: &CatalogPath,
        after: Option<&CatalogId>,
        limit: usize,
    ) -> Result<Vec<CatalogMetadata>, RepositoryError> {
        let (begin, end) = bounds(path);
        let rows = self.rows::<catalogs::Entity>(|sql| {
            let sql = match after {
                Some(after) if after.as_str() >= begin => {
                    sql.text(" WHERE \"catalog\" > ").value(after.as_str())
                }
                _ => sql.text(" WHERE \"catalog\" >= ").value(begin),
            };
            before(sql, end).page("\"catalog\"", limit as u64)
        });
        let entry = |(catalog, properties)| CatalogMetadata { catalog, properties };
        Ok(rows.await?.into_iter().map(entry).collect())
    }

    /// The first `limit` resources with properties in catalogs at or below `path` that come after `after`, by catalog and
    /// resource, byte by byte.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn resources_below(
        &self,
        path: &CatalogPath,
        after: Option<(&CatalogId, &ResourceId)>,
        limit: usize,
    ) -> Result<Vec<ResourceMetadata>, RepositoryError> {
        let (begin, end) = bounds(path);
        let rows = self.rows::<resources::Entity>(|sql| {
            let sql = match after {
                Some((catalog, resource)) if catalog.as_str() >= begin => sql
                    .text(" WHERE (\"catalog\", \"resource\") > (")
                    .value(catalog.as_str())
                    .text(", ")
                    .value(resource.as_str())
                    .text(")"),
                _ => sql.text(" WHERE \"catalog\" >= ").value(begin),
            };
            before(sql, end).page("\"catalog\", \"resource\"", limit as u64)
        });
        Ok(rows.await?.into_iter().map(resource_entry).collect())
    }

    /// The first `limit` resources with properties in a catalog, not in those below it, that come after `after`, by name,
    /// byte by byte.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn resources_of(
        &self,
        catalog: &CatalogId,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<ResourceMetadata>, RepositoryError> {
        let rows = self.rows::<resources::Entity>(|sql| {
            let sql = sql.text(" WHERE \"catalog\" = ").value(catalog.as_str());
            let sql = match after {
                Some(after) => sql.text(" AND \"resource\" > ").value(after.as_str()),
                None => sql,
            };
            sql.page("\"resource\"", limit as u64)
        });
        Ok(rows.await?.into_iter().map(resource_entry).collect())
    }

    /// Changes the properties of many, one after the other, all or none of them: see [`Properties::patch`].
    ///
    /// # Errors
    /// Properties that can't be kept; the database fails, or a row to be changed is damaged. Then nothing has changed.
    pub async fn patch(
        &self,
        catalogs: Vec<CatalogMetadata>,
        resources: Vec<ResourceMetadata>,
    ) -> Result<(), RepositoryError> {
        self.change(catalogs, resources, How::Patch).await
    }

    /// Replaces all properties of a catalog. Works on a damaged row, too.
    ///
    /// # Errors
    /// Properties that can't be kept, or the database fails. Then nothing has changed.
    pub async fn set_catalog(&self, entry: CatalogMetadata) -> Result<(), RepositoryError> {
        self.change(vec![entry], Vec::new(), How::Replace).await
    }

    /// Replaces all properties of a resource. Works on a damaged row, too.
    ///
    /// # Errors
    /// Properties that can't be kept, or the database fails. Then nothing has changed.
    pub async fn set_resource(&self, entry: ResourceMetadata) -> Result<(), RepositoryError> {
        self.change(Vec::new(), vec![entry], How::Replace).await
    }

    async fn change(
        &self,
        catalogs: Vec<CatalogMetadata>,
        resources: Vec<ResourceMetadata>,
        how: How,
    ) -> Result<(), RepositoryError> {
        let catalogs: Vec<_> = catalogs.into_iter().map(|entry| (entry.catalog, entry.properties)).collect();
        let resources: Vec<_> =
            resources.into_iter().map(|entry| ((entry.catalog, entry.resource), entry.properties)).collect();
        check_ids::<catalogs::Entity>(&catalogs)?;
        check_ids::<resources::Entity>(&resources)?;
        let transaction = Transaction::write::<resources::Entity>(&self.database).await?;
        let catalogs_change = apply::<catalogs::Entity>(&transaction, catalogs, how).await?;
        let resources_change = apply::<resources::Entity>(&transaction, resources, how).await?;
        if catalogs_change || resources_change {
            transaction.commit_counted::<resources::Entity>().await?;
        }
        Ok(())
    }

    async fn rows<E: PropertyTable>(
        &self,
        condition: impl FnOnce(Sql) -> Sql + Send,
    ) -> Result<Vec<(E::Key, Properties)>, RepositoryError> {
        let Some(transaction) = Transaction::read::<E>(&self.database).await? else { return Ok(Vec::new()) };
        let sql = condition(select::<E>(&transaction.tx));
        let rows = transaction.reading::<E, _>(sql.rows::<E>(&transaction.tx).await)?;
        rows.into_iter().map(|row| parse::<E>(&self.database, row)).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Patch,
    Replace,
}

/// A table of properties.
trait PropertyTable: Table {
    /// What they are of.
    type Key: Ord + Clone + Send + Sync;

    /// What a row is of, and its properties as JSON.
    fn split(row: Self::Row) -> (Result<Self::Key, IdError>, String);

    /// The row of a key and its properties as JSON.
    fn join(key: Self::Key, properties: String) -> Self::Row;

    /// The columns of a key.
    fn values(key: &Self::Key) -> Vec<Value>;

    /// The catalog in a key.
    fn catalog(key: &Self::Key) -> &CatalogId;

    /// What a row or a key is called in messages.
    fn name(row: &Self::Row) -> String;
}

impl PropertyTable for catalogs::Entity {
    type Key = CatalogId;

    fn split(row: catalogs::Model) -> (Result<CatalogId, IdError>, String) {
        (row.catalog.parse(), row.properties)
    }

    fn join(catalog: CatalogId, properties: String) -> catalogs::Model {
        catalogs::Model { catalog: catalog.to_string(), properties }
    }

    fn values(catalog: &CatalogId) -> Vec<Value> {
        vec![catalog.as_str().into()]
    }

    fn catalog(catalog: &CatalogId) -> &CatalogId {
        catalog
    }

    fn name(row: &catalogs::Model) -> String {
        row.catalog.clone()
    }
}

impl PropertyTable for resources::Entity {
    type Key = (CatalogId, ResourceId);

    fn split(row: resources::Model) -> (Result<(CatalogId, ResourceId), IdError>, String) {
        let catalog = row.catalog.parse();
        (catalog.and_then(|catalog| Ok((catalog, row.resource.parse()?))), row.properties)
    }

    fn join((catalog, resource): (CatalogId, ResourceId), properties: String) -> resources::Model {
        resources::Model { catalog: catalog.to_string(), resource: resource.to_string(), properties }
    }

    fn values((catalog, resource): &(CatalogId, ResourceId)) -> Vec<Value> {
        vec![catalog.as_str().into(), resource.as_str().into()]
    }

    fn catalog((catalog, _): &(CatalogId, ResourceId)) -> &CatalogId {
        catalog
    }

    fn name(row: &resources::Model) -> String {
        format!("{}/{}", row.catalog, row.resource)
    }
}

fn resource_entry(
    ((catalog, resource), properties): ((CatalogId, ResourceId), Properties),
) -> ResourceMetadata {
    ResourceMetadata { catalog, resource, properties }
}

fn parse<E: PropertyTable>(
    database: &Database,
    row: E::Row,
) -> Result<(E::Key, Properties), RepositoryError> {
    let name = E::name(&row);
    let (key, json) = E::split(row);
    let key = key.map_err(|error| damaged_row::<E>(database, &name, &error))?;
    let properties = serde_json::from_str(&json);
    Ok((key, properties.map_err(|error| damaged_row::<E>(database, &name, &error))?))
}

/// What a message calls the owner of properties that can't be kept.
fn name_of<E: PropertyTable>(key: &E::Key) -> String {
    E::name(&E::join(key.clone(), String::new()))
}

fn check_ids<E: PropertyTable>(entries: &[(E::Key, Properties)]) -> Result<(), RepositoryError> {
    entries.iter().try_for_each(|(key, _)| check_catalog(E::catalog(key), &name_of::<E>(key)))
}

/// The properties with these keys, as far as there are any.
async fn by_key<E: PropertyTable>(
    transaction: &Transaction<'_>,
    keys: impl Iterator<Item = &E::Key> + Send,
) -> Result<BTreeMap<E::Key, Properties>, RepositoryError> {
    let keys: BTreeSet<&E::Key> = keys.collect();
    let values = keys.into_iter().flat_map(E::values).collect();
    let rows = select_keys::<E>(&transaction.tx, values).await;
    let rows = transaction.reading::<E, _>(rows)?.into_iter();
    rows.map(|row| parse::<E>(transaction.database, row)).collect()
}

/// Makes the changes in one table; returns whether there are any.
async fn apply<E: PropertyTable>(
    transaction: &Transaction<'_>,
    changes: Vec<(E::Key, Properties)>,
    how: How,
) -> Result<bool, RepositoryError> {
    let before = match how {
        How::Patch => by_key::<E>(transaction, changes.iter().map(|(key, _)| key)).await?,
        How::Replace => BTreeMap::new(),
    };
    let mut after: BTreeMap<E::Key, Properties> = BTreeMap::new();
    for (key, properties) in changes {
        match how {
            How::Patch => {
                let present = || before.get(&key).cloned().unwrap_or_default();
                after.entry(key.clone()).or_insert_with(present).patch(properties);
            }
            How::Replace => drop(after.insert(key, properties)),
        }
    }
    let (mut rows, mut gone) = (Vec::new(), Vec::new());
    for (key, properties) in after {
        if before.get(&key) == Some(&properties) {
            continue;
        }
        let name = name_of::<E>(&key);
        if let Err(error) = properties.without_rollups() {
            return Err(RepositoryError::Invalid { name, problem: error.to_string() });
        }
        if properties.is_empty() {
            gone.extend(E::values(&key));
        } else {
            let json = to_json(&properties, &name)?;
            rows.push(E::join(key, json));
        }
    }
    let changed = !(rows.is_empty() && gone.is_empty());
    let deleted = delete_keys::<E>(&transaction.tx, gone).await;
    transaction.changing::<E, _>(deleted)?;
    let inserted = insert::<E>(&transaction.tx, rows, Existing::Replace).await;
    transaction.changing::<E, _>(inserted)?;
    Ok(changed)
}

/// Where the ids at or below a path begin, and what lies behind them. No character of an id is less than `/`, so nothing
/// else lies between.
fn bounds(path: &CatalogPath) -> (&str, Option<String>) {
    match path {
        CatalogPath::Root => ("/", behind("/")),
        CatalogPath::Catalog(id) => (id.as_str(), behind(&format!("{id}/"))),
    }
}

fn before(sql: Sql, end: Option<String>) -> Sql {
    match end {
        Some(end) => sql.text(" AND \"catalog\" < ").value(end),
        None => sql,
    }
}
