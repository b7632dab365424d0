//! Meter runs and aggregation runs: claimed, ended once with all that came of them, current, in the marts.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use sea_orm::{ConnectionTrait, QueryResult, Statement};
use sheaf_db::datastore::{
    AggregationFilter, AggregationResultFilter, Cancelled, ClaimedRun, Datastore, DerivativeFilter,
    FinishedAggregation, FinishedRun, Inserted, MARTS, Mart, MartValue, MemberSelection, MemberStatus,
    Micros, NewAggregation, NewAggregationResult, NewBatch, NewDerivative, NewMemberStatus, NewMeterResult,
    NewMeterRun, NewModelResult, NewPeriod, Page, Progress, ResultFilter, ResultStatus, RunEnding, RunFilter,
    RunStatus,
};
use sheaf_db::testing::TestDatabase;
use sheaf_db::{Database, Hold, RepositoryError};

use super::datastore::{NOW, add_projects, add_traces, both};

const NOTHING: [i64; 0] = [];

const LEASE: Duration = Duration::from_secs(10);

fn at(seconds: i64) -> Micros {
    Micros(NOW.0 + 1_000_000 * seconds)
}

fn batch(priority: i64) -> NewBatch {
    NewBatch { owner: "ann".to_owned(), kind: "bulk".to_owned(), priority, label: None }
}

fn run_of(project: i64, trace: i64) -> NewMeterRun {
    NewMeterRun {
        project_id: Some(project),
        trace_id: Some(trace),
        options: "{}".to_owned(),
        ..NewMeterRun::default()
    }
}

fn derivative(interpretation: &str, baseline: f64, reporting: f64) -> NewDerivative {
    NewDerivative {
        interpretation: interpretation.to_owned(),
        trace_interpretation: "ELECTRICITY_CONSUMPTION_SUPPLIED".to_owned(),
        unit: "KWH".to_owned(),
        group: Some(0),
        baseline_value: Some(baseline),
        baseline_lower: Some(3.0),
        baseline_upper: Some(4.0),
        baseline_n: Some(365.0),
        reporting_value: Some(reporting),
        reporting_lower: Some(4.0),
        reporting_upper: Some(3.0),
        reporting_n: Some(365.0),
        differential_direction: Some("BASELINE_MINUS_REPORTING".to_owned()),
        differential_value: Some(baseline - reporting),
        differential_lower: Some(5.0),
        differential_upper: Some(6.0),
    }
}

fn result() -> NewMeterResult {
    let model = NewModelResult {
        status: ResultStatus::Success,
        traceback: None,
        start_date: Some(at(-100)),
        end_date: Some(at(-50)),
        n_rows: Some(365),
        r2: Some(0.9),
        cvrmse: Some(0.2),
        rmse: Some(1.5),
        lower: Some(1.0),
        upper: Some(2.0),
    };
    let period = |label: &str, start, end| NewPeriod {
        label: label.to_owned(),
        interpretation: label.to_uppercase(),
        start,
        end,
        model: Some(model.clone()),
    };
    NewMeterResult {
        eemeter_version: Some("3.2.0".to_owned()),
        engine_version: Some("1".to_owned()),
        warnings: Some("[]".to_owned()),
        periods: vec![period("reporting", Some(at(0)), None), period("baseline", None, Some(at(0)))],
        groups: vec![(1, 0)],
        derivatives: vec![
            derivative("annualized_weather_normal", 10.0, 8.0),
            derivative("gross_predicted", 20.0, 21.0),
        ],
        ..NewMeterResult::default()
    }
}

fn done(id: i64) -> FinishedRun {
    FinishedRun {
        id,
        ending: RunEnding::Success,
        failure_message: None,
        traceback: None,
        input_hash: Some(format!("hash {}", id % 2)),
        result: Some(Box::new(result())),
    }
}

fn failed(id: i64) -> FinishedRun {
    FinishedRun {
        ending: RunEnding::Failed,
        failure_message: Some("no weather\0".to_owned()),
        traceback: Some("line 1".to_owned()),
        result: Some(Box::new(NewMeterResult::default())),
        ..done(id)
    }
}

/// A project with two traces, and a run for each.
async fn two_runs(datastore: &Datastore) -> (i64, Vec<i64>, Inserted) {
    let projects = add_projects(datastore, &["p"]).await;
    let traces = add_traces(datastore, &["a", "b"]).await;
    let runs = traces.iter().map(|&trace| run_of(projects[0], trace)).collect();
    let inserted = datastore.insert_runs(batch(0), runs, NOW).await.unwrap();
    (projects[0], traces, inserted)
}

async fn claim(datastore: &Datastore, holder: i64, most: usize, now: Micros) -> Vec<i64> {
    let claimed = datastore.claim_runs(holder, most, LEASE, now).await.unwrap();
    claimed.into_iter().map(|claimed| claimed.run.id).collect()
}

