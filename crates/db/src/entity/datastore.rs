//! The tables of the datastore, and what each column means. This is the description of the tables for who writes SQL, too.
//!
//! Names, columns and their order are those that OpenEEmeter documents; what it has not follows, marked `+`. Ids are numbers
//! of their table that grow and are never used again ([`sequences`]). Times are microseconds since 1970, UTC; the marts
//! (`warehouse_meterresultmart`, `warehouse_groupstatisticsmart`) show them as timestamps. JSON is a text. `lower` and `upper`
//! are distances from a value, down and up, at 95 %; the marts show positions. The records of traces are no table: they are
//! series in the store.
//!
//! Nothing here refers to what is not there, but for `derivative_id` of what went into an aggregation, and the ids in its
//! request: what was aggregated stays known when runs are deleted.

use std::fmt;
use std::str::FromStr;

use sea_orm::DeriveValueType;

/// A time: microseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct Micros(pub i64);

/// Ids of rows; a list in JSON in the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, DeriveValueType)]
#[sea_orm(value_type = "String")]
pub struct Ids(pub Vec<i64>);

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Ids {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Ids, serde_json::Error> {
        serde_json::from_str(text).map(Ids)
    }
}

/// A word that is none of those that a column has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is none of {words}")]
pub struct UnknownWord {
    word: String,
    words: &'static str,
}

/// An enum whose values are words in the tables. What follows a word after `|` is understood, too.
macro_rules! words {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal $(| $alias:literal)?,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, DeriveValueType)]
        #[sea_orm(value_type = "String")]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The word.
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<$name, UnknownWord> {
                match word {
                    $($word $(| $alias)? => Ok($name::$variant),)*
                    _ => Err(UnknownWord { word: word.to_string(), words: concat!($($word, " "),*).trim_ascii_end() }),
                }
            }
        }
    };
}

words! {
    /// Where a run stands.
    RunStatus {
        /// It waits for its turn.
        Pending = "PENDING",
        /// Somebody does it.
        Running = "RUNNING",
        /// It is done.
        Success = "SUCCESS",
        /// It has failed for good; the failure message says why.
        Failed = "FAILED" | "FAILURE",
        /// It was cancelled.
        Cancelled = "CANCELLED",
    }
}

words! {
    /// How a run's work ended.
    ResultStatus {
        /// There are figures.
        Success = "SUCCESS",
        /// There are none.
        Failure = "FAILURE",
    }
}

words! {
    /// What an aggregation did with a derivative, or one side of it.
    MemberStatus {
        /// It counts.
        Accepted = "ACCEPTED",
        /// It does not.
        Rejected = "REJECTED",
        /// A default counts in its place.
        Default = "DEFAULT",
    }
}

