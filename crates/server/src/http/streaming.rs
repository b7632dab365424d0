//! Values as bodies of answers, in memory that does not depend on how much was asked for, or on how slowly it is read.
//!
//! A reading blocks while it makes a block of values, and does nothing in between. So a body is a task that waits, and borrows a
//! thread for one block at a time:
//!
//! ```text
//!  slot of the stream ──▶ right to scan ──▶ block, on a thread ──▶ channel ──▶ connection ──▶ client
//!        ▲                                                                        │
//!        └──────────────── given back once the bytes are written ◀────────────────┘
//! ```
//!
//! - A stream has two slots: while one block is on its way, the next is made. A client that does not read holds no thread, no
//!   right to scan, and two blocks.
//! - What a stream needs at least is taken from a budget before it begins, or the client is asked to come again. Larger blocks, and
//!   what makes reading on faster, are taken from the first third of the budget, as long as that is not given away. So those
//!   who read fast are not slowed down by those who don't.
//! - Answers of one block have a budget of their own, and are made as a whole; if their values are in memory, without a thread.
//! - A client that takes nothing for a while is cut off; one that goes away ends its scan.
//!
//! The first block is made before the answer begins, so that what is wrong from the beginning is a clean error. Later ones
//! abort the connection: a short body is the only way left to say it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_array::Float64Array;
use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sheaf_engine::ReadError;
use sheaf_sources::WriteError;
use sheaf_store::Watch;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::Instrument;

use super::budget::{Budget, Share};
use super::connection::Connection;
use crate::reading::encode::{Encoder, Format, Sink, encoder};
use crate::reading::{Request, Step, Steps};

/// Bytes of a block at least, and at most where there is spare memory. The more bytes a block has, the less threads, system calls
/// and checksums cost.
const FEWEST_BYTES: u64 = 64 << 10;
const MOST_BYTES: u64 = 512 << 10;

/// Rows of a block at least, and at most where there is spare memory, if columns come side by side: each of them reads its pages
/// for them.
const FEWEST_ROWS: u64 = 1 << 11;
const MOST_ROWS: u64 = 1 << 14;

/// Blocks of a stream that are in memory at once.
const SLOTS: usize = 2;

/// An answer that is expected to be no larger is made as a whole.
const SMALL_BYTES: u64 = 256 << 10;

/// The part of the memory that nobody is given: what the allocator keeps of blocks that come and go on many threads.
const KEPT_PART: u64 = 8;

/// The part of the rest that is for small answers.
const SMALL_PART: u64 = 4;

/// Blocks that are made at once on each core, at most.
const SCANS_PER_CORE: usize = 2;

/// The part of the rights to scan that first blocks have to themselves, rounded up: a thousand streams that want their next
/// one don't keep a client waiting who has nothing yet.
const FOR_FIRST: usize = 4;

/// What a reading needs while it makes a block, beside what it makes: buffers of samples and pages for each thread, windows of
/// states. It is taken from the memory for as many readings as may run at once.
const WORK_BYTES: u64 = 4 << 20;

/// What of that stays between two blocks, unless it is let go: buffers of two threads.
const WARM_BYTES: u64 = 1 << 20;

/// What a stream has in memory whatever it reads: its plan, its task, its connection.
const OWN_BYTES: u64 = 16 << 10;

/// Values of a row group of Parquet, of all columns together; all of them are in memory until it is full, and once more when
/// they are encoded.
const GROUP_VALUES: u64 = 1 << 19;

/// How long a stream waits for memory.
const PATIENCE: Duration = Duration::from_secs(2);

/// Seconds after which a client may try again for which there was none.
pub(crate) const RETRY_AFTER_S: u32 = 5;

/// How bodies are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamLimits {
    /// Blocks that are made at once.
    pub(crate) scans: usize,
    /// Bytes of all bodies, and of what they are made from.
    pub(crate) memory: u64,
    /// How long a client may take nothing.
    pub(crate) stall: Duration,
}

/// A number that goes up and down.
type Level = Gauge<i64, AtomicI64>;

/// What is counted of bodies.
#[derive(Default)]
struct Metrics {
    open: Level,
    scans: Level,
    bytes: Level,
    values: Counter,
    stalled: Counter,
    refused: Counter,
}

