//! The files of a store: the one way to them, so that a test can stand in for a disk that fails.
//!
//! What the store relies on, and nothing more:
//! - a file is written once, from front to back, and durable, contents and length, after [`DiskWriter::sync`];
//! - its name is durable after [`Disk::sync_folder`];
//! - without them a crash may lose all of it or any part of it;
//! - [`Disk::update`] changes a few bytes of a file in place; a crash may leave any mixture of old and new bytes within
//!   what was written, and nothing else changes.

mod local;

use std::fmt::Debug;
use std::io;

pub use local::LocalDisk;

/// Looks at the contents of a file and says which bytes to write at which offset, if any.
pub type Change<'a> = dyn FnMut(&[u8]) -> io::Result<Option<(u64, Vec<u8>)>> + 'a;

/// A folder with files. Names are relative, with `/` between their parts.
pub trait Disk: Debug + Send + Sync {
    /// Where `name` is, for messages.
    fn describe(&self, name: &str) -> String;

    /// A new file for writing.
    ///
    /// # Errors
    /// There is one already (`AlreadyExists`), or the disk fails.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskWriter>>;

    /// A file for reading. It stays readable when it is removed meanwhile.
    ///
    /// # Errors
    /// There is none (`NotFound`), or the disk fails.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// The files directly in `folder`, in no order; none where there is no such folder.
    ///
    /// # Errors
    /// The disk fails.
    fn list(&self, folder: &str) -> io::Result<Vec<FileEntry>>;

    /// Removes a file; fine if there is none.
    ///
    /// # Errors
    /// The disk fails.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names of the files in `folder` durable.
    ///
    /// # Errors
    /// The disk fails.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;

    /// Calls `change` with the contents of a small file, empty if there is none; what it returns is written in place
    /// (bytes at an offset) and synced, name included. No other process is in an update of this file at the same time.
    ///
    /// # Errors
    /// The disk fails, or `change` does.
    fn update(&self, name: &str, change: &mut Change<'_>) -> io::Result<()>;
}

/// A file that is being written.
pub trait DiskWriter: io::Write + Send {
    /// Makes what was written durable.
    ///
    /// # Errors
    /// The disk fails.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is being read.
pub trait DiskFile: Debug + Send + Sync {
    /// Length in bytes.
    ///
    /// # Errors
    /// The disk fails.
    fn bytes(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// The file ends before (`UnexpectedEof`), or the disk fails.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A file in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name in the folder.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}
