//! Series: what they are, and what the manifest says of one, verified.

use std::fmt;
use std::sync::Arc;

use sheaf_model::{DataType, SamplePeriod, Tick, TimeRange};

use crate::error::{SeriesName, StoreError};
use crate::manifest::{PieceKey, PieceKind, PieceRow, SeriesRow, Stored};
use crate::rows::Rows;
use crate::segment::Numbering;
use crate::tail;

/// Number of a series; never used twice in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub i64);

impl fmt::Display for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the rows of a series may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// At the multiples of a period, or always the same time after them.
    Regular {
        /// The period.
        period: SamplePeriod,
        /// How long after, in ticks: 0 ≤ phase < period.
        phase_ticks: i64,
    },
    /// Anywhere, each with a start of its own; a row lasts until the next one. Rows may be estimated, and a missing value
    /// is a row too.
    Irregular,
}

impl Layout {
    /// How segments number the starts of rows.
    pub(crate) fn numbering(self) -> Numbering {
        match self {
            Layout::Regular { period, phase_ticks } => {
                Numbering { origin_ticks: phase_ticks, step_ticks: period.ticks() }
            }
            Layout::Irregular => Numbering::TICKS,
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layout::Regular { period, phase_ticks: 0 } => write!(f, "period {period}"),
            Layout::Regular { period, phase_ticks } => {
                write!(f, "period {period} and phase {phase_ticks} ticks")
            }
            Layout::Irregular => f.write_str("irregular rows"),
        }
    }
}

/// What a series is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesSpec {
    /// Its name, unique in the store: 1 to 2000 bytes: what every database can index.
    pub key: String,
    /// Type of its values.
    pub data_type: DataType,
    /// Where its rows may start.
    pub layout: Layout,
}

/// The longest key of a series, in bytes.
const LONGEST_KEY: usize = 2000;

impl SeriesSpec {
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let invalid = |problem| Err(StoreError::InvalidSeries { key: self.key.clone(), problem });
        if self.key.is_empty() || self.key.len() > LONGEST_KEY {
            return invalid(format!("a key has 1 to {LONGEST_KEY} bytes, this one has {}", self.key.len()));
        }
        if self.key.contains('\0') {
            return invalid("a key has no zero character".to_owned());
        }
        match self.layout {
            Layout::Regular { period, phase_ticks } if !(0..period.ticks()).contains(&phase_ticks) => {
                invalid(format!(
                    "a phase is at least 0 and less than the period, {} ticks; this one is {phase_ticks}",
                    period.ticks()
                ))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn row(&self, id: i64) -> SeriesRow {
        let (period_ticks, phase_ticks) = match self.layout {
            Layout::Regular { period, phase_ticks } => (period.ticks(), phase_ticks),
            Layout::Irregular => (0, 0),
        };
        SeriesRow {
            id,
            key: self.key.clone(),
            data_type: i64::from(self.data_type.code()),
            period_ticks,
            phase_ticks,
            piece_count: 0,
            piece_digest: 0,
        }
    }

    /// The series in a verified row; an error text if it can't be.
    pub(crate) fn from_row(row: &SeriesRow) -> Result<SeriesSpec, String> {
        let data_type = data_type_from_code(row.data_type)?;
        let layout = match row.period_ticks {
            0 => Layout::Irregular,
            ticks => {
                let period = SamplePeriod::from_ticks(ticks).map_err(|error| error.to_string())?;
                Layout::Regular { period, phase_ticks: row.phase_ticks }
            }
        };
        Ok(SeriesSpec { key: row.key.clone(), data_type, layout })
    }

    /// Ticks from the last start of a run of rows to its end.
    pub(crate) fn row_ticks(&self) -> i64 {
        match self.layout {
            Layout::Regular { period, .. } => period.ticks(),
            Layout::Irregular => 1,
        }
    }

    /// `FLOAT64, period 1_s`
    pub(crate) fn describe(&self) -> String {
        format!("{}, {}", self.data_type, self.layout)
    }
}

/// The type with this number, or a text.
pub(crate) fn data_type_from_code(code: i64) -> Result<DataType, String> {
    let code = u16::try_from(code).map_err(|_| format!("unknown data type {code}"))?;
    DataType::from_code(code).map_err(|error| error.to_string())
}

/// A verified piece of a series.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) key: PieceKey,
    pub(crate) kind: PieceKind,
    pub(crate) range: TimeRange,
    pub(crate) segment: i64,
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
    /// How many of the rows have no value, at most.
    pub(crate) missing: u64,
    /// Length of its blob.
    pub(crate) blob_bytes: usize,
    /// The samples of a piece of the tail.
    pub(crate) tail: Option<Arc<Rows>>,
    pub(crate) checksum: i64,
}

impl Piece {
    pub(crate) fn from_stored(stored: Stored<PieceRow>, data_type: DataType) -> Result<Piece, String> {
        if !stored.is_intact() {
            return Err(format!("a piece of commit {} does not match its checksum", stored.row.commit));
        }
        let Stored { row, checksum } = stored;
        let kind =
            PieceKind::from_code(row.kind).ok_or_else(|| format!("unknown kind of piece {}", row.kind))?;
        let tick = |ticks| Tick::new(ticks).map_err(|error| error.to_string());
        let range = TimeRange::new(tick(row.begin_ticks)?, tick(row.end_ticks)?)
            .map_err(|error| error.to_string())?;
        let count =
            |value: i64, what| u64::try_from(value).map_err(|_| format!("a negative {what}: {value}"));
        let tail = match kind {
            PieceKind::Tail => Some(Arc::new(tail::decode(&row.blob, data_type)?)),
            _ => None,
        };
        Ok(Piece {
            key: row.piece_key(),
            kind,
            range,
            segment: row.segment,
            first_row: count(row.first_row, "row number")?,
            rows: count(row.rows, "number of rows")?,
            missing: count(row.missing, "number of missing rows")?,
            blob_bytes: row.blob.len(),
            tail,
            checksum,
        })
    }

