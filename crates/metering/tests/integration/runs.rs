//! Meter runs from rows to results: the twelve reference meters, weather out of the store, and a worker that dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sheaf_db::datastore::{
    AggregationFilter, Datastore, MeterDerivative, MeterRun, Micros, NewAggregation, NewBatch, NewMeterRun,
    Page, ProjectPatch, RunFilter, RunStatus, TracePatch, TraceRecords,
};
use sheaf_db::testing::TestDatabase;
use sheaf_metering::aggregate;
use sheaf_metering::input::MeterInput;
use sheaf_metering::records::{Known, NewRecords, Record, Written, write};
use sheaf_metering::render::{RenderError, Rendering};
use sheaf_metering::trace_name::name_of;
use sheaf_metering::weather::{WeatherStore, import};
use sheaf_metering::worker::{Done, Ended, Observer, Worker, WorkerSettings};
use sheaf_model::{EnergyUnit, Interpretation, Tick};
use sheaf_savings::meter::Reading;
use sheaf_savings::run::{RunInput, RunResult, RunSettings};
use sheaf_savings::settings::Mode;
use sheaf_savings::verification::{METERS, ReferenceMeter, weather};
use sheaf_savings::weather::Weather;
use sheaf_savings::zone::Zone;
use sheaf_sources::{Input, WeatherFile, WeatherOptions, read_weather};
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::testing::{Fault, FaultyDisk, When};
use sheaf_store::{Settings, Store};
use tokio::sync::watch;

const NOW: Micros = Micros(1_700_000_000_000_000);

/// Chicago O'Hare, and a place near it.
const STATION: &str = "725300";
const ZIP: &str = "60601";

const BASELINE_END: &str = "2016-12-26";
const REPORTING_START: &str = "2017-01-04";

struct Setting {
    _database: TestDatabase,
    datastore: Datastore,
    disk: Arc<FaultyDisk>,
    store: Store,
}

impl Setting {
    async fn new() -> Setting {
        let database = TestDatabase::sqlite();
        let datastore = database.open().await.datastore();
        let disk = Arc::new(FaultyDisk::new());
        let store =
            Store::open(disk.clone(), Arc::new(MemoryManifest::new()), Settings::default()).await.unwrap();
        Setting { _database: database, datastore, disk, store }
    }

    async fn with_weather() -> Setting {
        let setting = Setting::new().await;
        import(&setting.store, STATION, &observed()).await.unwrap();
        import(&setting.store, STATION, &normal_year()).await.unwrap();
        setting
    }

    fn worker<O: Observer>(&self, observer: O, lease: Duration, holder: i64) -> Worker<O> {
        let settings = WorkerSettings { lease, ..WorkerSettings::default() };
        Worker::new(self.datastore.clone(), self.store.clone(), observer, settings, holder)
    }

    async fn work_off(&self) -> Done {
        let (_stop, stopped) = watch::channel(false);
        self.worker((), Duration::from_secs(60), 1).work_off(&stopped).await.unwrap()
    }

    async fn project(&self, name: &str, patch: ProjectPatch) -> i64 {
        let periods = ProjectPatch {
            baseline_period_end: Some(Some(micros(BASELINE_END))),
            reporting_period_start: Some(Some(micros(REPORTING_START))),
            ..patch
        };
        self.datastore.create_project(name.to_owned(), periods, NOW).await.unwrap().id
    }

    async fn trace(&self, name: &str, meter: &ReferenceMeter, records: Vec<Record>) -> i64 {
        let resource = name_of(name).unwrap();
        let patch = TracePatch {
            interpretation: Some(meter.interpretation.to_string()),
            unit: Some(unit(meter).to_string()),
            interval: None,
            name: Some(resource.to_string()),
        };
        let trace = self.datastore.create_trace(name.to_owned(), patch, NOW).await.unwrap();
        let new = NewRecords { known: Known::new(resource), records };
        self.set_records(trace.id, write(&self.store, vec![new]).await.unwrap()[0]).await;
        trace.id
    }

    async fn set_records(&self, id: i64, Written { span, count, .. }: Written) {
        let records = TraceRecords {
            id,
            sample_period: span.period.map(|period| period.to_string()),
            n_records: count as i64,
            first_start: span.first_last.map(|(first, _)| micros_of(first)),
            last_start: span.first_last.map(|(_, last)| micros_of(last)),
        };
        self.datastore.set_trace_records(vec![records], NOW).await.unwrap();
    }