/// Makes bodies.
#[derive(Clone)]
pub(crate) struct Streams(Arc<Inner>);

struct Inner {
    limits: StreamLimits,
    large: Arc<Budget>,
    small: Arc<Budget>,
    scans: Arc<Semaphore>,
    /// The right to ask for the right to scan, for later blocks of large answers.
    later: Arc<Semaphore>,
    metrics: Metrics,
}

/// A body that can't be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// The values can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They can't be written in this format.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Others have the memory.
    #[error("too many large answers are being read at the moment: try again in a few seconds")]
    Busy,
    /// The client took nothing for too long.
    #[error("nobody reads the answer")]
    Stalled,
    /// A thread ended early.
    #[error("making the answer ended early: {0}")]
    Task(String),
}

/// A body, and how many bytes it has, if that is known.
pub(crate) struct Made {
    pub(crate) body: Body,
    pub(crate) len: Option<u64>,
}

impl Streams {
    /// For bodies within these limits.
    pub(crate) fn new(limits: StreamLimits) -> Streams {
        // More of them would only take turns, and each thread keeps memory for what it did last.
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let scans = limits.scans.clamp(1, SCANS_PER_CORE * cores);
        let memory = limits.memory - limits.memory / KEPT_PART;
        // Half of it at least is for blocks, however many may be made at once.
        let work = (scans as u64 * WORK_BYTES).min(memory / 2);
        let small = (memory - work) / SMALL_PART;
        let metrics = Metrics::default();
        Streams(Arc::new(Inner {
            large: Budget::new(memory - work - small, metrics.bytes.clone()),
            small: Budget::new(small, metrics.bytes.clone()),
            scans: Arc::new(Semaphore::new(scans)),
            later: Arc::new(Semaphore::new((scans - scans.div_ceil(FOR_FIRST)).max(1))),
            limits,
            metrics,
        }))
    }

    /// Adds what is counted to a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let Metrics { open, scans, bytes, values, stalled, refused } = &self.0.metrics;
        registry.register("streams_open", "Answers with values that are being sent", open.clone());
        registry.register("stream_bytes", "Bytes in memory of answers with values", bytes.clone());
        registry.register("scans_running", "Blocks of values that are being made", scans.clone());
        registry.register("values_sent", "Values in answers", values.clone());
        registry.register(
            "streams_stalled",
            "Answers that were cut off, as nobody read them",
            stalled.clone(),
        );
        registry.register("streams_refused", "Answers for which there was no memory", refused.clone());
    }

    /// A body with the values of a request, in this format, for a client on this connection.
    ///
    /// # Errors
    /// The first block can't be made, or there is no memory for the answer.
    pub(crate) async fn body(
        &self,
        request: Request,
        format: Format,
        connection: Option<Connection>,
    ) -> Result<Made, StreamError> {
        let shape = Shape::of(&request, format);
        let budget = if shape.is_small { &self.0.small } else { &self.0.large };
        let Some(share) = budget.take(shape.needed_bytes, PATIENCE).await else {
            self.0.metrics.refused.inc();
            return Err(StreamError::Busy);
        };
        let len = (format == Format::F64).then(|| request.values().saturating_mul(8));
        let watch = Watch::default();
        // A request that is given up ends its scan, too.
        let cancel = CancelOnDrop(watch.clone());
        let open = Counted::new(&self.0.metrics.open);
        let mut maker = Maker::new(request, shape, watch);
        let mut block = match maker.make_at_hand(&self.0.large).await? {
            Some(block) => block,
            None => {
                let made;
                (maker, made) = self.make(maker, None).await?;
                made?
            }
        };
        if block.is_last {
            let mut share = share;
            share.grow(block.bytes().saturating_sub(share.bytes()));
            let len = Some(block.bytes());
            let parts = self.hand_out(&mut block, Held { _share: Some(share), _slot: None });
            return Ok(Made { body: Body::from_stream(Ready { parts, _open: open }), len });
        }
        let (sender, receiver) = unbounded_channel();
        let task = Task {
            streams: self.clone(),
            slots: Arc::new(Semaphore::new(SLOTS)),
            sender,
            _cancel: cancel,
            connection,
            _share: share,
        };
        tokio::spawn(task.run(maker, block).in_current_span());
        Ok(Made { body: Body::from_stream(Sending { receiver, has_ended: false, _open: open }), len })
    }

    /// Makes the next block of an answer that has begun.
    async fn make_later(&self, maker: Maker) -> Result<(Maker, Result<Block, StreamError>), StreamError> {
        let later = self.0.later.clone().acquire_owned().await;
        self.make(maker, Some(later.map_err(|error| StreamError::Task(error.to_string()))?)).await
    }

    /// Makes the next block on a thread, with the right to scan.
    async fn make(
        &self,
        mut maker: Maker,
        later: Option<OwnedSemaphorePermit>,
    ) -> Result<(Maker, Result<Block, StreamError>), StreamError> {
        let ended = |error: &dyn std::fmt::Display| StreamError::Task(error.to_string());
        let permit = self.0.scans.clone().acquire_owned().await.map_err(|error| ended(&error))?;
        let scanning = Counted::new(&self.0.metrics.scans);
        let budget = self.0.large.clone();
        let made = tokio::task::spawn_blocking(move || {
            let made = maker.make(&budget);
            drop((permit, later, scanning));
            (maker, made)
        });
        made.await.map_err(|error| ended(&error))
    }

    /// The parts of a block, which give back what is held for it once all of them are written.
    fn hand_out(&self, block: &mut Block, held: Held) -> VecDeque<Bytes> {
        self.0.metrics.values.inc_by(block.values);
        let held = Arc::new(held);
        let part = |bytes| Bytes::from_owner(Part { bytes, _held: held.clone() });
        std::mem::take(&mut block.parts).into_iter().map(part).collect()
    }
}

