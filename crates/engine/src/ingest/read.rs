//! Reads a table on a thread of its own, some batches ahead of who takes them.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use sheaf_sources::{Batch, Column, Rows, Seen, SourceError, Summary, Table};

/// Batches that wait at most, of some megabytes each.
const MOST_WAITING: usize = 1;

/// How often somebody looks whether the work was cancelled, while the input has nothing to read.
const PATIENCE: Duration = Duration::from_millis(50);

/// What a thread that reads a table says.
pub(super) enum Message {
    /// More rows.
    Rows(Box<More>),
    /// All rows were read.
    End(Summary),
}

/// Rows, and what is known of their columns.
pub(super) struct More {
    pub(super) batch: Batch,
    /// Columns that no batch before had.
    pub(super) new_columns: Vec<Column>,
    /// What was seen so far of the columns of this batch, or more.
    pub(super) seen: Vec<(u32, Seen)>,
    /// Bytes that were read, and how many there are.
    pub(super) progress: (u64, Option<u64>),
}

/// The other end of the thread. It ends when this is dropped, unless it waits for the input.
pub(super) struct Reading(Receiver<Result<Message, SourceError>>);

impl Reading {
    /// Begins to read.
    pub(super) fn begin(table: Box<dyn Table>) -> Reading {
        let (sender, receiver) = sync_channel(MOST_WAITING);
        // No task of the runtime, which would wait for a terminal or a pipe when the program ends.
        std::thread::spawn(move || read(table, &sender));
        Reading(receiver)
    }

    /// What comes next; `None` if nothing came for a moment.
    pub(super) fn next(&self) -> Option<Result<Message, ReadFailure>> {
        match self.0.recv_timeout(PATIENCE) {
            Ok(message) => Some(message.map_err(ReadFailure::Source)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(ReadFailure::Ended)),
        }
    }
}

/// Why no more rows come.
pub(super) enum ReadFailure {
    /// The table can't be read.
    Source(SourceError),
    /// The thread is gone.
    Ended,
}

fn read(mut table: Box<dyn Table>, sender: &SyncSender<Result<Message, SourceError>>) {
    let mut known = 0;
    let mut in_batch: Vec<u64> = Vec::new();
    for number in 1.. {
        let message = match table.next_batch() {
            Ok(Some(batch)) => {
                let columns = table.columns();
                let mut seen = Vec::new();
                match &batch.rows {
                    Rows::Long { series, .. } => {
                        in_batch.resize(columns.len(), 0);
                        for &at in series {
                            let at_index = at as usize;
                            if std::mem::replace(&mut in_batch[at_index], number) != number {
                                seen.push((at, columns[at_index].seen));
                            }
                        }
                    }
                    _ => seen.extend((0_u32..).zip(columns.iter().map(|column| column.seen))),
                }
                let new_columns = columns[known..].to_vec();
                known = columns.len();
                let progress = table.progress();
                Ok(Message::Rows(Box::new(More { batch, new_columns, seen, progress })))
            }
            Ok(None) => Ok(Message::End(table.summary())),
            Err(error) => Err(error),
        };
        let goes_on = matches!(message, Ok(Message::Rows(_)));
        if sender.send(message).is_err() || !goes_on {
            return;
        }
    }
}
