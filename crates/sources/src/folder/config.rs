//! The settings of a folder, as they are stored.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sheaf_model::{DataType, ResourceId, SamplePeriod};

use crate::open::TableOptions;

/// A folder with tables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderConfig {
    /// The folder.
    pub root: PathBuf,
    /// Which files in it, see [`FolderSource`](crate::FolderSource).
    pub template: String,
    /// How they are written.
    #[serde(default)]
    pub table: TableOptions,
    /// How far rows may lie outside of what the names of their files say: a day's file that has the midnight at its end, too.
    /// Files next to a range are read along then. None by default, because each file is read once more for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<SamplePeriod>,
    /// Types of series, INT64 or FLOAT64, where the files that are looked at first are not like the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data_types: BTreeMap<ResourceId, DataType>,
}