    /// Whether it has samples.
    pub(crate) fn is_data(&self) -> bool {
        self.segment >= 0
    }

    /// Whether it lies in a segment.
    pub(crate) fn is_in_segment(&self) -> bool {
        self.segment > 0
    }

    /// Whether there is a sample for each slot of its range, at a place that can be computed.
    pub(crate) fn is_dense(&self) -> bool {
        matches!(self.kind, PieceKind::Dense | PieceKind::MergedDense)
    }

    /// Whether it says that its range changed with its commit.
    pub(crate) fn is_change(&self) -> bool {
        !matches!(self.kind, PieceKind::MergedDense | PieceKind::MergedListed)
    }

    /// What decides which of two pieces wins: a tombstone leaves the samples of its own commit alone.
    pub(crate) fn rank(&self) -> (i64, bool, i64) {
        (self.key.commit, self.kind != PieceKind::Tombstone, self.key.ordinal)
    }
}

/// All that the manifest says of a series, verified, at one commit.
#[derive(Debug)]
pub(crate) struct SeriesView {
    pub(crate) id: SeriesId,
    pub(crate) spec: SeriesSpec,
    /// Checksum of the row in the manifest: the same as long as nothing about the series changes.
    pub(crate) version: i64,
    pub(crate) pieces: Vec<Piece>,
}

impl SeriesView {
    /// Verifies a series and its pieces; the text says what is wrong.
    pub(crate) fn new(
        stored: &Stored<SeriesRow>,
        pieces: Vec<Stored<PieceRow>>,
    ) -> Result<SeriesView, String> {
        if !stored.is_intact() {
            return Err("it does not match its checksum".to_owned());
        }
        let row = &stored.row;
        let spec = SeriesSpec::from_row(row)?;
        let (count, digest) = (row.piece_count, row.piece_digest);
        if pieces.len() as i64 != count {
            return Err(format!("it has {} pieces instead of {count}", pieces.len()));
        }
        let pieces: Vec<Piece> = pieces
            .into_iter()
            .map(|piece| Piece::from_stored(piece, spec.data_type))
            .collect::<Result<_, _>>()?;
        let sum = pieces.iter().fold(0_i64, |sum, piece| sum.wrapping_add(piece.checksum));
        if sum != digest {
            return Err("its pieces are intact, but not the ones of its last commit".to_owned());
        }
        Ok(SeriesView { id: SeriesId(row.id), spec, version: stored.checksum, pieces })
    }

    /// From the first to the last row that may be there. Deleted ranges at the ends are left out where that is seen
    /// without reading samples.
    pub(crate) fn range(&self) -> Option<TimeRange> {
        crate::plan::plan(self, None).into_iter().map(|step| step.range).reduce(TimeRange::hull)
    }

    /// The segments that its pieces lie in, in no order and with repetitions.
    pub(crate) fn segments(&self) -> impl Iterator<Item = i64> {
        self.pieces.iter().filter(|piece| piece.is_in_segment()).map(|piece| piece.segment)
    }

    pub(crate) fn name(&self) -> SeriesName {
        SeriesName { id: self.id, key: Some(self.spec.key.clone()), range: None }
    }

    pub(crate) fn name_at(&self, range: TimeRange) -> SeriesName {
        SeriesName { range: Some(range), ..self.name() }
    }
}
