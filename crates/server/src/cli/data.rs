//! Where the data are, and how commands that take time work on them.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use sheaf_db::{Database, Source};
use sheaf_engine::{Base, Resolved, resolve, resolve_in_place};
use sheaf_model::{CatalogId, ResourceId, ResourcePath};
use sheaf_sources::DataSource;
use sheaf_store::{LocalDisk, ROLLUPS_FILE, RollupSettings, Rollups, Settings, Store, Watch};

use super::source;

/// Rows of metadata that are looked up at once.
const PAGE: usize = 1000;

/// Name of the SQLite database in the data folder.
const DATABASE: &str = "sheaf.db";

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
}

impl DataArgs {
    fn folder(&self) -> Result<PathBuf, Box<dyn Error>> {
        match &self.data_dir {
            Some(folder) => Ok(folder.clone()),
            None => match directories::ProjectDirs::from("", "", "sheaf") {
                Some(folders) => Ok(folders.data_dir().to_owned()),
                None => {
                    Err("there is no home folder on this machine: say where the data are with --data-dir"
                        .into())
                }
            },
        }
    }

    /// The options that say where the data are, as they have to be given again.
    pub(crate) fn as_options(&self) -> String {
        let folder = self.data_dir.as_ref().map(|folder| format!(" --data-dir {}", folder.display()));
        // The URL may hold a password, so it is not shown.
        let database = self.database.as_ref().map(|_| " --database URL".to_owned());
        [folder, database].into_iter().flatten().collect()
    }

    async fn connect(&self, folder: &Path) -> Result<Database, Box<dyn Error>> {
        Ok(match &self.database {
            Some(url) => Database::connect(url).await?,
            None => Database::sqlite(&folder.join(DATABASE)).await?,
        })
    }

    /// The folder and the database, which must both be there.
    pub(crate) async fn existing(&self) -> Result<(PathBuf, Database), Box<dyn Error>> {
        let folder = self.folder()?;
        if !folder.is_dir() || (self.database.is_none() && !folder.join(DATABASE).is_file()) {
            return Err(format!(
                "there is no store in {}: name its folder with --data-dir, or write something first",
                folder.display()
            )
            .into());
        }
        let database = self.connect(&folder).await?;
        Ok((folder, database))
    }

    /// The store; a new one if there is none.
    pub(crate) async fn create(&self) -> Result<Data, Box<dyn Error>> {
        let folder = self.folder()?;
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("can't make the folder {}: {error}", folder.display()))?;
        let database = self.connect(&folder).await?;
        Data::new(folder, database).await
    }

    /// The store, which must be there.
    pub(crate) async fn open(&self) -> Result<Data, Box<dyn Error>> {
        let (folder, database) = self.existing().await?;
        Data::new(folder, database).await
    }
}

/// A store, and what else its folder and its database hold.
pub(crate) struct Data {
    pub(crate) store: Store,
    pub(crate) database: Database,
    /// States that are kept. What is put into them is written in the background, and at the end of the program.
    pub(crate) rollups: Arc<Rollups>,
}

impl Data {
    async fn new(folder: PathBuf, database: Database) -> Result<Data, Box<dyn Error>> {
        let rollups = Arc::new(Rollups::new(folder.join(ROLLUPS_FILE), RollupSettings::default()));
        let disk = Arc::new(LocalDisk::new(folder)?);
        let store = Store::open(disk, Arc::new(database.manifest()), Settings::default()).await?;
        Ok(Data { store, database, rollups })
    }

    /// What each path is computed from: series of the store, or of sources that are read in place. States are kept of those of
    /// the store, unless their resource says otherwise.
    pub(crate) async fn resolve(&self, paths: &[ResourcePath]) -> Result<Vec<Found>, Box<dyn Error>> {
        let resources: Vec<(CatalogId, ResourceId)> =
            paths.iter().map(|path| (path.catalog().clone(), path.resource().clone())).collect();
        let properties = self.database.metadata().resources(&resources).await?;
        let sources = self.sources_of(paths).await?;
        let stored: Vec<ResourcePath> =
            paths.iter().filter(|path| !sources.contains_key(path.catalog())).cloned().collect();
        let mut stored = resolve(&self.store, &stored).await?.into_iter();
        let mut found = Vec::with_capacity(paths.len());
        for (path, properties) in paths.iter().zip(properties) {
            let mut unit = properties.unit().map(str::to_owned);
            let mut resolved = match sources.get(path.catalog()) {
                Some(source) => {
                    let (source, path) = (source.clone(), path.clone());
                    tokio::task::spawn_blocking(move || resolve_in_place(&source, &path)).await??
                }
                None => stored.next().ok_or_else(|| format!("`{path}` was not looked up"))?,
            };
            let period = resolved.base.period();
            match &mut resolved.base {
                Base::Stored { rollups, .. } => {
                    let without = properties.without_rollups()?;
                    *rollups =
                        Some(self.rollups.clone()).filter(|_| !period.is_some_and(|p| without.contains(&p)));
                }
                Base::InPlace { series, .. } => unit = unit.or(series.unit.clone()),
            }
            found.push(Found { resolved, unit });
        }
        Ok(found)
    }

    /// The sources that provide catalogs of these paths.
    async fn sources_of(
        &self,
        paths: &[ResourcePath],
    ) -> Result<HashMap<CatalogId, Arc<dyn DataSource>>, Box<dyn Error>> {
        let catalogs: HashSet<&CatalogId> = paths.iter().map(ResourcePath::catalog).collect();
        let mut sources = HashMap::new();
        let mut after: Option<CatalogId> = None;
        loop {
            let page = self.database.sources().list(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(sources) };
            after = Some(last.mount.clone());
            for source in page.iter().filter(|source| catalogs.contains(&source.mount)) {
                sources.insert(source.mount.clone(), source::open(source).await?);
            }
        }
    }

    /// The units of the resources of a catalog, as far as they are known.
    pub(crate) async fn units(
        &self,
        catalog: &CatalogId,
    ) -> Result<HashMap<ResourceId, String>, Box<dyn Error>> {
        let metadata = self.database.metadata();
        let mut units = HashMap::new();
        let mut after: Option<ResourceId> = None;
        loop {
            let page = metadata.resources_of(catalog, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(units) };
            after = Some(last.resource.clone());
            units.extend(
                page.into_iter().filter_map(|of| Some((of.resource, of.properties.unit()?.to_owned()))),
            );
        }
    }

    /// The source that provides exactly this catalog, if there is one.
    pub(crate) async fn source(&self, catalog: &CatalogId) -> Result<Option<Source>, Box<dyn Error>> {
        Ok(self.database.sources().find(catalog).await?.filter(|source| source.mount == *catalog))
    }
}

/// A path with what it is computed from, and its unit.
pub(crate) struct Found {
    pub(crate) resolved: Resolved,
    pub(crate) unit: Option<String>,
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
            (Unit::Count, true) => "{msg} {wide_bar} {pos}/{len} {eta}",
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
