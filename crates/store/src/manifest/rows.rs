//! The rows of the manifest and their checksums.

use xxhash_rust::xxh3::Xxh3;

/// A row of a table, with a checksum over its fields.
pub trait Row {
    /// Its table; part of the checksum, so that no row passes for one of another table.
    const TABLE: &'static str;

    /// Feeds all fields to the checksum, in the order of their declaration.
    fn feed(&self, sum: &mut Sum);
}

/// A row as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<R> {
    /// The row.
    pub row: R,
    /// XXH3-64 of the table's name and the fields.
    pub checksum: i64,
}

impl<R: Row> Stored<R> {
    /// The row with its checksum.
    pub fn seal(row: R) -> Stored<R> {
        let checksum = checksum(&row);
        Stored { row, checksum }
    }

    /// Whether the row is the one that was sealed.
    pub fn is_intact(&self) -> bool {
        checksum(&self.row) == self.checksum
    }
}

fn checksum<R: Row>(row: &R) -> i64 {
    let mut sum = Sum(Xxh3::new());
    sum.text(R::TABLE);
    row.feed(&mut sum);
    sum.0.digest() as i64
}

/// A checksum in the making. Integers count with 8 bytes, little end first; texts and bytes with their length before.
pub struct Sum(Xxh3);

impl Sum {
    /// An integer.
    pub fn int(&mut self, value: i64) {
        self.0.update(&value.to_le_bytes());
    }

    /// Bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.int(value.len() as i64);
        self.0.update(value);
    }

    /// A text.
    pub fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }
}

/// Calls [`Sum::int`], [`Sum::bytes`] or [`Sum::text`], whichever fits.
trait Feed {
    fn feed(&self, sum: &mut Sum);
}

impl Feed for i64 {
    fn feed(&self, sum: &mut Sum) {
        sum.int(*self);
    }
}

impl Feed for String {
    fn feed(&self, sum: &mut Sum) {
        sum.text(self);
    }
}

impl Feed for Vec<u8> {
    fn feed(&self, sum: &mut Sum) {
        sum.bytes(self);
    }
}

