//! What an export reads and writes, and whether it can.

use std::collections::{HashMap, HashSet};

use axum::http::StatusCode;
use sheaf_engine::{Base, Resolved};
use sheaf_model::legality::{check_base, check_range};
use sheaf_model::{CatalogId, DataType, Kind, ResourcePath, SamplePeriod, TimeRange};
use sheaf_sources::{CatalogFormat, ExportCatalog, ExportColumn, ExportFormat, TimeUnit, physical_name};
use sheaf_store::Snapshot;

use super::{ExportParameters, Precision};
use crate::catalogs::{Found, RequestConfiguration};
use crate::data::DataError;
use crate::http::app::App;
use crate::http::auth::{Caller, facts};
use crate::http::errors::ApiError;
use crate::http::jobs::JobError;

/// The most files of an export: a day in files of a second. More are hard to handle anywhere.
const MOST_FILES: u64 = 100_000;

/// What an export reads and writes.
pub(super) struct Plan {
    pub(super) snapshot: Snapshot,
    pub(super) catalogs: Vec<PlannedCatalog>,
    pub(super) range: TimeRange,
    pub(super) period: SamplePeriod,
    pub(super) file_period: Option<SamplePeriod>,
    /// `None` where nothing is written.
    pub(super) format: Option<ExportFormat>,
    pub(super) precision: Precision,
}

/// A catalog of an export.
pub(super) struct PlannedCatalog {
    pub(super) catalog: ExportCatalog,
    /// What each column is computed from.
    pub(super) items: Vec<Resolved>,
    /// Under which conditions its data may be used.
    pub(super) license: Option<String>,
}

/// What the parameters say by themselves.
struct Request {
    paths: Vec<ResourcePath>,
    /// `None` where begin and end are the same.
    range: Option<TimeRange>,
    period: SamplePeriod,
    file_period: Option<SamplePeriod>,
    format: Option<ExportFormat>,
}

/// Finds out whether an export can be done for this caller.
pub(super) async fn check(
    parameters: &ExportParameters,
    app: &App,
    caller: &Caller,
    configuration: &RequestConfiguration,
) -> Result<(), ApiError> {
    if parameters.resource_paths.is_empty() {
        return Err(ApiError::bad_request(
            "there is nothing to export: `resourcePaths` lists at least one resource path",
        ));
    }
    let request = Request::new(parameters)?;
    let mut catalogs: HashSet<&CatalogId> = HashSet::new();
    for path in &request.paths {
        if catalogs.insert(path.catalog()) {
            caller.require_read(app, path.catalog()).await?;
        }
    }
    resolve(&request, app, configuration).await.map(drop)
}

impl Request {
    fn new(parameters: &ExportParameters) -> Result<Request, ApiError> {
        let format = match &parameters.kind {
            Some(kind) => {
                let options = parameters.configuration.as_ref().unwrap_or(&serde_json::Value::Null);
                Some(ExportFormat::new(kind, options).map_err(ApiError::unprocessable)?)
            }
            None => None,
        };
        let mut seen = HashSet::new();
        let mut paths: Vec<ResourcePath> = Vec::new();
        for text in &parameters.resource_paths {
            let path: ResourcePath = text.parse()?;
            if seen.insert(path.to_string()) {
                paths.push(path);
            }
        }
        let Some(first) = paths.first() else {
            return Err(ApiError::bad_request("`resourcePaths` lists no resource path"));
        };
        let period = first.period();
        if let Some(other) = paths.iter().find(|path| path.period() != period) {
            return Err(ApiError::unprocessable(format!(
                "all paths of an export have one period: `{first}` has {period}, and `{other}` has {}",
                other.period()
            )));
        }
        if format.is_some() {
            check_names(&paths)?;
        }
        let (begin, end) = (parameters.begin.0, parameters.end.0);
        let range = match begin == end {
            true => None,
            false => Some(TimeRange::new(begin, end)?),
        };
        if let Some(range) = range {
            check_range(period, range).map_err(ApiError::unprocessable)?;
        }
        let file_period = file_period(parameters, period)?;
        if let (Some(range), Some(file_period)) = (range, file_period) {
            let catalogs = paths.iter().map(ResourcePath::catalog).collect::<HashSet<_>>().len() as u64;
            let files = range.count(file_period).saturating_add(1).saturating_mul(catalogs);
            if files > MOST_FILES {
                return Err(ApiError::unprocessable(format!(
                    "`filePeriod` {file_period} makes some {files} files of that range; at most {MOST_FILES} are written: \
                     take a longer one"
                )));
            }
        }
        if let (
            Some(range),
            Some(ExportFormat::PerCatalog(CatalogFormat::Parquet | CatalogFormat::Arrow(_))),
        ) = (range, format)
        {
            TimeUnit::for_times(range, period.ticks()).map_err(ApiError::unprocessable)?;
        }
        Ok(Request { paths, range, period, file_period, format })
    }
}

