//! A process that writes, deletes, compacts and reads until it is killed: this test binary, started again.
//!
//! Each of its tasks owns two series, one regular and one irregular, and changes both in every operation. What operation n
//! of task k does follows from the seed alone, so whoever knows which operations are done knows what must be there. The
//! worker says `@begin k n` before an operation and `@done k n commit` after its acknowledgement.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sheaf_db::Database;
use sheaf_model::{DataType, SamplePeriod, Tick, TimeRange, Values};
use sheaf_store::{
    CompactOptions, Layout, LocalDisk, MergePolicy, Receipt, Rows, SeriesId, SeriesSpec, Settings, Store,
    StoreError, Watch, Write,
};

/// 2020-01-01 in ticks.
const ORIGIN: i64 = 637_134_336_000_000_000;
const SECOND: i64 = 10_000_000;
/// All rows start within so many seconds.
const SECONDS: i64 = 3000;

/// What a worker does.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    /// Where the segments are.
    pub(crate) folder: String,
    /// The database.
    pub(crate) url: String,
    /// What the operations follow from.
    pub(crate) seed: u64,
    /// For each task the number of its first operation.
    pub(crate) first: Vec<u64>,
    /// A number that tells the series of this worker from those of others.
    pub(crate) name: u64,
    /// Whether it also compacts and reads.
    pub(crate) compacts: bool,
    /// Whether it tries again what failed, instead of giving up.
    pub(crate) patient: bool,
    /// How long replaced segments stay.
    pub(crate) grace: Duration,
}

/// What a worker said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Begin {
        task: usize,
        operation: u64,
    },
    Done {
        task: usize,
        operation: u64,
        commit: i64,
    },
    /// It read its series once more, and they were as they had to be.
    Read,
    Compacted,
    Failed,
}

const ENV: &str = "SHEAF_TEST_WORKER";

impl Orders {
    /// Starts the worker; what it says comes out of the channel, which ends with it.
    pub(crate) fn start(&self) -> (Child, Receiver<Said>) {
        let first: Vec<String> = self.first.iter().map(u64::to_string).collect();
        let text = [
            self.folder.clone(),
            self.url.clone(),
            self.seed.to_string(),
            first.join(","),
            self.name.to_string(),
            self.compacts.to_string(),
            self.patient.to_string(),
            self.grace.as_millis().to_string(),
        ];
        // A file that may not grow is an error like a full disk, not the end of the process.
        let mut child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["integration::worker::works", "--exact", "--ignored", "--nocapture"])
            .env(ENV, text.join("\n"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (say, heard) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(said) = parse(&line)
                    && say.send(said).is_err()
                {
                    break;
                }
            }
        });
        (child, heard)
    }

    fn from_env() -> Option<Orders> {
        let text = std::env::var(ENV).ok()?;
        let mut parts = text.split('\n');
        let mut next = || parts.next().unwrap().to_owned();
        Some(Orders {
            folder: next(),
            url: next(),
            seed: next().parse().unwrap(),
            first: next().split(',').map(|first| first.parse().unwrap()).collect(),
            name: next().parse().unwrap(),
            compacts: next().parse().unwrap(),
            patient: next().parse().unwrap(),
            grace: Duration::from_millis(next().parse().unwrap()),
        })
    }

    /// Says that something failed, and waits; or gives up.
    async fn bear(&self, error: StoreError) -> Result<(), StoreError> {
        if !self.patient {
            return Err(error);
        }
        say("failed");
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(())
    }

    /// Opens the store as the worker does.
    pub(crate) async fn open(&self) -> Result<Store, StoreError> {
        let database = Database::connect(&self.url).await.unwrap();
        let disk = Arc::new(LocalDisk::new(Path::new(&self.folder)).unwrap());
        Store::open(disk, Arc::new(database.manifest()), self.settings()).await
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            tail_write_bytes: 4 << 10,
            tail_most_bytes: 16 << 10,
            segment_most_rows: 2000,
            merge_policy: MergePolicy {
                segments_per_tier: 3,
                lowest_tier_bytes: 4 << 10,
                ..MergePolicy::default()
            },
            grace: self.grace,
            maintenance_lease: Duration::from_secs(2),
            ..Settings::default()
        }
    }

    /// The two series of a task.
    pub(crate) async fn series(&self, store: &Store, task: usize) -> Result<[SeriesId; 2], StoreError> {
        let period: SamplePeriod = "1_s".parse().unwrap();
        let spec = |kind, layout| SeriesSpec {
            key: format!("/worker{}/task{task}/{kind}", self.name),
            data_type: DataType::Float64,
            layout,
        };
        let regular = spec("regular", Layout::Regular { period, phase_ticks: 0 });
        let ids = store.create_series(&[regular, spec("irregular", Layout::Irregular)]).await?;
        Ok([ids[0], ids[1]])
    }

    /// The series of a task after these operations of it.
    pub(crate) fn model(&self, task: usize, operations: impl Iterator<Item = u64>) -> BTreeMap<i64, u64> {
        let mut model = BTreeMap::new();
        operations.for_each(|operation| Operation::new(self.seed, task, operation).apply(&mut model));
        model
    }
}

