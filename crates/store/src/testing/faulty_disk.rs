//! A disk in memory that does what [`Disk`] allows a bad one to do, when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Change, Disk, DiskFile, DiskWriter, FileEntry};

/// What a disk is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Making a file.
    Create,
    /// Writing some bytes to it.
    Write,
    /// Making them durable.
    Sync,
    /// Making names durable.
    SyncFolder,
    /// Opening a file for reading, and asking for its length.
    Open,
    /// Reading some bytes.
    Read,
    /// Listing a folder.
    List,
    /// Removing a file.
    Remove,
    /// Changing a few bytes in place.
    Update,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 9] = [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::SyncFolder,
        Operation::Open,
        Operation::Read,
        Operation::List,
        Operation::Remove,
        Operation::Update,
    ];
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens but an error.
    Fail,
    /// Half of it happens, then an error: some of the bytes are written, or are written and not synced. An operation
    /// without halves happens as a whole, and the error comes after it.
    Tear,
    /// The disk is gone with this operation, and everything after it fails until [`FaultyDisk::crash`].
    Freeze,
    /// Half of it happens, and then the disk is gone.
    TearAndFreeze,
}

/// Which operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// Of this kind; `None` counts all kinds together.
    pub operation: Option<Operation>,
    /// So many of them still succeed.
    pub after: u64,
}

/// A disk in memory. Clones are the same disk.
///
/// It keeps apart what is durable and what a power failure takes: bytes that were not synced, names that were not synced
/// with their folder, removals that were not.
#[derive(Clone)]
pub struct FaultyDisk {
    shared: Arc<Mutex<Shared>>,
    /// Which life of the machine this handle belongs to.
    life: u64,
}

#[derive(Default)]
struct Shared {
    life: u64,
    frozen: bool,
    next_file: u64,
    files: BTreeMap<u64, Contents>,
    /// Names as they are seen.
    names: BTreeMap<String, u64>,
    /// Names as they are after a power failure at the latest.
    durable_names: BTreeMap<String, u64>,
    fault: Option<(When, Fault)>,
    counts: BTreeMap<Operation, u64>,
    /// Bytes that may still be written.
    space: Option<u64>,
    short_writes: bool,
}

#[derive(Clone, Default)]
struct Contents {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// What was written since: offsets and lengths.
    unsynced: Vec<(usize, usize)>,
}

impl Contents {
    fn put(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        self.unsynced.push((offset, bytes.len()));
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.bytes);
        self.unsynced.clear();
    }

    /// What a power failure leaves: of the bytes that were not synced any mixture, up to any length.
    fn lose(&mut self, random: &mut Random) {
        let mut left = self.durable.clone();
        if self.bytes.len() > left.len() {
            let grown = random.below(self.bytes.len() - left.len() + 1);
            left.resize(left.len() + grown, 0);
        }
        for &(offset, len) in &self.unsynced {
            // All of it, none of it, a front part, or pieces of it.
            let (how, cut) = (random.below(4), random.below(len + 1));
            for at in 0..len {
                let arrives = match how {
                    0 => true,
                    1 => false,
                    2 => at < cut,
                    _ => random.below(2) == 0,
                };
                if arrives && offset + at < left.len() {
                    left[offset + at] = self.bytes[offset + at];
                }
            }
        }
        self.bytes = left;
        self.sync();
    }
}

impl Default for FaultyDisk {
    fn default() -> FaultyDisk {
        FaultyDisk::new()
    }
}