    async fn ask(&self, runs: Vec<NewMeterRun>) -> Vec<i64> {
        let runs = runs.into_iter().map(|run| NewMeterRun { options: run_options(&run), ..run }).collect();
        self.datastore.insert_runs(NewBatch::default(), runs, NOW).await.unwrap().ids
    }

    async fn run(&self, id: i64) -> MeterRun {
        self.datastore.run(id).await.unwrap().unwrap()
    }

    async fn derivatives(&self, id: i64) -> Vec<MeterDerivative> {
        self.datastore.result_parts(&[id]).await.unwrap().derivatives
    }
}

fn run_options(run: &NewMeterRun) -> String {
    if run.options.is_empty() { "{}".to_owned() } else { run.options.clone() }
}

fn tick(text: &str) -> Tick {
    text.parse().unwrap()
}

fn micros_of(tick: Tick) -> Micros {
    Micros(tick.unix_ticks() / 10)
}

fn micros(text: &str) -> Micros {
    micros_of(tick(text))
}

fn unit(meter: &ReferenceMeter) -> EnergyUnit {
    match meter.interpretation {
        Interpretation::NaturalGasConsumptionSupplied => EnergyUnit::Therm,
        _ => EnergyUnit::Kwh,
    }
}

fn file(text: String) -> WeatherFile {
    read_weather(Input::bytes("weather.csv", text), &WeatherOptions::default()).unwrap()
}

/// The weather of the reference meters.
fn observed() -> WeatherFile {
    let weather = weather().unwrap();
    let mut text = "time,tempF\n".to_owned();
    for (start, degf) in weather.starts().iter().zip(weather.degf()) {
        text.push_str(&format!("{start},{degf}\n"));
    }
    file(text)
}

/// The same hours of 2016, as EnergyPlus would have them.
fn normal_year() -> WeatherFile {
    let begin = tick("2017-01-01");
    let weather = weather().unwrap();
    let from = weather.starts().partition_point(|start| *start < begin);
    let mut text = "LOCATION,Chicago,IL,USA,TMY3,725300,41.98,-87.92,0.0,201.0\n".to_owned();
    for title in [
        "DESIGN CONDITIONS",
        "TYPICAL/EXTREME PERIODS",
        "GROUND TEMPERATURES",
        "HOLIDAYS/DAYLIGHT SAVINGS",
        "COMMENTS 1",
        "COMMENTS 2",
    ] {
        text.push_str(title);
        text.push_str(",0\n");
    }
    text.push_str("DATA PERIODS,1,1,Data,Sunday, 1/ 1,12/31\n");
    let hours = weather.starts()[from..].iter().zip(&weather.degf()[from..]).take(8760);
    for (start, degf) in hours {
        let time = start.to_string();
        let hour: u32 = time[11..13].parse().unwrap();
        let degc = (degf - 32.0) / 1.8;
        text.push_str(&format!(
            "2017,{},{},{},60,?9,{degc:.3},5.0,60,101000{}\n",
            time[5..7].parse::<u32>().unwrap(),
            time[8..10].parse::<u32>().unwrap(),
            hour + 1,
            ",0".repeat(25)
        ));
    }
    read_weather(Input::bytes("chicago.epw", text), &WeatherOptions::default()).unwrap()
}

fn records(meter: &ReferenceMeter) -> Vec<Record> {
    let record = |reading: Reading| Record {
        start: reading.start,
        value: reading.value,
        estimated: reading.estimated,
    };
    meter.readings().unwrap().into_iter().map(record).collect()
}

/// What the arithmetic says by itself.
fn direct(meter: &ReferenceMeter, mode: Mode) -> RunResult {
    let hours = observed().hours().unwrap().into_iter().map(|hour| (hour.at, hour.degc));
    let weather = Weather::from_degc(hours, Zone::UTC);
    let readings = meter.readings().unwrap();
    sheaf_savings::run::run(RunInput {
        readings: &readings,
        interpretation: meter.interpretation,
        unit: unit(meter),
        weather: &weather,
        normal_year: None,
        baseline_end: tick(BASELINE_END),
        reporting_start: tick(REPORTING_START),
        settings: RunSettings::new(mode),
    })
    .result
}

fn in_station() -> ProjectPatch {
    ProjectPatch {
        weather_station: Some(Some(STATION.to_owned())),
        weather_normal_station: Some(Some(STATION.to_owned())),
        ..ProjectPatch::default()
    }
}