/// How large the blocks of an answer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    format: Format,
    /// Whether it is made as a whole.
    is_small: bool,
    /// Memory that must be there.
    needed_bytes: u64,
    /// Values of a block at least and at most.
    fewest_values: u64,
    most_values: u64,
    /// Bytes of a value in the answer, about.
    value_bytes: u64,
}

impl Shape {
    fn of(request: &Request, format: Format) -> Shape {
        let (rows, columns) = (request.rows(), request.items.len().max(1) as u64);
        Shape::new(format, rows, columns)
    }

    fn new(format: Format, rows: u64, columns: u64) -> Shape {
        // Text has up to 24 characters for a number, and rarely more than 18; 29 for a time and its delimiters.
        let value_bytes = match format {
            Format::Csv => 18 + 29_u64.div_ceil(columns),
            Format::Json { .. } => 18,
            // The times are a column, too.
            Format::Parquet { .. } | Format::Arrow => 8 + 8_u64.div_ceil(columns),
            Format::ArrowLists { single: true } => 4,
            Format::ArrowLists { single: false } | Format::F64 => 8,
        };
        let expected = rows.saturating_mul(columns).saturating_mul(value_bytes);
        let of_bytes = |bytes: u64| bytes / value_bytes.max(8);
        let (mut fewest_values, mut most_values) = (of_bytes(FEWEST_BYTES), of_bytes(MOST_BYTES));
        let mut beside = OWN_BYTES;
        match format {
            Format::Csv | Format::Parquet { .. } | Format::Arrow => {
                fewest_values = fewest_values.max(columns * FEWEST_ROWS);
                most_values = most_values.max(columns * MOST_ROWS);
            }
            // The columns of a series are read together, and held as a whole.
            Format::Json { columns: together @ 2.. } => {
                beside = beside.saturating_add(rows.saturating_mul(together as u64 * 8));
            }
            // Short series are held as a whole.
            Format::Json { .. } | Format::ArrowLists { .. } | Format::F64 => {
                beside += if columns > 1 { SMALL_BYTES } else { 0 };
            }
        }
        let format = match format {
            Format::Parquet { .. } => {
                // Values with their levels, and the encoded group.
                beside += GROUP_VALUES.min(rows.saturating_mul(columns + 1)) * (10 + 8);
                Format::Parquet { group_values: Some(GROUP_VALUES as usize) }
            }
            other => other,
        };
        let is_small = expected <= SMALL_BYTES;
        let needed_bytes = match is_small {
            true => OWN_BYTES + expected,
            // As many blocks as there are slots, and one in the making.
            false => beside.saturating_add(fewest_values * (SLOTS as u64 * value_bytes + 8)),
        };
        Shape { format, is_small, needed_bytes, fewest_values, most_values, value_bytes }
    }
}

