//! The file of the rollups: redb, and a guard around it.
//!
//! redb trusts what it reads, so a damaged file may make it return anything, or panic. Each call is guarded for that
//! reason, each value has a checksum, and whatever goes wrong ends in one of three ways ([`Trouble`]).
//!
//! | table | key | value |
//! |---|---|---|
//! | `entries` | as the caller made it | checksum u64, sequence u64, then the caller's bytes |
//! | `heads` | the same | the first of the caller's bytes, 16 at most: to look at without reading all |
//! | `order` | sequence u64 | what the entry takes of the file u64, then its key |
//! | `totals` | `bytes`, `entries`, `sequence` | u64 |
//!
//! The checksum is XXH3-64 of the caller's bytes, with that of the key, turned by the sequence, as its seed. Entries that
//! were written first go first.

use std::fs;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{
    Builder, ConcurrencyMode, Database, Error, ReadOnlyDatabase, ReadableDatabase, ReadableTable, Table,
    TableDefinition, TableError, TransactionError,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
const HEADS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("heads");
const ORDER: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("order");
const TOTALS: TableDefinition<'_, &str, u64> = TableDefinition::new("totals");

const BYTES: &str = "bytes";
const COUNT: &str = "entries";
const SEQUENCE: &str = "sequence";

/// Checksum and sequence.
const HEADER_LEN: usize = 16;

/// The most bytes of a head.
const HEAD_LEN: usize = 16;

/// What redb keeps in memory: the trees, and few of the values. These are read once in a read, and from the cache of the
/// operating system; memory for more would cost more to fill than it saves.
const CACHE_BYTES: usize = 16 << 20;

/// A page of redb. An entry that does not fit has pages of its own, a power of two of them.
const PAGE_BYTES: usize = 4096;

/// Why the file is of no use now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is none.
    Absent,
    /// It is not ours to use: locked, of another kind, not permitted. It stays as it is.
    Withheld,
    /// It is damaged, or the disk fails: away with it.
    Damaged,
}

/// Which file stands under a name; another one after it was removed and made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

/// The file at `path`.
pub(super) fn file_id(path: &Path) -> Result<FileId, Trouble> {
    let metadata = fs::metadata(path).map_err(|error| of_io(error.kind()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Ok(FileId(metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let created = metadata.created().map_err(|error| of_io(error.kind()))?;
        let since = created.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(FileId(since.as_secs(), u64::from(since.subsec_nanos())))
    }
}

/// Removes the file at `path` if it is this one.
pub(super) fn remove(path: &Path, id: FileId) {
    if file_id(path) == Ok(id) {
        // If that fails, the next one to find the damage will try again.
        let _ = fs::remove_file(path);
    }
}

fn of_io(kind: ErrorKind) -> Trouble {
    match kind {
        ErrorKind::NotFound => Trouble::Absent,
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::WouldBlock
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory => Trouble::Withheld,
        _ => Trouble::Damaged,
    }
}

fn of_redb(error: &Error) -> Trouble {
    match error {
        Error::Io(error) => of_io(error.kind()),
        // A crash left it; who writes next repairs it.
        Error::RepairAborted
        | Error::DatabaseAlreadyOpen
        | Error::LockProtocolMismatch
        | Error::Unsupported => Trouble::Withheld,
        _ => Trouble::Damaged,
    }
}

/// Calls redb. What it says of a damaged file may be a panic.
fn guard<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Trouble> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| of_redb(&error)),
        Err(_) => Err(Trouble::Damaged),
    }
}

/// Closing a damaged file may fail like everything else.
struct Guarded<T>(Option<T>);

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        let inner = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(inner)));
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    // Any process may read and write; they exclude each other only while one of them commits.
    builder.set_concurrency_mode(ConcurrencyMode::MultiWriter).set_cache_size(CACHE_BYTES);
    builder
}

/// Bytes of the file that an entry takes, about.
fn footprint(key: &[u8], bytes: &[u8]) -> u64 {
    let len = 3 * key.len() + HEADER_LEN + bytes.len() + 96;
    if len <= PAGE_BYTES / 2 {
        len as u64
    } else {
        len.next_multiple_of(PAGE_BYTES).next_power_of_two() as u64
    }
}