/// What one operation does to both series of a task.
pub(crate) enum Operation {
    Write(Vec<(i64, f64)>),
    Delete(i64, i64),
}

impl Operation {
    pub(crate) fn new(seed: u64, task: usize, operation: u64) -> Operation {
        let mut rng = StdRng::seed_from_u64(seed ^ (task as u64) << 56 ^ operation << 8);
        let second = rng.random_range(0..SECONDS);
        match rng.random_range(0..10) {
            0 => Operation::Delete(second, (second + rng.random_range(1..500)).min(SECONDS)),
            // More than fits in the tail.
            1..=3 => Operation::Write((0..700).map(|i| ((second + i) % SECONDS, rng.random())).collect()),
            _ => Operation::Write(
                (0..rng.random_range(1..20)).map(|i| ((second + i) % SECONDS, rng.random())).collect(),
            ),
        }
    }

    /// Applies it to the rows of a series: bits of the value by start.
    pub(crate) fn apply(&self, model: &mut BTreeMap<i64, u64>) {
        match self {
            Operation::Write(rows) => {
                model.extend(rows.iter().map(|&(second, value)| (ticks(second), value.to_bits())));
            }
            Operation::Delete(begin, end) => {
                model.retain(|&start, _| !(ticks(*begin)..ticks(*end)).contains(&start));
            }
        }
    }

    async fn run(&self, store: &Store, [regular, irregular]: [SeriesId; 2]) -> Result<Receipt, StoreError> {
        let write = match self {
            Operation::Write(rows) => {
                let starts =
                    |rows: &[(i64, f64)]| rows.iter().map(|&(second, _)| tick(second)).collect::<Vec<_>>();
                let values = rows.iter().map(|&(_, value)| value).collect::<Vec<_>>();
                let rows = Rows::listed(starts(rows), Values::F64(values)).unwrap();
                Write::new().rows(regular, rows.clone()).rows(irregular, rows)
            }
            Operation::Delete(begin, end) => {
                let range = TimeRange::new(tick(*begin), tick(*end)).unwrap();
                Write::new().delete(regular, range).delete(irregular, range)
            }
        };
        store.write(write).await
    }
}

fn ticks(second: i64) -> i64 {
    ORIGIN + second * SECOND
}

fn tick(second: i64) -> Tick {
    Tick::new(ticks(second)).unwrap()
}

/// All rows of a series that have a value: bits of the value by start.
pub(crate) fn rows_of(scan: sheaf_store::Scan) -> Result<BTreeMap<i64, u64>, StoreError> {
    let mut found = BTreeMap::new();
    for rows in scan {
        let rows = rows?;
        let Values::F64(values) = rows.values() else { panic!("the series has doubles") };
        for (row, value) in values.iter().enumerate().filter(|&(row, _)| rows.is_valid(row)) {
            assert!(found.insert(rows.start_ticks(row), value.to_bits()).is_none(), "a row twice");
        }
    }
    Ok(found)
}

