//! Bodies of requests, as what blocks reads them.
//!
//! A task takes the body from the connection, a few pieces ahead of whoever reads, and no further. A table may end before its
//! body does; whether all of it came is known at the end of the body only, so [`WholeTable`] goes there first. Whoever hangs up
//! in the middle has written nothing.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Buf, Bytes};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use sheaf_sources::{Batch, Column, Metadata, Place, SourceError, Summary, Table};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

/// Pieces of a body that wait to be read; each is what one read of the connection gave, 400 KiB at most.
const WAITING: usize = 4;

/// How much of a body that nobody wants is read on, and for how long: a client that is still sending hears why once it is done, and
/// not that the connection is gone.
const LINGER_BYTES: usize = 1 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// The largest window of zstd that is unpacked: 128 MiB.
const MOST_WINDOW_LOG: u32 = 27;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// A body that is being received. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Incoming {
    receiver: Arc<Mutex<Receiver<io::Result<Bytes>>>>,
    facts: Arc<Facts>,
}

/// Why a body was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It has more bytes than it may.
    TooLarge,
    /// Nothing came for too long.
    Stalled,
}

/// What is known of a body.
struct Facts {
    problem: OnceLock<Problem>,
    /// A checksum of all of it, once all of it was received.
    contents: Arc<OnceLock<u64>>,
    given_up: Notify,
    ended: Semaphore,
}

impl Incoming {
    /// Receives a body of so many bytes at most, which must not stop coming for so long. Its checksum is made if there is something
    /// to begin with, which says how it is read.
    pub(crate) fn new(body: Body, most_bytes: u64, stall: Duration, sum: Option<Sha256>) -> Incoming {
        let (sender, receiver) = channel(WAITING);
        let facts = Arc::new(Facts {
            problem: OnceLock::new(),
            contents: Arc::default(),
            given_up: Notify::new(),
            ended: Semaphore::new(0),
        });
        tokio::spawn(receive(body, most_bytes, stall, sum, sender, facts.clone()));
        Incoming { receiver: Arc::new(Mutex::new(receiver)), facts }
    }

    /// Why it was not taken; none if it was, so far.
    pub(crate) fn problem(&self) -> Option<Problem> {
        self.facts.problem.get().copied()
    }

    /// The checksum of all of it, which is there once it was read to its end.
    pub(crate) fn contents(&self) -> Arc<OnceLock<u64>> {
        self.facts.contents.clone()
    }

    /// Wants no more of it, and waits until the client was given a moment to end.
    pub(crate) async fn give_up(&self) {
        self.facts.given_up.notify_one();
        // Nobody closes it.
        let _ended = self.facts.ended.acquire().await;
    }

    /// A reader of what it holds.
    pub(crate) fn reader(&self, encoding: Encoding) -> io::Result<Box<dyn Read + Send>> {
        let raw = BodyReader { incoming: self.clone(), current: Bytes::new() };
        Ok(match encoding {
            Encoding::Identity => Box::new(raw),
            Encoding::Gzip => Box::new(MultiGzDecoder::new(raw)),
            Encoding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(raw)?;
                decoder.window_log_max(MOST_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }

    /// Reads what is left, and forgets it. Blocks.
    pub(crate) fn drain(&self) -> io::Result<()> {
        while self.next()?.is_some() {}
        Ok(())
    }

    fn next(&self) -> io::Result<Option<Bytes>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv().transpose()
    }
}

/// Reads a little more of a body that nobody wants.
pub(crate) async fn forget(body: Body) {
    linger(&mut body.into_data_stream()).await;
}

async fn linger(pieces: &mut BodyDataStream) {
    let read = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(piece)) = pieces.next().await
            && piece.len() <= left
        {
            left -= piece.len();
        }
    };
    // Long enough.
    let _late = timeout(LINGER, read).await;
}

async fn receive(
    body: Body,
    most_bytes: u64,
    stall: Duration,
    sum: Option<Sha256>,
    sender: Sender<io::Result<Bytes>>,
    facts: Arc<Facts>,
) {
    let mut pieces = body.into_data_stream();
    tokio::select! {
        is_wanted = hand_on(&mut pieces, most_bytes, stall, sum, sender, &facts) => if !is_wanted {
            linger(&mut pieces).await;
        },
        () = facts.given_up.notified() => linger(&mut pieces).await,
    }
    facts.ended.add_permits(1);
}

/// Hands all pieces on; whether somebody wanted them all.
async fn hand_on(
    pieces: &mut BodyDataStream,
    most_bytes: u64,
    stall: Duration,
    mut sum: Option<Sha256>,
    sender: Sender<io::Result<Bytes>>,
    facts: &Facts,
) -> bool {
    let mut received: u64 = 0;
    loop {
        let refuse = |problem: Problem, text: String| {
            // Nobody else sets it.
            let _first = facts.problem.set(problem);
            io::Error::other(text)
        };
        let piece = match timeout(stall, pieces.next()).await {
            Ok(None) => break,
            Ok(Some(Ok(piece))) if received + piece.len() as u64 <= most_bytes => Ok(piece),
            Ok(Some(Ok(_))) => Err(refuse(Problem::TooLarge, format!("it has more than {most_bytes} bytes"))),
            Ok(Some(Err(error))) => Err(io::Error::other(error)),
            Err(_) => Err(refuse(Problem::Stalled, "it stopped coming".to_owned())),
        };
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                let _gone = sender.send(Err(error)).await;
                return facts.problem.get() != Some(&Problem::TooLarge);
            }
        };
        received += piece.len() as u64;
        if let Some(sum) = &mut sum {
            sum.update(&piece);
        }
        if sender.send(Ok(piece)).await.is_err() {
            return false;
        }
    }
    if let Some(sum) = sum {
        let sum = sum.finalize();
        let sum = sum.iter().take(8).fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        // This task alone sets it, once.
        let _first = facts.contents.set(sum);
    }
    true
}

/// Reads a body as it comes.
struct BodyReader {
    incoming: Incoming,
    current: Bytes,
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.incoming.next()? {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let len = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..len]);
        Ok(len)
    }
}

/// A table that ends where its body ends, and not before.
pub(crate) struct WholeTable {
    table: Box<dyn Table>,
    incoming: Incoming,
}

impl WholeTable {
    /// The table that is read from a body.
    pub(crate) fn new(table: Box<dyn Table>, incoming: Incoming) -> WholeTable {
        WholeTable { table, incoming }
    }
}

impl Table for WholeTable {
    fn name(&self) -> &str {
        self.table.name()
    }

    fn columns(&self) -> &[Column] {
        self.table.columns()
    }

    fn metadata(&self) -> &Metadata {
        self.table.metadata()
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, SourceError> {
        let batch = self.table.next_batch()?;
        if batch.is_none() {
            let failed = |source| SourceError::Read { input: self.table.name().to_owned(), line: 0, source };
            self.incoming.drain().map_err(failed)?;
        }
        Ok(batch)
    }

    fn summary(&self) -> Summary {
        self.table.summary()
    }

    fn progress(&self) -> (u64, Option<u64>) {
        self.table.progress()
    }

    fn place(&self) -> Place {
        self.table.place()
    }
}
