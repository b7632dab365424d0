//! The datastore: projects, traces, meter runs and aggregation runs. `entity::datastore` says what each column means.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0006_datastore"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::execute(manager, TABLES).await?;
        let connection = manager.get_connection();
        let backend = connection.get_database_backend();
        for view in VIEWS {
            connection.execute_unprepared(&with_timestamps(view, backend)).await?;
        }
        Ok(())
    }
}

/// Replaces `{at column}` by the time in that column, for people: a timestamp, which SQLite has as a text.
pub(super) fn with_timestamps(view: &str, backend: DbBackend) -> String {
    let mut parts = view.split("{at ");
    let mut sql = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (column, rest) = part.split_once('}').unwrap_or((part, ""));
        let time = match backend {
            DbBackend::Sqlite => {
                // `%` has the sign of the number, and divisions round towards zero: before 1970 both are wrong.
                let micros = format!("(({column} % 1000000 + 1000000) % 1000000)");
                format!(
                    "strftime('%Y-%m-%dT%H:%M:%S', ({column} - {micros}) / 1000000, 'unixepoch') || printf('.%06dZ', {micros})"
                )
            }
            _ => format!("TIMESTAMPTZ 'epoch' + {column} * INTERVAL '1 microsecond'"),
        };
        sql.push_str(&time);
        sql.push_str(rest);
    }
    sql
}