fn in_chicago() -> ProjectPatch {
    ProjectPatch { zipcode: Some(Some(ZIP.to_owned())), ..ProjectPatch::default() }
}

fn of(project_id: i64, trace_id: i64) -> NewMeterRun {
    NewMeterRun { project_id: Some(project_id), trace_id: Some(trace_id), ..NewMeterRun::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reference_meters_yield_what_the_arithmetic_yields() {
    let setting = Setting::with_weather().await;
    let project = setting.project("house", in_station()).await;
    let mut runs = Vec::new();
    for meter in &METERS {
        let trace = setting.trace(meter.name, meter, records(meter)).await;
        for mode in ["strict", "compat"] {
            let model_kwargs = Some(json!({ "mode": mode }).to_string());
            runs.push(NewMeterRun { model_kwargs, ..of(project, trace) });
        }
    }
    let ids = setting.ask(runs).await;
    assert_eq!(setting.work_off().await, Done { meter_runs: 24, ..Done::default() });
    for (index, id) in ids.into_iter().enumerate() {
        let (meter, mode) = (&METERS[index / 2], [Mode::Strict, Mode::Compat][index % 2]);
        let run = setting.run(id).await;
        assert_eq!((run.status, run.failure_message), (RunStatus::Success, None), "{}", meter.name);
        let expected = direct(meter, mode);
        let derivatives = setting.derivatives(id).await;
        let names: Vec<&str> = derivatives.iter().map(|row| row.interpretation.as_str()).collect();
        let all = ["annualized_weather_normal", "gross_predicted", "metered_savings", "modeled_savings"];
        assert_eq!(names, all);
        for row in &derivatives[1..3] {
            let name = row.interpretation.as_str();
            let pair = expected.derivatives.iter().find(|pair| pair.derivative_interpretation.name() == name);
            let [baseline, reporting] =
                pair.map(|pair| [pair.baseline.unwrap(), pair.reporting.unwrap()]).unwrap();
            let found = [
                [row.baseline_value, row.baseline_lower, row.baseline_upper, row.baseline_n],
                [row.reporting_value, row.reporting_lower, row.reporting_upper, row.reporting_n],
            ];
            let sides =
                [baseline, reporting].map(|side| [Some(side.value), side.lower, side.upper, Some(side.n)]);
            assert_eq!(found, sides, "{} {name}", meter.name);
            assert_eq!(row.differential_value, Some(baseline.value - reporting.value));
        }
        // The normal year is the reporting year, as modelled savings were computed for eemeter.
        assert!(derivatives[0].baseline_value.is_some() && derivatives[0].baseline_n == Some(365.0));
        let result = setting.datastore.meter_result(id).await.unwrap().unwrap();
        let class =
            if expected.interval.is_billing() { "CaltrackBillingModel" } else { "CaltrackDailyModel" };
        assert_eq!(result.model_class.as_deref(), Some(class));
        assert_eq!(result.weather_station.as_deref(), Some(STATION));
        let parts = setting.datastore.result_parts(&[id]).await.unwrap();
        assert_eq!((parts.periods.len(), parts.groups.len(), parts.models.len()), (2, 1, 2));
        let metrics = &expected.baseline.fit.model.as_ref().unwrap().avgs_metrics;
        assert_eq!((parts.models[0].r2, parts.models[0].cvrmse), (metrics.r_squared, metrics.cvrmse));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_chooses_its_station_and_says_how_good_it_is() {
    let setting = Setting::with_weather().await;
    let meter = &METERS[0];
    let trace = setting.trace("meter", meter, records(meter)).await;
    let near = setting.project("near", in_chicago()).await;
    let far = ProjectPatch { zipcode: Some(Some("91104".to_owned())), ..ProjectPatch::default() };
    let far = setting.project("far", far).await;
    let nowhere = setting.project("nowhere", ProjectPatch::default()).await;
    let other = ProjectPatch { weather_station: Some(Some("722874".to_owned())), ..in_chicago() };
    let other = setting.project("other", other).await;
    let ids = setting.ask([near, far, nowhere, other].map(|project| of(project, trace)).into()).await;
    setting.work_off().await;
    let result = setting.datastore.meter_result(ids[0]).await.unwrap().unwrap();
    assert_eq!(result.weather_station.as_deref(), Some(STATION));
    assert!(result.distance_km.unwrap() < 50.0 && result.coverage == Some(1.0), "{result:?}");
    let result = setting.datastore.meter_result(ids[1]).await.unwrap().unwrap();
    assert!(result.distance_km.unwrap() > 2000.0);
    assert!(result.warnings.unwrap().contains("sheaf.weather.far_station"));
    for (id, message) in [
        (ids[2], "the project has neither a ZIP code nor a weather station"),
        (ids[3], "station 722874 has no observations from"),
    ] {
        let run = setting.run(id).await;
        assert_eq!(run.status, RunStatus::Failed);
        assert!(run.failure_message.as_deref().unwrap().starts_with(message), "{run:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn importing_again_writes_nothing() {
    let setting = Setting::with_weather().await;
    let before = setting.store.head().await.unwrap();
    for file in [observed(), normal_year()] {
        assert_eq!(import(&setting.store, STATION, &file).await.unwrap().commit, None);
    }
    assert_eq!(setting.store.head().await.unwrap(), before);
    let series =
        ["temperature", "temperature_normal"].map(|name| format!("/weather/station_725300/{name}/1_h"));
    assert!(setting.store.find_all(&series).await.unwrap().iter().all(Option::is_some));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_said() {
    let setting = Setting::new().await;
    import(&setting.store, STATION, &observed()).await.unwrap();
    let meter = &METERS[0];
    let project = setting.project("house", in_station()).await;
    let trace = setting.trace("meter", meter, records(meter)).await;
    let empty = setting.trace("placeholder", meter, Vec::new()).await;
    let solar: Vec<Record> =
        records(meter).into_iter().filter(|record| record.start >= tick(REPORTING_START)).collect();
    let solar = setting.trace("solar", meter, solar).await;
    let class = |name: &str| Some(name.to_owned());
    let ids = setting
        .ask(vec![
            of(project, trace),
            of(project, empty),
            of(project, solar),
            NewMeterRun { model_class: class("BillingElasticNetCVModel"), ..of(project, trace) },
            NewMeterRun { model_class: class("Prophet"), ..of(project, trace) },
            NewMeterRun { input: Some("{}".to_owned()), ..NewMeterRun::default() },
        ])
        .await;
    assert_eq!(setting.work_off().await.meter_runs, 6);
    let mut statuses = Vec::new();
    for id in &ids {
        statuses.push(setting.run(*id).await);
    }
    let warnings = async |id| setting.datastore.meter_result(id).await.unwrap().unwrap().warnings.unwrap();

    // Without a normal year its derivative has no numbers, and all else is there.
    assert_eq!(statuses[0].status, RunStatus::Success);
    let rows = setting.derivatives(ids[0]).await;
    assert_eq!(
        (rows[0].interpretation.as_str(), rows[0].baseline_value),
        ("annualized_weather_normal", None)
    );
    assert!(rows[1].baseline_value.is_some());
    assert!(warnings(ids[0]).await.contains("sheaf.weather.no_normal_year"));
    // A placeholder has nothing to say.
    assert_eq!(statuses[1].status, RunStatus::Success);
    assert!(setting.derivatives(ids[1]).await.is_empty());
    assert!(warnings(ids[1]).await.contains("sheaf.meter.placeholder"));
    // One side alone.
    assert_eq!(statuses[2].status, RunStatus::Success);
    let rows = setting.derivatives(ids[2]).await;
    assert_eq!(rows[1].interpretation, "gross_predicted");
    assert!(rows[1].baseline_value.is_none() && rows[1].reporting_value.is_some());
    assert_eq!(rows[1].differential_value, None);
    // Models that don't go with the records, models that there are not, inputs that are none.
    let messages: Vec<&str> =
        statuses[3..].iter().map(|run| run.failure_message.as_deref().unwrap()).collect();
    assert!(messages[0].starts_with("CaltrackBillingModel was asked for, but the records are of a day"));
    assert!(messages[1].starts_with("model_class: unknown class `Prophet`"));
    assert_eq!(
        messages[2],
        "meter_input can't be read: /: Serialization \"type\" must be provided; allowed: SINGLE_TRACE_SIMPLE_PROJECT"
    );
    assert!(statuses[3..].iter().all(|run| run.status == RunStatus::Failed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_and_outputs_are_rendered_until_something_changes() {
    let setting = Setting::with_weather().await;
    let weather = WeatherStore::new(setting.store.clone());
    let rendering = Rendering::new(&setting.store, &weather);
    let project = setting.project("house", in_station()).await;
    for (name, meter) in [("days", &METERS[0]), ("bills", &METERS[1])] {
        let records = records(meter);
        let trace_id = setting.trace(name, meter, records.clone()).await;
        let id = setting.ask(vec![of(project, trace_id)]).await[0];
        setting.work_off().await;
        let run = setting.run(id).await;
        let result = setting.datastore.meter_result(id).await.unwrap().unwrap();
        let parts = setting.datastore.result_parts(&[id]).await.unwrap();
        let trace = setting.datastore.trace(trace_id).await.unwrap().unwrap();

        let input = rendering.meter_input(&run, Some(&trace), Some(&result)).await.unwrap();
        let read = MeterInput::from_json(&input).unwrap().input;
        assert_eq!(read.records.len(), records.len());
        assert_eq!(read.project.weather_station.as_deref(), Some(STATION));
        // The same input, supplied, yields the same figures.
        let options = r#"{"force": true}"#.to_owned();
        let supplied = NewMeterRun { input: Some(input.to_string()), options, ..NewMeterRun::default() };
        let again = setting.ask(vec![supplied]).await[0];
        setting.work_off().await;
        let value = |rows: Vec<MeterDerivative>| {
            rows.into_iter().map(|row| (row.baseline_value, row.reporting_upper)).collect::<Vec<_>>()
        };
        assert_eq!(value(setting.derivatives(again).await), value(parts.derivatives.clone()));

        let output = rendering.meter_output(&run, Some(&trace), &result, &parts).await.unwrap();
        let keys: Vec<&String> = output.as_object().unwrap().keys().collect();
        let expected = [
            "status",
            "failure_message",
            "logs",
            "eemeter_version",
            "model_class",
            "model_kwargs",
            "formatter_class",
            "formatter_kwargs",
            "weather_source_station",
            "weather_normal_source_station",
            "derivatives",
            "modeled_energy_trace",
        ];
        assert_eq!(keys, expected);
        assert_eq!(output["derivatives"][0]["baseline"]["label"], "baseline");
        assert_eq!(output["derivatives"][0]["baseline"]["value"], json!(parts.derivatives[0].baseline_value));
        let fixture = output["derivatives"][0]["baseline"]["demand_fixture"].as_object().unwrap();
        assert_eq!(fixture.len(), 365);
        assert!(fixture["2015-01-01T00:00:00+00:00"].is_f64());
        let fits = &output["modeled_energy_trace"]["fits"];
        let data = fits["baseline"]["input_data"].as_object().unwrap();
        let row = data.values().next().unwrap();
        assert!(row["energy"].is_f64(), "{row}");
        let temperatures = if name == "days" { Value::is_f64 } else { Value::is_object };
        assert!(temperatures(&row["tempF"]), "{row}");
        assert_eq!(fits["reporting"]["status"], "SUCCESS");

        // Another record behind the last one is no part of it; another value is.
        let add = async |record: Record| {
            let trace = setting.datastore.trace(trace_id).await.unwrap().unwrap();
            let new = NewRecords { known: Known::of(&trace).unwrap(), records: vec![record] };
            setting.set_records(trace_id, write(&setting.store, vec![new]).await.unwrap()[0]).await;
            setting.datastore.trace(trace_id).await.unwrap().unwrap()
        };
        let last = records.last().unwrap().start.checked_add(24 * 3600 * Tick::PER_SECOND).unwrap();
        let trace = add(Record { start: last, value: Some(1.0), estimated: false }).await;
        let same = rendering.meter_output(&run, Some(&trace), &result, &parts).await.unwrap();
        assert_eq!(same, output);
        let trace = add(Record { value: Some(77.0), ..records[100.min(records.len() - 3)] }).await;
        for gone in [
            rendering.meter_input(&run, Some(&trace), Some(&result)).await,
            rendering.meter_output(&run, Some(&trace), &result, &parts).await,
        ] {
            let hash = result.input_hash.clone().unwrap();
            assert!(matches!(gone, Err(RenderError::Gone { hash: found }) if found == hash));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_input_is_computed_once_unless_forced() {
    let setting = Setting::with_weather().await;
    let project = setting.project("house", in_station()).await;
    let trace = setting.trace("meter", &METERS[0], records(&METERS[0])).await;
    let first = setting.ask(vec![of(project, trace)]).await[0];
    assert_eq!(setting.work_off().await, Done { meter_runs: 1, ..Done::default() });
    let second = setting.ask(vec![of(project, trace)]).await[0];
    assert_eq!(setting.work_off().await, Done { meter_runs: 1, answered_from_earlier: 1, aggregations: 0 });
    let forced = NewMeterRun { options: r#"{"force": true}"#.to_owned(), ..of(project, trace) };
    let third = setting.ask(vec![forced]).await[0];
    assert_eq!(setting.work_off().await, Done { meter_runs: 1, ..Done::default() });
    let figures = async |id: i64| {
        let rows = setting.derivatives(id).await.into_iter();
        rows.map(|row| (row.interpretation, row.baseline_value, row.differential_upper)).collect::<Vec<_>>()
    };
    assert_eq!(figures(first).await, figures(second).await);
    assert_eq!(figures(first).await, figures(third).await);
    let parts = setting.datastore.result_parts(&[second]).await.unwrap();
    assert_eq!((parts.periods.len(), parts.groups.len(), parts.models.len()), (2, 1, 2));
    assert_eq!(parts.derivatives[0].modeling_period_group_id, Some(parts.groups[0].id));
}

/// How many runs have ended.
#[derive(Default, Clone)]
struct Counted(Arc<AtomicUsize>);

impl Observer for Counted {
    fn ended(&self, ended: Ended<'_>) {
        assert!(matches!(ended, Ended::MeterRun { .. }));
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_leaves_its_runs_to_the_next() {
    let setting = Setting::with_weather().await;
    let project = setting.project("house", in_station()).await;
    let trace = setting.trace("meter", &METERS[1], records(&METERS[1])).await;
    let ids = setting.ask(vec![of(project, trace); 5]).await;
    let lease = Duration::from_millis(50);
    let claimed = setting.datastore.claim_runs(9, 5, lease, now()).await.unwrap();
    assert_eq!(claimed.len(), 5);
    // Its process is gone here. Nobody does its runs before its lease has ended.
    let counted = Counted::default();
    let (stop, stopped) = watch::channel(false);
    let worker = setting.worker(counted.clone(), Duration::from_secs(60), 2);
    let work = tokio::spawn(async move { worker.work(stopped).await });
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if counted.0.load(Ordering::Relaxed) == 5 {
            break;
        }
    }
    stop.send(true).unwrap();
    work.await.unwrap();
    assert_eq!(counted.0.load(Ordering::Relaxed), 5);
    for id in ids {
        let run = setting.run(id).await;
        assert_eq!((run.status, run.attempt), (RunStatus::Success, 2));
    }
    // Whoever comes back late changes nothing.
    let late = claimed.iter().map(|claimed| claimed.run.id).collect::<Vec<_>>();
    let holds = setting.datastore.renew_runs(9, &late, lease, now()).await.unwrap();
    assert!(holds.iter().all(|hold| *hold == sheaf_db::Hold::Lost));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_over_which_a_process_died_is_done_alone() {
    let setting = Setting::with_weather().await;
    let project = setting.project("house", in_station()).await;
    let trace = setting.trace("meter", &METERS[1], records(&METERS[1])).await;
    let ids = setting.ask(vec![of(project, trace); 3]).await;
    setting.datastore.claim_runs(9, 3, Duration::ZERO, NOW).await.unwrap();
    // The next worker is told to stop as soon as a run has ended: that is all of its batch.
    let (stop, stopped) = watch::channel(false);
    let done = setting.worker(Stops(stop), Duration::from_secs(60), 1).work_off(&stopped).await.unwrap();
    assert_eq!(done.meter_runs, 1);
    let mut standing = Vec::new();
    for id in ids {
        let run = setting.run(id).await;
        standing.push((run.status, run.attempt));
    }
    standing.sort_by_key(|(status, _)| status.word());
    assert_eq!(standing, [(RunStatus::Pending, 1), (RunStatus::Pending, 1), (RunStatus::Success, 2)]);
    assert_eq!(setting.work_off().await.meter_runs, 2);
}

/// Tells a worker to stop as soon as a run has ended.
struct Stops(watch::Sender<bool>);

impl Observer for Stops {
    fn ended(&self, _: Ended<'_>) {
        self.0.send_replace(true);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_wait_while_the_store_cannot_be_read() {
    let setting = Setting::with_weather().await;
    let project = setting.project("house", in_station()).await;
    let trace = setting.trace("meter", &METERS[1], records(&METERS[1])).await;
    let ids = setting.ask(vec![of(project, trace)]).await;
    setting.disk.fail(When { operation: None, after: 0 }, Fault::Fail);
    let (_stop, stopped) = watch::channel(false);
    let worker = setting.worker((), Duration::from_secs(60), 1);
    worker.work_off(&stopped).await.unwrap_err();
    let run = setting.run(ids[0]).await;
    assert_eq!((run.status, run.attempt, run.failure_message), (RunStatus::Pending, 0, None));
    assert_eq!(worker.work_off(&stopped).await.unwrap().meter_runs, 1);
    assert_eq!(setting.run(ids[0]).await.status, RunStatus::Success);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_runs_are_not_done_and_a_worker_that_stops_gives_back() {
    let setting = Setting::with_weather().await;
    let project = setting.project("house", in_station()).await;
    let trace = setting.trace("meter", &METERS[1], records(&METERS[1])).await;
    let ids = setting.ask(vec![of(project, trace); 2]).await;
    setting.datastore.cancel_runs(&RunFilter::with_ids(vec![ids[0]]), NOW).await.unwrap();
    let (_stop, stopped) = watch::channel(true);
    let worker = setting.worker((), Duration::from_secs(60), 3);
    assert_eq!(worker.work_off(&stopped).await.unwrap(), Done::default());
    assert_eq!(setting.run(ids[1]).await.status, RunStatus::Pending);
    assert_eq!(setting.work_off().await.meter_runs, 1);
    assert_eq!(setting.run(ids[0]).await.status, RunStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portfolio_is_added_up_after_its_meters() {
    let setting = Setting::with_weather().await;
    let project = setting.project("house", in_station()).await;
    let meters = [&METERS[0], &METERS[3]];
    let mut runs = Vec::new();
    for meter in meters {
        let trace = setting.trace(meter.name, meter, records(meter)).await;
        runs.push(of(project, trace));
    }
    let ids = setting.ask(runs).await;
    let ask = |derivative: Option<&str>| NewAggregation {
        projects: vec![project],
        traces: Vec::new(),
        derivatives: Vec::new(),
        group_id: None,
        trace_interpretation: None,
        trace_interpretation_given: None,
        derivative_interpretation: derivative.map(str::to_owned),
        derivative_interpretation_given: derivative.map(str::to_owned),
        aggregation_interpretation: "SUM".to_owned(),
        all_runs: false,
        options: "{}".to_owned(),
    };
    let asked = vec![ask(Some("metered_savings")), ask(None)];
    let sums = setting.datastore.insert_aggregations(NewBatch::default(), asked, NOW).await.unwrap().ids;
    assert_eq!(setting.work_off().await, Done { meter_runs: 2, aggregations: 2, ..Done::default() });
    let sum = setting.datastore.aggregation(sums[0]).await.unwrap().unwrap();
    assert_eq!((sum.status, &sum.failure_message), (RunStatus::Success, &None));
    let result = setting.datastore.aggregation_result(sums[0]).await.unwrap().unwrap();
    let mut expected = 0.0;
    for id in ids {
        expected += setting.derivatives(id).await[2].differential_value.unwrap();
    }
    assert!((result.differential_value.unwrap() - expected).abs() < 1e-6);
    assert_eq!((result.n_derivatives, result.n_accepted), (2, 2));
    let other = setting.datastore.aggregation(sums[1]).await.unwrap().unwrap();
    assert_eq!(other.status, RunStatus::Failed);
    assert!(
        other.failure_message.unwrap().starts_with("the derivatives differ in derivative_interpretation")
    );

    let selection = aggregate::selection_of(&setting.datastore, &sum).await.unwrap();
    let members = setting.datastore.aggregation_members(&selection).await.unwrap();
    let input = aggregate::input_json(&sum, &result, &members).unwrap();
    assert_eq!(input["derivatives"]["derivative_pairs"].as_array().unwrap().len(), 2);
    assert!(aggregate::input_json(&sum, &result, &members[..1]).is_err());
    let all = AggregationFilter::with_ids(sums);
    assert_eq!(setting.datastore.aggregations(&all, Page::ALL).await.unwrap().len(), 2);
}

fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Micros(since.as_micros() as i64)
}
