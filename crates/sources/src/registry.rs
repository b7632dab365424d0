//! All kinds of sources, and how their settings are stored.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::SourceError;
use crate::folder::{FolderConfig, FolderSource};
use crate::source::DataSource;

/// The settings of a source, as they are stored: `{"kind": "folder", "root": "/data", "template": "{yyyy}/*.csv"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SourceConfig {
    /// A folder with tables.
    Folder(FolderConfig),
}

impl SourceConfig {
    /// Opens the source.
    ///
    /// # Errors
    /// It can't be reached, or settings can't be.
    pub fn open(self) -> Result<Arc<dyn DataSource>, SourceError> {
        Ok(match self {
            SourceConfig::Folder(config) => Arc::new(FolderSource::open(config)?),
        })
    }
}