/// Names and columns are those that OpenEEmeter documents, as far as it has them, in its order; ours follow. Statuses are
/// literals in queries: so are they in indexes.
const TABLES: &[&str] = &[
    r#"CREATE TABLE "datastore_sequences" ("name" {name} NOT NULL PRIMARY KEY, "last" {int} NOT NULL) {clustered}"#,
    r#"CREATE TABLE "datastore_projectowner" ("id" {int} NOT NULL PRIMARY KEY, "user" {name} NOT NULL) {table}"#,
    r#"CREATE UNIQUE INDEX "datastore_projectowner_user" ON "datastore_projectowner" ("user")"#,
    r#"CREATE TABLE "datastore_project" (
        "id" {int} NOT NULL PRIMARY KEY, "project_id" {name} NOT NULL,
        "baseline_period_start" {int}, "baseline_period_end" {int},
        "reporting_period_start" {int}, "reporting_period_end" {int},
        "zipcode" {name}, "project_owner_id" {int}, "added" {int} NOT NULL, "updated" {int} NOT NULL,
        "weather_station" {name}, "weather_normal_station" {name}
    ) {table}"#,
    r#"CREATE UNIQUE INDEX "datastore_project_id" ON "datastore_project" ("project_id")"#,
    r#"CREATE INDEX "datastore_project_zipcode" ON "datastore_project" ("zipcode", "id")"#,
    r#"CREATE TABLE "datastore_trace" (
        "id" {int} NOT NULL PRIMARY KEY, "trace_id" {name} NOT NULL, "interpretation" {name} NOT NULL, "unit" {name} NOT NULL,
        "added" {int} NOT NULL, "updated" {int} NOT NULL,
        "interval" {text}, "name" {name} NOT NULL, "sample_period" {name},
        "n_records" {int} NOT NULL, "first_start" {int}, "last_start" {int}
    ) {table}"#,
    r#"CREATE UNIQUE INDEX "datastore_trace_id" ON "datastore_trace" ("trace_id")"#,
    r#"CREATE UNIQUE INDEX "datastore_trace_name" ON "datastore_trace" ("name")"#,
    r#"CREATE TABLE "datastore_project_traces" (
        "id" {int} NOT NULL PRIMARY KEY, "project_id" {int} NOT NULL, "trace_id" {int} NOT NULL
    ) {table}"#,
    r#"CREATE UNIQUE INDEX "datastore_project_traces_pair" ON "datastore_project_traces" ("project_id", "trace_id")"#,
    r#"CREATE INDEX "datastore_project_traces_trace" ON "datastore_project_traces" ("trace_id", "project_id")"#,
    r#"CREATE TABLE "datastore_projectmetadata" (
        "id" {int} NOT NULL PRIMARY KEY, "project_id" {int} NOT NULL, "key" {name} NOT NULL, "value" {text} NOT NULL
    ) {table}"#,
    r#"CREATE UNIQUE INDEX "datastore_projectmetadata_key" ON "datastore_projectmetadata" ("project_id", "key")"#,
    r#"CREATE INDEX "datastore_projectmetadata_by_key" ON "datastore_projectmetadata" ("key")"#,
    r#"CREATE TABLE "datastore_tracegroup" (
        "id" {int} NOT NULL PRIMARY KEY, "name" {name} NOT NULL, "filter_specification" {text}
    ) {table}"#,
    r#"CREATE UNIQUE INDEX "datastore_tracegroup_name" ON "datastore_tracegroup" ("name")"#,
    r#"CREATE TABLE "datastore_traceblacklist" (
        "id" {int} NOT NULL PRIMARY KEY, "trace_id" {name} NOT NULL, "reason" {text}
    ) {table}"#,
    r#"CREATE UNIQUE INDEX "datastore_traceblacklist_trace" ON "datastore_traceblacklist" ("trace_id")"#,
    r#"CREATE TABLE "metering_batch" (
        "id" {int} NOT NULL PRIMARY KEY, "owner" {name} NOT NULL, "kind" {name} NOT NULL, "priority" {int} NOT NULL, "label" {text},
        "added" {int} NOT NULL
    ) {table}"#,
    // What is long comes last: who looks at a state need not read it.
    r#"CREATE TABLE "metering_meterrun" (
        "id" {int} NOT NULL PRIMARY KEY, "meter_input" {text}, "status" {name} NOT NULL, "failure_message" {text}, "traceback" {text},
        "model_class" {text}, "model_kwargs" {text}, "formatter_class" {text}, "formatter_kwargs" {text},
        "added" {int} NOT NULL, "updated" {int} NOT NULL, "project_id" {int}, "trace_id" {int},
        "batch_id" {int} NOT NULL, "priority" {int} NOT NULL, "attempt" {int} NOT NULL, "holder" {int} NOT NULL,
        "until" {int} NOT NULL, "cancel_requested" {bool} NOT NULL, "started" {int}, "finished" {int},
        "input_hash" {name}, "options" {text} NOT NULL, "input" {text}
    ) {table}"#,
    // With the status, though it is always the same: else SQLite prefers the index by status, and sorts all that wait.
    r#"CREATE INDEX "metering_meterrun_pending" ON "metering_meterrun" ("status", "priority" DESC, "id") WHERE "status" = 'PENDING'"#,
    r#"CREATE INDEX "metering_meterrun_running" ON "metering_meterrun" ("status", "until") WHERE "status" = 'RUNNING'"#,
    r#"CREATE INDEX "metering_meterrun_status" ON "metering_meterrun" ("status", "id")"#,
    r#"CREATE INDEX "metering_meterrun_project" ON "metering_meterrun" ("project_id", "id")"#,
    r#"CREATE INDEX "metering_meterrun_trace" ON "metering_meterrun" ("trace_id", "id")"#,
    r#"CREATE INDEX "metering_meterrun_batch" ON "metering_meterrun" ("batch_id", "id")"#,
    r#"CREATE TABLE "metering_meterresult" (
        "id" {int} NOT NULL PRIMARY KEY, "meter_output" {text}, "status" {name} NOT NULL,
        "eemeter_version" {text}, "datastore_version" {text},
        "model_class" {text}, "model_kwargs" {text}, "formatter_class" {text}, "formatter_kwargs" {text},
        "added" {int} NOT NULL, "updated" {int} NOT NULL,
        "meter_run_id" {int} NOT NULL, "project_id" {int}, "trace_id" {int},
        "input_hash" {name}, "engine_version" {name}, "weather_station" {text}, "weather_normal_station" {text},
        "distance_km" {real}, "coverage" {real}, "warnings" {text}, "pinned" {text}, "models" {text}
    ) {table}"#,
    r#"CREATE INDEX "metering_meterresult_input" ON "metering_meterresult" ("input_hash", "engine_version", "id")"#,
    r#"CREATE INDEX "metering_meterresult_project" ON "metering_meterresult" ("project_id", "id")"#,
    r#"CREATE INDEX "metering_meterresult_trace" ON "metering_meterresult" ("trace_id", "id")"#,
    r#"CREATE TABLE "metering_modelingperiod" (
        "id" {int} NOT NULL PRIMARY KEY, "label" {text} NOT NULL, "interpretation" {name} NOT NULL, "start" {int}, "end" {int},
        "meter_result_id" {int} NOT NULL
    ) {table}"#,
    r#"CREATE INDEX "metering_modelingperiod_result" ON "metering_modelingperiod" ("meter_result_id")"#,
    r#"CREATE TABLE "metering_modelingperiodgroup" (
        "id" {int} NOT NULL PRIMARY KEY, "baseline_id" {int} NOT NULL, "reporting_id" {int} NOT NULL, "meter_result_id" {int} NOT NULL
    ) {table}"#,
    r#"CREATE INDEX "metering_modelingperiodgroup_result" ON "metering_modelingperiodgroup" ("meter_result_id")"#,
    r#"CREATE TABLE "metering_modelresult" (
        "id" {int} NOT NULL PRIMARY KEY, "status" {name} NOT NULL, "traceback" {text}, "start_date" {int}, "end_date" {int}, "n_rows" {int},
        "r2" {real}, "cvrmse" {real}, "rmse" {real}, "lower" {real}, "upper" {real},
        "added" {int} NOT NULL, "updated" {int} NOT NULL,
        "meter_result_id" {int} NOT NULL, "modeling_period_id" {int} NOT NULL, "trace_id" {int}
    ) {table}"#,
    r#"CREATE INDEX "metering_modelresult_result" ON "metering_modelresult" ("meter_result_id")"#,
    // One for each period: the mart has one row for each derivative.
    r#"CREATE UNIQUE INDEX "metering_modelresult_period" ON "metering_modelresult" ("modeling_period_id")"#,
    r#"CREATE TABLE "metering_meterderivative" (
        "id" {int} NOT NULL PRIMARY KEY, "interpretation" {name} NOT NULL, "unit" {name} NOT NULL,
        "baseline_value" {real}, "baseline_lower" {real}, "baseline_upper" {real}, "baseline_n" {real},
        "reporting_value" {real}, "reporting_lower" {real}, "reporting_upper" {real}, "reporting_n" {real},
        "added" {int} NOT NULL, "updated" {int} NOT NULL,
        "meter_result_id" {int} NOT NULL, "modeling_period_group_id" {int}, "trace_id" {int},
        "trace_interpretation" {name} NOT NULL, "differential_direction" {name},
        "differential_value" {real}, "differential_lower" {real}, "differential_upper" {real}
    ) {table}"#,
    r#"CREATE INDEX "metering_meterderivative_result" ON "metering_meterderivative" ("meter_result_id")"#,
    r#"CREATE INDEX "metering_meterderivative_trace" ON "metering_meterderivative" ("trace_id", "id")"#,
    r#"CREATE TABLE "metering_current" (
        "project_id" {int} NOT NULL, "trace_id" {int} NOT NULL, "meter_result_id" {int} NOT NULL,
        PRIMARY KEY ("project_id", "trace_id")
    ) {clustered}"#,
    r#"CREATE INDEX "metering_current_trace" ON "metering_current" ("trace_id")"#,
    r#"CREATE UNIQUE INDEX "metering_current_result" ON "metering_current" ("meter_result_id")"#,
    r#"CREATE TABLE "metering_aggregationrun" (
        "id" {int} NOT NULL PRIMARY KEY, "aggregation_input" {text}, "status" {name} NOT NULL,
        "failure_message" {text}, "traceback" {text},
        "trace_interpretation" {name}, "derivative_interpretation" {name}, "aggregation_interpretation" {name} NOT NULL,
        "group_id" {int}, "added" {int} NOT NULL, "updated" {int} NOT NULL,
        "batch_id" {int} NOT NULL, "priority" {int} NOT NULL, "attempt" {int} NOT NULL, "holder" {int} NOT NULL,
        "until" {int} NOT NULL, "cancel_requested" {bool} NOT NULL, "started" {int}, "finished" {int},
        "trace_interpretation_given" {text}, "derivative_interpretation_given" {text}, "all_runs" {bool} NOT NULL,
        "input_hash" {name}, "options" {text} NOT NULL,
        "projects" {text} NOT NULL, "traces" {text} NOT NULL, "derivatives" {text} NOT NULL
    ) {table}"#,
    r#"CREATE INDEX "metering_aggregationrun_pending" ON "metering_aggregationrun" ("status", "priority" DESC, "id") WHERE "status" = 'PENDING'"#,
    r#"CREATE INDEX "metering_aggregationrun_running" ON "metering_aggregationrun" ("status", "until") WHERE "status" = 'RUNNING'"#,
    r#"CREATE INDEX "metering_aggregationrun_status" ON "metering_aggregationrun" ("status", "id")"#,
    r#"CREATE INDEX "metering_aggregationrun_batch" ON "metering_aggregationrun" ("batch_id", "id")"#,
    r#"CREATE INDEX "metering_aggregationrun_group" ON "metering_aggregationrun" ("group_id", "id")"#,
    r#"CREATE TABLE "metering_aggregationresult" (
        "id" {int} NOT NULL PRIMARY KEY, "aggregation_input" {text},
        "trace_interpretation" {name}, "derivative_interpretation" {name}, "aggregation_interpretation" {name} NOT NULL,
        "eemeter_version" {text}, "datastore_version" {text}, "unit" {name},
        "baseline_value" {real}, "baseline_lower" {real}, "baseline_upper" {real}, "baseline_n" {real},
        "reporting_value" {real}, "reporting_lower" {real}, "reporting_upper" {real}, "reporting_n" {real},
        "differential_direction" {name},
        "differential_value" {real}, "differential_lower" {real}, "differential_upper" {real}, "differential_n" {real},
        "added" {int} NOT NULL, "updated" {int} NOT NULL, "aggregation_run_id" {int} NOT NULL,
        "n_derivatives" {int} NOT NULL, "n_accepted" {int} NOT NULL, "n_accepted_baseline" {int} NOT NULL,
        "n_accepted_reporting" {int} NOT NULL, "n_rejected" {int} NOT NULL, "n_rejected_baseline" {int} NOT NULL,
        "n_rejected_reporting" {int} NOT NULL,
        "input_hash" {name}, "engine_version" {name}, "warnings" {text}, "details" {text}
    ) {table}"#,
    r#"CREATE TABLE "metering_aggregationderivativestatus" (
        "id" {int} NOT NULL PRIMARY KEY, "status" {name} NOT NULL, "baseline_status" {name} NOT NULL, "reporting_status" {name} NOT NULL,
        "aggregation_result_id" {int} NOT NULL, "derivative_id" {int} NOT NULL
    ) {table}"#,
    r#"CREATE INDEX "metering_aggregationderivativestatus_result" ON "metering_aggregationderivativestatus" ("aggregation_result_id", "id")"#,
];