/// Checks that no two catalogs would have files of the same names.
fn check_names(paths: &[ResourcePath]) -> Result<(), ApiError> {
    let mut names: HashMap<String, &CatalogId> = HashMap::new();
    for catalog in paths.iter().map(ResourcePath::catalog) {
        let name = physical_name(catalog);
        match names.get(&name) {
            Some(&other) if other != catalog => {
                return Err(ApiError::unprocessable(format!(
                    "files of the catalogs `{other}` and `{catalog}` would both be called {name}: export one after the other"
                )));
            }
            _ => names.insert(name, catalog),
        };
    }
    Ok(())
}

fn file_period(
    parameters: &ExportParameters,
    period: SamplePeriod,
) -> Result<Option<SamplePeriod>, ApiError> {
    let given = parameters.file_period;
    match given.0 {
        0 => Ok(None),
        ..0 => Err(ApiError::unprocessable(format!(
            "`filePeriod` is {given}; it is zero, for one file, or a multiple of the period of the values, {period}"
        ))),
        ticks => {
            let file_period = SamplePeriod::from_ticks(ticks)
                .map_err(|error| ApiError::unprocessable(format!("`filePeriod` is {given}: {error}")))?;
            if file_period.is_multiple_of(period) {
                Ok(Some(file_period))
            } else {
                Err(ApiError::unprocessable(format!(
                    "`filePeriod` is {file_period}, which is no multiple of the period of the values, {period}"
                )))
            }
        }
    }
}

/// What is behind the paths; an error that the client hears where it can't be read as asked.
async fn resolve(
    request: &Request,
    app: &App,
    configuration: &RequestConfiguration,
) -> Result<Vec<Found>, ApiError> {
    let found = app.data.resolve_for(&request.paths, configuration).await;
    let found = found.map_err(|error| match ApiError::from(error) {
        // It was asked for in a body, not as an address.
        error if error.status() == StatusCode::NOT_FOUND => ApiError::unprocessable(error.text()),
        error => error,
    })?;
    for Resolved { path, base } in found.iter().map(|found| &found.resolved) {
        match base.period() {
            Some(period) => {
                check_base(path.representation(), period, base.data_type())
                    .map_err(|error| ApiError::unprocessable(format!("`{path}`: {error}")))?;
            }
            None if path.kind() == Kind::Spread => {}
            None => {
                return Err(ApiError::unprocessable(format!(
                    "`{path}`: its samples are irregular; only the kind `spread` has values at a period"
                )));
            }
        }
    }
    Ok(found)
}