fn checksum(key: &[u8], sequence: u64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, xxh3_64(key) ^ sequence.rotate_left(32))
}

/// The caller's bytes; `None` if they are not what was written under this key.
fn opened<'a>(key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (sum, rest) = value.split_first_chunk()?;
    let (sequence, bytes) = rest.split_first_chunk()?;
    (u64::from_le_bytes(*sum) == checksum(key, u64::from_le_bytes(*sequence), bytes)).then_some(bytes)
}

/// The first bytes of a value.
pub(super) fn head(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(HEAD_LEN)]
}

/// What the file holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// The file, open for reading. Other processes may do with it what they want meanwhile.
pub(super) struct Reader {
    id: FileId,
    database: Guarded<ReadOnlyDatabase>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Reader, (Trouble, Option<FileId>)> {
        let id = file_id(path).map_err(|trouble| (trouble, None))?;
        let database =
            guard(|| Ok(builder().open_read_only(path)?)).map_err(|trouble| (trouble, Some(id)))?;
        Ok(Reader { id, database: Guarded(Some(database)) })
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// Calls `visit` with the number of each key that has an entry, and its bytes.
    pub(super) fn visit(
        &self,
        keys: impl Iterator<Item = (usize, Vec<u8>)>,
        visit: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), Trouble> {
        self.each(ENTRIES, keys, |number, key, value| {
            if let Some(bytes) = opened(key, value) {
                visit(number, bytes);
            }
        })
    }

    /// The same of the first bytes, which are not verified.
    pub(super) fn visit_heads(
        &self,
        keys: impl Iterator<Item = (usize, Vec<u8>)>,
        visit: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), Trouble> {
        self.each(HEADS, keys, |number, _, head| visit(number, head))
    }

    fn each(
        &self,
        table: TableDefinition<'_, &'static [u8], &'static [u8]>,
        keys: impl Iterator<Item = (usize, Vec<u8>)>,
        mut visit: impl FnMut(usize, &[u8], &[u8]),
    ) -> Result<(), Trouble> {
        let Some(database) = &self.database.0 else { return Ok(()) };
        guard(|| {
            let read = database.begin_read()?;
            let table = match read.open_table(table) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(()),
                other => other?,
            };
            for (number, key) in keys {
                if let Some(value) = table.get(&key[..])? {
                    visit(number, &key, value.value());
                }
            }
            Ok(())
        })
    }

    pub(super) fn totals(&self) -> Result<Totals, Trouble> {
        let Some(database) = &self.database.0 else { return Ok(Totals::default()) };
        guard(|| {
            let read = database.begin_read()?;
            let totals = match read.open_table(TOTALS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Totals::default()),
                other => other?,
            };
            let total = |name| Ok::<u64, Error>(totals.get(name)?.map_or(0, |value| value.value()));
            Ok(Totals { entries: total(COUNT)?, bytes: total(BYTES)? })
        })
    }

    /// The key of each entry, and what it takes of the file.
    pub(super) fn entries(&self) -> Result<Vec<(Vec<u8>, u64)>, Trouble> {
        let Some(database) = &self.database.0 else { return Ok(Vec::new()) };
        guard(|| {
            let read = database.begin_read()?;
            let order = match read.open_table(ORDER) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                other => other?,
            };
            let mut entries = Vec::new();
            for entry in order.iter()? {
                let (_, value) = entry?;
                if let Some((bytes, key)) = value.value().split_first_chunk() {
                    entries.push((key.to_vec(), u64::from_le_bytes(*bytes)));
                }
            }
            Ok(entries)
        })
    }
}

/// The file, open for reading and writing.
pub(super) struct Writer {
    id: FileId,
    database: Guarded<Database>,
}