/// A table without checksums: its entity, and the struct that its rows are. First the columns of the key, then the others.
macro_rules! row {
    (
        $(#[$doc:meta])*
        $row:ident of $module:ident, $table:tt
        { $($(#[$key_doc:meta])* $key:ident: $key_type:ty,)+ }
        { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $row {
            $($(#[$key_doc])* pub $key: $key_type,)+
            $($(#[$field_doc])* pub $field: $type,)*
        }

        pub(crate) mod $module {
            use sea_orm::entity::prelude::*;

            #[expect(unused_imports, reason = "no table has columns of all of these types")]
            use super::{Ids, MemberStatus, Micros, ResultStatus, RunStatus};

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model {
                $(#[sea_orm(primary_key, auto_increment = false)] pub $key: $key_type,)+
                $(pub $field: $type,)*
            }

            #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}

            impl crate::table::Table for Entity {
                type Row = super::$row;

                fn push_values(row: super::$row, values: &mut Vec<sea_orm::Value>) {
                    let super::$row { $($key,)+ $($field,)* } = row;
                    $(values.push($key.into());)+
                    $(values.push($field.into());)*
                }

                fn read(columns: &mut crate::table::Columns<'_>) -> Result<super::$row, sea_orm::DbErr> {
                    $(let $key = columns.next()?;)+
                    $(let $field = columns.next()?;)*
                    Ok(super::$row { $($key,)+ $($field,)* })
                }
            }
        }
    };
}

row! {
    /// The last id of a table. Ids are given out in the transaction that uses them, and none is ever used again.
    Sequence of sequences, "datastore_sequences"
    {
        /// The table.
        name: String,
    }
    {
        /// Its last id; the first is 1.
        last: i64,
    }
}

row! {
    /// Whose projects are: one for each user who has any.
    ProjectOwner of project_owners, "datastore_projectowner"
    {
        /// Its number.
        id: i64,
    }
    {
        /// The user's name; unique.
        user: String,
    }
}

row! {
    /// A project: a place where something is changed, and when.
    Project of projects, "datastore_project"
    {
        /// Its number.
        id: i64,
    }
    {
        /// What its people call it; unique, 1 to 255 characters.
        project_id: String,
        /// Before it nothing counts for the baseline; as far back as there are records if nothing.
        baseline_period_start: Option<Micros>,
        /// When the change begins.
        baseline_period_end: Option<Micros>,
        /// When the change is over.
        reporting_period_start: Option<Micros>,
        /// After it nothing counts for the reporting period; as long as there are records if nothing.
        reporting_period_end: Option<Micros>,
        /// Where it is; at most 10 characters. Five digits choose the weather.
        zipcode: Option<String>,
        /// Whose it is: an id of `datastore_projectowner`.
        project_owner_id: Option<i64>,
        /// Since when it is here.
        added: Micros,
        /// When it was changed last.
        updated: Micros,
        /// + The station whose weather counts, if not the one that the place chooses.
        weather_station: Option<String>,
        /// + The station whose normal year counts, likewise.
        weather_normal_station: Option<String>,
    }
}

row! {
    /// A trace: a metered series of any number of projects.
    Trace of traces, "datastore_trace"
    {
        /// Its number.
        id: i64,
    }
    {
        /// What its people call it; unique, 1 to 255 characters.
        trace_id: String,
        /// What it means, by its long name.
        interpretation: String,
        /// `KWH` or `THERM`.
        unit: String,
        /// Since when it is here.
        added: Micros,
        /// When it was changed last, or records were written.
        updated: Micros,
        /// + What its people say about the length of its intervals, as they say it.
        interval: Option<String>,
        /// + Its resource in the catalog of traces: unique, spelt as ids of resources are.
        name: String,
        /// + How long each of its intervals is, like `15_min`; nothing where they differ, or there are none.
        sample_period: Option<String>,
        /// + How many records it has.
        n_records: i64,
        /// + When the first of them begins.
        first_start: Option<Micros>,
        /// + When the last of them begins.
        last_start: Option<Micros>,
    }
}

row! {
    /// That a trace is one of a project. Unique.
    ProjectTrace of project_traces, "datastore_project_traces"
    {
        /// Its number.
        id: i64,
    }
    {
        /// The id of the project's row.
        project_id: i64,
        /// The id of the trace's row.
        trace_id: i64,
    }
}

row! {
    /// Something else that is known about a project; filters of groups look at it.
    ProjectMetadata of project_metadata, "datastore_projectmetadata"
    {
        /// Its number.
        id: i64,
    }
    {
        /// The id of the project's row.
        project_id: i64,
        /// What it is; unique within a project, 1 to 255 characters.
        key: String,
        /// The value, a text.
        value: String,
    }
}

row! {
    /// A group of traces: those that fit a filter whenever it is asked for.
    TraceGroup of trace_groups, "datastore_tracegroup"
    {
        /// Its number.
        id: i64,
    }
    {
        /// Its name; unique, 1 to 255 characters.
        name: String,
        /// The filter, JSON; nothing where all traces fit.
        filter_specification: Option<String>,
    }
}

row! {
    /// A trace that is not to be used.
    BlacklistedTrace of trace_blacklist, "datastore_traceblacklist"
    {
        /// Its number.
        id: i64,
    }
    {
        /// What its people call it; there need be no such trace. Unique.
        trace_id: String,
        /// Why.
        reason: Option<String>,
    }
}

row! {
    /// + What was asked for at once: the runs of one request.
    Batch of batches, "metering_batch"
    {
        /// Its number.
        id: i64,
    }
    {
        /// The id of the user who wants it.
        owner: String,
        /// What kind of request it was.
        kind: String,
        /// Runs with a higher one come first; 0 by default.
        priority: i64,
        /// What to call it.
        label: Option<String>,
        /// When it was asked for.
        added: Micros,
    }
}

row! {
    /// A meter run: what is to be computed of a trace, and how that stands.
    MeterRun of meter_runs, "metering_meterrun"
    {
        /// Its number, and that of its result.
        id: i64,
    }
    {
        /// Where its input is, a path at this server; nothing until there is one.
        meter_input: Option<String>,
        /// Where it stands.
        status: RunStatus,
        /// Why it failed, for good or the last time.
        failure_message: Option<String>,
        /// More about it.
        traceback: Option<String>,
        /// The model that was asked for.
        model_class: Option<String>,
        /// Its settings, a JSON object.
        model_kwargs: Option<String>,
        /// The formatter that was asked for.
        formatter_class: Option<String>,
        /// Its settings, a JSON object.
        formatter_kwargs: Option<String>,
        /// When it was asked for.
        added: Micros,
        /// When it was changed last.
        updated: Micros,
        /// The project; nothing if its input was supplied.
        project_id: Option<i64>,
        /// The trace; likewise.
        trace_id: Option<i64>,
        /// + The request that it is from: an id of `metering_batch`.
        batch_id: i64,
        /// + Higher ones come first.
        priority: i64,
        /// + How often it was begun.
        attempt: i64,
        /// + Who does it, if it is `RUNNING`.
        holder: i64,
        /// + Until when others leave it to him.
        until: Micros,
        /// + Whether somebody wants it to stop.
        cancel_requested: bool,
        /// + When it was begun first.
        started: Option<Micros>,
        /// + When it ended.
        finished: Option<Micros>,
        /// + The hash of all that its result depends on.
        input_hash: Option<String>,
        /// + Everything else that was asked for, JSON.
        options: String,
        /// + The input that was supplied, JSON.
        input: Option<String>,
    }
}

row! {
    /// What came of a meter run.
    MeterResult of meter_results, "metering_meterresult"
    {
        /// The id of its run.
        id: i64,
    }
    {
        /// Where its output is, a path at this server.
        meter_output: Option<String>,
        /// Whether there are figures.
        status: ResultStatus,
        /// The version of eemeter whose arithmetic it follows.
        eemeter_version: Option<String>,
        /// The version of this program.
        datastore_version: Option<String>,
        /// The model that was used.
        model_class: Option<String>,
        /// Its settings, a JSON object.
        model_kwargs: Option<String>,
        /// The formatter that was used.
        formatter_class: Option<String>,
        /// Its settings, a JSON object.
        formatter_kwargs: Option<String>,
        /// Since when it is here.
        added: Micros,
        /// When it was changed last.
        updated: Micros,
        /// The run: the same id.
        meter_run_id: i64,
        /// Its project.
        project_id: Option<i64>,
        /// Its trace.
        trace_id: Option<i64>,
        /// + The hash of all that it depends on.
        input_hash: Option<String>,
        /// + The version of the arithmetic: the same input and version give the same figures.
        engine_version: Option<String>,
        /// + The station whose weather was used.
        weather_station: Option<String>,
        /// + The station whose normal year was used.
        weather_normal_station: Option<String>,
        /// + How far that weather is from the place, in kilometres.
        distance_km: Option<f64>,
        /// + How much of the time that counts has weather, from 0 to 1.
        coverage: Option<f64>,
        /// + What is to be said about it, a JSON list.
        warnings: Option<String>,
        /// + What the input was made from, JSON: series, ranges, commits, settings.
        pinned: Option<String>,
        /// + The models, JSON.
        models: Option<String>,
    }
}

row! {
    /// A part of a trace's time that has a model.
    ModelingPeriod of modeling_periods, "metering_modelingperiod"
    {
        /// Its number.
        id: i64,
    }
    {
        /// What it is called: `baseline` or `reporting`, where there is one of each.
        label: String,
        /// `BASELINE` or `REPORTING`.
        interpretation: String,
        /// When it begins; a baseline may be open.
        start: Option<Micros>,
        /// When it ends; a reporting period may be open.
        end: Option<Micros>,
        /// The result that it belongs to.
        meter_result_id: i64,
    }
}

row! {
    /// A baseline and a reporting period that are compared.
    ModelingPeriodGroup of modeling_period_groups, "metering_modelingperiodgroup"
    {
        /// Its number.
        id: i64,
    }
    {
        /// The baseline: an id of `metering_modelingperiod`.
        baseline_id: i64,
        /// The reporting period: likewise.
        reporting_id: i64,
        /// The result that it belongs to.
        meter_result_id: i64,
    }
}

row! {
    /// The model of a modelling period, one at most.
    ModelResult of model_results, "metering_modelresult"
    {
        /// Its number.
        id: i64,
    }
    {
        /// Whether there is a model.
        status: ResultStatus,
        /// Why not.
        traceback: Option<String>,
        /// When the first interval that it was made from begins.
        start_date: Option<Micros>,
        /// When the last one begins.
        end_date: Option<Micros>,
        /// How many there are.
        n_rows: Option<i64>,
        /// R².
        r2: Option<f64>,
        /// The root mean square of the residuals over the mean, a fraction.
        cvrmse: Option<f64>,
        /// The root mean square of the residuals, in the trace's unit a day: usage per day is what is fitted.
        rmse: Option<f64>,
        /// How far below one prediction the truth may lie, in that unit.
        lower: Option<f64>,
        /// How far above.
        upper: Option<f64>,
        /// Since when it is here.
        added: Micros,
        /// When it was changed last.
        updated: Micros,
        /// The result that it belongs to.
        meter_result_id: i64,
        /// The modelling period; unique.
        modeling_period_id: i64,
        /// The trace.
        trace_id: Option<i64>,
    }
}

row! {
    /// A derivative: a figure before and the same one after.
    MeterDerivative of meter_derivatives, "metering_meterderivative"
    {
        /// Its number.
        id: i64,
    }
    {
        /// What it says, like `annualized_weather_normal`.
        interpretation: String,
        /// Of values and bounds.
        unit: String,
        /// Before; nothing if it can't be said.
        baseline_value: Option<f64>,
        /// How far below it the truth may lie.
        baseline_lower: Option<f64>,
        /// How far above.
        baseline_upper: Option<f64>,
        /// How many points it is the sum of.
        baseline_n: Option<f64>,
        /// After; nothing if it can't be said.
        reporting_value: Option<f64>,
        /// How far below it the truth may lie.
        reporting_lower: Option<f64>,
        /// How far above.
        reporting_upper: Option<f64>,
        /// How many points it is the sum of.
        reporting_n: Option<f64>,
        /// Since when it is here.
        added: Micros,
        /// When it was changed last.
        updated: Micros,
        /// The result that it belongs to.
        meter_result_id: i64,
        /// The periods that it compares.
        modeling_period_group_id: Option<i64>,
        /// The trace.
        trace_id: Option<i64>,
        /// + What the trace meant when it was computed, by its long name.
        trace_interpretation: String,
        /// + `BASELINE_MINUS_REPORTING` or `REPORTING_MINUS_BASELINE`.
        differential_direction: Option<String>,
        /// + The difference in that direction.
        differential_value: Option<f64>,
        /// + How far below it the truth may lie.
        differential_lower: Option<f64>,
        /// + How far above.
        differential_upper: Option<f64>,
    }
}

row! {
    /// + The result that counts for a trace of a project: that of the successful run with the highest id.
    Current of current, "metering_current"
    {
        /// The project; 0 for a trace that was computed without one.
        project_id: i64,
        /// The trace.
        trace_id: i64,
    }
    {
        /// The result.
        meter_result_id: i64,
    }
}

row! {
    /// An aggregation run: what is to be added up, and how that stands.
    AggregationRun of aggregation_runs, "metering_aggregationrun"
    {
        /// Its number, and that of its result.
        id: i64,
    }
    {
        /// Where its input is, a path at this server; nothing until there is one.
        aggregation_input: Option<String>,
        /// Where it stands.
        status: RunStatus,
        /// Why it failed, for good or the last time.
        failure_message: Option<String>,
        /// More about it.
        traceback: Option<String>,
        /// What the traces mean, by its long name; nothing if it is left to the members.
        trace_interpretation: Option<String>,
        /// What the derivatives say; likewise.
        derivative_interpretation: Option<String>,
        /// What is done with them: `SUM`.
        aggregation_interpretation: String,
        /// The group of traces, if one was asked for.
        group_id: Option<i64>,
        /// When it was asked for.
        added: Micros,
        /// When it was changed last.
        updated: Micros,
        /// + The request that it is from: an id of `metering_batch`.
        batch_id: i64,
        /// + Higher ones come first.
        priority: i64,
        /// + How often it was begun.
        attempt: i64,
        /// + Who does it, if it is `RUNNING`.
        holder: i64,
        /// + Until when others leave it to him.
        until: Micros,
        /// + Whether somebody wants it to stop.
        cancel_requested: bool,
        /// + When it was begun first.
        started: Option<Micros>,
        /// + When it ended.
        finished: Option<Micros>,
        /// + The trace interpretation as it was asked for.
        trace_interpretation_given: Option<String>,
        /// + The derivative interpretation as it was asked for.
        derivative_interpretation_given: Option<String>,
        /// + Whether all successful runs of a trace count, and not only the current one.
        all_runs: bool,
        /// + The hash of all that its result depends on.
        input_hash: Option<String>,
        /// + Everything else that was asked for, JSON.
        options: String,
        /// + The ids of the projects that were asked for, a JSON list.
        projects: Ids,
        /// + Those of traces.
        traces: Ids,
        /// + Those of derivatives.
        derivatives: Ids,
    }
}

row! {
    /// What came of an aggregation run that is done.
    AggregationResult of aggregation_results, "metering_aggregationresult"
    {
        /// The id of its run.
        id: i64,
    }
    {
        /// Where its *output* is, a path at this server: OpenEEmeter's name for that column.
        aggregation_input: Option<String>,
        /// What the traces mean.
        trace_interpretation: Option<String>,
        /// What the derivatives say.
        derivative_interpretation: Option<String>,
        /// What was done with them.
        aggregation_interpretation: String,
        /// The version of eemeter whose arithmetic it follows.
        eemeter_version: Option<String>,
        /// The version of this program.
        datastore_version: Option<String>,
        /// Of values and bounds.
        unit: Option<String>,
        /// Before; nothing if no member counts.
        baseline_value: Option<f64>,
        /// How far below it the truth may lie.
        baseline_lower: Option<f64>,
        /// How far above.
        baseline_upper: Option<f64>,
        /// How many points it is the sum of.
        baseline_n: Option<f64>,
        /// After; nothing if no member counts.
        reporting_value: Option<f64>,
        /// How far below it the truth may lie.
        reporting_lower: Option<f64>,
        /// How far above.
        reporting_upper: Option<f64>,
        /// How many points it is the sum of.
        reporting_n: Option<f64>,
        /// `BASELINE_MINUS_REPORTING` or `REPORTING_MINUS_BASELINE`.
        differential_direction: Option<String>,
        /// The difference in that direction.
        differential_value: Option<f64>,
        /// How far below it the truth may lie.
        differential_lower: Option<f64>,
        /// How far above.
        differential_upper: Option<f64>,
        /// How many points both sides are the sum of.
        differential_n: Option<f64>,
        /// Since when it is here.
        added: Micros,
        /// When it was changed last.
        updated: Micros,
        /// The run: the same id.
        aggregation_run_id: i64,
        /// + How many derivatives went in, or were refused.
        n_derivatives: i64,
        /// + How many count, by one value or a default for each side.
        n_accepted: i64,
        /// + How many baselines count as they are.
        n_accepted_baseline: i64,
        /// + How many reporting sides count as they are.
        n_accepted_reporting: i64,
        /// + How many don't count.
        n_rejected: i64,
        /// + How many baselines don't, and have no default.
        n_rejected_baseline: i64,
        /// + How many reporting sides don't, and have no default.
        n_rejected_reporting: i64,
        /// + The hash of all that it depends on.
        input_hash: Option<String>,
        /// + The version of the arithmetic.
        engine_version: Option<String>,
        /// + What is to be said about it, a JSON list.
        warnings: Option<String>,
        /// + More figures, JSON.
        details: Option<String>,
    }
}

row! {
    /// What an aggregation did with a derivative.
    AggregationDerivativeStatus of aggregation_statuses, "metering_aggregationderivativestatus"
    {
        /// Its number; they grow in the order of the aggregation.
        id: i64,
    }
    {
        /// Whether it counts.
        status: MemberStatus,
        /// How its baseline counts.
        baseline_status: MemberStatus,
        /// How its reporting side does.
        reporting_status: MemberStatus,
        /// The result.
        aggregation_result_id: i64,
        /// The derivative, which may have been deleted since.
        derivative_id: i64,
    }
}
