//! Records of traces into the store, and what the rows and the catalog of traces say of them.

use std::collections::HashMap;

use sheaf_db::datastore::{Micros, Page, Trace, TraceListFilter, TraceRecords};
use sheaf_db::{RepositoryError, ResourceMetadata};
use sheaf_metering::records::{self, Known, NewRecords, Record};
use sheaf_metering::times::{micros, now};
use sheaf_model::Properties;

use super::LoadError;
use crate::data::Data;

/// Makes records a part of their traces: first in the store, in one commit, then in the rows. Returns the rows as they are now, each
/// with the number of records that were not there already. A trace must come once only.
///
/// # Errors
/// A value is infinite, or the store or the database fails. What is in the store then is found by the next write.
pub(crate) async fn write_records(
    data: &Data,
    parts: Vec<(Trace, Vec<Record>)>,
) -> Result<Vec<(Trace, u64)>, LoadError> {
    let (mut traces, mut new) = (Vec::with_capacity(parts.len()), Vec::with_capacity(parts.len()));
    for (trace, records) in parts {
        new.push(NewRecords { known: Known::of(&trace)?, records });
        traces.push(trace);
    }
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let written = records::write(&data.store, new).await?;
    let (mut rows, mut begun, mut all) = (Vec::new(), Vec::new(), Vec::with_capacity(traces.len()));
    for (mut trace, written) in traces.into_iter().zip(written) {
        let before = trace.clone();
        let grown = |before: Option<Micros>, new: Option<Micros>, pick: fn(i64, i64) -> i64| {
            let both = before.zip(new).map(|(before, new)| Micros(pick(before.0, new.0)));
            both.or(before).or(new)
        };
        let (first, last) =
            written.span.first_last.map(|(first, last)| (micros(first), micros(last))).unzip();
        trace.sample_period = written.span.period.map(|period| period.to_string());
        trace.n_records = trace.n_records.max(i64::try_from(written.count).unwrap_or(i64::MAX));
        trace.first_start = grown(trace.first_start, first, i64::min);
        trace.last_start = grown(trace.last_start, last, i64::max);
        if trace != before {
            rows.push(TraceRecords {
                id: trace.id,
                sample_period: trace.sample_period.clone(),
                n_records: trace.n_records,
                first_start: trace.first_start,
                last_start: trace.last_start,
            });
        }
        if before.n_records == 0 {
            begun.push(trace.clone());
        }
        all.push((trace, written.changed));
    }
    if !rows.is_empty() {
        data.database.datastore().set_trace_records(rows, now()).await?;
    }
    describe(data, &begun).await?;
    Ok(all)
}

/// Says in the catalog of traces what these are, as far as they have records.
///
/// # Errors
/// The database fails.
pub(crate) async fn describe(data: &Data, traces: &[Trace]) -> Result<(), LoadError> {
    let catalog = records::catalog()?;
    let mut known = Vec::new();
    for trace in traces.iter().filter(|trace| trace.n_records > 0) {
        let mut properties = Properties::default();
        properties.insert("unit", trace.unit.clone());
        properties.insert("description", trace.interpretation.clone());
        if trace.name != trace.trace_id {
            properties.insert("original-name", trace.trace_id.clone());
        }
        let resource = trace.name.parse()?;
        known.push(ResourceMetadata { catalog: catalog.clone(), resource, properties });
    }
    if !known.is_empty() {
        data.database.metadata().patch(Vec::new(), known).await?;
    }
    Ok(())
}

/// The rows of traces by what their people call them, as far as there are such.
pub(super) async fn named(
    data: &Data,
    names: Vec<String>,
) -> Result<HashMap<String, Trace>, RepositoryError> {
    let filter = TraceListFilter { named: Some(names), ..TraceListFilter::default() };
    let rows = data.database.datastore().traces(&filter, Page::ALL).await?;
    Ok(rows.into_iter().map(|row| (row.trace_id.clone(), row)).collect())
}