impl FaultyDisk {
    /// An empty disk without faults.
    pub fn new() -> FaultyDisk {
        FaultyDisk { shared: Arc::default(), life: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A test that panics has failed already; the others may go on.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One operation will fail; those after it do not, unless the fault says so.
    pub fn fail(&self, when: When, fault: Fault) {
        self.lock().fault = Some((when, fault));
    }

    /// Only so many more bytes can be written; `None`: as many as one likes.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.lock().space = bytes;
    }

    /// Whether a call to write takes only some of the bytes it is given, as the operating system may.
    pub fn set_short_writes(&self, short: bool) {
        self.lock().short_writes = short;
    }

    /// From now on everything fails, until [`FaultyDisk::crash`].
    pub fn freeze(&self) {
        self.lock().frozen = true;
    }

    /// Whether everything fails.
    pub fn is_frozen(&self) -> bool {
        self.lock().frozen
    }

    /// No fault is set any more, and there is space. A frozen disk stays frozen.
    pub fn heal(&self) {
        let mut shared = self.lock();
        (shared.fault, shared.space, shared.short_writes) = (None, None, false);
    }

    /// The power fails and comes back: what was not durable is lost, or parts of it are, as the seed decides. Returns the
    /// disk of the new life. All older handles, and files that were open, fail for ever: their processes are gone.
    #[must_use]
    pub fn crash(&self, seed: u64) -> FaultyDisk {
        let mut shared = self.lock();
        let mut random = Random(seed);
        let shared = &mut *shared;
        let all: BTreeSet<String> = shared.names.keys().chain(shared.durable_names.keys()).cloned().collect();
        let mut names = BTreeMap::new();
        for name in all {
            let (seen, durable) = (shared.names.get(&name), shared.durable_names.get(&name));
            // A name that was not synced is mostly lost, but may have made it; so may a removal.
            let file = if random.below(4) == 0 { seen } else { durable };
            names.extend(file.map(|&file| (name, file)));
        }
        shared.files.retain(|file, _| names.values().any(|other| other == file));
        shared.files.values_mut().for_each(|file| file.lose(&mut random));
        shared.durable_names.clone_from(&names);
        shared.names = names;
        shared.life += 1;
        shared.frozen = false;
        (shared.fault, shared.space, shared.short_writes) = (None, None, false);
        FaultyDisk { shared: self.shared.clone(), life: shared.life }
    }

    /// How many operations of a kind there were, or of all kinds.
    pub fn count(&self, operation: Option<Operation>) -> u64 {
        let shared = self.lock();
        let counts = shared.counts.iter().filter(|(kind, _)| operation.is_none_or(|wanted| wanted == **kind));
        counts.map(|(_, count)| count).sum()
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// The contents of a file, as they are seen.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let shared = self.lock();
        Some(shared.files.get(shared.names.get(name)?)?.bytes.clone())
    }

    /// Sets the contents of a file behind the back of all who use it, durable.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut shared = self.lock();
        let file = shared.new_file();
        shared
            .files
            .insert(file, Contents { bytes: bytes.to_vec(), durable: bytes.to_vec(), unsynced: Vec::new() });
        shared.names.insert(name.to_owned(), file);
        shared.durable_names.insert(name.to_owned(), file);
    }

    /// Takes a file away behind the back of all who use it, durably. Those who have it open still read it.
    pub fn take(&self, name: &str) {
        let mut shared = self.lock();
        shared.names.remove(name);
        shared.durable_names.remove(name);
    }

    /// Flips bits of one byte of a file, for those who have it open, too.
    ///
    /// # Panics
    /// There is no such file, or it is shorter.
    pub fn flip(&self, name: &str, offset: usize, bits: u8) {
        let mut shared = self.lock();
        let Some(file) = shared.names.get(name).copied() else { panic!("there is no file {name}") };
        if let Some(contents) = shared.files.get_mut(&file) {
            contents.bytes[offset] ^= bits;
            contents.durable.clone_from(&contents.bytes);
        }
    }

    /// Begins an operation. `Ok(true)` says that it is to be torn: half of it happens, then comes the error of
    /// [`FaultyDisk::torn`].
    fn begin(&self, operation: Operation) -> io::Result<(MutexGuard<'_, Shared>, bool)> {
        let mut shared = self.lock();
        if shared.life != self.life {
            return Err(io::Error::other("the process is gone since the last power failure"));
        }
        if shared.frozen {
            return Err(io::Error::other("the disk is gone"));
        }
        *shared.counts.entry(operation).or_default() += 1;
        let Some((when, fault)) = &mut shared.fault else { return Ok((shared, false)) };
        if when.operation.is_some_and(|wanted| wanted != operation) {
            return Ok((shared, false));
        }
        if when.after > 0 {
            when.after -= 1;
            return Ok((shared, false));
        }
        let fault = *fault;
        shared.fault = None;
        shared.frozen = matches!(fault, Fault::Freeze | Fault::TearAndFreeze);
        match fault {
            Fault::Fail | Fault::Freeze => Err(told_to_fail()),
            Fault::Tear | Fault::TearAndFreeze => Ok((shared, true)),
        }
    }
}

fn told_to_fail() -> io::Error {
    io::Error::other("told to fail")
}

