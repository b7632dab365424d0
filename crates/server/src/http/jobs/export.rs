//! `export`: values of any paths into files, in a zip archive.
//!
//! `plan.rs` finds out what is to be read and written, and whether it can be: once when the job is accepted, so that what is
//! wrong is said then, and again when it is begun. `archive.rs` writes the archive.

mod archive;
mod plan;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sheaf_sources::physical_name;
use utoipa::ToSchema;

use super::{Context, Done, JobError, Kind};
use crate::catalogs::RequestConfiguration;
use crate::http::app::App;
use crate::http::auth::Caller;
use crate::http::errors::ApiError;
use crate::http::wire::{WireDuration, WireTick};
use plan::Plan;

/// What to export, and how.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExportParameters {
    /// The begin of the first value; a multiple of the period of the values.
    pub(crate) begin: WireTick,
    /// The end of the last value, likewise.
    pub(crate) end: WireTick,
    /// A file for each such period of time, a multiple of the period of the values; zero for one file.
    #[serde(default = "no_period")]
    pub(crate) file_period: WireDuration,
    /// The writer, as `/api/v1/writers/descriptions` lists them. Without one the values are computed, and what is kept of them
    /// is there for whoever reads them next, but nothing is written.
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<String>,
    /// The resource paths, all of one period.
    pub(crate) resource_paths: Vec<String>,
    /// Options of the writer: texts or numbers.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(crate) configuration: Option<Value>,
    /// The type of the values that are written.
    #[serde(default)]
    pub(crate) precision: Precision,
}

const fn no_period() -> WireDuration {
    WireDuration(0)
}

/// The type of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Precision {
    /// 32 bits, about 7 figures.
    Float32,
    /// 64 bits, about 16 figures.
    #[default]
    Float64,
}

/// An export.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Export {
    #[serde(flatten)]
    pub(crate) parameters: ExportParameters,
    /// Whether its request brought something along for sources, without which nothing must be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) with_configuration: bool,
}

impl Kind for Export {
    const NAME: &'static str = "export";
}

impl Export {
    /// As a request with this configuration asks for it.
    pub(crate) fn new(parameters: ExportParameters, configuration: &RequestConfiguration) -> Export {
        Export { parameters, with_configuration: configuration.is_some() }
    }

    /// Finds out whether it can be done.
    ///
    /// # Errors
    /// It can't; the error says why, and what would do.
    pub(crate) async fn check(
        &self,
        app: &App,
        caller: &Caller,
        configuration: &RequestConfiguration,
    ) -> Result<(), ApiError> {
        plan::check(&self.parameters, app, caller, configuration).await
    }

    pub(super) async fn run(self, context: &Context) -> Result<Done, JobError> {
        if self.with_configuration && context.configuration.is_none() {
            return Err(JobError::NotKept);
        }
        let Some(plan) = Plan::new(&self.parameters, &context.app, &context.configuration).await? else {
            return Ok(Done { result: Some(String::new()), ..Done::default() });
        };
        let unfinished = match plan.format {
            Some(_) => Some(context.app.jobs.artifacts.begin(context.id)?),
            None => None,
        };
        let runtime = tokio::runtime::Handle::current();
        let (context, name) = (context.clone(), file_name(&plan));
        let work = move || -> Result<Done, JobError> {
            match unfinished {
                Some(mut unfinished) => {
                    let written = archive::write(&plan, &context, &runtime, &mut unfinished)?;
                    let artifact = unfinished.finish(&written.file, &context.owner, name, written.sha256)?;
                    let result = Some(format!("{}.zip", artifact.id));
                    Ok(Done { result, artifacts: vec![artifact] })
                }
                None => {
                    archive::read(&plan, &context, &runtime)?;
                    Ok(Done { result: Some(String::new()), ..Done::default() })
                }
            }
        };
        let task = tokio::task::spawn_blocking(work).await;
        task.map_err(|error| JobError::Task { problem: error.to_string() })?
    }
}

/// What the archive is called where it is downloaded to: `plant_mast_2020-01-01_10_min.zip`.
fn file_name(plan: &Plan) -> String {
    let catalog = match plan.catalogs.as_slice() {
        [only] => physical_name(&only.catalog.id),
        _ => "export".to_owned(),
    };
    let begin = plan.range.begin().to_string();
    let day = begin.split('T').next().unwrap_or_default();
    format!("{catalog}_{day}_{}.zip", plan.period)
}
