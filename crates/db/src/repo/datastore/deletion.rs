//! What goes, and what goes with it.

use super::aggregations::delete_aggregations;
use super::queue::Conditions;
use super::results::make_current;
use super::{AggregationFilter, Datastore, RunFilter, Transaction};
use crate::entity::datastore::{
    current, meter_derivatives, meter_results, meter_runs, model_results, modeling_period_groups,
    modeling_periods, project_metadata, project_traces, projects, trace_groups, traces,
};
use crate::error::RepositoryError;
use crate::table::Sql;

impl Datastore {
    /// Removes meter runs with all that came of them; returns how many. What was current because of them is what was before.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_runs(&self, which: &RunFilter) -> Result<u64, RepositoryError> {
        let transaction = Transaction::write::<meter_runs::Entity>(&self.database).await?;
        let deleted = delete_runs(&transaction, which).await?;
        transaction.commit::<meter_runs::Entity>().await?;
        Ok(deleted)
    }

    /// Removes projects with their mappings and metadata, and their runs with all that came of them; returns how many projects
    /// there were. Their traces stay.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_projects(&self, ids: &[i64]) -> Result<u64, RepositoryError> {
        let transaction = Transaction::write::<projects::Entity>(&self.database).await?;
        let of_these = RunFilter { projects: Some(ids.to_vec()), ..RunFilter::default() };
        delete_runs(&transaction, &of_these).await?;
        transaction.delete_where::<project_traces::Entity>("project_id", ids).await?;
        transaction.delete_where::<project_metadata::Entity>("project_id", ids).await?;
        let deleted = transaction.delete_where::<projects::Entity>("id", ids).await?;
        transaction.commit_mappings::<projects::Entity>().await?;
        Ok(deleted)
    }

    /// Removes traces with their mappings, and their runs with all that came of them; returns how many traces there were. Their
    /// records are not here.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_traces(&self, ids: &[i64]) -> Result<u64, RepositoryError> {
        let transaction = Transaction::write::<traces::Entity>(&self.database).await?;
        let of_these = RunFilter { traces: Some(ids.to_vec()), ..RunFilter::default() };
        delete_runs(&transaction, &of_these).await?;
        transaction.delete_where::<project_traces::Entity>("trace_id", ids).await?;
        let deleted = transaction.delete_where::<traces::Entity>("id", ids).await?;
        transaction.commit_mappings::<traces::Entity>().await?;
        Ok(deleted)
    }

    /// Removes a group, with the aggregation runs that were asked for with it and all that came of them; returns whether it was
    /// there.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_group(&self, id: i64) -> Result<bool, RepositoryError> {
        let transaction = Transaction::write::<trace_groups::Entity>(&self.database).await?;
        let of_this = AggregationFilter { groups: Some(vec![id]), ..AggregationFilter::default() };
        delete_aggregations(&transaction, &of_this).await?;
        let deleted = transaction.delete_where::<trace_groups::Entity>("id", &[id]).await?;
        transaction.commit::<trace_groups::Entity>().await?;
        Ok(deleted > 0)
    }
}

async fn delete_runs(transaction: &Transaction<'_>, which: &RunFilter) -> Result<u64, RepositoryError> {
    let all = Sql::new(&transaction.tx, "SELECT \"id\" FROM \"metering_meterrun\" WHERE TRUE");
    let ids = transaction.query_ids::<meter_runs::Entity>(which.conditions(all)).await?;
    delete_results(transaction, &ids).await?;
    transaction.delete_where::<meter_runs::Entity>("id", &ids).await
}

/// Removes the results of runs with all that belongs to them.
pub(super) async fn delete_results(
    transaction: &Transaction<'_>,
    ids: &[i64],
) -> Result<(), RepositoryError> {
    let sql = "SELECT DISTINCT \"trace_id\" FROM \"metering_current\" WHERE \"meter_result_id\" IN ";
    let sql = Sql::new(&transaction.tx, sql).ids(ids);
    let traces = transaction.query_ids::<current::Entity>(sql).await?;
    transaction.delete_where::<meter_derivatives::Entity>("meter_result_id", ids).await?;
    transaction.delete_where::<model_results::Entity>("meter_result_id", ids).await?;
    transaction.delete_where::<modeling_period_groups::Entity>("meter_result_id", ids).await?;
    transaction.delete_where::<modeling_periods::Entity>("meter_result_id", ids).await?;
    transaction.delete_where::<meter_results::Entity>("id", ids).await?;
    transaction.delete_where::<current::Entity>("meter_result_id", ids).await?;
    // For those, what is left decides.
    if !traces.is_empty() {
        make_current(transaction, |sql| sql.text("\"trace_id\" IN ").ids(&traces)).await?;
    }
    Ok(())
}