impl Writer {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path) -> Result<Writer, (Trouble, Option<FileId>)> {
        let database = guard(|| Ok(builder().create(path)?));
        let id = file_id(path);
        match (database, id) {
            (Ok(database), Ok(id)) => Ok(Writer { id, database: Guarded(Some(database)) }),
            (Ok(_), Err(trouble)) => Err((trouble, None)),
            (Err(trouble), id) => Err((trouble, id.ok())),
        }
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// Writes entries, in place of those with the same keys, or removes those where there is nothing to write; and removes
    /// the oldest ones beyond `limit_bytes`. False if somebody else is writing.
    pub(super) fn write<'a>(
        &self,
        new: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        limit_bytes: u64,
    ) -> Result<bool, Trouble> {
        let Some(database) = &self.database.0 else { return Ok(true) };
        guard(|| {
            let write = match database.try_begin_write() {
                Err(TransactionError::WouldBlock) => return Ok(false),
                other => other?,
            };
            {
                let mut tables = Tables {
                    entries: write.open_table(ENTRIES)?,
                    heads: write.open_table(HEADS)?,
                    order: write.open_table(ORDER)?,
                    totals: Totals::default(),
                    sequence: 0,
                };
                let mut totals = write.open_table(TOTALS)?;
                let total = |totals: &Table<'_, &str, u64>, name| {
                    Ok::<u64, Error>(totals.get(name)?.map_or(0, |value| value.value()))
                };
                tables.totals = Totals { entries: total(&totals, COUNT)?, bytes: total(&totals, BYTES)? };
                tables.sequence = total(&totals, SEQUENCE)?;
                for (key, bytes) in new {
                    match bytes {
                        Some(bytes) => tables.put(key, bytes)?,
                        None => tables.remove(key)?,
                    }
                }
                tables.evict(limit_bytes)?;
                totals.insert(COUNT, tables.totals.entries)?;
                totals.insert(BYTES, tables.totals.bytes)?;
                totals.insert(SEQUENCE, tables.sequence)?;
            }
            write.commit()?;
            Ok(true)
        })
    }
}

struct Tables<'a> {
    entries: Table<'a, &'static [u8], &'static [u8]>,
    heads: Table<'a, &'static [u8], &'static [u8]>,
    order: Table<'a, u64, &'static [u8]>,
    totals: Totals,
    sequence: u64,
}

impl Tables<'_> {
    fn put(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let mut value = Vec::with_capacity(HEADER_LEN + bytes.len());
        value.extend(checksum(key, sequence, bytes).to_le_bytes());
        value.extend(sequence.to_le_bytes());
        value.extend(bytes);
        let before = self.entries.insert(key, &value[..])?.map(|before| sequence_of(before.value()));
        if let Some(Some(before)) = before {
            self.forget(before)?;
        }
        self.heads.insert(key, head(bytes))?;
        let footprint = footprint(key, bytes);
        let mut place = footprint.to_le_bytes().to_vec();
        place.extend(key);
        self.order.insert(sequence, &place[..])?;
        self.totals.bytes = self.totals.bytes.saturating_add(footprint);
        self.totals.entries = self.totals.entries.saturating_add(1);
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Error> {
        let sequence = self.entries.remove(key)?.map(|value| sequence_of(value.value()));
        self.heads.remove(key)?;
        if let Some(Some(sequence)) = sequence {
            self.forget(sequence)?;
        }
        Ok(())
    }

    /// Takes an entry out of the order; returns its key.
    fn forget(&mut self, sequence: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(place) = self.order.remove(sequence)? else { return Ok(None) };
        let Some((bytes, key)) = place.value().split_first_chunk() else { return Ok(None) };
        self.totals.bytes = self.totals.bytes.saturating_sub(u64::from_le_bytes(*bytes));
        self.totals.entries = self.totals.entries.saturating_sub(1);
        Ok(Some(key.to_vec()))
    }

    fn evict(&mut self, limit_bytes: u64) -> Result<(), Error> {
        while self.totals.bytes > limit_bytes {
            let Some(oldest) = self.order.first()?.map(|(sequence, _)| sequence.value()) else { break };
            if let Some(key) = self.forget(oldest)? {
                self.entries.remove(&key[..])?;
                self.heads.remove(&key[..])?;
            }
        }
        Ok(())
    }
}

fn sequence_of(value: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*value.get(8..)?.first_chunk()?))
}