impl Plan {
    /// What is to be read and written; `None` if that is nothing.
    pub(super) async fn new(
        parameters: &ExportParameters,
        app: &App,
        configuration: &RequestConfiguration,
    ) -> Result<Option<Plan>, JobError> {
        let request = Request::new(parameters)?;
        let Some(range) = request.range else { return Ok(None) };
        let found = resolve(&request, app, configuration).await?;
        let stored: Vec<_> = found.iter().filter_map(|found| stored(&found.resolved.base)).collect();
        let snapshot = app.data.store.snapshot(&stored).await?;
        let Request { period, file_period, format, .. } = request;
        let catalogs = catalogs(found, parameters.precision, app).await?;
        let precision = parameters.precision;
        Ok(Some(Plan { snapshot, catalogs, range, period, file_period, format, precision }))
    }

    /// How many values there are.
    pub(super) fn values(&self) -> u64 {
        let columns: usize = self.catalogs.iter().map(|catalog| catalog.items.len()).sum();
        self.range.count(self.period).saturating_mul(columns as u64)
    }
}

fn stored(base: &Base) -> Option<sheaf_store::SeriesId> {
    match base {
        Base::Stored { series, .. } => Some(*series),
        Base::InPlace { .. } => None,
    }
}

/// The catalogs, in the order of their first paths, with a column for each path.
async fn catalogs(
    found: Vec<Found>,
    precision: Precision,
    app: &App,
) -> Result<Vec<PlannedCatalog>, JobError> {
    let ids: HashSet<CatalogId> = found.iter().map(|found| found.resolved.path.catalog().clone()).collect();
    let ids: Vec<CatalogId> = ids.into_iter().collect();
    let mut known = app.data.catalogs.properties(&ids).await.map_err(DataError::from)?;
    let data_type = match precision {
        Precision::Float32 => DataType::Float32,
        Precision::Float64 => DataType::Float64,
    };
    let mut planned: Vec<PlannedCatalog> = Vec::new();
    let mut places: HashMap<CatalogId, usize> = HashMap::new();
    for Found { resolved: item, properties, .. } in found {
        let id = item.path.catalog();
        let place = match places.get(id) {
            Some(place) => *place,
            None => {
                let properties = known.remove(id).unwrap_or_default();
                let license = facts::license(app, id).await?;
                let catalog = ExportCatalog { id: id.clone(), properties, columns: Vec::new() };
                places.insert(id.clone(), planned.len());
                planned.push(PlannedCatalog { catalog, items: Vec::new(), license });
                planned.len() - 1
            }
        };
        let PlannedCatalog { catalog, items, .. } = &mut planned[place];
        let title = title(&item.path, &catalog.columns);
        let resource = item.path.resource().clone();
        catalog.columns.push(ExportColumn { title, resource, properties, data_type });
        items.push(item);
    }
    Ok(planned)
}

/// The title of a column: the path behind the catalog, without what follows `#` unless another column has that title.
fn title(path: &ResourcePath, others: &[ExportColumn]) -> String {
    let text = path.to_string();
    let (whole, _) = text.split_once('#').unwrap_or((&text, ""));
    let short = |text: &str| {
        let behind = text.strip_prefix(path.catalog().as_str()).unwrap_or(text).trim_start_matches('/');
        behind.replacen('/', "_", 1)
    };
    let title = short(whole);
    if others.iter().any(|other| other.title == title) { short(&text) } else { title }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sheaf_model::Properties;

    #[test]
    fn titles_differ() {
        let mut columns: Vec<ExportColumn> = Vec::new();
        for (path, expected) in [
            ("/a/b/T1/600_s_mean", "T1_10_min_mean"),
            ("/a/b/T1/10_min_mean(k=v)", "T1_10_min_mean(k=v)"),
            ("/a/b/T1/10_min_mean#base=1_s", "T1_10_min_mean#base=1_s"),
        ] {
            let path: ResourcePath = path.parse().unwrap();
            let title = title(&path, &columns);
            assert_eq!(title, expected);
            columns.push(ExportColumn {
                title,
                resource: path.resource().clone(),
                properties: Properties::default(),
                data_type: DataType::Float64,
            });
        }
    }
}
