//! A folder of the operating system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Change, Disk, DiskFile, DiskWriter, FileEntry};

/// A folder of the operating system.
#[derive(Clone, Debug)]
pub struct LocalDisk {
    root: PathBuf,
}

impl LocalDisk {
    /// The folder `root`, which is made if there is none.
    ///
    /// # Errors
    /// It can't be made.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<LocalDisk> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        Ok(LocalDisk { root })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl Disk for LocalDisk {
    fn describe(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskWriter>> {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let file = match options.open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(&self.root);
                fs::create_dir_all(folder)?;
                sync_folder(folder.parent().unwrap_or(&self.root))?;
                options.open(&path)?
            }
            other => other?,
        };
        Ok(Box::new(LocalWriter(file)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(LocalFile(File::open(self.path(name))?)))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<FileEntry>> {
        let entries = match fs::read_dir(self.path(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let metadata = match entry.metadata() {
                // Another process has just removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other?,
            };
            if metadata.is_file() {
                files.push(FileEntry {
                    name: entry.file_name().to_string_lossy().into_owned(),
                    bytes: metadata.len(),
                });
            }
        }
        Ok(files)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        sync_folder(&self.path(folder))
    }

    fn update(&self, name: &str, change: &mut Change<'_>) -> io::Result<()> {
        let path = self.path(name);
        let is_new = !path.exists();
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        // Released when the file is closed, however the process ends.
        file.lock()?;
        let mut contents = Vec::new();
        file.read_to_end(&mut contents)?;
        if let Some((offset, bytes)) = change(&contents)? {
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(&bytes)?;
            file.sync_data()?;
        }
        if is_new { sync_folder(&self.root) } else { Ok(()) }
    }
}

/// Names in a folder become durable with the folder itself. Windows has no such call and needs none: NTFS journals names.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[derive(Debug)]
struct LocalWriter(File);

impl Write for LocalWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskWriter for LocalWriter {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

#[derive(Debug)]
struct LocalFile(File);

impl DiskFile for LocalFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, buffer, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.0, buffer, offset)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
            }
        }
        Ok(())
    }
}
