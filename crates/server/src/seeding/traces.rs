//! Makes traces of the seeds.

use std::collections::HashMap;

use sheaf_db::datastore::{OnError, Page, Trace, TraceListFilter, TracePatch};
use sheaf_metering::records::Record;
use sheaf_metering::times::now;
use sheaf_metering::trace_name::name_of;
use sheaf_model::{EnergyUnit, Interpretation};
use sheaf_store::Watch;

use super::{SeedError, impossible};
use crate::data::Data;
use crate::loading::keep::write_records;

/// Traces whose records are made and written at once: some two million records.
const AT_ONCE: usize = 200;

/// A trace, without its records.
#[derive(Clone, Debug)]
pub(super) struct NewTrace {
    pub(super) trace_id: String,
    pub(super) interpretation: Interpretation,
    pub(super) unit: EnergyUnit,
    /// The id of its project.
    pub(super) project: i64,
}

/// What was seeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seeded {
    /// Traces whose records were written.
    pub(super) traces: u64,
    /// Records that were written.
    pub(super) records: u64,
}

/// Makes traces and puts them into their projects. Those that have no records get those that `records_of` makes, by the place of the
/// trace.
pub(super) async fn seed(
    data: &Data,
    traces: &[NewTrace],
    records_of: impl Fn(usize) -> Vec<Record>,
    watch: &Watch,
) -> Result<Seeded, SeedError> {
    let datastore = data.database.datastore();
    let mut patches = Vec::with_capacity(traces.len());
    for trace in traces {
        let name = name_of(&trace.trace_id).map_err(|error| impossible("the id of a trace")(&error))?;
        let patch = TracePatch {
            interpretation: Some(trace.interpretation.name().to_owned()),
            unit: Some(trace.unit.to_string()),
            interval: None,
            name: Some(name.to_string()),
        };
        patches.push((trace.trace_id.clone(), patch));
    }
    let upserted = datastore.upsert_traces(patches, OnError::Refuse, now()).await?;
    let ids = upserted.into_iter().map(|row| Ok(row?.id)).collect::<Result<Vec<i64>, SeedError>>()?;
    let mappings: Vec<(i64, i64)> =
        traces.iter().map(|trace| trace.project).zip(ids.iter().copied()).collect();
    for mapped in datastore.upsert_mappings(&mappings, OnError::Refuse).await? {
        mapped?;
    }
    let these = TraceListFilter { ids: Some(ids.clone()), ..TraceListFilter::default() };
    let rows = datastore.traces(&these, Page::ALL).await?;
    let places: HashMap<i64, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let place = |trace: Trace| Some((places.get(&trace.id).copied()?, trace));
    let mut empty: Vec<(usize, Trace)> =
        rows.into_iter().filter(|trace| trace.n_records == 0).filter_map(place).collect();
    empty.sort_by_key(|(place, _)| *place);
    let mut seeded = Seeded::default();
    let total = empty.len() as u64;
    let mut empty = empty.into_iter().peekable();
    while empty.peek().is_some() {
        watch.step("traces", seeded.traces, total)?;
        let some = empty.by_ref().take(AT_ONCE).map(|(place, trace)| (trace, records_of(place)));
        for (trace, _) in write_records(data, some.collect()).await? {
            seeded.traces += 1;
            seeded.records += u64::try_from(trace.n_records).unwrap_or(0);
        }
    }
    watch.step("traces", seeded.traces, total)?;
    Ok(seeded)
}
