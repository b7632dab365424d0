//! The files that jobs leave behind: `artifacts/<id>.zip` in the data folder.
//!
//! A file is written under another name, `<job>.<artifact>.part`, and gets its own one when it is whole and on the disk; the
//! row that makes it known comes after that. So a file without a row is what a process left that died, and goes once no job
//! can be about to make it known.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sheaf_db::{Artifact, RepositoryError};
use uuid::Uuid;

use super::{JobError, now_ms};

/// The folder in the data folder.
const FOLDER: &str = "artifacts";

/// A whole file whose row comes does not wait that long for it.
const SOON: Duration = Duration::from_secs(3600);

/// Files that are looked up at once.
const PAGE: usize = 500;

/// The folder of artifacts.
#[derive(Clone, Debug)]
pub(crate) struct Artifacts {
    folder: PathBuf,
    retention: Duration,
}

impl Artifacts {
    /// In this data folder. Each is kept for so long.
    pub(crate) fn new(data_folder: &Path, retention: Duration) -> Artifacts {
        Artifacts { folder: data_folder.join(FOLDER), retention }
    }

    /// The file of an artifact.
    pub(crate) fn file(&self, id: Uuid) -> PathBuf {
        self.folder.join(format!("{id}.zip"))
    }

    /// Begins an artifact of a job.
    pub(super) fn begin(&self, job: Uuid) -> Result<Unfinished, JobError> {
        let id = Uuid::new_v4();
        let part = self.folder.join(format!("{job}.{id}.part"));
        let failed = |source| JobError::File { file: part.clone(), source };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let file = File::options().write(true).create_new(true).open(&part).map_err(failed)?;
        Ok(Unfinished { id, job, part: Some(part), file: Some(file), artifacts: self.clone() })
    }

    /// Removes the files of artifacts, as far as they are there.
    pub(super) fn remove<'a>(&self, artifacts: impl IntoIterator<Item = &'a Artifact>) {
        for artifact in artifacts {
            let file = self.file(artifact.id);
            if let Err(error) = fs::remove_file(&file)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file = %file.display(), %error, "an artifact can't be removed");
            }
        }
    }

    /// Removes what processes left that died. Returns how many files went.
    pub(super) async fn clean(&self, rows: &sheaf_db::Jobs) -> Result<u64, RepositoryError> {
        let folder = self.folder.clone();
        let (parts, whole) = tokio::task::spawn_blocking(move || list(&folder)).await.unwrap_or_default();
        let mut removed = 0;
        for page in parts.chunks(PAGE) {
            let jobs: Vec<Uuid> = page.iter().map(|(job, _)| *job).collect();
            let held = rows.held(&jobs, now_ms()).await?;
            let left = page.iter().zip(held).filter(|(_, held)| !held).map(|((_, file), _)| file);
            removed += left.filter(|file| fs::remove_file(file).is_ok()).count() as u64;
        }
        for page in whole.chunks(PAGE) {
            let ids: Vec<Uuid> = page.iter().map(|(id, _)| *id).collect();
            let known = rows.artifacts(&ids).await?;
            let left = page.iter().filter(|(id, _)| known.iter().all(|known| known.id != *id));
            removed += left.filter(|(_, file)| fs::remove_file(file).is_ok()).count() as u64;
        }
        Ok(removed)
    }
}

/// A file, and the job or artifact that it is of.
type Named = (Uuid, PathBuf);

/// The unfinished files, and the whole ones that have been there for a while.
fn list(folder: &Path) -> (Vec<Named>, Vec<Named>) {
    let (mut parts, mut whole) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some((job, _)) = name.strip_suffix(".part").and_then(|name| name.split_once('.')) {
            parts.extend(job.parse().ok().map(|job| (job, entry.path())));
        } else if let Some(Ok(id)) = name.strip_suffix(".zip").map(str::parse) {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
            if age.is_some_and(|age| age > SOON) {
                whole.push((id, entry.path()));
            }
        }
    }
    (parts, whole)
}

/// A file that is being written. Dropped before it is whole, it goes.
pub(super) struct Unfinished {
    id: Uuid,
    job: Uuid,
    part: Option<PathBuf>,
    file: Option<File>,
    artifacts: Artifacts,
}

impl Unfinished {
    /// What to write into; there once.
    pub(super) fn take_file(&mut self) -> Result<File, JobError> {
        let file = self.file.take().ok_or_else(|| io::Error::other("it is written already"));
        file.map_err(|source| JobError::File { file: self.part.clone().unwrap_or_default(), source })
    }

    /// The file under which it is written.
    pub(super) fn path(&self) -> PathBuf {
        self.part.clone().unwrap_or_default()
    }

    /// Puts the file on the disk under its own name.
    pub(super) fn finish(
        mut self,
        file: &File,
        owner: &str,
        file_name: String,
        sha256: String,
    ) -> Result<Artifact, JobError> {
        let part = self.path();
        let whole = self.artifacts.file(self.id);
        let moved = || -> io::Result<u64> {
            file.sync_all()?;
            let bytes = file.metadata()?.len();
            fs::rename(&part, &whole)?;
            File::open(&self.artifacts.folder)?.sync_all()?;
            Ok(bytes)
        };
        let bytes = moved().map_err(|source| JobError::File { file: part.clone(), source })?;
        self.part = None;
        let created_at_ms = now_ms();
        let retention_ms = i64::try_from(self.artifacts.retention.as_millis()).unwrap_or(i64::MAX);
        Ok(Artifact {
            id: self.id,
            job: self.job,
            owner: owner.to_owned(),
            file_name,
            bytes,
            sha256,
            created_at_ms,
            expires_at_ms: created_at_ms.saturating_add(retention_ms),
        })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // What can't be removed now goes with the next cleaning.
            let _ = fs::remove_file(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finished_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::new(folder.path(), Duration::from_secs(60));
        let count = || fs::read_dir(folder.path().join(FOLDER)).unwrap().count();
        let unfinished = artifacts.begin(Uuid::new_v4()).unwrap();
        assert_eq!(count(), 1);
        drop(unfinished);
        assert_eq!(count(), 0);

        let mut unfinished = artifacts.begin(Uuid::new_v4()).unwrap();
        let file = unfinished.take_file().unwrap();
        io::Write::write_all(&mut &file, b"abc").unwrap();
        let artifact = unfinished.finish(&file, "ann", "a.zip".to_owned(), String::new()).unwrap();
        assert_eq!((artifact.bytes, artifact.expires_at_ms - artifact.created_at_ms), (3, 60_000));
        assert_eq!(fs::read(artifacts.file(artifact.id)).unwrap(), b"abc");
        artifacts.remove([&artifact, &artifact]);
        assert_eq!(count(), 0);
    }
}
