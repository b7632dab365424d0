//! A store with its database and rollups: what commands and the server work on.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sheaf_db::{Database, DatabaseError, RepositoryError};
use sheaf_model::{CatalogId, ResourceId, ResourcePath};
use sheaf_store::{LocalDisk, ROLLUPS_FILE, RollupSettings, Rollups, Settings, Store, StoreError};

pub(crate) use crate::catalogs::Found;
use crate::catalogs::{CatalogError, Catalogs, RequestConfiguration};

/// Rows of metadata that are looked up at once.
const PAGE: usize = 1000;

/// Name of the SQLite database in the data folder.
const DATABASE: &str = "sheaf.db";

/// Where data are: a folder, and a database in it or elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    /// The URL of a database that is not in the folder. It may hold a password.
    database: Option<String>,
    /// Whether the sample catalog is there.
    has_sample: bool,
    /// Sections `[[source]]` of the settings file. They may hold passwords.
    sources: Vec<serde_json::Value>,
}

impl Place {
    /// This folder, or the platform's folder for data; and this database, or one in the folder.
    pub(crate) fn new(folder: Option<PathBuf>, database: Option<String>) -> Result<Place, DataError> {
        let folder = match folder {
            Some(folder) => folder,
            None => match directories::ProjectDirs::from("", "", "sheaf") {
                Some(folders) => folders.data_dir().to_owned(),
                None => return Err(DataError::NoHome),
            },
        };
        Ok(Place { folder, database, has_sample: true, sources: Vec::new() })
    }

    /// With sources beside those in the database.
    pub(crate) fn with_sources(self, has_sample: bool, sources: Vec<serde_json::Value>) -> Place {
        Place { has_sample, sources, ..self }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    async fn connect(&self) -> Result<Database, DataError> {
        Ok(match &self.database {
            Some(url) => Database::connect(url).await?,
            None => Database::sqlite(&self.folder.join(DATABASE)).await?,
        })
    }

    /// The folder and the database, which must both be there.
    pub(crate) async fn existing(&self) -> Result<(PathBuf, Database), DataError> {
        let is_there = self.database.is_some() || self.folder.join(DATABASE).is_file();
        if !self.folder.is_dir() || !is_there {
            return Err(DataError::NoStore { folder: self.folder.clone() });
        }
        Ok((self.folder.clone(), self.connect().await?))
    }

    /// The store; a new one if there is none.
    pub(crate) async fn create(&self) -> Result<Data, DataError> {
        let failed = |source| DataError::Folder { folder: self.folder.clone(), source };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        self.with(self.folder.clone(), self.connect().await?).await
    }

    /// The store, which must be there.
    pub(crate) async fn open(&self) -> Result<Data, DataError> {
        let (folder, database) = self.existing().await?;
        self.with(folder, database).await
    }

    async fn with(&self, folder: PathBuf, database: Database) -> Result<Data, DataError> {
        let mut data = Data::new(folder, database).await?;
        let configured = data.catalogs.configure(self.has_sample, &self.sources);
        configured.map_err(|problem| DataError::Sections { problem })?;
        Ok(data)
    }
}

/// A store, and what else its folder and its database hold.
pub(crate) struct Data {
    pub(crate) folder: PathBuf,
    pub(crate) store: Store,
    pub(crate) database: Database,
    /// States that are kept. What is put into them is written in the background, and at the end of the program.
    pub(crate) rollups: Arc<Rollups>,
    /// What there is, in the store and in sources.
    pub(crate) catalogs: Catalogs,
}

impl Data {
    async fn new(folder: PathBuf, database: Database) -> Result<Data, DataError> {
        let rollups = Arc::new(Rollups::new(folder.join(ROLLUPS_FILE), RollupSettings::default()));
        let failed = |source| DataError::Folder { folder: folder.clone(), source };
        let disk = Arc::new(LocalDisk::new(folder.clone()).map_err(failed)?);
        let store = Store::open(disk, Arc::new(database.manifest()), Settings::default()).await?;
        let catalogs = Catalogs::new(store.clone(), database.clone(), rollups.clone(), folder.clone());
        Ok(Data { folder, store, database, rollups, catalogs })
    }

    /// What each path is computed from, see [`Catalogs::resolve`].
    pub(crate) async fn resolve(&self, paths: &[ResourcePath]) -> Result<Vec<Found>, DataError> {
        self.resolve_for(paths, &None).await
    }

    /// The same for a request that brings along something for sources.
    pub(crate) async fn resolve_for(
        &self,
        paths: &[ResourcePath],
        configuration: &RequestConfiguration,
    ) -> Result<Vec<Found>, DataError> {
        Ok(self.catalogs.resolve(paths, configuration).await?)
    }

    /// Whether sources that are read in place provide a catalog.
    pub(crate) async fn is_in_place(&self, catalog: &CatalogId) -> Result<bool, DataError> {
        Ok(self.catalogs.view().await?.provision(catalog).is_some())
    }

    /// The units of the resources of a catalog, as far as they are known.
    pub(crate) async fn units(&self, catalog: &CatalogId) -> Result<HashMap<ResourceId, String>, DataError> {
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
}

/// Runs what blocks on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DataError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| DataError::Task { problem: error.to_string() })
}

/// Data that can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    /// Nobody said where data are.
    #[error("there is no home folder on this machine: say where the data are with --data-dir")]
    NoHome,
    /// There is no store.
    #[error("there is no store in {}: name its folder with --data-dir, or write something first", folder.display())]
    NoStore {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder can't be made or used.
    #[error("can't make or use the folder {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A source in the settings file can't be.
    #[error("{problem}")]
    Sections {
        /// Which one, what is wrong, and what would be right.
        problem: String,
    },
    /// The database can't be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the database knows beside the manifest can't be read or changed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// There is nothing behind a path, or a source fails.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A task ended early.
    #[error("a task ended early: {problem}")]
    Task {
        /// Why.
        problem: String,
    },
}
