//! Rollups: bytes that can be computed again, kept in a file that may be lost at any time.
//!
//! What the bytes mean, and whether they still hold, is the caller's business; keys and values are opaque here. This
//! module promises that a value is what was put under its key, or nothing. Whatever goes wrong with the file, from a
//! flipped byte to a full disk, is answered with nothing, and the file is thrown away where that may help. It may be
//! removed by hand at any time.
//!
//! Nobody waits for the file. It is opened when it is first asked for, read without locks that would keep others out, and
//! written by a thread of its own; what that thread has not written yet is found all the same. Several processes may use
//! one file; where the platform or a lock forbids that, a process goes without.

mod file;

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use file::{FileId, Reader, Trouble, Writer, file_id};

/// How rollups are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollupSettings {
    /// The most bytes of entries; beyond that those go that were written first. 1 GiB: 19 million states. The file is a
    /// little larger.
    pub limit_bytes: u64,
    /// What was made of fewer samples than this is not worth a write; 65 536 of them are folded in the tenth of a
    /// millisecond. It is up to the caller to heed it.
    pub fewest_samples: u64,
}

impl Default for RollupSettings {
    fn default() -> RollupSettings {
        RollupSettings { limit_bytes: 1 << 30, fewest_samples: 1 << 16 }
    }
}

/// What there is, and what has happened to it since it was opened here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollupStats {
    /// Entries in the file.
    pub entries: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Length of the file.
    pub file_bytes: u64,
    /// Entries that were written.
    pub written: u64,
    /// Entries that were not written: the file was not to be had, or they came too fast.
    pub lost: u64,
    /// How often the file was thrown away for damage.
    pub discarded: u64,
}

/// The name of the file in a data folder.
pub const ROLLUPS_FILE: &str = "rollups.redb";

/// The most bytes that wait to be written.
const MOST_WAITING_BYTES: usize = 64 << 20;

/// The most bytes of a transaction.
const BATCH_BYTES: usize = 16 << 20;

/// How long the file stays open for writing when nothing is to be written. A process that is killed in this time leaves a
/// file that must be repaired.
const IDLE: Duration = Duration::from_secs(1);

/// How long to wait for another process that is writing, and how long between two looks.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// Beside twice the limit, what the file may have before it is thrown away: space that redb could not use again.
const SLACK_BYTES: u64 = 64 << 20;

/// Entries in a file that may be lost. Dropping it waits until all that was put is written.
pub struct Rollups {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    path: PathBuf,
    settings: RollupSettings,
    reader: Mutex<Option<Arc<Reader>>>,
    queue: Mutex<Queue>,
    changed: Condvar,
    written: AtomicU64,
    lost: AtomicU64,
    discarded: AtomicU64,
}

/// What is to be put under keys; `None` where what is there is to go.
type Batch = HashMap<Vec<u8>, Option<Arc<[u8]>>>;

#[derive(Default)]
struct Queue {
    waiting: Batch,
    waiting_bytes: usize,
    /// What the thread is writing now.
    writing: Arc<Batch>,
    /// Who waits until everything is written.
    flushing: Vec<oneshot::Sender<()>>,
    closing: bool,
}