/// Makes the blocks of one answer.
struct Maker {
    request: Arc<Request>,
    shape: Shape,
    watch: Watch,
    /// From the first block on.
    begun: Option<Begun>,
    /// For what is kept between two blocks.
    warm: Option<Share>,
}

/// An answer that is being made.
struct Begun {
    steps: Steps,
    /// None once all is encoded.
    encoder: Option<Box<dyn Encoder>>,
    parts: Parts,
}

/// Some of an answer.
struct Block {
    parts: Vec<Bytes>,
    values: u64,
    is_last: bool,
    /// What a larger block than is due was made with.
    spare: Option<Share>,
}

impl Block {
    fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }
}

impl Maker {
    fn new(request: Request, shape: Shape, watch: Watch) -> Maker {
        Maker { request: Arc::new(request), shape, watch, begun: None, warm: None }
    }

    /// All there is of a small answer whose values are in memory; none of any other. Does not block: what rollups have the
    /// answer for takes less time than to wait for a thread.
    async fn make_at_hand(&mut self, budget: &Arc<Budget>) -> Result<Option<Block>, StreamError> {
        if !self.shape.is_small {
            return Ok(None);
        }
        let begun = self.begun.insert(Begun::new(&self.request, self.shape, &self.watch)?);
        if begun.steps.begin_first().await? { self.make(budget).map(Some) } else { Ok(None) }
    }

    /// The next block: all there is of a small answer. Blocks.
    fn make(&mut self, budget: &Arc<Budget>) -> Result<Block, StreamError> {
        let Shape { is_small, fewest_values, most_values, value_bytes, .. } = self.shape;
        let extra_bytes = (most_values - fewest_values) * value_bytes;
        let spare = if is_small { None } else { budget.try_take_spare(extra_bytes) };
        let at_once = if is_small || spare.is_some() { most_values } else { fewest_values } as usize;
        let begun = match &mut self.begun {
            Some(begun) => begun,
            none => none.insert(Begun::new(&self.request, self.shape, &self.watch)?),
        };
        let mut values = 0;
        while begun.encoder.is_some() && (is_small || begun.parts.is_empty()) {
            values += begun.step(at_once)?;
        }
        let block = Block { parts: begun.parts.take(), values, is_last: begun.encoder.is_none(), spare };
        self.cool_down(budget);
        Ok(block)
    }

    /// Keeps what makes reading on faster only if there is spare memory for it.
    fn cool_down(&mut self, budget: &Arc<Budget>) {
        let Some(begun) = &mut self.begun else { return };
        if begun.encoder.is_none() {
            (self.begun, self.warm) = (None, None);
            return;
        }
        let held = begun.steps.held_bytes() as u64 + WARM_BYTES;
        if self.warm.as_ref().is_some_and(|warm| warm.bytes() >= held) {
            return;
        }
        self.warm = None;
        self.warm = budget.try_take_spare(held);
        if self.warm.is_none() {
            begun.steps.release();
        }
    }
}

impl Begun {
    fn new(request: &Arc<Request>, shape: Shape, watch: &Watch) -> Result<Begun, StreamError> {
        let parts = Parts::default();
        let encoder = encoder(shape.format, request, parts.clone())?;
        let order = shape.format.order(SMALL_BYTES / 8);
        let steps = Steps::new(request.clone(), order, Handle::current(), watch.clone());
        Ok(Begun { steps, encoder: Some(encoder), parts })
    }

