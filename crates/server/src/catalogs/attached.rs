//! The files that belong to catalogs. Their bytes lie in the folder `attachments` of the data folder, each file under a name
//! that is never used again, so that neither two catalogs nor two writers meet; the database says which file is which.
//!
//! A new file is complete and synced before the database names it, and an old one is removed after the database has forgotten
//! it. What is left over by a crash is removed when the server starts.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use sheaf_db::{Attachment, Attachments as Rows, Database, RepositoryError};
use sheaf_model::CatalogId;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

/// The folder in the data folder.
const FOLDER: &str = "attachments";

/// The longest name of an attachment, in bytes.
const LONGEST_NAME: usize = 255;

/// Bytes of a document that are shown at most, such as a readme.
const LONGEST_TEXT: u64 = 1 << 20;

/// How long a file that nobody names is left alone: longer than any upload takes.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Rows that are looked at at once.
const PAGE: usize = 1000;

/// The files that belong to catalogs.
#[derive(Clone, Debug)]
pub(crate) struct Attachments {
    rows: Rows,
    folder: PathBuf,
}

/// A file that is being received. Dropped before its end, it is gone.
pub(crate) struct Upload {
    attachments: Attachments,
    name: String,
    file: File,
    digest: Sha256,
    bytes: u64,
    most_bytes: u64,
    is_kept: bool,
}

impl Attachments {
    pub(super) fn new(database: Database, data_folder: PathBuf) -> Attachments {
        Attachments { rows: database.attachments(), folder: data_folder.join(FOLDER) }
    }

    /// The first `limit` attachments of a catalog behind `after`, by name.
    pub(crate) async fn of(
        &self,
        catalog: &CatalogId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Attachment>, AttachmentError> {
        Ok(self.rows.of(catalog, after, limit).await?)
    }

    /// The attachment with this name, with its file.
    pub(crate) async fn open(
        &self,
        catalog: &CatalogId,
        name: &str,
    ) -> Result<Option<(Attachment, File)>, AttachmentError> {
        for _ in 0..2 {
            let Some(found) = self.rows.get(catalog, name).await? else { return Ok(None) };
            match self.file(&found).await {
                Ok(file) => return Ok(Some((found, file))),
                // Somebody has put another one in its place.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.failed(catalog, name, error)),
            }
        }
        let missing = io::Error::new(io::ErrorKind::NotFound, "its file is missing in the data folder");
        Err(self.failed(catalog, name, missing))
    }

    async fn file(&self, attachment: &Attachment) -> io::Result<File> {
        File::open(self.folder.join(&attachment.file)).await
    }

    /// The documents of all catalogs: attachments that are called so, in whatever case.
    pub(super) async fn documents(&self, names: &[&str]) -> Result<Vec<Attachment>, AttachmentError> {
        Ok(self.rows.called(names).await?)
    }

    /// The text of a document.
    pub(super) async fn text(&self, document: &Attachment) -> Result<String, AttachmentError> {
        let failed = |error| self.failed(&document.catalog, &document.name, error);
        let file = self.file(document).await.map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(LONGEST_TEXT).read_to_end(&mut bytes).await.map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
    }

    /// Begins to receive a file of so many bytes at most.
    pub(crate) async fn receive(&self, most_bytes: u64) -> Result<Upload, AttachmentError> {
        let failed = |source| AttachmentError::Receive { folder: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).await.map_err(failed)?;
        let name = Uuid::new_v4().simple().to_string();
        let file = OpenOptions::new().write(true).create_new(true).open(self.folder.join(&name)).await;
        let file = file.map_err(failed)?;
        let attachments = self.clone();
        Ok(Upload { attachments, name, file, digest: Sha256::new(), bytes: 0, most_bytes, is_kept: false })
    }

    /// Removes an attachment; returns whether there was one.
    pub(crate) async fn remove(&self, catalog: &CatalogId, name: &str) -> Result<bool, AttachmentError> {
        let file = self.rows.remove(catalog, name).await?;
        let was_there = file.is_some();
        self.forget(file).await;
        Ok(was_there)
    }

    /// Removes a file that no row names any more. If that fails, it is left to the next start.
    async fn forget(&self, file: Option<String>) {
        if let Some(file) = file.filter(|file| is_ours(file)) {
            let path = self.folder.join(file);
            if let Err(error) = fs::remove_file(&path).await {
                tracing::warn!(path = %path.display(), %error, "the file of a replaced attachment can't be removed");
            }
        }
    }

    /// Removes files that no row names, and that nobody has written for a day.
    pub(crate) async fn clean(&self) -> Result<usize, AttachmentError> {
        let failed = |source| AttachmentError::Receive { folder: self.folder.clone(), source };
        let mut entries = match fs::read_dir(&self.folder).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(failed(error)),
        };
        let mut old = HashSet::new();
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let modified = entry.metadata().await.and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
            if let Ok(name) = entry.file_name().into_string()
                && is_ours(&name)
                && age.is_some_and(|age| age > ABANDONED)
            {
                old.insert(name);
            }
        }
        let mut after: Option<(CatalogId, String)> = None;
        while !old.is_empty() {
            let place = after.as_ref().map(|(catalog, name)| (catalog, name.as_str()));
            let page = self.rows.list(place, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.catalog.clone(), last.name.clone()));
            old.retain(|file| page.iter().all(|row| row.file != *file));
        }
        for name in &old {
            self.forget(Some(name.clone())).await;
        }
        Ok(old.len())
    }

    fn failed(&self, catalog: &CatalogId, name: &str, source: io::Error) -> AttachmentError {
        AttachmentError::Read { catalog: catalog.clone(), name: name.to_owned(), source }
    }
}

