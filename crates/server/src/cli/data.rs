//! Where the data are, and how commands that take time work on them.

use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use sheaf_db::Database;
use sheaf_store::Watch;

pub(crate) use crate::data::Data;
use crate::data::Place;
use crate::settings;

/// Where the data are.
#[derive(clap::Args)]
pub(crate) struct DataArgs {
    /// The data folder [default: the platform's folder for data, like ~/.local/share/sheaf]
    #[arg(long, value_name = "DIR", env = "SHEAF_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// URL of a PostgreSQL database with the manifest, postgres://user:password@host/name [default: SQLite, in sheaf.db in
    /// the data folder]
    #[arg(long, value_name = "URL", env = "SHEAF_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// The settings file, which may say both [default: sheaf.toml in the data folder, if it is there]
    #[arg(long, value_name = "FILE", env = "SHEAF_CONFIG")]
    config: Option<PathBuf>,
}

impl DataArgs {
    fn place(&self) -> Result<Place, Box<dyn Error>> {
        Ok(settings::place(self.config.clone(), self.data_dir.clone(), self.database.clone())?)
    }

    /// The folder and the database, which must both be there.
    pub(crate) async fn existing(&self) -> Result<(PathBuf, Database), Box<dyn Error>> {
        Ok(self.place()?.existing().await?)
    }

    /// The store; a new one if there is none.
    pub(crate) async fn create(&self) -> Result<Data, Box<dyn Error>> {
        Ok(self.place()?.create().await?)
    }

    /// The store, which must be there.
    pub(crate) async fn open(&self) -> Result<Data, Box<dyn Error>> {
        Ok(self.place()?.open().await?)
    }
}

/// What progress is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Count,
}

impl Unit {
    /// The template of the progress bar, with or without a known end.
    fn template(self, has_end: bool) -> &'static str {
        match (self, has_end) {
            (Unit::Bytes, true) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            (Unit::Bytes, false) => "{msg} {spinner} {bytes} {bytes_per_sec}",
            (Unit::Count, true) => "{msg} {wide_bar} {pos}/{len} {per_sec} {eta}",
            (Unit::Count, false) => "{msg} {spinner} {pos}",
        }
    }
}

/// Runs a command that works on a store. Ctrl-C cancels it, progress shows on a terminal.
pub(crate) fn run<T, F>(unit: Unit, command: impl FnOnce(Watch) -> F) -> Result<T, Box<dyn Error>>
where
    F: Future<Output = Result<T, Box<dyn Error>>>,
{
    // What takes long has threads of its own. Tasks only wait, for Ctrl-C or for the database.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let bar = ProgressBar::no_length();
    // A template that does not parse would be a mistake above; the default style will do.
    let style = |has_end| ProgressStyle::with_template(unit.template(has_end)).ok();
    let (with_end, without_end) = (style(true), style(false));
    let has_end = AtomicBool::new(true);
    bar.set_style(with_end.clone().unwrap_or_else(ProgressStyle::default_bar));
    let watch = Watch::new({
        let bar = bar.clone();
        move |progress| {
            let is_known = progress.total > 0 || unit == Unit::Count;
            if has_end.swap(is_known, Ordering::Relaxed) != is_known {
                let style = if is_known { &with_end } else { &without_end };
                bar.set_style(style.clone().unwrap_or_else(ProgressStyle::default_bar));
            }
            if is_known {
                bar.set_length(progress.total);
            }
            bar.set_position(progress.done);
            bar.set_message(progress.what);
        }
    });
    let result = runtime.block_on(async {
        let cancelled = watch.clone();
        let interrupt = tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                cancelled.cancel();
            }
        });
        let result = command(watch).await;
        interrupt.abort();
        result
    });
    bar.finish_and_clear();
    result
}

/// What to say of a series that is not there.
pub(crate) fn no_series(key: &impl Display) -> Box<dyn Error> {
    format!("there is no series `{key}`: `sheaf catalogs` lists what there is").into()
}

/// Bytes for people: `1.2 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Counts for people: `1,234,567`.
pub(crate) fn count(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}
