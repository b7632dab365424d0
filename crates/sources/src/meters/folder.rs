//! Where the files of a loader's folder are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{SourceError, TableProblem};
use crate::meters::MeterProblem;

/// The files of a folder `oeem-format`, as the loaders of the OpenEEmeter datastore write it; each kind sorted by name.
/// Whatever else is there, such as the marker `_SUCCESS`, does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OeemFolder {
    /// `projects/*.csv`, for [`read_projects`](crate::read_projects).
    pub projects: Vec<PathBuf>,
    /// `traces/*.csv`, for [`TraceReader`](crate::TraceReader).
    pub traces: Vec<PathBuf>,
    /// `project-trace-mappings/*.csv`, for [`read_mappings`](crate::read_mappings).
    pub mappings: Vec<PathBuf>,
    /// `project-metadata.csv`, for [`read_metadata`](crate::read_metadata).
    pub metadata: Option<PathBuf>,
    /// `trace-blacklist.csv`, for [`read_blacklist`](crate::read_blacklist).
    pub blacklist: Option<PathBuf>,
}

/// Ends of names of files that count.
const ENDS: [&str; 3] = [".csv", ".csv.gz", ".csv.zst"];

impl OeemFolder {
    /// Finds the files of this folder, or of the folder `oeem-format` in it.
    ///
    /// # Errors
    /// A folder can't be read, or there is nothing of that kind.
    pub fn find(folder: impl AsRef<Path>) -> Result<OeemFolder, SourceError> {
        let inner = folder.as_ref().join("oeem-format");
        let folder = if inner.is_dir() { inner.as_path() } else { folder.as_ref() };
        let one = |name: &str| {
            ENDS.iter().map(|end| folder.join(format!("{name}{end}"))).find(|path| path.is_file())
        };
        let found = OeemFolder {
            projects: tables(&folder.join("projects"))?,
            traces: tables(&folder.join("traces"))?,
            mappings: tables(&folder.join("project-trace-mappings"))?,
            metadata: one("project-metadata"),
            blacklist: one("trace-blacklist"),
        };
        if found == OeemFolder::default() {
            let problem = Box::new(TableProblem::Meters(MeterProblem::NoFolder));
            return Err(SourceError::Table { input: folder.display().to_string(), line: None, problem });
        }
        Ok(found)
    }
}

/// The tables in a folder; none if there is no such folder.
fn tables(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let failed = |source| SourceError::Open { input: folder.display().to_string(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if ENDS.iter().any(|end| name.ends_with(end)) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
