//! The marts of OpenEEmeter whose names are all that is known of them, with columns of ours. `repo::datastore::marts` says what
//! is in them.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::m0006_datastore::with_timestamps;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0007_marts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let backend = connection.get_database_backend();
        for view in VIEWS {
            connection.execute_unprepared(&with_timestamps(view, backend)).await?;
        }
        Ok(())
    }
}

const VIEWS: &[&str] = &[
    // One row for each model of a modelling period, or for why there is none.
    r#"CREATE VIEW "warehouse_modelresultmart" AS SELECT
        m."id" AS "id",
        t."trace_id" AS "trace_id", m."trace_id" AS "trace_pk",
        t."interpretation" AS "trace_interpretation", t."unit" AS "trace_unit",
        p."project_id" AS "project_id", r."project_id" AS "project_pk",
        m."meter_result_id" AS "meter_result_pk",
        CAST(CASE WHEN EXISTS (SELECT 1 FROM "metering_current" c WHERE c."meter_result_id" = m."meter_result_id")
            THEN 1 ELSE 0 END AS BIGINT) AS "is_current",
        r."model_class" AS "model_class", r."model_kwargs" AS "model_kwargs",
        r."weather_station" AS "weather_station",
        s."id" AS "modeling_period_pk", s."label" AS "modeling_period_label",
        s."interpretation" AS "modeling_period_interpretation",
        {at s."start"} AS "modeling_period_start", {at s."end"} AS "modeling_period_end",
        m."status" AS "status", m."traceback" AS "traceback",
        {at m."start_date"} AS "start_date", {at m."end_date"} AS "end_date",
        m."n_rows" AS "n_rows", m."r2" AS "r2", m."cvrmse" AS "cvrmse", m."rmse" AS "rmse",
        {at m."added"} AS "added", {at m."updated"} AS "updated"
    FROM "metering_modelresult" m
    LEFT JOIN "metering_meterresult" r ON r."id" = m."meter_result_id"
    LEFT JOIN "metering_modelingperiod" s ON s."id" = m."modeling_period_id"
    LEFT JOIN "datastore_trace" t ON t."id" = m."trace_id"
    LEFT JOIN "datastore_project" p ON p."id" = r."project_id""#,
    // One row for each project. Savings are sums over its traces of what is current.
    r#"CREATE VIEW "warehouse_projectsummarymart" AS SELECT
        p."id" AS "id", p."project_id" AS "project_id", p."zipcode" AS "zipcode",
        {at p."baseline_period_start"} AS "baseline_period_start", {at p."baseline_period_end"} AS "baseline_period_end",
        {at p."reporting_period_start"} AS "reporting_period_start", {at p."reporting_period_end"} AS "reporting_period_end",
        (SELECT COUNT(*) FROM "datastore_project_traces" l WHERE l."project_id" = p."id") AS "n_traces",
        (SELECT CAST(COALESCE(SUM(t."n_records"), 0) AS BIGINT) FROM "datastore_project_traces" l
            JOIN "datastore_trace" t ON t."id" = l."trace_id" WHERE l."project_id" = p."id") AS "n_records",
        (SELECT COUNT(*) FROM "metering_current" c WHERE c."project_id" = p."id") AS "n_current_results",
        (SELECT SUM(d."differential_value") FROM "metering_current" c
            JOIN "metering_meterderivative" d ON d."meter_result_id" = c."meter_result_id"
            WHERE c."project_id" = p."id" AND d."interpretation" = 'gross_predicted'
            AND d."trace_interpretation" = 'ELECTRICITY_CONSUMPTION_SUPPLIED') AS "electricity_gross_predicted_savings_kwh",
        (SELECT SUM(d."differential_value") FROM "metering_current" c
            JOIN "metering_meterderivative" d ON d."meter_result_id" = c."meter_result_id"
            WHERE c."project_id" = p."id" AND d."interpretation" = 'annualized_weather_normal'
            AND d."trace_interpretation" = 'ELECTRICITY_CONSUMPTION_SUPPLIED')
            AS "electricity_annualized_weather_normal_savings_kwh",
        (SELECT SUM(d."differential_value") FROM "metering_current" c
            JOIN "metering_meterderivative" d ON d."meter_result_id" = c."meter_result_id"
            WHERE c."project_id" = p."id" AND d."interpretation" = 'gross_predicted'
            AND d."trace_interpretation" = 'NATURAL_GAS_CONSUMPTION_SUPPLIED') AS "natural_gas_gross_predicted_savings_therm",
        (SELECT SUM(d."differential_value") FROM "metering_current" c
            JOIN "metering_meterderivative" d ON d."meter_result_id" = c."meter_result_id"
            WHERE c."project_id" = p."id" AND d."interpretation" = 'annualized_weather_normal'
            AND d."trace_interpretation" = 'NATURAL_GAS_CONSUMPTION_SUPPLIED')
            AS "natural_gas_annualized_weather_normal_savings_therm",
        {at p."added"} AS "added", {at p."updated"} AS "updated"
    FROM "datastore_project" p"#,
    // One row for each trace.
    r#"CREATE VIEW "warehouse_tracesummarymart" AS SELECT
        t."id" AS "id", t."trace_id" AS "trace_id", t."interpretation" AS "interpretation", t."unit" AS "unit",
        t."interval" AS "interval", t."sample_period" AS "sample_period", t."n_records" AS "n_records",
        {at t."first_start"} AS "first_start", {at t."last_start"} AS "last_start",
        (SELECT COUNT(*) FROM "datastore_project_traces" l WHERE l."trace_id" = t."id") AS "n_projects",
        (SELECT COUNT(*) FROM "metering_meterresult" r WHERE r."trace_id" = t."id") AS "n_results",
        (SELECT COUNT(*) FROM "metering_current" c WHERE c."trace_id" = t."id") AS "n_current_results",
        (SELECT COUNT(*) FROM "datastore_traceblacklist" b WHERE b."trace_id" = t."trace_id") AS "is_blacklisted",
        {at t."added"} AS "added", {at t."updated"} AS "updated"
    FROM "datastore_trace" t"#,
    // The same, as people call them.
    r#"CREATE VIEW "modelresultmart" AS SELECT * FROM "warehouse_modelresultmart""#,
    r#"CREATE VIEW "projectsummarymart" AS SELECT * FROM "warehouse_projectsummarymart""#,
    r#"CREATE VIEW "tracesummarymart" AS SELECT * FROM "warehouse_tracesummarymart""#,
];
