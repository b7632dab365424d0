//! Irregular records, like bills, at a sample period: each value spread evenly over its interval.

use sheaf_model::legality::check_range;
use sheaf_model::{SamplePeriod, Tick, TimeRange};
use sheaf_store::{Rows, Scan, SeriesId, Snapshot, StoreError};

use crate::in_memory::ReadError;
use crate::stored::ticks;

/// Buckets of a block at most.
const BLOCK_BUCKETS: u64 = 1 << 16;

/// How far before a range the record is looked for that is still going on at its begin; then ever farther.
const FIRST_LOOK: i64 = 64 * 86_400 * Tick::PER_SECOND;
const FARTHER: i64 = 16;

/// The values of records at a period, block by block, in order of time. The iterator blocks while it reads; after an error it ends.
///
/// A record lasts until the next one begins, so the last one only ends an interval. A bucket gets of each value the share of
/// its interval that lies in the bucket, so sums over whole intervals are those of the values. It is missing (NaN) unless
/// records with a value cover all of it: the part of a bill is no bill.
pub(crate) struct Spread {
    scan: Scan,
    period: SamplePeriod,
    range: TimeRange,
    most_values: u64,
    /// Begin of the first bucket that has not been read.
    next: i64,
    records: Option<Records>,
}

/// Begins to spread the records of an irregular series over the buckets of a range.
///
/// # Errors
/// The series is not part of the snapshot, the range does not consist of buckets, or the store fails.
pub(crate) async fn read_spread(
    snapshot: &Snapshot,
    series: SeriesId,
    period: SamplePeriod,
    range: TimeRange,
) -> Result<Spread, ReadError> {
    check_range(period, range)?;
    let scan = snapshot.scan(series, None).await?;
    let next = range.begin().ticks();
    Ok(Spread { scan, period, range, most_values: BLOCK_BUCKETS, next, records: None })
}

impl Spread {
    /// The same in blocks of so many values at most, but of one at least.
    pub(crate) fn in_blocks_of(mut self, values: usize) -> Spread {
        self.set_block(values);
        self
    }

    /// From now on blocks have so many values at most, but one at least.
    pub(crate) fn set_block(&mut self, values: usize) {
        self.most_values = (values as u64).clamp(1, BLOCK_BUCKETS);
    }

    /// The records from the one on that is going on at the begin of the range.
    fn records(&self) -> Result<Records, ReadError> {
        let begin = self.range.begin();
        let mut look = FIRST_LOOK;
        let from = loop {
            let from = begin.ticks().saturating_sub(look).max(Tick::MIN.ticks());
            let mut last = None;
            if from < begin.ticks() {
                for rows in self.scan.within(ticks(from, begin.ticks())?) {
                    let rows = rows?;
                    last = rows.len().checked_sub(1).map(|row| rows.start_ticks(row)).or(last);
                }
            }
            match last {
                Some(last) => break last,
                None if from == Tick::MIN.ticks() => break begin.ticks(),
                None => look = look.saturating_mul(FARTHER),
            }
        };
        Ok(Records::new(self.scan.within(ticks(from, Tick::MAX.ticks())?))?)
    }

    fn block(&mut self) -> Result<Vec<f64>, ReadError> {
        if self.records.is_none() {
            self.records = Some(self.records()?);
        }
        let (begin, period) = (self.next, self.period.ticks());
        let left = ((self.range.end().ticks() - begin) / period).unsigned_abs();
        let buckets = left.min(self.most_values) as usize;
        let end = begin + buckets as i64 * period;
        self.next = end;
        let mut values = vec![0.0; buckets];
        let mut covered = vec![0_i64; buckets];
        while let Some(records) = &mut self.records
            && let Some(Interval { from, until, value }) = records.current
            && from < end
        {
            let (first, last) = (from.max(begin), until.min(end));
            let mut at = first;
            while at < last && !value.is_nan() {
                let bucket = ((at - begin) / period) as usize;
                let part = (begin + (bucket as i64 + 1) * period).min(last) - at;
                values[bucket] += value * (part as f64 / (until - from) as f64);
                covered[bucket] += part;
                at += part;
            }
            if until > end {
                break;
            }
            records.advance()?;
        }
        for (value, covered) in values.iter_mut().zip(covered) {
            if covered < period {
                *value = f64::NAN;
            }
        }
        Ok(values)
    }
}

impl Iterator for Spread {
    type Item = Result<Vec<f64>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.range.end().ticks() {
            return None;
        }
        let block = self.block();
        if block.is_err() {
            self.next = self.range.end().ticks();
        }
        Some(block)
    }
}

/// A record with its end.
#[derive(Clone, Copy)]
struct Interval {
    from: i64,
    until: i64,
    /// NaN if it is missing.
    value: f64,
}

/// Records, one after the other.
struct Records {
    scan: Scan,
    rows: Option<Rows>,
    /// The next one of these rows.
    row: usize,
    /// None behind the last interval.
    current: Option<Interval>,
    /// The record behind it: where it starts, and its value.
    last: Option<(i64, f64)>,
}

impl Records {
    fn new(scan: Scan) -> Result<Records, StoreError> {
        let mut records = Records { scan, rows: None, row: 0, current: None, last: None };
        records.last = records.next_row()?;
        records.advance()?;
        Ok(records)
    }

    /// Goes to the next interval.
    fn advance(&mut self) -> Result<(), StoreError> {
        let begin = self.last;
        self.last = self.next_row()?;
        self.current =
            begin.zip(self.last).map(|((from, value), (until, _))| Interval { from, until, value });
        Ok(())
    }

    fn next_row(&mut self) -> Result<Option<(i64, f64)>, StoreError> {
        loop {
            if let Some(rows) = self.rows.as_ref().filter(|rows| self.row < rows.len()) {
                let value = rows.values().get(self.row).filter(|_| rows.is_valid(self.row));
                let start = rows.start_ticks(self.row);
                self.row += 1;
                return Ok(Some((start, value.unwrap_or(f64::NAN))));
            }
            match self.scan.next() {
                Some(rows) => (self.rows, self.row) = (Some(rows?), 0),
                None => return Ok(None),
            }
        }
    }
}
