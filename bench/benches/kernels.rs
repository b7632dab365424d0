//! How fast samples become numbers, on one core.
//!
//! Two kinds of measurement:
//!
//! - *rounds* ([`rounds`]) for the targets, which are ratios. The speed of a shared machine drifts by tens of per cent
//!   within a minute, and criterion finishes one benchmark before it begins the next, so ratios of its results would
//!   compare one moment with another. A round measures every case once, ours and those of the peer, and ratios are
//!   taken within a round. Only `cargo xtask bench kernels` asks for it.
//! - *criterion* ([`single_cases`]) for all else: every level, family, type and bucket size on one day of samples.
//!
//! Every answer is checked before it is timed, and those of the rounds against the peer.

use std::error::Error;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use serde_json::{Value, json};
use sheaf_bench::asked::{self, Asked};
use sheaf_bench::data::{self, Channel, SAMPLES_PER_10_MIN, SAMPLES_PER_DAY};
use sheaf_bench::peer::Peer;
use sheaf_bench::seconds::Seconds;
use sheaf_kernels::{
    Bits, Edges, Gate, Grid, Level, Moments, Polar, Quantiles, Sample, SampleRun, State, Statistic, Sums,
    Validity, finish, fold_at,
};

/// How often each case of the targets is measured.
const ROUNDS: usize = 15;

/// The peer takes seconds for all moments at once: every fifth round is enough for a number without a target.
const ROUNDS_PER_PEER_MOMENTS: usize = 5;

const MEAN: &[Statistic] = &[Statistic::Mean];
const MOMENTS: &[Statistic] = &[Statistic::Mean, Statistic::Std, Statistic::Min, Statistic::Max];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    // Without `--bench` criterion runs everything once, as a test.
    let asked = Asked::from_env();
    let len = match asked {
        _ if asked::is_test() => 10 * SAMPLES_PER_10_MIN,
        Some(_) => 10 * SAMPLES_PER_DAY,
        None => SAMPLES_PER_DAY,
    };
    let channel = Channel::new(len);
    let report = match &asked {
        Some(asked) => Some(rounds(asked, &channel)?),
        None => None,
    };

    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .without_plots()
        .configure_from_args();
    let singles = single_cases(&mut criterion, &channel)?;
    if let (Some(asked), Some(mut report)) = (asked, report) {
        report["singles"] = singles;
        std::fs::write(asked.folder.join("kernels.json"), report.to_string())?;
    }
    Ok(())
}

/// Buckets of `per_bucket` samples to the statistics of each, bucket after bucket for one statistic after the other.
fn numbers<S: State, T: Sample>(
    level: Level,
    run: SampleRun<'_, T>,
    per_bucket: usize,
    statistics: &[Statistic],
) -> Result<Vec<f64>, sheaf_kernels::Error> {
    let states: Vec<S> = fold_at(level, run, Grid::new(per_bucket, 0)?)?;
    let gate = Gate::new(per_bucket as u64, 0.0)?;
    let mut numbers = Vec::with_capacity(states.len() * statistics.len());
    for &statistic in statistics {
        numbers.extend(finish(&states, statistic, gate)?);
    }
    Ok(numbers)
}

/// The sum as everyone writes it: each addition waits for the one before.
fn sum_in_order(values: &[f64]) -> f64 {
    values.iter().sum()
}

/// The sum as fast as memory allows: sixteen independent additions at a time.
fn sum_in_lanes(values: &[f64]) -> f64 {
    let (deals, rest) = values.as_chunks::<16>();
    let mut lanes = [0.0; 16];
    for deal in deals {
        for (lane, value) in lanes.iter_mut().zip(deal) {
            *lane += value;
        }
    }
    lanes.iter().chain(rest).sum()
}