/// The marts of OpenEEmeter, with its columns in its order, one of which it misspelt; the same one spelt right follows. They
/// are always current, and never made twice. Bounds are positions here, not distances.
const VIEWS: &[&str] = &[
    // One row for each derivative, and one with a negative id for a result that has none.
    r#"CREATE VIEW "warehouse_meterresultmart" AS SELECT
        COALESCE(d."id", -r."id") AS "id",
        t."trace_id" AS "trace_id", r."trace_id" AS "trace_pk",
        t."interpretation" AS "trace_interpretation", t."unit" AS "trace_unit",
        p."project_id" AS "project_id", r."project_id" AS "project_pk",
        u."meter_input" AS "serialized_input_url", r."meter_output" AS "serialized_output_url",
        r."id" AS "meter_result_pk", r."status" AS "meter_result_status",
        r."eemeter_version" AS "meter_result_eemeter_version", r."datastore_version" AS "meter_result_datastore_version",
        r."model_class" AS "meter_result_model_class", r."model_kwargs" AS "meter_result_model_kwargs",
        r."formatter_class" AS "meter_result_formatter_class", r."formatter_kwargs" AS "meter_result_formatter_kwargs",
        {at r."added"} AS "meter_result_added", {at r."updated"} AS "meter_result_updated",
        u."id" AS "meter_run_pk", u."status" AS "meter_run_status", u."failure_message" AS "meter_run_failure_message",
        u."traceback" AS "meter_run_traceback",
        {at u."added"} AS "meter_run_added", {at u."updated"} AS "meter_run_updated",
        d."modeling_period_group_id" AS "modeling_period_group_pk",
        d."id" AS "derivative_pk", d."interpretation" AS "derivative_interpretation", d."unit" AS "derivative_unit",
        bp."id" AS "baseline_period_pk", bp."label" AS "baseline_period_label",
        {at bp."start"} AS "baseline_period_start", {at bp."end"} AS "baseline_period_end",
        bm."id" AS "baseline_model_result_pk", bm."status" AS "baseline_model_result_status",
        bm."traceback" AS "baseline_model_result_traceback", bm."r2" AS "baseline_model_result_r2",
        bm."cvrmse" AS "baseline_model_result_cvrmse", bm."n_rows" AS "baseline_model_result_n_rows",
        bm."rmse" AS "baseline_model_result_rmse",
        d."baseline_value" AS "baseline_derivative_value",
        d."baseline_value" - d."baseline_lower" AS "baseline_derivative_lower_bound",
        d."baseline_value" + d."baseline_upper" AS "baseline_derivative_upper_bound",
        rp."id" AS "reporting_period_pk", rp."label" AS "reporting_period_label",
        {at rp."start"} AS "reporting_period_start", {at rp."end"} AS "reporting_period_end",
        rm."id" AS "reporting_model_result_pk", rm."status" AS "reporting_model_result_status",
        rm."traceback" AS "reporting_model_result_traceback", rm."r2" AS "reporting_model_result_r2",
        rm."cvrmse" AS "reporting_model_result_cvrmse", rm."n_rows" AS "reporting_model_result_n_rows",
        rm."rmse" AS "reporting_model_result_rmse",
        d."reporting_value" AS "reporting_derivative_value",
        d."reporting_value" - d."reporting_lower" AS "reporting_derivative_lower_bound",
        d."reporting_value" + d."reporting_upper" AS "reporting_derivative_upper_bound",
        d."differential_value" AS "differential_value", d."differential_direction" AS "differential_direction",
        d."differential_value" - d."differential_lower" AS "differential_lower_bound",
        d."differential_value" + d."differential_upper" AS "differential_upper_bound"
    FROM "metering_meterresult" r
    LEFT JOIN "metering_meterrun" u ON u."id" = r."id"
    LEFT JOIN "datastore_trace" t ON t."id" = r."trace_id"
    LEFT JOIN "datastore_project" p ON p."id" = r."project_id"
    LEFT JOIN "metering_meterderivative" d ON d."meter_result_id" = r."id"
    LEFT JOIN "metering_modelingperiodgroup" g ON g."id" = d."modeling_period_group_id"
    LEFT JOIN "metering_modelingperiod" bp ON bp."id" = g."baseline_id"
    LEFT JOIN "metering_modelingperiod" rp ON rp."id" = g."reporting_id"
    LEFT JOIN "metering_modelresult" bm ON bm."modeling_period_id" = bp."id"
    LEFT JOIN "metering_modelresult" rm ON rm."modeling_period_id" = rp."id""#,
    // One row for each aggregation run, with or without a group, and a result or none.
    r#"CREATE VIEW "warehouse_groupstatisticsmart" AS SELECT
        u."id" AS "id", g."name" AS "group_name", u."group_id" AS "group_pk",
        u."aggregation_input" AS "serialized_input_url", r."aggregation_input" AS "serialized_output_url",
        u."id" AS "aggregation_run_pk", u."status" AS "aggregation_run_status",
        u."failure_message" AS "aggregation_run_failure_message", u."traceback" AS "aggregation_run_traceback",
        {at u."added"} AS "aggregation_run_added", {at u."updated"} AS "aggregation_run_updated",
        r."id" AS "aggregation_result_pk", r."n_derivatives" AS "n_derivatives",
        {at r."added"} AS "aggregation_result_added", {at r."updated"} AS "aggregation_result_updated",
        r."eemeter_version" AS "aggregation_result_eemeter_version",
        r."datastore_version" AS "aggregetion_result_datastore_version",
        u."trace_interpretation" AS "trace_interpretation",
        u."derivative_interpretation" AS "derivative_interpretation",
        u."aggregation_interpretation" AS "statistic_interpretation", r."unit" AS "statistic_unit",
        r."baseline_value" AS "baseline_value",
        r."baseline_value" - r."baseline_lower" AS "baseline_lower_bound",
        r."baseline_value" + r."baseline_upper" AS "baseline_upper_bound",
        r."reporting_value" AS "reporting_value",
        r."reporting_value" - r."reporting_lower" AS "reporting_lower_bound",
        r."reporting_value" + r."reporting_upper" AS "reporting_upper_bound",
        r."differential_value" AS "differential_value", r."differential_direction" AS "differential_direction",
        r."differential_value" - r."differential_lower" AS "differential_lower_bound",
        r."differential_value" + r."differential_upper" AS "differential_upper_bound",
        r."n_accepted" AS "n_derivatives_accepted",
        r."n_accepted_baseline" AS "n_derivatives_accepted_baseline",
        r."n_accepted_reporting" AS "n_derivatives_accepted_reporting",
        r."n_rejected" AS "n_derivatives_rejected",
        r."n_rejected_baseline" AS "n_derivatives_rejected_baseline",
        r."n_rejected_reporting" AS "n_derivatives_rejected_reporting",
        r."datastore_version" AS "aggregation_result_datastore_version"
    FROM "metering_aggregationrun" u
    LEFT JOIN "metering_aggregationresult" r ON r."id" = u."id"
    LEFT JOIN "datastore_tracegroup" g ON g."id" = u."group_id""#,
    // The same, as people call them.
    r#"CREATE VIEW "meterresultmart" AS SELECT * FROM "warehouse_meterresultmart""#,
    r#"CREATE VIEW "groupstatisticsmart" AS SELECT * FROM "warehouse_groupstatisticsmart""#,
];