/// Whether a file has a name that [`Attachments::receive`] gives: nothing else is removed.
fn is_ours(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Upload {
    /// Takes some bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), AttachmentError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.most_bytes {
            return Err(AttachmentError::TooLarge { most_bytes: self.most_bytes });
        }
        self.digest.update(bytes);
        self.file.write_all(bytes).await.map_err(|source| self.failed(source))
    }

    /// Makes it an attachment, in place of the one with this name.
    pub(crate) async fn finish(mut self, catalog: &CatalogId, name: &str) -> Result<(), AttachmentError> {
        self.file.flush().await.map_err(|source| self.failed(source))?;
        self.file.sync_all().await.map_err(|source| self.failed(source))?;
        let folder = self.attachments.folder.clone();
        let synced = tokio::task::spawn_blocking(move || sync_folder(&folder)).await;
        synced.map_err(io::Error::other).and_then(|synced| synced).map_err(|source| self.failed(source))?;
        let sha256 = std::mem::take(&mut self.digest).finalize();
        let row = Attachment {
            catalog: catalog.clone(),
            name: name.to_owned(),
            bytes: self.bytes,
            sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            file: self.name.clone(),
            created_at_ms: 0,
        };
        // From here on the row may be there, even where an error or the end of the request says otherwise.
        self.is_kept = true;
        let before = self.attachments.rows.put(row).await?;
        self.attachments.forget(before).await;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> AttachmentError {
        AttachmentError::Receive { folder: self.attachments.folder.clone(), source }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_kept {
            // If it fails, it is left to the next start.
            let _ = std::fs::remove_file(self.attachments.folder.join(&self.name));
        }
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Whether an attachment may be called so: a relative path of names, each of which any system can show.
pub(crate) fn check_name(name: &str) -> Result<(), AttachmentError> {
    let wrong = |problem: &'static str| Err(AttachmentError::Name { name: name.to_owned(), problem });
    if name.is_empty() || name.len() > LONGEST_NAME {
        return wrong("it has 1 to 255 bytes");
    }
    if name.chars().any(char::is_control) || name.contains(['\\', ':', '*', '?', '"', '<', '>', '|']) {
        return wrong("it has no control characters and none of \\ : * ? \" < > |");
    }
    let is_bad = |part: &str| {
        part.is_empty() || part == "." || part == ".." || part.ends_with(['.', ' ']) || part.starts_with(' ')
    };
    if name.split('/').any(is_bad) {
        return wrong(
            "its parts between slashes are not empty, not `.` or `..`, and neither begin nor end with a blank, or end with a dot",
        );
    }
    Ok(())
}

/// An attachment that can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachmentError {
    /// A name that can't be.
    #[error("`{}` is no name of an attachment: {problem}", name.escape_debug())]
    Name {
        /// The name.
        name: String,
        /// What would be right.
        problem: &'static str,
    },
    /// Too large.
    #[error("the attachment is larger than {most_bytes} bytes (limits.upload)")]
    TooLarge {
        /// How large it may be.
        most_bytes: u64,
    },
    /// It can't be written.
    #[error("can't keep files in {}", folder.display())]
    Receive {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It can't be read.
    #[error("the attachment `{}` of the catalog `{catalog}` can't be read", name.escape_debug())]
    Read {
        /// The catalog.
        catalog: CatalogId,
        /// Its name.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// The database fails.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere() {
        for name in
            ["a", "LICENSE.md", "docs/plan 1.pdf", "日本.txt", "a..b", ".hidden", "a/b/c", "100%+1.txt"]
        {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = "x".repeat(256);
        for name in [
            "", ".", "..", "../a", "a/../b", "/a", "a/", "a//b", "a\\b", "a\0", "a\nb", "C:a", "a.", "a ",
            " a", "a/..", &long,
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[tokio::test]
    async fn files_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::sqlite(&folder.path().join("sheaf.db")).await.unwrap();
        let attachments = Attachments::new(database, folder.path().to_owned());
        let catalog: CatalogId = "/a".parse().unwrap();
        let files = || std::fs::read_dir(folder.path().join(FOLDER)).map_or(0, Iterator::count);
        let put = async |content: &[u8]| {
            let mut upload = attachments.receive(10).await?;
            upload.write(content).await?;
            upload.finish(&catalog, "Readme.MD").await
        };
        put(b"\xef\xbb\xbfone").await.unwrap();
        put(b"two").await.unwrap();
        assert_eq!(files(), 1);
        let (found, mut file) = attachments.open(&catalog, "Readme.MD").await.unwrap().unwrap();
        let mut content = String::new();
        // Replaced while it is read.
        put(b"three").await.unwrap();
        file.read_to_string(&mut content).await.unwrap();
        assert_eq!((content.as_str(), found.bytes, found.sha256.len()), ("two", 3, 64));
        let documents = attachments.documents(&["readme.md"]).await.unwrap();
        assert_eq!(attachments.text(&documents[0]).await.unwrap(), "three");
        assert!(matches!(put(b"much too large").await, Err(AttachmentError::TooLarge { most_bytes: 10 })));
        drop(attachments.receive(10).await.unwrap());
        assert_eq!(files(), 1);
        // What a crash left behind goes when it is old; nothing else does.
        let place = folder.path().join(FOLDER);
        let left = place.join("0123456789abcdef0123456789abcdef");
        std::fs::write(&left, "left").unwrap();
        std::fs::write(place.join("notes.txt"), "not ours").unwrap();
        assert_eq!(attachments.clean().await.unwrap(), 0);
        let old = SystemTime::now() - 2 * ABANDONED;
        for path in [&left, &place.join("notes.txt"), &place.join(&documents[0].file)] {
            std::fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        }
        assert_eq!(attachments.clean().await.unwrap(), 1);
        assert_eq!(files(), 2);
        assert!(attachments.remove(&catalog, "Readme.MD").await.unwrap());
        assert!(!attachments.remove(&catalog, "Readme.MD").await.unwrap());
        assert_eq!(files(), 1);
    }
}