fn parse(line: &str) -> Option<Said> {
    // The test harness may have written before it on the same line.
    let (_, said) = line.split_once('@')?;
    let words: Vec<&str> = said.split(' ').collect();
    Some(match words[..] {
        ["begin", task, operation] => {
            Said::Begin { task: task.parse().ok()?, operation: operation.parse().ok()? }
        }
        ["done", task, operation, commit] => Said::Done {
            task: task.parse().ok()?,
            operation: operation.parse().ok()?,
            commit: commit.parse().ok()?,
        },
        ["read"] => Said::Read,
        ["compacted"] => Said::Compacted,
        ["failed"] => Said::Failed,
        _ => return None,
    })
}

/// One write to the pipe for each line: half a line is never seen.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("@{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Not a test: what [`Orders::start`] starts.
#[test]
#[ignore = "started by other tests"]
fn works() {
    let Some(orders) = Orders::from_env() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let result: Result<(), StoreError> = runtime.block_on(async {
        let store = orders.open().await?;
        let mut tasks = tokio::task::JoinSet::new();
        for (task, &first) in orders.first.iter().enumerate() {
            let (store, orders) = (store.clone(), orders.clone());
            tasks.spawn(async move {
                let series = orders.series(&store, task).await?;
                for operation in first.. {
                    say(&format!("begin {task} {operation}"));
                    // Doing it again changes nothing: what failed may have happened.
                    let receipt = loop {
                        match Operation::new(orders.seed, task, operation).run(&store, series).await {
                            Ok(receipt) => break receipt,
                            Err(error) => orders.bear(error).await?,
                        }
                    };
                    say(&format!("done {task} {operation} {}", receipt.commit));
                }
                Ok::<(), StoreError>(())
            });
        }
        if orders.compacts {
            tasks.spawn(compact(store.clone(), orders.clone()));
            tasks.spawn(read(store.clone(), orders.clone()));
        }
        while let Some(result) = tasks.join_next().await {
            result.unwrap()?;
        }
        Ok(())
    });
    result.unwrap();
}

async fn compact(store: Store, orders: Orders) -> Result<(), StoreError> {
    let watch = Watch::new(|progress| {
        if progress.what == "merging segments" {
            say("compacted");
        }
    });
    for round in 0_u64.. {
        match store.compact(CompactOptions { all: round % 4 == 0 }, &watch).await {
            Ok(_) => say("compacted"),
            Err(StoreError::LeaseHeld { .. } | StoreError::Conflict) => {}
            Err(error) => orders.bear(error).await?,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Reads the series of each task again and again: both are always as after the same operations.
async fn read(store: Store, orders: Orders) -> Result<(), StoreError> {
    for task in (0..orders.first.len()).cycle() {
        match read_both(&store, &orders, task).await {
            Ok((regular, irregular)) => assert_eq!(regular, irregular, "half a commit is visible"),
            // With a grace of nothing a snapshot may be too old to be read.
            Err(StoreError::Vanished { .. }) if orders.grace.is_zero() => {}
            Err(error) => orders.bear(error).await?,
        }
        say("read");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Both series of a task in one snapshot.
async fn read_both(
    store: &Store,
    orders: &Orders,
    task: usize,
) -> Result<(BTreeMap<i64, u64>, BTreeMap<i64, u64>), StoreError> {
    let [regular, irregular] = orders.series(store, task).await?;
    let snapshot = store.snapshot(&[regular, irregular]).await?;
    let scan = async |series| {
        let scan = snapshot.scan(series, None).await?;
        tokio::task::spawn_blocking(move || rows_of(scan)).await.unwrap()
    };
    Ok((scan(regular).await?, scan(irregular).await?))
}