    /// Encodes what comes next; so many values at most are read at once. Returns how many it were.
    fn step(&mut self, at_once: usize) -> Result<u64, StreamError> {
        let step = self.steps.next(at_once)?;
        let Some(encoder) = &mut self.encoder else { return Ok(0) };
        let values = match &step {
            Some(Step::Values(values)) => values.len(),
            Some(Step::Block(block)) => block.iter().map(Vec::len).sum(),
            _ => 0,
        };
        match step {
            Some(step) => encoder.take(step)?,
            None => {
                if let Some(encoder) = self.encoder.take() {
                    encoder.finish()?;
                }
            }
        }
        Ok(values as u64)
    }
}

/// What was encoded and not sent yet.
#[derive(Clone, Default)]
struct Parts(Arc<Mutex<Encoded>>);

#[derive(Default)]
struct Encoded {
    whole: Vec<Bytes>,
    /// What is behind them.
    last: Vec<u8>,
}

impl Encoded {
    fn cut(&mut self) {
        if !self.last.is_empty() {
            self.whole.push(Bytes::from(std::mem::take(&mut self.last)));
        }
    }
}

impl Parts {
    fn with<T>(&self, work: impl FnOnce(&mut Encoded) -> T) -> T {
        // Whole after every line, so a panic does it no harm.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is less than is worth sending.
    fn is_empty(&self) -> bool {
        self.with(|encoded| encoded.whole.is_empty() && (encoded.last.len() as u64) < FEWEST_BYTES / 4)
    }

    fn take(&self) -> Vec<Bytes> {
        self.with(|encoded| {
            encoded.cut();
            std::mem::take(&mut encoded.whole)
        })
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|encoded| encoded.last.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Parts {
    fn write_values(&mut self, values: Vec<f64>) -> io::Result<()> {
        if !values.is_empty() {
            self.with(|encoded| {
                encoded.cut();
                encoded.whole.push(doubles(values));
            });
        }
        Ok(())
    }
}

/// Values as little-endian bytes, without a copy.
fn doubles(mut values: Vec<f64>) -> Bytes {
    struct Doubles(Float64Array);

    impl AsRef<[u8]> for Doubles {
        fn as_ref(&self) -> &[u8] {
            self.0.values().inner().as_slice()
        }
    }

    if cfg!(target_endian = "big") {
        values.iter_mut().for_each(|value| *value = f64::from_bits(value.to_bits().swap_bytes()));
    }
    Bytes::from_owner(Doubles(Float64Array::from(values)))
}

/// What is given back once a block is written, or nobody wants it any more.
struct Held {
    _share: Option<Share>,
    _slot: Option<OwnedSemaphorePermit>,
}

/// Bytes of a block.
struct Part {
    bytes: Bytes,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Counts as one for as long as it is there.
struct Counted(Level);

impl Counted {
    fn new(level: &Level) -> Counted {
        level.inc();
        Counted(level.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Ends a scan that nobody waits for.
struct CancelOnDrop(Watch);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What a task says to the body.
enum Message {
    Part(Bytes),
    Failed(io::Error),
    End,
}

/// Makes block after block, as the client takes them.
struct Task {
    streams: Streams,
    slots: Arc<Semaphore>,
    sender: UnboundedSender<Message>,
    _cancel: CancelOnDrop,
    connection: Option<Connection>,
    _share: Share,
}

impl Task {
    async fn run(self, maker: Maker, first: Block) {
        let sender = self.sender.clone();
        tokio::select! {
            biased;
            // Whoever read it is gone.
            () = sender.closed() => {}
            result = self.send_all(maker, first) => {
                if let Err(error) = result {
                    let _gone = sender.send(Message::Failed(io::Error::other(error.to_string())));
                }
            }
        }
    }

    async fn send_all(&self, mut maker: Maker, first: Block) -> Result<(), StreamError> {
        let due = maker.shape.fewest_values * maker.shape.value_bytes;
        let mut block = first;
        loop {
            let slot = self.slot().await?;
            let mut share = block.spare.take();
            let beyond = block.bytes().saturating_sub(due + share.as_ref().map_or(0, Share::bytes));
            if beyond > 0 {
                // Text may be longer than it was thought to be.
                share.get_or_insert_with(|| self.streams.0.large.nothing()).grow(beyond);
            }
            let is_last = block.is_last;
            for part in self.streams.hand_out(&mut block, Held { _share: share, _slot: Some(slot) }) {
                let _gone = self.sender.send(Message::Part(part));
            }
            if is_last {
                let _gone = self.sender.send(Message::End);
                return Ok(());
            }
            // The next one is made while this one is on its way.
            let made;
            (maker, made) = self.streams.make_later(maker).await?;
            block = made.inspect_err(|error| {
                let error: &dyn std::error::Error = error;
                tracing::error!(error, "an answer broke off after its begin");
            })?;
        }
    }

    /// A free slot, once the client has taken what was in it.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, StreamError> {
        let taken = || self.connection.as_ref().map(Connection::written);
        let mut before = taken();
        loop {
            let wanted = self.slots.clone().acquire_owned();
            match timeout(self.streams.0.limits.stall, wanted).await {
                Ok(slot) => return slot.map_err(|error| StreamError::Task(error.to_string())),
                // A block may take long on a slow line, as long as something of it arrives.
                Err(_) if taken() != before => before = taken(),
                Err(_) => break,
            }
        }
        self.streams.0.metrics.stalled.inc();
        tracing::info!("an answer was cut off, as its client took nothing of it for too long");
        self.connection.iter().for_each(Connection::cut);
        Err(StreamError::Stalled)
    }
}

/// A body that comes block by block.
struct Sending {
    receiver: UnboundedReceiver<Message>,
    has_ended: bool,
    _open: Counted,
}

impl Stream for Sending {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        self.receiver.poll_recv(context).map(|message| match message {
            Some(Message::Part(bytes)) => Some(Ok(bytes)),
            Some(Message::End) => {
                self.has_ended = true;
                None
            }
            Some(Message::Failed(error)) => {
                self.has_ended = true;
                Some(Err(error))
            }
            // Without an end it is not whole.
            None => {
                self.has_ended = true;
                Some(Err(io::Error::other("making the answer ended early")))
            }
        })
    }
}

/// A body that is there as a whole.
struct Ready {
    parts: VecDeque<Bytes>,
    _open: Counted,
}

impl Stream for Ready {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        Poll::Ready(self.parts.pop_front().map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONTH: u64 = 31 * 86_400;

    #[test]
    fn what_an_answer_needs_does_not_grow_with_its_length() {
        let raw = Shape::new(Format::F64, MONTH, 1);
        assert!(!raw.is_small);
        assert_eq!(raw.needed_bytes, 208 << 10);
        for format in [
            Format::F64,
            Format::Csv,
            Format::Arrow,
            Format::ArrowLists { single: false },
            Format::Parquet { group_values: None },
            Format::Json { columns: 1 },
        ] {
            for columns in [1, 3, 100] {
                let (month, century) =
                    (Shape::new(format, MONTH, columns), Shape::new(format, 1200 * MONTH, columns));
                assert_eq!(century.needed_bytes, month.needed_bytes, "{format:?} {columns}");
                assert!(month.fewest_values <= month.most_values && month.fewest_values >= columns);
                assert!(month.needed_bytes < 32 << 20, "{month:?}");
            }
        }
    }

    #[test]
    fn ten_days_of_means_are_a_small_answer() {
        let shape = Shape::new(Format::F64, 1440, 1);
        assert!(shape.is_small && shape.needed_bytes == OWN_BYTES + 8 * 1440);
        assert!(Shape::new(Format::Json { columns: 4 }, 1000, 4).is_small);
        assert!(!Shape::new(Format::Csv, 1440, 100).is_small);
    }

    #[test]
    fn values_become_bytes_without_a_copy() {
        let values = vec![1.5, f64::NAN, -0.0];
        let (place, expected) = (values.as_ptr().cast::<u8>(), values.clone());
        let bytes = doubles(values);
        assert_eq!(bytes.as_ptr(), place);
        assert_eq!(bytes, expected.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn parts_keep_their_order() {
        let mut parts = Parts::default();
        parts.write_all(b"head").unwrap();
        parts.write_values(vec![0.0]).unwrap();
        parts.write_all(b"tail").unwrap();
        let whole: Vec<u8> = parts.take().iter().flat_map(|part| part.to_vec()).collect();
        assert_eq!(whole, b"head\0\0\0\0\0\0\0\0tail");
        assert!(parts.take().is_empty());
    }
}