/// The end of an operation: an error if it was to be torn.
fn torn<T>(is_torn: bool, result: T) -> io::Result<T> {
    if is_torn { Err(told_to_fail()) } else { Ok(result) }
}

impl Shared {
    fn new_file(&mut self) -> u64 {
        self.next_file += 1;
        self.next_file
    }

    fn find(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// How many of so many bytes there is space for.
    fn fitting(&mut self, bytes: usize) -> usize {
        let Some(space) = &mut self.space else { return bytes };
        let fitting = bytes.min(usize::try_from(*space).unwrap_or(usize::MAX));
        *space -= fitting as u64;
        fitting
    }
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyDisk")
    }
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Disk for FaultyDisk {
    fn describe(&self, name: &str) -> String {
        format!("faulty:/{name}")
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskWriter>> {
        let (mut shared, is_torn) = self.begin(Operation::Create)?;
        if shared.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = shared.new_file();
        shared.files.insert(file, Contents::default());
        shared.names.insert(name.to_owned(), file);
        torn(is_torn, Box::new(Writer { disk: self.clone(), file }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let (shared, is_torn) = self.begin(Operation::Open)?;
        let file = shared.find(name)?;
        torn(is_torn, Box::new(Reader { disk: self.clone(), file }))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<FileEntry>> {
        let (shared, is_torn) = self.begin(Operation::List)?;
        let mut entries = Vec::new();
        for (name, file) in shared.names.iter().filter(|(name, _)| folder_of(name) == folder) {
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            entries.push(FileEntry {
                name,
                bytes: shared.files.get(file).map_or(0, |file| file.bytes.len() as u64),
            });
        }
        torn(is_torn, entries)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut shared, is_torn) = self.begin(Operation::Remove)?;
        shared.names.remove(name);
        torn(is_torn, ())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let (mut shared, is_torn) = self.begin(Operation::SyncFolder)?;
        let shared = &mut *shared;
        shared.durable_names.retain(|name, _| folder_of(name) != folder);
        let seen = shared.names.iter().filter(|(name, _)| folder_of(name) == folder);
        shared.durable_names.extend(seen.map(|(name, &file)| (name.clone(), file)));
        torn(is_torn, ())
    }

    fn update(&self, name: &str, change: &mut Change<'_>) -> io::Result<()> {
        // Nobody else is in an update meanwhile: the lock is held throughout.
        let (mut shared, is_torn) = self.begin(Operation::Update)?;
        let file = match shared.names.get(name) {
            Some(&file) => file,
            None => {
                let file = shared.new_file();
                shared.files.insert(file, Contents::default());
                shared.names.insert(name.to_owned(), file);
                file
            }
        };
        let before = shared.files.get(&file).map(|file| file.bytes.clone()).unwrap_or_default();
        if let Some((offset, bytes)) = change(&before)? {
            let fitting = shared.fitting(bytes.len());
            let goes_on = !shared.frozen;
            let Some(contents) = shared.files.get_mut(&file) else { return Err(ErrorKind::NotFound.into()) };
            contents.put(offset as usize, &bytes[..fitting]);
            if fitting < bytes.len() {
                return Err(ErrorKind::StorageFull.into());
            }
            if is_torn {
                // What is left of it after a power failure is decided then; until then half of it is seen.
                let half = offset as usize + bytes.len() / 2;
                if goes_on && half < before.len() {
                    let end = (offset as usize + bytes.len()).min(before.len());
                    contents.bytes[half..end].copy_from_slice(&before[half..end]);
                }
                return Err(told_to_fail());
            }
            contents.sync();
        }
        shared.durable_names.insert(name.to_owned(), file);
        torn(is_torn, ())
    }
}

struct Writer {
    disk: FaultyDisk,
    file: u64,
}

impl io::Write for Writer {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let (mut shared, is_torn) = self.disk.begin(Operation::Write)?;
        let wanted = if is_torn { buffer.len() / 2 } else { buffer.len() };
        let wanted = if shared.short_writes { wanted.div_ceil(3) } else { wanted };
        let fitting = shared.fitting(wanted);
        let Some(contents) = shared.files.get_mut(&self.file) else { return Err(ErrorKind::NotFound.into()) };
        let end = contents.bytes.len();
        contents.put(end, &buffer[..fitting]);
        if fitting == 0 && wanted > 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        torn(is_torn, fitting)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskWriter for Writer {
    fn sync(&mut self) -> io::Result<()> {
        let (mut shared, is_torn) = self.disk.begin(Operation::Sync)?;
        // Torn, it may be durable or not: the power failure decides.
        if !is_torn && let Some(contents) = shared.files.get_mut(&self.file) {
            contents.sync();
        }
        torn(is_torn, ())
    }
}

#[derive(Debug)]
struct Reader {
    disk: FaultyDisk,
    file: u64,
}

impl DiskFile for Reader {
    fn bytes(&self) -> io::Result<u64> {
        let (shared, is_torn) = self.disk.begin(Operation::Open)?;
        torn(is_torn, shared.files.get(&self.file).map_or(0, |file| file.bytes.len() as u64))
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let (shared, is_torn) = self.disk.begin(Operation::Read)?;
        let contents = shared.files.get(&self.file).ok_or(ErrorKind::NotFound)?;
        let range = usize::try_from(offset).ok().and_then(|from| Some(from..from.checked_add(buffer.len())?));
        let bytes = range.and_then(|range| contents.bytes.get(range)).ok_or(ErrorKind::UnexpectedEof)?;
        if is_torn {
            let half = bytes.len() / 2;
            buffer[..half].copy_from_slice(&bytes[..half]);
            return Err(told_to_fail());
        }
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// SplitMix64: numbers that depend on the seed alone.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &FaultyDisk, name: &str, bytes: &[u8]) -> Box<dyn DiskWriter> {
        let mut file = disk.create(name).unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_crash_takes_what_was_not_synced_and_nothing_else() {
        let mut survivors = BTreeSet::new();
        for seed in 0..200 {
            let disk = FaultyDisk::new();
            write(&disk, "a/whole", b"12345678").sync().unwrap();
            disk.sync_folder("a").unwrap();
            write(&disk, "a/nameless", b"12345678").sync().unwrap();
            write(&disk, "b/unsynced", b"12345678");
            disk.sync_folder("b").unwrap();
            disk.update("HEAD", &mut |_| Ok(Some((0, b"old".to_vec())))).unwrap();
            let after = disk.crash(seed);
            assert_eq!(after.contents("a/whole").unwrap(), b"12345678");
            assert_eq!(after.contents("HEAD").unwrap(), b"old");
            assert!(after.contents("b/unsynced").unwrap().len() <= 8);
            survivors.insert((
                after.contents("a/nameless").is_some(),
                after.contents("b/unsynced").unwrap().len(),
            ));
            assert!(disk.open("HEAD").is_err(), "the process of before is gone");
        }
        // A name that was not synced is lost or not, contents have any length.
        assert!(survivors.len() > 10, "{survivors:?}");
    }

    #[test]
    fn the_nth_operation_fails_and_a_frozen_disk_stays_so() {
        let disk = FaultyDisk::new();
        disk.fail(When { operation: Some(Operation::Create), after: 1 }, Fault::Fail);
        write(&disk, "first", b"1");
        assert!(disk.create("second").is_err());
        write(&disk, "third", b"3");
        disk.fail(When { operation: None, after: 0 }, Fault::TearAndFreeze);
        let mut file = disk.create("fourth").map(drop);
        assert!(file.is_err());
        file = disk.remove("first");
        assert!(file.is_err() && disk.is_frozen());
        assert!(disk.crash(1).remove("first").is_ok());
        assert_eq!(disk.count(Some(Operation::Create)), 4);
    }

    #[test]
    fn a_torn_update_mixes_old_and_new_within_what_was_written() {
        let mut found = BTreeSet::new();
        for seed in 0..100 {
            let disk = FaultyDisk::new();
            disk.update("HEAD", &mut |_| Ok(Some((0, b"........".to_vec())))).unwrap();
            disk.fail(When { operation: None, after: 0 }, Fault::TearAndFreeze);
            disk.update("HEAD", &mut |_| Ok(Some((2, b"new!".to_vec())))).unwrap_err();
            let left = disk.crash(seed).contents("HEAD").unwrap();
            assert!(left.starts_with(b"..") && left.ends_with(b"..") && left.len() == 8);
            found.insert(left);
        }
        assert!(found.len() > 3, "{found:?}");
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let disk = FaultyDisk::new();
        disk.set_space(Some(5));
        let mut file = disk.create("file").unwrap();
        assert_eq!(file.write_all(b"12345678").unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(disk.contents("file").unwrap(), b"12345");
        disk.heal();
        assert!(file.write_all(b"678").is_ok());
    }
}
