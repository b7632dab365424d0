//! Samples on disk: they go in, survive everything, and come out exactly.
//!
//! A [`Store`] is a folder with *segments*, immutable Parquet files of samples, and a *manifest*, a database that says
//! which rows of which segment belong to which series. `FORMAT.md` beside this crate describes every byte, and what is
//! left after half of a write.
//!
//! - A [`Write`] becomes visible as one *commit*, or not at all, and is durable when it is acknowledged. A [`StreamedWrite`]
//!   takes more rows than memory holds.
//! - A [`Snapshot`] shows some series after one commit; a [`Scan`] reads rows of it, verified, in bounded memory.
//! - [`Now`] is which commit that would be, asked so cheaply that a server can do so for every read.
//! - [`Store::compact`] moves small writes to segments, merges small segments and removes what was replaced.
//! - [`check()`] verifies all of it.
//! - [`Rollups`] keep what others have computed from it, in a file that may be lost.
//!
//! Files are reached through [`Disk`] and rows of the manifest through [`manifest::Manifest`], so that tests can make both
//! fail.

mod announce;
mod available;
mod changes;
mod check;
mod collect;
mod compact;
mod disk;
mod error;
mod group;
mod head_file;
mod lease;
mod listing;
pub mod manifest;
mod merge_policy;
mod now;
mod plan;
mod publish;
mod repair;
mod replace;
mod rollups;
mod rows;
mod runs;
mod scan;
mod segment;
mod segment_cache;
mod series;
mod sink;
mod snapshot;
mod stats;
mod store;
mod stream;
mod tail;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod view;
mod watch;
mod write;

pub use available::Bins;
pub use check::{CheckOptions, CheckReport, Finding, check};
pub use compact::{CompactOptions, Compacted};
pub use disk::{Change, Disk, DiskFile, DiskWriter, FileEntry, LocalDisk};
pub use error::{InvalidRows, SeriesName, StoreError, in_full};
pub use listing::{SeenSeries, UnseenSeries};
pub use merge_policy::{MergePolicy, SegmentInfo};
pub use now::Now;
pub use rollups::{ROLLUPS_FILE, RollupSettings, RollupStats, Rollups};
pub use rows::{Rows, RowsError, Starts};
pub use scan::{LentBuffer, SampleBuffer, SampleBuffers, Scan};
pub use segment::{Codec, SegmentError};
pub use series::{Layout, SeriesId, SeriesSpec};
pub use snapshot::Snapshot;
pub use stats::{SegmentStats, SeriesStats, Stats};
pub use store::{Settings, Store};
pub use stream::StreamedWrite;
pub use watch::{Progress, Watch};
pub use write::{Receipt, Unchanged, Write};