impl Rollups {
    /// Rollups in this file. Nothing is opened or made yet, so nothing can fail.
    pub fn new(path: impl Into<PathBuf>, settings: RollupSettings) -> Rollups {
        Rollups {
            shared: Arc::new(Shared {
                path: path.into(),
                settings,
                reader: Mutex::default(),
                queue: Mutex::default(),
                changed: Condvar::new(),
                written: AtomicU64::new(0),
                lost: AtomicU64::new(0),
                discarded: AtomicU64::new(0),
            }),
            thread: Mutex::default(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// How they are kept.
    pub fn settings(&self) -> RollupSettings {
        self.shared.settings
    }

    /// Calls `visit` with the number of each of these keys that has a value, and the value; first those that are not in
    /// the file yet, then the others, in the order of the keys. Blocks while it reads.
    pub fn visit(&self, keys: impl Iterator<Item = Vec<u8>>, mut visit: impl FnMut(usize, &[u8])) {
        let others = self.visit_fresh(keys, &mut visit);
        self.ask_each(others, |reader, others| reader.visit(others, &mut visit));
    }

    /// As [`Rollups::visit`], but with no more than the first 16 bytes of the values, which are not verified: for a quick
    /// look at what will be visited.
    pub fn peek(&self, keys: impl Iterator<Item = Vec<u8>>, mut visit: impl FnMut(usize, &[u8])) {
        let others = self.visit_fresh(keys, &mut |number, value| visit(number, file::head(value)));
        self.ask_each(others, |reader, others| reader.visit_heads(others, &mut visit));
    }

    /// Visits what is not in the file yet; returns the other keys, with their numbers.
    fn visit_fresh(
        &self,
        keys: impl Iterator<Item = Vec<u8>>,
        visit: &mut dyn FnMut(usize, &[u8]),
    ) -> Vec<(usize, Vec<u8>)> {
        let (mut fresh, mut others) = (Vec::new(), Vec::new());
        {
            let queue = lock(&self.shared.queue);
            for (number, key) in keys.enumerate() {
                match queue.waiting.get(&key).or_else(|| queue.writing.get(&key)) {
                    Some(Some(value)) => fresh.push((number, value.clone())),
                    Some(None) => {}
                    None => others.push((number, key)),
                }
            }
        }
        fresh.iter().for_each(|(number, value)| visit(*number, value));
        others
    }

    /// Asks the file for keys, if there are any.
    fn ask_each(
        &self,
        keys: Vec<(usize, Vec<u8>)>,
        question: impl FnOnce(&Reader, std::vec::IntoIter<(usize, Vec<u8>)>) -> Result<(), Trouble>,
    ) {
        if !keys.is_empty() {
            self.shared.ask(|reader| question(reader, keys.into_iter()));
        }
    }

    /// Puts a value under a key, sooner or later. It is lost if too much is waiting.
    pub fn put(&self, key: Vec<u8>, value: Vec<u8>) {
        let mut queue = lock(&self.shared.queue);
        if queue.waiting_bytes + value.len() > MOST_WAITING_BYTES {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.waiting_bytes += value.len();
        if let Some(Some(before)) = queue.waiting.insert(key, Some(value.into())) {
            queue.waiting_bytes -= before.len();
        }
        drop(queue);
        self.wake();
    }

    /// Removes what is under the keys that `which` picks: nobody finds it any more, and sooner or later its space is free.
    /// Returns how many entries and bytes of the file that is. Blocks while it reads.
    pub fn remove(&self, mut which: impl FnMut(&[u8]) -> bool) -> (u64, u64) {
        let mut picked = (0, 0);
        let in_file = self.entries().into_iter().filter(|(key, _)| which(key)).collect::<Vec<_>>();
        let mut queue = lock(&self.shared.queue);
        let writing = queue.writing.clone();
        let fresh: Vec<Vec<u8>> =
            queue.waiting.keys().chain(writing.keys()).filter(|key| which(key)).cloned().collect();
        for (key, bytes) in in_file {
            picked = (picked.0 + 1, picked.1 + bytes);
            if let Some(Some(before)) = queue.waiting.insert(key, None) {
                queue.waiting_bytes -= before.len();
            }
        }
        for key in fresh {
            if let Some(Some(before)) = queue.waiting.insert(key, None) {
                queue.waiting_bytes -= before.len();
            }
        }
        let has_work = !queue.waiting.is_empty();
        drop(queue);
        if has_work {
            self.wake();
        }
        picked
    }

    /// Tells the thread that writes that there is something to do.
    fn wake(&self) {
        self.shared.changed.notify_all();
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let shared = self.shared.clone();
            let spawned = std::thread::Builder::new().name("rollups".to_owned()).spawn(move || shared.work());
            // Without a thread nothing is written, and what waits is found from here.
            *thread = spawned.ok();
        }
    }

    /// Returns when all that was put before is written, or lost.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        {
            let mut queue = lock(&self.shared.queue);
            if lock(&self.thread).is_none() || (queue.waiting.is_empty() && queue.writing.is_empty()) {
                return;
            }
            queue.flushing.push(done);
        }
        // The thread drops the sender if it can't do its work.
        let _ = wait.await;
    }

    /// Throws all entries away.
    pub fn clear(&self) {
        let mut queue = lock(&self.shared.queue);
        queue.waiting.clear();
        queue.waiting_bytes = 0;
        drop(queue);
        *lock(&self.shared.reader) = None;
        if let Ok(id) = file_id(&self.shared.path) {
            file::remove(&self.shared.path, id);
        }
    }

    /// What there is. Blocks while it reads.
    pub fn stats(&self) -> RollupStats {
        let shared = &self.shared;
        let totals = shared.ask(Reader::totals).unwrap_or_default();
        RollupStats {
            entries: totals.entries,
            bytes: totals.bytes,
            file_bytes: fs::metadata(&shared.path).map_or(0, |metadata| metadata.len()),
            written: shared.written.load(Ordering::Relaxed),
            lost: shared.lost.load(Ordering::Relaxed),
            discarded: shared.discarded.load(Ordering::Relaxed),
        }
    }

    /// The key of each entry in the file, and the bytes it takes; first those that were written first. Blocks while it
    /// reads.
    pub fn entries(&self) -> Vec<(Vec<u8>, u64)> {
        self.shared.ask(Reader::entries).unwrap_or_default()
    }
}

impl Drop for Rollups {
    fn drop(&mut self) {
        lock(&self.shared.queue).closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            // It catches its panics; there is nothing to hear from it.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Rollups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rollups")
            .field("path", &self.shared.path)
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

/// What is behind these locks is whole after every line, so a panic in between does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The file, open for reading; `None` if there is none to be had.
    fn reader(&self) -> Option<Arc<Reader>> {
        let id = file_id(&self.path).ok()?;
        let mut open = lock(&self.reader);
        if let Some(reader) = open.as_ref()
            && reader.id() == id
        {
            return Some(reader.clone());
        }
        // None was open, or another file stands in its place.
        *open = None;
        match Reader::open(&self.path) {
            Ok(reader) => {
                let reader = Arc::new(reader);
                *open = Some(reader.clone());
                Some(reader)
            }
            Err((trouble, id)) => {
                drop(open);
                self.handle(trouble, id);
                None
            }
        }
    }

    fn ask<T>(&self, question: impl FnOnce(&Reader) -> Result<T, Trouble>) -> Option<T> {
        let reader = self.reader()?;
        question(&reader).map_err(|trouble| self.handle(trouble, Some(reader.id()))).ok()
    }

    /// Throws a damaged file away.
    fn handle(&self, trouble: Trouble, id: Option<FileId>) {
        if let (Trouble::Damaged, Some(id)) = (trouble, id) {
            self.discarded.fetch_add(1, Ordering::Relaxed);
            *lock(&self.reader) = None;
            file::remove(&self.path, id);
        }
    }

    /// The life of the thread that writes.
    fn work(&self) {
        let mut writer: Option<Writer> = None;
        loop {
            let batch = {
                let mut queue = lock(&self.queue);
                queue.writing = Arc::default();
                while queue.waiting.is_empty() {
                    for done in queue.flushing.drain(..) {
                        // Who asked may have given up meanwhile.
                        let _ = done.send(());
                    }
                    if queue.closing {
                        return;
                    }
                    if writer.is_none() {
                        queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                        continue;
                    }
                    let (woken, waited) =
                        self.changed.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
                    if waited.timed_out() && woken.waiting.is_empty() {
                        // Closing takes a while, and nobody must wait for it.
                        drop(woken);
                        writer = None;
                        queue = lock(&self.queue);
                    } else {
                        queue = woken;
                    }
                }
                queue.writing = Arc::new(next_batch(&mut queue));
                queue.writing.clone()
            };
            let count = batch.len() as u64;
            let is_written = self.write(&mut writer, &batch);
            if is_written { &self.written } else { &self.lost }.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn write(&self, writer: &mut Option<Writer>, batch: &Batch) -> bool {
        // Another file may stand in the place of the one that is open, or none.
        let is_current = |open: &Writer| file_id(&self.path) == Ok(open.id());
        if !writer.as_ref().is_some_and(is_current) {
            *writer = None;
        }
        let open = match writer {
            Some(open) => open,
            None => match Writer::open(&self.path) {
                Ok(open) => writer.insert(open),
                Err((trouble, id)) => {
                    self.handle(trouble, id);
                    return false;
                }
            },
        };
        let begun = Instant::now();
        loop {
            let entries = batch.iter().map(|(key, value)| (&key[..], value.as_deref()));
            match open.write(entries, self.settings.limit_bytes) {
                Ok(true) => break,
                Ok(false) if begun.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                Ok(false) => return false,
                Err(trouble) => {
                    let id = open.id();
                    *writer = None;
                    self.handle(trouble, Some(id));
                    return false;
                }
            }
        }
        let most = self.settings.limit_bytes.saturating_mul(2).saturating_add(SLACK_BYTES);
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() > most) {
            let id = open.id();
            *writer = None;
            self.handle(Trouble::Damaged, Some(id));
        }
        true
    }
}

/// As much of what waits as one transaction takes.
fn next_batch(queue: &mut Queue) -> Batch {
    if queue.waiting_bytes <= BATCH_BYTES {
        queue.waiting_bytes = 0;
        return mem::take(&mut queue.waiting);
    }
    let mut bytes = 0;
    let batch: Batch = queue
        .waiting
        .extract_if(|_, value| {
            let len = value.as_ref().map_or(0, |value| value.len());
            let fits = bytes == 0 || bytes + len <= BATCH_BYTES;
            bytes += if fits { len } else { 0 };
            fits
        })
        .collect();
    queue.waiting_bytes -= bytes;
    batch
}