async fn status(datastore: &Datastore, id: i64) -> RunStatus {
    datastore.run(id).await.unwrap().unwrap().status
}

async fn current(datastore: &Datastore) -> Vec<i64> {
    let filter = ResultFilter { current: true, ..ResultFilter::default() };
    let rows = datastore.meter_results(&filter, Page::ALL).await.unwrap();
    rows.into_iter().map(|row| row.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_from_begin_to_end() {
    for test in both().await {
        let datastore = test.open().await.datastore();
        assert_eq!(claim(&datastore, 1, 9, NOW).await, NOTHING);
        let (project, traces, inserted) = two_runs(&datastore).await;
        assert_eq!(inserted, Inserted { batch: 1, ids: vec![1, 2] });
        let supplied = NewMeterRun {
            input: Some("{\"a\": \"\u{e9}\"}".to_owned()),
            input_hash: Some("given".to_owned()),
            ..NewMeterRun::default()
        };
        let urgent = datastore.insert_runs(batch(5), vec![supplied], NOW).await.unwrap().ids[0];
        let run = datastore.run(urgent).await.unwrap().unwrap();
        assert_eq!(run.meter_input.as_deref(), Some("/api/v1/meter_runs/3/input/"));
        assert_eq!((run.status, run.priority, run.trace_id), (RunStatus::Pending, 5, None));
        for (what, run) in [("project", run_of(9, traces[0])), ("trace", run_of(project, 9))] {
            let error = datastore.insert_runs(batch(0), vec![run], NOW).await.unwrap_err();
            assert!(
                matches!(error, RepositoryError::Missing { what: found, .. } if found == what),
                "{error}"
            );
        }
        let pending = Progress { pending: 3, ..Progress::default() };
        assert_eq!(datastore.run_progress(&RunFilter::default()).await.unwrap(), pending);

        let claimed = datastore.claim_runs(1, 2, LEASE, at(1)).await.unwrap();
        let [first, second] = <[ClaimedRun; 2]>::try_from(claimed).unwrap();
        assert_eq!(
            (first.run.id, first.trace, first.project),
            (urgent, None, None),
            "the highest priority first"
        );
        assert_eq!(second.run.id, 1);
        assert_eq!(
            (second.run.status, second.run.attempt, second.run.started),
            (RunStatus::Running, 1, Some(at(1)))
        );
        assert_eq!(second.trace.unwrap().trace_id, "a");
        assert_eq!(second.project.unwrap().project_id, "p");
        assert_eq!(claim(&datastore, 2, 9, at(1)).await, [2]);
        assert_eq!(claim(&datastore, 2, 9, at(1)).await, NOTHING);

        let lost = datastore.finish_runs(3, vec![done(1)], at(2)).await.unwrap();
        assert_eq!(lost, [false]);
        assert_eq!(datastore.meter_result(1).await.unwrap(), None);
        // One that is not held, one that comes twice.
        let ended = vec![done(1), done(2), done(1), failed(urgent)];
        assert_eq!(datastore.finish_runs(1, ended, at(2)).await.unwrap(), [true, false, false, true]);
        let run = datastore.run(1).await.unwrap().unwrap();
        assert_eq!((run.status, run.finished, run.updated), (RunStatus::Success, Some(at(2)), at(2)));
        assert_eq!((run.started, run.input_hash.as_deref()), (Some(at(1)), Some("hash 1")));
        assert_eq!(run.meter_input.as_deref(), Some("/api/v1/meter_runs/1/input/"));
        let run = datastore.run(urgent).await.unwrap().unwrap();
        assert_eq!((run.status, run.failure_message.as_deref()), (RunStatus::Failed, Some("no weather")));
        assert_eq!(run.input.as_deref(), Some("{\"a\": \"\u{e9}\"}"));
        let found = datastore.meter_result(1).await.unwrap().unwrap();
        assert_eq!(
            (found.meter_run_id, found.trace_id, found.status),
            (1, Some(traces[0]), ResultStatus::Success)
        );
        assert_eq!(found.meter_output.as_deref(), Some("/api/v1/meter_results/1/output/"));
        let found = datastore.meter_result(urgent).await.unwrap().unwrap();
        assert_eq!((found.status, found.trace_id), (ResultStatus::Failure, None));

        let parts = datastore.result_parts(&[1]).await.unwrap();
        let [reporting, baseline] = parts.periods.as_slice() else { panic!("two periods") };
        assert_eq!((reporting.label.as_str(), baseline.interpretation.as_str()), ("reporting", "BASELINE"));
        assert_eq!((baseline.start, baseline.end, reporting.end), (None, Some(at(0)), None));
        let group = &parts.groups[0];
        assert_eq!((group.baseline_id, group.reporting_id), (baseline.id, reporting.id));
        assert_eq!(parts.models[1].modeling_period_id, baseline.id);
        assert_eq!((parts.models[1].r2, parts.models[1].n_rows), (Some(0.9), Some(365)));
        assert_eq!(parts.derivatives.len(), 2);
        assert_eq!(parts.derivatives[1].modeling_period_group_id, Some(group.id));
        assert_eq!(parts.derivatives[1].baseline_value, Some(20.0));
        let id = parts.derivatives[1].id;
        assert_eq!(datastore.derivative(id).await.unwrap().as_ref(), Some(&parts.derivatives[1]));
        let gross = DerivativeFilter {
            projects: Some(vec![project]),
            interpretation: Some("gross_predicted".to_owned()),
            current: true,
            ..DerivativeFilter::default()
        };
        assert_eq!(datastore.derivatives(&gross, Page::ALL).await.unwrap(), parts.derivatives[1..]);

        let progress = datastore.run_progress(&RunFilter::of_batch(inserted.batch)).await.unwrap();
        let expected = Progress {
            running: 1,
            success: 1,
            first_started: Some(at(1)),
            last_finished: Some(at(2)),
            ..Progress::default()
        };
        assert_eq!(progress, expected);
        let list = async |filter: RunFilter| {
            let rows = datastore.runs(&filter, Page::ALL).await.unwrap();
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(list(RunFilter::with_status("FAILURE".parse().unwrap())).await, [urgent]);
        let either =
            RunFilter { statuses: vec![RunStatus::Success, RunStatus::Running], ..RunFilter::default() };
        assert_eq!(list(either).await, [1, 2]);
        assert_eq!(list(RunFilter { traces: Some(vec![traces[1], 99]), ..RunFilter::default() }).await, [2]);
        let earlier = datastore.earlier_results(&["hash 1", "hash 0", "given"], "1").await.unwrap();
        assert_eq!(earlier.into_iter().collect::<Vec<_>>(), [("hash 1".to_owned(), 1)]);
        assert!(datastore.earlier_results(&["hash 1"], "2").await.unwrap().is_empty());
        assert_eq!(datastore.batch(1).await.unwrap().unwrap().owner, "ann");
        assert_eq!(datastore.batches(Some("bob"), Page::ALL).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_a_lease_changes_nothing() {
    for test in both().await {
        let datastore = test.open().await.datastore();
        let (.., inserted) = two_runs(&datastore).await;
        let ids = inserted.ids;
        assert_eq!(claim(&datastore, 1, 9, at(0)).await, ids);
        assert_eq!(claim(&datastore, 2, 9, at(10)).await, NOTHING, "the leases have not ended");
        let renewed = datastore.renew_runs(1, &ids[1..], LEASE, at(9)).await.unwrap();
        assert_eq!(renewed, [Hold::Held]);
        assert_eq!(claim(&datastore, 2, 9, at(11)).await, ids[..1]);
        assert_eq!(
            datastore.renew_runs(1, &[ids[0], ids[1], 9], LEASE, at(12)).await.unwrap(),
            [Hold::Lost, Hold::Held, Hold::Lost]
        );
        assert_eq!(datastore.finish_runs(1, vec![failed(ids[0])], at(13)).await.unwrap(), [false]);
        assert_eq!(status(&datastore, ids[0]).await, RunStatus::Running);
        // Late, but nobody else has taken it.
        assert_eq!(datastore.finish_runs(1, vec![done(ids[1])], at(90)).await.unwrap(), [true]);
        assert_eq!(claim(&datastore, 3, 9, at(91)).await, ids[..1]);
        assert_eq!(claim(&datastore, 4, 9, at(200)).await, NOTHING);
        let run = datastore.run(ids[0]).await.unwrap().unwrap();
        assert_eq!((run.status, run.attempt, run.started), (RunStatus::Failed, 3, Some(at(0))));
        let message = run.failure_message.unwrap();
        assert_eq!(message, "3 times the process that did it has ended in the middle of it");

        let retried = datastore.retry_runs(&RunFilter::with_ids(ids.clone()), at(201)).await.unwrap();
        assert_eq!(retried, 1, "not the one that is done");
        let run = datastore.run(ids[0]).await.unwrap().unwrap();
        assert_eq!(
            (run.status, run.attempt, run.started, run.failure_message),
            (RunStatus::Pending, 0, None, None)
        );
        // A shutdown is no attempt.
        for holder in 5..10 {
            assert_eq!(claim(&datastore, holder, 9, at(202)).await, ids[..1]);
            assert_eq!(datastore.run(ids[0]).await.unwrap().unwrap().attempt, 1);
            datastore.release_runs(holder, &ids, at(203)).await.unwrap();
        }
        // A failure has a result, too; it goes when the run is tried again.
        claim(&datastore, 1, 9, at(204)).await;
        datastore.finish_runs(1, vec![failed(ids[0])], at(205)).await.unwrap();
        assert!(datastore.meter_result(ids[0]).await.unwrap().is_some());
        datastore.retry_runs(&RunFilter::default(), at(206)).await.unwrap();
        assert_eq!(datastore.meter_result(ids[0]).await.unwrap(), None);
        claim(&datastore, 1, 9, at(207)).await;
        assert_eq!(datastore.finish_runs(1, vec![done(ids[0])], at(208)).await.unwrap(), [true]);
        assert_eq!(current(&datastore).await, ids);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling() {
    for test in both().await {
        let datastore = test.open().await.datastore();
        let (.., inserted) = two_runs(&datastore).await;
        let ids = inserted.ids;
        assert_eq!(claim(&datastore, 1, 1, at(0)).await, ids[..1]);
        let all = RunFilter::of_batch(inserted.batch);
        let cancelled = datastore.cancel_runs(&all, at(1)).await.unwrap();
        assert_eq!(cancelled, Cancelled { ended: 1, asked: 1 });
        assert_eq!(status(&datastore, ids[1]).await, RunStatus::Cancelled);
        assert_eq!(datastore.renew_runs(1, &ids, LEASE, at(2)).await.unwrap(), [Hold::Cancel, Hold::Lost]);
        datastore.release_runs(1, &ids, at(3)).await.unwrap();
        assert_eq!(status(&datastore, ids[0]).await, RunStatus::Cancelled);

        assert_eq!(datastore.retry_runs(&all, at(4)).await.unwrap(), 2);
        assert_eq!(claim(&datastore, 1, 1, at(5)).await, ids[..1]);
        datastore.cancel_runs(&RunFilter::with_ids(ids[..1].to_vec()), at(6)).await.unwrap();
        // Whoever should have heard of it is gone.
        assert_eq!(claim(&datastore, 2, 9, at(60)).await, ids[1..]);
        assert_eq!(status(&datastore, ids[0]).await, RunStatus::Cancelled);
        datastore.release_runs(2, &ids, at(61)).await.unwrap();
        assert_eq!(datastore.purge_runs(at(62)).await.unwrap(), 1);
        assert_eq!(datastore.run_progress(&all).await.unwrap().cancelled, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_success_is_current_whatever_is_deleted() {
    for test in both().await {
        let datastore = test.open().await.datastore();
        let projects = add_projects(&datastore, &["p", "q"]).await;
        let traces = add_traces(&datastore, &["a", "b"]).await;
        let runs = || {
            vec![
                run_of(projects[0], traces[0]),
                run_of(projects[1], traces[0]),
                run_of(projects[0], traces[1]),
            ]
        };
        for _ in 0..3 {
            datastore.insert_runs(batch(0), runs(), NOW).await.unwrap();
        }
        let alone = NewMeterRun { project_id: None, ..run_of(0, traces[0]) };
        datastore.insert_runs(batch(0), vec![alone], NOW).await.unwrap();
        claim(&datastore, 1, 99, NOW).await;
        // Out of order: a later one that ended earlier stays. Of 7, 8 and 9 the last fails.
        let finish = async |ended: Vec<FinishedRun>| {
            assert!(datastore.finish_runs(1, ended, NOW).await.unwrap().into_iter().all(|held| held));
        };
        finish(vec![done(4), done(8), done(6), failed(9), done(10)]).await;
        assert_eq!(current(&datastore).await, [4, 6, 8, 10]);
        finish(vec![done(1), done(2), done(3), done(5), done(7)]).await;
        assert_eq!(current(&datastore).await, [6, 7, 8, 10]);
        let members = async |all_runs: bool| {
            let selection = MemberSelection {
                projects: vec![projects[0]],
                derivative_interpretation: Some("gross_predicted".to_owned()),
                all_runs,
                ..MemberSelection::default()
            };
            let members = datastore.aggregation_members(&selection).await.unwrap();
            let ids = members.into_iter().map(|member| member.id).collect();
            let filter = DerivativeFilter { ids: Some(ids), ..DerivativeFilter::default() };
            let rows = datastore.derivatives(&filter, Page::ALL).await.unwrap();
            let mut results: Vec<i64> = rows.into_iter().map(|row| row.meter_result_id).collect();
            results.sort_unstable();
            results
        };
        assert_eq!(members(false).await, [6, 7]);
        assert_eq!(members(true).await, [1, 3, 4, 6, 7]);

        assert_eq!(datastore.delete_runs(&RunFilter::with_ids(vec![7, 6, 9])).await.unwrap(), 3);
        assert_eq!(current(&datastore).await, [3, 4, 8, 10]);
        datastore.delete_runs(&RunFilter::with_ids(vec![1, 2, 5])).await.unwrap();
        assert_eq!(current(&datastore).await, [3, 4, 8, 10]);
        assert_eq!(datastore.delete_projects(&projects[..1]).await.unwrap(), 1);
        assert_eq!(current(&datastore).await, [8, 10]);
        let left = datastore.runs(&RunFilter::default(), Page::ALL).await.unwrap();
        assert_eq!(left.into_iter().map(|row| row.id).collect::<Vec<_>>(), [8, 10]);
        let parts = datastore.result_parts(&(1..=10).collect::<Vec<_>>()).await.unwrap();
        assert_eq!((parts.periods.len(), parts.groups.len(), parts.models.len()), (4, 2, 4));
        assert_eq!(parts.derivatives.len(), 4);
        assert_eq!(datastore.delete_traces(&traces).await.unwrap(), 2);
        assert_eq!(current(&datastore).await, NOTHING);
        assert_eq!(datastore.derivatives(&DerivativeFilter::default(), Page::ALL).await.unwrap(), []);
    }
}

fn aggregation(projects: Vec<i64>) -> NewAggregation {
    NewAggregation {
        projects,
        traces: vec![],
        derivatives: vec![],
        group_id: None,
        trace_interpretation: Some("ELECTRICITY_CONSUMPTION_SUPPLIED".to_owned()),
        trace_interpretation_given: Some("E_C_S".to_owned()),
        derivative_interpretation: Some("gross_predicted".to_owned()),
        derivative_interpretation_given: None,
        aggregation_interpretation: "SUM".to_owned(),
        all_runs: false,
        options: "{}".to_owned(),
    }
}

fn figure(statuses: Vec<NewMemberStatus>) -> NewAggregationResult {
    NewAggregationResult {
        aggregation_interpretation: "SUM".to_owned(),
        datastore_version: Some("0.1.0".to_owned()),
        unit: Some("KWH".to_owned()),
        baseline_value: Some(40.0),
        baseline_lower: Some(3.0),
        baseline_upper: Some(4.0),
        statuses,
        ..NewAggregationResult::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregation_from_begin_to_end() {
    for test in both().await {
        let datastore = test.open().await.datastore();
        let (project, traces, _) = two_runs(&datastore).await;
        claim(&datastore, 1, 9, NOW).await;
        datastore.finish_runs(1, vec![done(1), done(2)], NOW).await.unwrap();
        let union = MemberSelection {
            projects: vec![project],
            traces: vec![traces[0]],
            derivatives: vec![3, 1, 99, 3],
            ..MemberSelection::default()
        };
        let members = datastore.aggregation_members(&union).await.unwrap();
        assert_eq!(members.iter().map(|member| member.id).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(
            (members[1].interpretation.as_str(), members[1].baseline_value),
            ("gross_predicted", Some(20.0))
        );
        let only =
            MemberSelection { projects: vec![], traces: vec![traces[1]], derivatives: vec![1], ..union };
        let members = datastore.aggregation_members(&only).await.unwrap();
        assert_eq!(members.iter().map(|member| member.id).collect::<Vec<_>>(), [1, 3, 4]);
        let nothing = MemberSelection::default();
        assert_eq!(datastore.aggregation_members(&nothing).await.unwrap(), []);

        let group = datastore.create_group("all of them".to_owned(), None).await.unwrap().id;
        let of_group = NewAggregation { group_id: Some(group), ..aggregation(vec![]) };
        let asked = vec![of_group.clone(), aggregation(vec![project, 7])];
        let ids = datastore.insert_aggregations(batch(0), asked, NOW).await.unwrap().ids;
        let stranger = NewAggregation { group_id: Some(99), ..of_group };
        assert!(
            datastore
                .insert_aggregations(batch(0), vec![stranger], NOW)
                .await
                .unwrap_err()
                .is_invalid_input()
        );
        let claimed = datastore.claim_aggregations(1, 9, LEASE, at(1)).await.unwrap();
        assert_eq!(claimed.iter().map(|run| run.id).collect::<Vec<_>>(), ids);
        assert_eq!(
            (claimed[0].group_id, claimed[1].projects.0.as_slice()),
            (Some(group), [project, 7].as_slice())
        );
        assert_eq!(claimed[0].trace_interpretation_given.as_deref(), Some("E_C_S"));

        let member = |derivative_id, status, baseline_status| NewMemberStatus {
            derivative_id,
            status,
            baseline_status,
            reporting_status: MemberStatus::Accepted,
        };
        let statuses = vec![
            member(4, MemberStatus::Accepted, MemberStatus::Default),
            member(2, MemberStatus::Rejected, MemberStatus::Rejected),
        ];
        let finished = |id, ending, result| FinishedAggregation {
            id,
            ending,
            failure_message: None,
            traceback: None,
            input_hash: Some("x".to_owned()),
            result,
        };
        let ended = vec![
            finished(ids[0], RunEnding::Success, Some(Box::new(figure(statuses)))),
            finished(ids[1], RunEnding::Failed, None),
        ];
        assert_eq!(datastore.finish_aggregations(2, ended.clone(), at(2)).await.unwrap(), [false, false]);
        assert_eq!(datastore.finish_aggregations(1, ended.clone(), at(2)).await.unwrap(), [true, true]);
        assert_eq!(datastore.finish_aggregations(1, ended, at(2)).await.unwrap(), [false, false]);
        let found = datastore.aggregation_result(ids[0]).await.unwrap().unwrap();
        assert_eq!((found.n_derivatives, found.n_accepted, found.n_rejected), (2, 1, 1));
        assert_eq!((found.n_accepted_baseline, found.n_accepted_reporting), (0, 2));
        assert_eq!((found.n_rejected_baseline, found.n_rejected_reporting), (1, 0));
        assert_eq!(
            datastore.aggregation_results(&AggregationResultFilter::default(), Page::ALL).await.unwrap(),
            [found]
        );
        let statuses = datastore.aggregation_statuses(ids[0], Page::ALL).await.unwrap();
        assert_eq!(statuses.iter().map(|row| row.derivative_id).collect::<Vec<_>>(), [4, 2]);
        assert_eq!(statuses[0].baseline_status, MemberStatus::Default);
        let run = datastore.aggregation(ids[0]).await.unwrap().unwrap();
        assert_eq!(run.aggregation_input.as_deref(), Some("/api/v1/aggregation_runs/1/input/"));
        let all = AggregationFilter::default();
        let progress = datastore.aggregation_progress(&all).await.unwrap();
        assert_eq!((progress.success, progress.failed), (1, 1));
        assert_eq!(datastore.retry_aggregations(&all, at(3)).await.unwrap(), 1);
        datastore.claim_aggregations(1, 9, LEASE, at(4)).await.unwrap();
        let renewed = datastore.renew_aggregations(1, &ids, LEASE, at(5)).await.unwrap();
        assert_eq!(renewed, [Hold::Lost, Hold::Held]);
        datastore.release_aggregations(1, &ids, at(6)).await.unwrap();
        let cancelled = datastore.cancel_aggregations(&all, at(7)).await.unwrap();
        assert_eq!(cancelled, Cancelled { ended: 1, asked: 0 });
        assert_eq!(datastore.purge_aggregations(at(8)).await.unwrap(), 0);

        // What was aggregated stays known when the runs go; what was asked with a group goes with it.
        datastore.delete_runs(&RunFilter::default()).await.unwrap();
        assert_eq!(datastore.aggregation_statuses(ids[0], Page::ALL).await.unwrap().len(), 2);
        assert!(datastore.delete_group(group).await.unwrap());
        assert_eq!(datastore.aggregation_result(ids[0]).await.unwrap(), None);
        assert_eq!(datastore.aggregation_statuses(ids[0], Page::ALL).await.unwrap(), []);
        let left =
            datastore.aggregations(&AggregationFilter::with_ids(ids.clone()), Page::ALL).await.unwrap();
        assert_eq!(left.iter().map(|run| run.id).collect::<Vec<_>>(), ids[1..]);
        assert_eq!(datastore.delete_aggregations(&all).await.unwrap(), 1);
    }
}

async fn query(test: &TestDatabase, sql: &str) -> Vec<QueryResult> {
    let connection = sea_orm::Database::connect(test.url()).await.unwrap();
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await.unwrap();
    connection.close().await.unwrap();
    rows
}

/// The columns of a mart, with `{a,b}` spelt out.
fn spelt_out(columns: &str) -> Vec<String> {
    let mut names = Vec::new();
    for column in columns.split_whitespace() {
        match column.split_once('{') {
            Some((stem, ends)) => {
                names.extend(ends.trim_end_matches('}').split(',').map(|end| format!("{stem}{end}")));
            }
            None => names.push(column.to_owned()),
        }
    }
    names
}

const METER_MART: &str = "id trace_id trace_pk trace_interpretation trace_unit project_id project_pk \
    serialized_input_url serialized_output_url meter_result_{pk,status,eemeter_version,datastore_version,model_class,\
    model_kwargs,formatter_class,formatter_kwargs,added,updated} meter_run_{pk,status,failure_message,traceback,added,\
    updated} modeling_period_group_pk derivative_{pk,interpretation,unit} baseline_period_{pk,label,start,end} \
    baseline_model_result_{pk,status,traceback,r2,cvrmse,n_rows,rmse} baseline_derivative_{value,lower_bound,upper_bound} \
    reporting_period_{pk,label,start,end} reporting_model_result_{pk,status,traceback,r2,cvrmse,n_rows,rmse} \
    reporting_derivative_{value,lower_bound,upper_bound} differential_{value,direction,lower_bound,upper_bound}";

const GROUP_MART: &str = "id group_name group_pk serialized_input_url serialized_output_url aggregation_run_{pk,status,\
    failure_message,traceback,added,updated} aggregation_result_pk n_derivatives aggregation_result_{added,updated,\
    eemeter_version} aggregetion_result_datastore_version trace_interpretation derivative_interpretation \
    statistic_interpretation statistic_unit baseline_{value,lower_bound,upper_bound} reporting_{value,lower_bound,\
    upper_bound} differential_{value,direction,lower_bound,upper_bound} n_derivatives_{accepted,accepted_baseline,\
    accepted_reporting,rejected,rejected_baseline,rejected_reporting} aggregation_result_datastore_version";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marts_are_always_current() {
    for test in both().await {
        let datastore = test.open().await.datastore();
        assert!(query(&test, "SELECT * FROM meterresultmart").await.is_empty());
        let (_, traces, _) = two_runs(&datastore).await;
        claim(&datastore, 1, 9, NOW).await;
        let early = Micros(-1_234_567_890_123_456);
        let mut first = done(1);
        first.result.as_mut().unwrap().periods[1].start = Some(early);
        datastore.finish_runs(1, vec![first, failed(2)], NOW).await.unwrap();
        let rows = query(&test, "SELECT * FROM warehouse_meterresultmart ORDER BY id DESC").await;
        assert_eq!(rows[0].column_names(), spelt_out(METER_MART));
        assert_eq!(rows.len(), 3);
        let row = &rows[0];
        assert_eq!(row.try_get::<i64>("", "id").unwrap(), 2);
        let text = |name: &str| row.try_get::<String>("", name).unwrap();
        let real = |name: &str| row.try_get::<f64>("", name).unwrap();
        assert_eq!((text("trace_id").as_str(), text("project_id").as_str()), ("a", "p"));
        assert_eq!(row.try_get::<i64>("", "trace_pk").unwrap(), traces[0]);
        assert_eq!(text("serialized_input_url"), "/api/v1/meter_runs/1/input/");
        assert_eq!(text("serialized_output_url"), "/api/v1/meter_results/1/output/");
        assert_eq!(
            (text("meter_run_status"), text("derivative_interpretation")),
            ("SUCCESS".to_owned(), "gross_predicted".to_owned())
        );
        assert_eq!(
            (text("baseline_period_label"), text("reporting_period_label")),
            ("baseline".to_owned(), "reporting".to_owned())
        );
        assert_eq!(real("baseline_derivative_lower_bound"), 17.0);
        assert_eq!(real("reporting_derivative_upper_bound"), 24.0);
        assert_eq!((real("differential_value"), real("differential_lower_bound")), (-1.0, -6.0));
        assert_eq!((real("differential_upper_bound"), real("baseline_model_result_r2")), (5.0, 0.9));
        // Times are what the database has for them.
        let times = match test.file() {
            Some(_) => "SELECT baseline_period_start, meter_run_added FROM meterresultmart WHERE id = 2",
            None => {
                "SELECT to_char(baseline_period_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
                 to_char(meter_run_added AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
                 FROM meterresultmart WHERE id = 2"
            }
        };
        let row = query(&test, times).await.remove(0);
        assert_eq!(row.try_get_by_index::<String>(0).unwrap(), "1930-11-18T00:28:29.876544Z");
        assert_eq!(row.try_get_by_index::<String>(1).unwrap(), "2023-11-14T22:13:20.000000Z");
        // The failure has no derivative.
        assert_eq!(rows[2].try_get::<i64>("", "id").unwrap(), -2);
        assert_eq!(rows[2].try_get::<Option<i64>>("", "derivative_pk").unwrap(), None);
        assert_eq!(rows[2].try_get::<String>("", "meter_run_failure_message").unwrap(), "no weather");

        let group = datastore.create_group("g".to_owned(), None).await.unwrap().id;
        let asked =
            vec![NewAggregation { group_id: Some(group), ..aggregation(vec![]) }, aggregation(vec![1])];
        datastore.insert_aggregations(batch(0), asked, NOW).await.unwrap();
        datastore.claim_aggregations(1, 1, LEASE, NOW).await.unwrap();
        let ended = FinishedAggregation {
            id: 1,
            ending: RunEnding::Success,
            failure_message: None,
            traceback: None,
            input_hash: None,
            result: Some(Box::new(figure(vec![]))),
        };
        datastore.finish_aggregations(1, vec![ended], NOW).await.unwrap();
        let rows = query(&test, "SELECT * FROM groupstatisticsmart ORDER BY id").await;
        assert_eq!(rows[0].column_names(), spelt_out(GROUP_MART));
        assert_eq!(rows[0].try_get::<String>("", "group_name").unwrap(), "g");
        assert_eq!(rows[0].try_get::<f64>("", "baseline_upper_bound").unwrap(), 44.0);
        assert_eq!(rows[0].try_get::<String>("", "aggregetion_result_datastore_version").unwrap(), "0.1.0");
        assert_eq!(rows[1].try_get::<String>("", "aggregation_run_status").unwrap(), "PENDING");
        assert_eq!(rows[1].try_get::<Option<i64>>("", "aggregation_result_pk").unwrap(), None);
        for mart in MARTS {
            let view = format!("SELECT * FROM warehouse_{} ORDER BY id", mart.name);
            let rows = query(&test, &view).await;
            let columns: Vec<&str> = mart.columns.iter().map(|(name, _)| *name).collect();
            assert_eq!(rows[0].column_names(), columns, "{}", mart.name);
            // Page by page it is the same, in order.
            let (mut paged, mut after) = (Vec::new(), i64::MIN);
            loop {
                let page = datastore.mart(mart, Page { after, limit: Some(1) }).await.unwrap();
                let Some(row) = page.first() else { break };
                let MartValue::Integer(id) = row[0] else { panic!("{row:?}") };
                assert!(page.len() == 1 && id > after, "{page:?}");
                after = id;
                paged.extend(page);
            }
            assert_eq!(paged, datastore.mart(mart, Page::ALL).await.unwrap(), "{}", mart.name);
            let ids: Vec<i64> = rows.iter().map(|row| row.try_get("", "id").unwrap()).collect();
            assert!(paged.iter().map(|row| row[0].clone()).eq(ids.into_iter().map(MartValue::Integer)));
        }
        let project = datastore.mart(Mart::named("projectsummarymart").unwrap(), Page::ALL).await.unwrap();
        let column = |row: &[MartValue], name: &str| {
            let columns = Mart::named("projectsummarymart").unwrap().columns;
            row[columns.iter().position(|(column, _)| *column == name).unwrap()].clone()
        };
        assert_eq!(column(&project[0], "n_current_results"), MartValue::Integer(1));
        assert_eq!(column(&project[0], "electricity_gross_predicted_savings_kwh"), MartValue::Number(-1.0));
        let models =
            datastore.mart(Mart::named("warehouse_modelresultmart").unwrap(), Page::ALL).await.unwrap();
        assert!(models.iter().all(|row| row[8] == MartValue::Integer(1)), "{models:?}");
        assert!(Mart::named("othermart").is_none());
        datastore.delete_runs(&RunFilter::default()).await.unwrap();
        assert!(query(&test, "SELECT * FROM meterresultmart").await.is_empty());
    }
}

/// A worker that takes runs and ends them, a few at a time, until there are none left.
async fn work(database: &Database, holder: i64) {
    let datastore = database.datastore();
    loop {
        let claimed = claim(&datastore, holder, 7, NOW).await;
        if claimed.is_empty() {
            return;
        }
        let mut ended: Vec<FinishedRun> = claimed.into_iter().map(done).collect();
        for run in &mut ended {
            run.result.as_mut().unwrap().weather_station = Some(holder.to_string());
        }
        let held = datastore.finish_runs(holder, ended, NOW).await.unwrap();
        assert!(held.into_iter().all(|held| held));
    }
}

const CHILD: &str = "SHEAF_DB_TEST_RUNNER";

/// Not a test of its own: what the processes of the next ones do.
#[tokio::test]
async fn runner_process() {
    if let Ok(url) = std::env::var(CHILD) {
        work(&Database::connect(&url).await.unwrap(), i64::from(std::process::id())).await;
    }
}

fn runner(test: &TestDatabase) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "integration::runs::runner_process"])
        .env(CHILD, test.url())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_share_the_queue() {
    for test in both().await {
        let datastore = test.open().await.datastore();
        let (project, traces, _) = two_runs(&datastore).await;
        let runs = (0..300).map(|_| run_of(project, traces[0])).collect();
        datastore.insert_runs(batch(0), runs, NOW).await.unwrap();
        let workers = [runner(&test), runner(&test)];
        for mut worker in workers {
            assert!(worker.wait().unwrap().success());
        }
        for run in datastore.runs(&RunFilter::default(), Page::ALL).await.unwrap() {
            assert_eq!((run.status, run.attempt), (RunStatus::Success, 1));
        }
        assert_eq!(datastore.derivatives(&DerivativeFilter::default(), Page::ALL).await.unwrap().len(), 604);
    }
}

/// Killed at any moment, a worker leaves runs that others end, each once and whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_is_made_up_for() {
    for wait_ms in [40, 80, 120] {
        let test = TestDatabase::sqlite();
        let datastore = test.open().await.datastore();
        let (project, traces, _) = two_runs(&datastore).await;
        let runs = (0..300).map(|_| run_of(project, traces[0])).collect();
        datastore.insert_runs(batch(0), runs, NOW).await.unwrap();
        let mut worker = runner(&test);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        worker.kill().unwrap();
        worker.wait().unwrap();
        // Its leases have ended by then.
        loop {
            let claimed = claim(&datastore, 5, 50, at(100)).await;
            if claimed.is_empty() {
                break;
            }
            let ended = claimed.into_iter().map(done).collect();
            assert!(datastore.finish_runs(5, ended, at(100)).await.unwrap().into_iter().all(|held| held));
        }
        let all = datastore.run_progress(&RunFilter::default()).await.unwrap();
        assert_eq!((all.success, all.pending, all.running), (302, 0, 0));
        let derivatives = datastore.derivatives(&DerivativeFilter::default(), Page::ALL).await.unwrap();
        let of: HashSet<i64> = derivatives.iter().map(|row| row.meter_result_id).collect();
        assert_eq!((derivatives.len(), of.len()), (604, 302));
        assert_eq!(current(&datastore).await, [2, 302]);
    }
}
