//! Meter runs of the seeds, and aggregations of their groups: those that are missing.

use std::collections::HashSet;

use sheaf_db::datastore::{AggregationFilter, NewBatch, Page, Progress, RunFilter};
use sheaf_metering::request::{AggregationTarget, Pair, Settings, Target, pairs};
use sheaf_metering::times::now;
use sheaf_store::Watch;

use super::SeedError;
use crate::data::Data;
use crate::runs::{Which, work_until_ended};

fn batch(kind: &str) -> NewBatch {
    NewBatch { owner: "demo".to_owned(), kind: kind.to_owned(), priority: 0, label: Some("demo".to_owned()) }
}

/// Meters the traces of projects that were not metered for them yet; how far all runs of these projects are.
pub(crate) async fn meter(data: &Data, projects: &[i64], watch: &Watch) -> Result<Progress, SeedError> {
    let datastore = data.database.datastore();
    let of_these = RunFilter { projects: Some(projects.to_vec()), ..RunFilter::default() };
    let there = datastore.runs(&of_these, Page::ALL).await?;
    let there: HashSet<Pair> = there
        .into_iter()
        .filter_map(|run| Some(Pair { project: run.project_id?, trace: run.trace_id? }))
        .collect();
    let targets: Vec<Target> =
        projects.iter().map(|&project| Target { project: Some(project), trace: None }).collect();
    let mut runs = Vec::new();
    // A project that somebody has removed meanwhile has nothing to be metered.
    for pairs in pairs(&datastore, &targets).await?.into_iter().flatten() {
        let missing = pairs.into_iter().filter(|pair| !there.contains(pair));
        runs.extend(missing.map(|pair| Settings::default().run(pair)));
    }
    if !runs.is_empty() {
        datastore.insert_runs(batch("meter_runs"), runs, now()).await?;
    }
    Ok(work_until_ended(data, &Which::Meter(of_these), watch).await?)
}

/// Adds up what was computed, for groups that have no aggregation yet; how far all aggregations of these groups are.
pub(crate) async fn aggregate(data: &Data, groups: &[i64], watch: &Watch) -> Result<Progress, SeedError> {
    let datastore = data.database.datastore();
    let of_these = AggregationFilter { groups: Some(groups.to_vec()), ..AggregationFilter::default() };
    let there = datastore.aggregations(&of_these, Page::ALL).await?;
    let there: HashSet<i64> = there.into_iter().filter_map(|run| run.group_id).collect();
    let mut runs = Vec::new();
    for &group in groups.iter().filter(|group| !there.contains(group)) {
        let target = AggregationTarget {
            group: Some(group),
            aggregation_interpretation: "SUM".to_owned(),
            options: serde_json::json!({}),
            ..AggregationTarget::default()
        };
        let all = target.all(&datastore, None, None).await?;
        runs.extend(all.map_err(|refusal| super::impossible("an aggregation")(&refusal))?);
    }
    if !runs.is_empty() {
        datastore.insert_aggregations(batch("aggregation_runs"), runs, now()).await?;
    }
    Ok(work_until_ended(data, &Which::Aggregation(of_these), watch).await?)
}