macro_rules! rows {
    ($($(#[$meta:meta])* $name:ident in $table:literal { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $name {
                $($(#[$field_meta])* pub $field: $type,)*
            }

            impl Row for $name {
                const TABLE: &'static str = $table;

                fn feed(&self, sum: &mut Sum) {
                    $(Feed::feed(&self.$field, sum);)*
                }
            }
        )*
    };
}

rows! {
    /// The one row that says which state the store is in. Every transaction changes it.
    HeadRow in "head" {
        /// Version of the rows' meaning.
        format: i64,
        /// Random number of the store.
        store: i64,
        /// Number of the last commit; 0 in a new store.
        commit: i64,
        /// Random number of the last commit.
        nonce: i64,
        /// How many series there are.
        series_count: i64,
        /// Wrapping sum of their checksums.
        series_digest: i64,
        /// How many states of segments there are.
        segment_count: i64,
        /// Wrapping sum of their checksums.
        segment_digest: i64,
        /// Samples in the tail.
        tail_rows: i64,
        /// Bytes of the tail's blobs.
        tail_bytes: i64,
        /// When the oldest blob of the tail was written, or earlier; milliseconds since 1970. Anything while it is empty.
        tail_since_ms: i64,
        /// The id of the next series; none is used twice.
        next_series: i64,
        /// The id of the next segment; none is used twice. 0 is the tail.
        next_segment: i64,
        /// The ordinal of the next piece; none is used twice.
        next_ordinal: i64,
    }

    /// A published change of the store.
    CommitRow in "commits" {
        /// Its number.
        commit: i64,
        /// Its random number.
        nonce: i64,
        /// When it was made, in milliseconds since 1970.
        at_ms: i64,
    }

    /// A series.
    SeriesRow in "series" {
        /// Its id.
        id: i64,
        /// Its name, unique.
        key: String,
        /// Code of its data type.
        data_type: i64,
        /// Its sample period in ticks; 0 where its rows are irregular.
        period_ticks: i64,
        /// What its starts are beyond multiples of the period, in ticks; 0 ≤ phase < period.
        phase_ticks: i64,
        /// How many pieces it has.
        piece_count: i64,
        /// Wrapping sum of their checksums.
        piece_digest: i64,
    }

    /// A piece of a series: of its samples, or of what is known of their past.
    PieceRow in "pieces" {
        /// Its series.
        series: i64,
        /// The commit it belongs to. The higher one wins, sample by sample.
        commit: i64,
        /// Number of the piece in the store: it orders the pieces of a commit.
        ordinal: i64,
        /// What it is: code of a [`PieceKind`].
        kind: i64,
        /// The first start, in ticks.
        begin_ticks: i64,
        /// The first tick that it says nothing about; after `begin_ticks`.
        end_ticks: i64,
        /// The segment with its samples; 0 for the tail; -1 for pieces without samples.
        segment: i64,
        /// Row of its first sample in the segment.
        first_row: i64,
        /// How many rows it has, missing samples included.
        rows: i64,
        /// How many of them are missing.
        missing: i64,
        /// The samples themselves, in the tail.
        blob: Vec<u8>,
    }

    /// A segment: what never changes about it.
    SegmentRow in "segments" {
        /// Its id.
        id: i64,
        /// Code of its data type.
        data_type: i64,
        /// How many rows it has.
        rows: i64,
        /// Its length in bytes.
        bytes: i64,
        /// Whether it has a column `estimated`: 0 or 1.
        has_estimated: i64,
        /// XXH3-64 of each of its blocks, 8 bytes each, little end first.
        block_sums: Vec<u8>,
    }

    /// What changes about a segment.
    SegmentStateRow in "segment_states" {
        /// The segment.
        id: i64,
        /// Random part of its file's name.
        file_nonce: i64,
        /// Code of its data type.
        data_type: i64,
        /// Its length in bytes.
        bytes: i64,
        /// How many rows it has.
        rows: i64,
        /// How many of them belong to pieces.
        live_rows: i64,
        /// How many pieces are in it.
        live_pieces: i64,
        /// When its last piece went, in milliseconds since 1970; 0 while there is one.
        retired_ms: i64,
    }

    /// An idempotency key: a write with it has been done.
    KeyRow in "keys" {
        /// The key.
        key: String,
        /// XXH3-64 of what was written.
        payload: i64,
        /// The commit.
        commit: i64,
        /// When, in milliseconds since 1970.
        at_ms: i64,
    }

    /// A file that is being written: it belongs to no segment yet and must not be removed.
    PendingRow in "pending" {
        /// Its name.
        file: String,
        /// Until when its writer may take, in milliseconds since 1970.
        until_ms: i64,
    }

    /// A lease: the right to do something, for a while, as the only one.
    LeaseRow in "leases" {
        /// What may be done.
        name: String,
        /// Random number of the one that may.
        holder: i64,
        /// Until when, in milliseconds since 1970.
        until_ms: i64,
    }
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PieceKind {
    /// Samples in a segment, one in every slot from begin to end: row = first row + (start − begin) / period.
    Dense,
    /// Samples in a segment with starts of their own.
    Listed,
    /// Samples in the piece itself.
    Tail,
    /// The range is deleted: nothing of lower commits is left in it.
    Tombstone,
    /// The range changed with this commit, and the piece that said so has been merged with others.
    Change,
    /// As [`PieceKind::Dense`], merged from pieces of this commit and lower ones: not a change.
    MergedDense,
    /// As [`PieceKind::Listed`], merged from pieces of this commit and lower ones: not a change.
    MergedListed,
}

impl PieceKind {
    /// All kinds; the place is the code.
    pub const ALL: [PieceKind; 7] = [
        PieceKind::Dense,
        PieceKind::Listed,
        PieceKind::Tail,
        PieceKind::Tombstone,
        PieceKind::Change,
        PieceKind::MergedDense,
        PieceKind::MergedListed,
    ];

    /// The number that stands for the kind.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The kind with this number.
    pub fn from_code(code: i64) -> Option<PieceKind> {
        PieceKind::ALL.get(usize::try_from(code).ok()?).copied()
    }
}

/// What names a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceKey {
    /// Its series.
    pub series: i64,
    /// Its commit.
    pub commit: i64,
    /// Its place in the commit.
    pub ordinal: i64,
}

impl PieceRow {
    /// What names the piece: no two have the same.
    pub fn piece_key(&self) -> PieceKey {
        PieceKey { series: self.series, commit: self.commit, ordinal: self.ordinal }
    }
}