/// Measures the cases of the targets in turn and compares the answers with the peer's.
fn rounds(asked: &Asked, channel: &Channel) -> Result<Value, Box<dyn Error>> {
    let Channel { values, thousandths } = channel;
    data::write_raw(&asked.folder.join("values.f64"), values, f64::to_le_bytes)?;
    data::write_raw(&asked.folder.join("thousandths.i16"), thousandths, i16::to_le_bytes)?;
    // Cargo starts benchmarks in the folder of their package.
    let mut peer = Peer::start(
        Command::new(&asked.python)
            .arg("peers/kernels.py")
            .arg(&asked.folder)
            .arg(SAMPLES_PER_10_MIN.to_string()),
    )?;

    let valid: Vec<f64> = values[..SAMPLES_PER_10_MIN].iter().copied().filter(|x| !x.is_nan()).collect();
    agree("sum_in_lanes", &[sum_in_lanes(&valid)], "sum_in_order", &[sum_in_order(&valid)])?;

    let level = Level::best();
    let (f64s, i16s) = (SampleRun::new(values), SampleRun::new(thousandths));
    let means = || numbers::<Sums, _>(level, black_box(f64s), SAMPLES_PER_10_MIN, MEAN);
    let moments = || numbers::<Moments, _>(level, black_box(f64s), SAMPLES_PER_10_MIN, MOMENTS);
    let i16_means = || numbers::<Sums, _>(level, black_box(i16s), SAMPLES_PER_10_MIN, MEAN);

    let mut seconds = Seconds::default();
    let mut answers = Default::default();
    // The first round warms up and is not counted.
    for round in 0..=ROUNDS {
        if round == 1 {
            seconds = Seconds::default();
        }
        // The missing samples make these sums NaN, which changes nothing about the speed of an addition in SSE2, AVX2
        // or NEON registers. The sum's answer is checked above.
        seconds.time("sum_in_order", || black_box(sum_in_order(black_box(values))));
        seconds.time("sum_in_lanes", || black_box(sum_in_lanes(black_box(values))));
        answers = (
            seconds.time("mean_f64", means)?,
            seconds.time("moments_f64", moments)?,
            seconds.time("mean_i16", i16_means)?,
        );
        seconds.add("numpy_mean_f64", peer.seconds("mean_f64")?);
        seconds.add("numpy_mean_i16", peer.seconds("mean_i16")?);
        if round % ROUNDS_PER_PEER_MOMENTS == 0 {
            seconds.add("numpy_moments_f64", peer.seconds("moments_f64")?);
        }
    }

    for (case, ours) in [("mean_f64", answers.0), ("moments_f64", answers.1), ("mean_i16", answers.2)] {
        peer.save(case)?;
        let theirs = data::read_raw(&asked.folder.join(format!("{case}.answer.f64")))?;
        agree(case, &ours, peer.name(), &theirs)?;
    }
    let levels: Vec<&str> = Level::available().into_iter().map(Level::name).collect();
    Ok(json!({
        "samples": values.len(),
        "per_bucket": SAMPLES_PER_10_MIN,
        "levels": levels,
        "peer": peer.name(),
        "seconds": Value::from(seconds),
    }))
}

/// That two answers are equal to 10⁻¹² of their size.
fn agree(ours_name: &str, ours: &[f64], theirs_name: &str, theirs: &[f64]) -> Result<(), String> {
    if ours.len() != theirs.len() {
        return Err(format!(
            "{ours_name} has {} answers, {theirs_name} has {}: they should be as many",
            ours.len(),
            theirs.len()
        ));
    }
    match ours.iter().zip(theirs).position(|(a, b)| !(a == b || (a - b).abs() <= 1e-12 * b.abs())) {
        Some(at) => Err(format!(
            "{ours_name}: answer {at} is {}, {theirs_name} says {}; they should agree to 1e-12",
            ours[at], theirs[at]
        )),
        None => Ok(()),
    }
}

/// Every level, family, type and bucket size, one after the other. Returns name and number of samples of each.
fn single_cases(criterion: &mut Criterion, channel: &Channel) -> Result<Value, Box<dyn Error>> {
    let len = SAMPLES_PER_DAY.min(channel.values.len());
    let (f64s, i16s) = (&channel.values[..len], &channel.thousandths[..len]);
    let f32s: Vec<f32> = f64s.iter().map(|&value| value as f32).collect();
    let i64s: Vec<i64> = i16s.iter().copied().map(i64::from).collect();
    let words: Vec<u64> = f64s
        .chunks(64)
        .map(|chunk| (0..chunk.len()).fold(0, |word, bit| word | u64::from(!chunk[bit].is_nan()) << bit))
        .collect();
    let validity = Validity::new(&words, 0);

    let best = Level::best();
    let ten_min = SAMPLES_PER_10_MIN;
    let f64_run = SampleRun::new(f64s);
    let i16_run = SampleRun::new(i16s);
    let i64_run = SampleRun::new(&i64s);
    let mut singles = Singles { group: criterion.benchmark_group("kernels"), done: Vec::new() };
    for level in Level::available() {
        let name = |family: &str| format!("{family} of 60000 f64, {}", level.name());
        singles.case::<Sums, _>(&name("sums"), level, f64_run, ten_min, MEAN)?;
        singles.case::<Moments, _>(&name("moments"), level, f64_run, ten_min, MOMENTS)?;
    }
    for per_bucket in [4, 24, 100] {
        let name = |family: &str| format!("{family} of {per_bucket} f64");
        singles.case::<Sums, _>(&name("sums"), best, f64_run, per_bucket, MEAN)?;
        singles.case::<Moments, _>(&name("moments"), best, f64_run, per_bucket, MOMENTS)?;
    }
    let f32_run = SampleRun::new(&f32s);
    singles.case::<Sums, _>("sums of 60000 f32", best, f32_run, ten_min, MEAN)?;
    singles.case::<Sums, _>("sums of 60000 i16", best, i16_run, ten_min, MEAN)?;
    singles.case::<Sums, _>("sums of 60000 i64", best, i64_run, ten_min, MEAN)?;
    let f64_run_with_bits = f64_run.with_validity(validity)?;
    let i16_run_with_bits = i16_run.with_validity(validity)?;
    let i64_run_with_bits = i64_run.with_validity(validity)?;
    singles.case::<Sums, _>("sums of 60000 f64 with validity", best, f64_run_with_bits, ten_min, MEAN)?;
    singles.case::<Sums, _>("sums of 60000 i16 with validity", best, i16_run_with_bits, ten_min, MEAN)?;
    singles.case::<Sums, _>("sums of 60000 i64 with validity", best, i64_run_with_bits, ten_min, MEAN)?;
    singles.case::<Moments, _>("moments of 60000 f32", best, f32_run, ten_min, MOMENTS)?;
    singles.case::<Moments, _>("moments of 60000 i16", best, i16_run, ten_min, MOMENTS)?;
    singles.case::<Moments, _>("moments of 60000 i64", best, i64_run, ten_min, MOMENTS)?;
    let polar = &[Statistic::MeanPolarDeg];
    singles.case::<Polar, _>("polar of 60000 f64", best, f64_run, ten_min, polar)?;
    let edges = &[Statistic::First, Statistic::Last];
    singles.case::<Edges, _>("edges of 60000 f64", best, f64_run, ten_min, edges)?;
    let bits = &[Statistic::MinBitwise, Statistic::MaxBitwise];
    singles.case::<Bits, _>("bits of 60000 i16", best, i16_run, ten_min, bits)?;
    let median = &[Statistic::Median];
    singles.case::<Quantiles, _>("median of 60000 f64", best, f64_run, ten_min, median)?;
    Ok(singles.finish())
}

/// The benchmarks that criterion runs.
struct Singles<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    done: Vec<Value>,
}

impl Singles<'_> {
    /// Checks the answers of the first and the last whole bucket, then measures.
    fn case<S: State, T: Sample>(
        &mut self,
        name: &str,
        level: Level,
        run: SampleRun<'_, T>,
        per_bucket: usize,
        statistics: &[Statistic],
    ) -> Result<(), Box<dyn Error>> {
        let answers = numbers::<S, T>(level, run, per_bucket, statistics)?;
        let buckets = answers.len() / statistics.len();
        for bucket in [0, run.len() / per_bucket - 1] {
            let samples: Vec<T> =
                (bucket * per_bucket..).take(per_bucket).filter_map(|i| run.get(i)).collect();
            let ours: Vec<f64> = (0..statistics.len()).map(|i| answers[i * buckets + bucket]).collect();
            let plain: Vec<f64> =
                statistics.iter().map(|&statistic| plain_formula(statistic, &samples)).collect();
            agree(name, &ours, "the plain formula", &plain)?;
        }
        self.group.throughput(Throughput::Elements(run.len() as u64));
        self.group.bench_function(name, |bencher| {
            bencher.iter(|| numbers::<S, T>(level, black_box(run), per_bucket, statistics));
        });
        self.done.push(json!({ "name": name, "samples": run.len() }));
        Ok(())
    }

    fn finish(self) -> Value {
        self.group.finish();
        Value::Array(self.done)
    }
}

/// What a statistic should be, by the formula in a textbook.
fn plain_formula<T: Sample>(statistic: Statistic, samples: &[T]) -> f64 {
    let x: Vec<f64> = samples.iter().map(|&sample| sample.to_f64()).collect();
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let bits = samples.iter().filter_map(|&sample| sample.to_bits());
    let sum_of = |f: fn(f64) -> f64| x.iter().map(|x| f(x.to_radians())).sum::<f64>();
    match statistic {
        Statistic::Mean => mean,
        Statistic::Std => (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt(),
        Statistic::Min => x.iter().copied().fold(f64::INFINITY, f64::min),
        Statistic::Max => x.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Statistic::MeanPolarDeg => sum_of(f64::sin).atan2(sum_of(f64::cos)).to_degrees().rem_euclid(360.0),
        Statistic::First => x[0],
        Statistic::Last => x[x.len() - 1],
        Statistic::MinBitwise => bits.fold(-1, |all, bits| all & bits) as f64,
        Statistic::MaxBitwise => bits.fold(0, |all, bits| all | bits) as f64,
        Statistic::Median => {
            let mut sorted = x;
            sorted.sort_by(f64::total_cmp);
            let middle = sorted.len() / 2;
            if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
        }
        other => panic!("no plain formula for {other}: add one"),
    }
}
