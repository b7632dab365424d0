//! Verifying a store: every row of the manifest, every byte of every segment, and that they fit together.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::sync::Arc;

use crate::collect;
use crate::disk::Disk;
use crate::error::{SeriesName, StoreError, in_full};
use crate::head_file::{self, Acknowledged, HeadFile};
use crate::lease::Lease;
use crate::manifest::{
    HeadRow, Manifest, ManifestRead, PieceKey, PieceKind, PieceRow, SegmentStateRow, SeriesRow, Stored,
};
use crate::publish::{file_name, now_ms};
use crate::repair::{accept_rewind, mend};
use crate::segment::{PageBuffer, SegmentError, SegmentFacts, SegmentReader, StartsOf};
use crate::segment_cache::facts;
use crate::series::{Layout, Piece, SeriesId, SeriesSpec, SeriesView};
use crate::store::{Inner, Settings, blocking, compare, read_head_file};
use crate::view::{self, PAGE};
use crate::watch::Watch;

/// What to do beside verifying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Mends what can be mended without losing anything: files that nothing refers to are removed, and a file `HEAD` that
    /// is missing, damaged or behind is written anew.
    pub repair: bool,
    /// With `repair`: gives up what is lost, so that the rest can be used without errors. Samples that can't be read any
    /// more are removed from their series, and a database that was set back counts as the newest one.
    pub accept_loss: bool,
}

/// Something that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// Something is not what was written.
    Damage {
        /// What is wrong, with its file and series.
        text: String,
        /// What was done about it, if anything.
        repaired: Option<&'static str>,
    },
    /// Nothing is wrong, but something is left over.
    Note {
        /// What there is.
        text: String,
        /// What was done about it, if anything.
        repaired: Option<&'static str>,
    },
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// How many series were verified.
    pub series: u64,
    /// How many pieces they have.
    pub pieces: u64,
    /// How many segments were verified.
    pub segments: u64,
    /// How many bytes of them.
    pub bytes: u64,
    /// What is wrong or left over, at most [`CheckReport::MOST_FINDINGS`].
    pub findings: Vec<Finding>,
    /// How many more findings there are.
    pub more_findings: u64,
    damages: u64,
    /// Damages that are mended by giving something up, and which of the findings they are.
    pub(crate) losses: u64,
    lost_findings: Vec<usize>,
    /// Pieces whose samples can't be read.
    pub(crate) unreadable: HashSet<PieceKey>,
    /// Whether a file could not be read though it may be intact.
    pub(crate) disk_failed: bool,
}

impl CheckReport {
    /// The most findings that are listed.
    pub const MOST_FINDINGS: usize = 1000;

    /// How many damages are left.
    pub fn damages(&self) -> u64 {
        self.damages
    }

    fn damage(&mut self, text: impl ToString, repaired: Option<&'static str>) {
        self.damages += u64::from(repaired.is_none());
        self.find(Finding::Damage { text: text.to_string(), repaired });
    }

    /// A damage that is mended by giving something up.
    fn loss(&mut self, text: impl ToString) {
        if self.findings.len() < CheckReport::MOST_FINDINGS {
            self.lost_findings.push(self.findings.len());
        }
        self.losses += 1;
        self.damage(text, None);
    }

    /// Says that what is lost was given up.
    pub(crate) fn losses_are_mended(&mut self, how: &'static str) {
        self.damages -= std::mem::take(&mut self.losses);
        for at in std::mem::take(&mut self.lost_findings) {
            if let Some(Finding::Damage { repaired, .. }) = self.findings.get_mut(at) {
                *repaired = Some(how);
            }
        }
    }

    pub(crate) fn note(&mut self, text: String, repaired: Option<&'static str>) {
        self.find(Finding::Note { text, repaired });
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < CheckReport::MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more_findings += 1;
        }
    }
}

/// Verifies a store, which need not be one that can be opened. Others may use it meanwhile: what is seen is one commit.
///
/// # Errors
/// There is no store in the database, it was written by a newer version, the disk or the database can't be read at all, or
/// the check was cancelled. With `repair`, another process may be at it. Everything else is a finding.
pub async fn check(
    disk: Arc<dyn Disk>,
    manifest: Arc<dyn Manifest>,
    settings: Settings,
    options: CheckOptions,
    watch: &Watch,
) -> Result<CheckReport, StoreError> {
    let mut report = CheckReport::default();
    let head_file = read_head_file(&disk).await?;
    let mut read = manifest.read().await?;
    let head = view::intact_head(&mut *read, &manifest.describe()).await?;
    let inner = Arc::new(Inner::new(disk.clone(), manifest.clone(), settings, &head));
    let lease = if options.repair { Some(Lease::take(&inner).await?) } else { None };
    let result =
        Check { inner: &inner, options, watch, report: &mut report }.run(&mut *read, &head, head_file).await;
    drop(read);
    let result = match result {
        Ok(is_trusted) if options.repair => mend(&inner, options, is_trusted, &mut report).await,
        other => other.map(drop),
    };
    if let Some(lease) = lease {
        lease.give_back().await;
    }
    result.map(|()| report)
}

struct Check<'a> {
    inner: &'a Arc<Inner>,
    options: CheckOptions,
    watch: &'a Watch,
    report: &'a mut CheckReport,
}

/// A segment as far as it could be verified.
struct Checked {
    nonce: i64,
    facts: SegmentFacts,
    is_readable: bool,
    live_rows: u64,
    live_pieces: u64,
}

impl Check<'_> {
    /// Verifies everything. Returns whether the database is the newest one, as far as one can tell.
    async fn run(
        &mut self,
        read: &mut dyn ManifestRead,
        head: &HeadRow,
        head_file: HeadFile,
    ) -> Result<bool, StoreError> {
        let is_trusted = self.check_head(read, head, head_file).await?;
        let states = match view::all_segment_states(read, self.inner, head).await {
            Ok(states) => states,
            Err(error) if error.is_damage() => {
                self.report.loss(in_full(&error));
                read.segment_states_after(i64::MIN, u64::MAX >> 1).await.unwrap_or_default()
            }
            Err(error) => return Err(error),
        };
        let mut segments = self.check_segments(read, &states).await?;
        self.check_series(read, head, &mut segments).await?;
        for state in &states {
            let found = segments.get(&state.row.id).map(|checked| (checked.live_rows, checked.live_pieces));
            let says = (state.row.live_rows.max(0) as u64, state.row.live_pieces.max(0) as u64);
            if found.is_some_and(|found| found != says) && self.report.losses == 0 {
                let text = format!(
                    "segment {}: {} rows in {} pieces are listed, {found:?} were found",
                    state.row.id, says.0, says.1
                );
                self.report.loss(text);
            }
        }
        self.check_left_over(read, &states).await?;
        Ok(is_trusted)
    }

    /// Compares the database with the file `HEAD`, and mends that if it may. Returns whether they agree.
    async fn check_head(
        &mut self,
        read: &mut dyn ManifestRead,
        head: &HeadRow,
        head_file: HeadFile,
    ) -> Result<bool, StoreError> {
        let compared = compare(&*self.inner.disk, &*self.inner.manifest, read, head, head_file).await;
        let Err(error) = compared else { return Ok(true) };
        let gives_up = self.options.repair && self.options.accept_loss;
        match &error {
            StoreError::HeadFile { .. } if self.options.repair => {
                let to = Acknowledged { store: head.store, commit: head.commit, nonce: head.nonce };
                let disk = self.inner.disk.clone();
                blocking(move || head_file::reset(&*disk, to)).await?;
                self.report.damage(error, Some("HEAD was written anew"));
                Ok(true)
            }
            StoreError::Rewound { acknowledged, .. } if gives_up => {
                accept_rewind(self.inner, *acknowledged).await?;
                self.report.damage(error, Some("the commits that are gone were given up"));
                Ok(true)
            }
            StoreError::HeadFile { .. } | StoreError::Rewound { .. } | StoreError::OtherStore { .. } => {
                self.report.damage(error, None);
                Ok(false)
            }
            _ => Err(error),
        }
    }

    async fn check_segments(
        &mut self,
        read: &mut dyn ManifestRead,
        states: &[Stored<SegmentStateRow>],
    ) -> Result<HashMap<i64, Checked>, StoreError> {
        let mut segments = HashMap::new();
        for (at, state) in states.iter().enumerate() {
            self.watch.step("verifying segments", at as u64, states.len() as u64)?;
            let id = state.row.id;
            let file = self.inner.disk.describe(&file_name(state.row.file_nonce));
            let Some(row) = read.segments(&[id]).await?.pop() else {
                self.report.loss(self.inner.damaged(format!("segment {id} ({file}) is not listed")));
                continue;
            };
            let (nonce, facts) = match facts(row, state) {
                Ok(facts) => facts,
                Err(problem) => {
                    self.report.loss(self.inner.damaged(format!("{problem} ({file})")));
                    continue;
                }
            };
            let retired = state.row.live_pieces == 0;
            let verified = {
                let (inner, facts) = (self.inner.clone(), facts.clone());
                blocking(move || Ok(verify(&inner, nonce, &facts))).await?
            };
            let is_readable = match verified {
                Ok(()) => true,
                // Nobody needs it any more.
                Err(_) if retired => false,
                Err(problem) => {
                    self.report.disk_failed |= problem.is_io;
                    self.report.damage(problem.text, None);
                    false
                }
            };
            self.report.segments += 1;
            self.report.bytes += facts.bytes;
            segments.insert(id, Checked { nonce, facts, is_readable, live_rows: 0, live_pieces: 0 });
        }
        Ok(segments)
    }

    async fn check_series(
        &mut self,
        read: &mut dyn ManifestRead,
        head: &HeadRow,
        segments: &mut HashMap<i64, Checked>,
    ) -> Result<(), StoreError> {
        let (mut tail_rows, mut count, mut digest) = (0_u64, 0_i64, 0_i64);
        let mut after = i64::MIN;
        loop {
            let page = match read.series_after(after, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    self.report.damage(in_full(&error), None);
                    break;
                }
            };
            let Some(last) = page.last() else { break };
            after = last.row.id;
            for stored in page {
                self.watch.step("verifying series", self.report.series, head.series_count.max(0) as u64)?;
                self.report.series += 1;
                count += 1;
                digest = digest.wrapping_add(stored.checksum);
                match read.pieces(&[stored.row.id]).await {
                    Ok(pieces) => tail_rows += self.check_one(stored, pieces, segments).await?,
                    Err(error) => {
                        self.report.damage(format!("series `{}`: {}", stored.row.key, in_full(&error)), None);
                    }
                }
            }
        }
        if (count, digest) != (head.series_count, head.series_digest) {
            let text = format!(
                "{count} series are there, {} were written, or they are not those of the last commit",
                head.series_count
            );
            self.report.loss(self.inner.damaged(text));
        }
        if tail_rows != head.tail_rows.max(0) as u64 && self.report.losses == 0 {
            let text = format!("the tail has {tail_rows} rows, {} are listed", head.tail_rows);
            self.report.loss(self.inner.damaged(text));
        }
        Ok(())
    }

    /// Verifies a series; returns how many rows it has in the tail.
    async fn check_one(
        &mut self,
        stored: Stored<SeriesRow>,
        pieces: Vec<Stored<PieceRow>>,
        segments: &mut HashMap<i64, Checked>,
    ) -> Result<u64, StoreError> {
        self.report.pieces += pieces.len() as u64;
        let mut damages = Vec::new();
        let database = self.inner.manifest.describe();
        let name = SeriesName { id: SeriesId(stored.row.id), key: Some(stored.row.key.clone()), range: None };
        if let Err(problem) = SeriesView::new(&stored, pieces.clone()) {
            damages.push(
                StoreError::DamagedSeries { database: database.clone(), series: name.clone(), problem }
                    .to_string(),
            );
        }
        let Ok(spec) = SeriesSpec::from_row(&stored.row) else {
            damages.into_iter().for_each(|text| self.report.loss(text));
            return Ok(0);
        };
        let mut tail_rows = 0;
        for piece in pieces {
            match Piece::from_stored(piece, spec.data_type) {
                Ok(piece) if piece.is_in_segment() => {
                    let series = SeriesName { range: Some(piece.range), ..name.clone() };
                    let problem = self.check_piece(&spec, &piece, segments).await?;
                    if problem.is_some() {
                        self.report.unreadable.insert(piece.key);
                    }
                    damages.extend(problem.map(|problem| format!("series {series}: {problem}")));
                }
                Ok(piece) => tail_rows += if piece.kind == PieceKind::Tail { piece.rows } else { 0 },
                // The whole series has said so.
                Err(_) => {}
            }
        }
        damages.into_iter().for_each(|text| self.report.loss(text));
        Ok(tail_rows)
    }

    /// What is wrong with a piece in a segment.
    async fn check_piece(
        &mut self,
        spec: &SeriesSpec,
        piece: &Piece,
        segments: &mut HashMap<i64, Checked>,
    ) -> Result<Option<String>, StoreError> {
        let Some(segment) = segments.get_mut(&piece.segment) else {
            return Ok(Some(format!("it lies in segment {}, which is not listed", piece.segment)));
        };
        segment.live_rows += piece.rows;
        segment.live_pieces += 1;
        let is_readable = segment.is_readable;
        let end = piece.first_row.checked_add(piece.rows);
        if end.is_none_or(|end| end > segment.facts.rows) {
            return Ok(Some(format!(
                "rows from {} on do not lie in segment {}",
                piece.first_row, piece.segment
            )));
        }
        if segment.facts.data_type != spec.data_type {
            return Ok(Some(format!("segment {} has {} values", piece.segment, segment.facts.data_type)));
        }
        let (inner, facts, nonce) = (self.inner.clone(), segment.facts.clone(), segment.nonce);
        let (layout, piece) = (spec.layout, piece.clone());
        let checked = blocking(move || {
            let keys = check_keys(&inner, nonce, &facts, layout, &piece);
            // Of a damaged file some pieces may be intact.
            Ok(if is_readable {
                keys
            } else {
                keys.and_then(|()| check_values(&inner, nonce, &facts, &piece))
            })
        })
        .await?;
        self.report.disk_failed |= checked.as_ref().is_err_and(|problem| problem.is_io);
        Ok(checked.err().map(|problem| problem.text))
    }

    async fn check_left_over(
        &mut self,
        read: &mut dyn ManifestRead,
        states: &[Stored<SegmentStateRow>],
    ) -> Result<(), StoreError> {
        let removed = self.options.repair.then_some("removed");
        let now = now_ms();
        let pending = read.pending().await?;
        for row in &pending {
            if row.row.until_ms <= now {
                self.report.note(format!("{}: its writer never came back", row.row.file), removed);
            }
        }
        let known: HashSet<String> = states
            .iter()
            .map(|state| file_name(state.row.file_nonce))
            .chain(pending.into_iter().map(|row| row.row.file))
            .collect();
        for file in collect::list(self.inner).await? {
            let name = format!("{}/{}", crate::store::SEGMENTS, file.name);
            if !known.contains(&name) {
                let name = self.inner.disk.describe(&name);
                self.report.note(format!("{name}: nothing refers to it, {} bytes", file.bytes), removed);
            }
        }
        Ok(())
    }
}

/// So many keys of a segment are compared at once.
const KEYS_AT_ONCE: u64 = 1 << 20;

/// Why a file is not what it should be.
struct Problem {
    text: String,
    /// The disk would not give it, so it may be intact.
    is_io: bool,
}

impl Problem {
    fn new(text: String) -> Problem {
        Problem { text, is_io: false }
    }
}

impl From<SegmentError> for Problem {
    fn from(error: SegmentError) -> Problem {
        let is_gone = [ErrorKind::NotFound, ErrorKind::UnexpectedEof];
        let is_io = error.io_kind().is_some_and(|kind| !is_gone.contains(&kind));
        Problem { text: in_full(&error), is_io }
    }
}

/// Compares the series and the starts in a segment with what the manifest says of a piece.
fn check_keys(
    inner: &Inner,
    nonce: i64,
    facts: &SegmentFacts,
    layout: Layout,
    piece: &Piece,
) -> Result<(), Problem> {
    let name = file_name(nonce);
    let reader = SegmentReader::open(&*inner.disk, &name, facts)?;
    let (begin, end) = (piece.range.begin().ticks(), piece.range.end().ticks());
    let mut before = i64::MIN;
    let mut row = piece.first_row;
    let last_row = piece.first_row + piece.rows;
    while row < last_row {
        let until = last_row.min(row + KEYS_AT_ONCE);
        let (series, starts) = reader.keys(row..until, layout.numbering())?;
        if let Some(other) = series.iter().find(|&&id| id != piece.key.series) {
            return Err(Problem::new(format!("{name} has rows of series {other} in its place")));
        }
        for (at, &start) in starts.iter().enumerate() {
            let is_right = match layout {
                Layout::Regular { period, .. } if piece.is_dense() => {
                    start == begin + (row - piece.first_row + at as u64) as i64 * period.ticks()
                }
                _ => begin <= start && start < end && before < start,
            };
            if !is_right {
                let row = row + at as u64;
                let text = format!("row {row} of {name} starts at tick {start}, which does not fit");
                return Err(Problem::new(text));
            }
            before = start;
        }
        row = until;
    }
    Ok(())
}

/// Reads the samples of a piece.
fn check_values(inner: &Inner, nonce: i64, facts: &SegmentFacts, piece: &Piece) -> Result<(), Problem> {
    let last_row = piece.first_row + piece.rows;
    let reader = SegmentReader::open(&*inner.disk, &file_name(nonce), facts)?;
    let mut buffer = PageBuffer::default();
    for row in (piece.first_row..last_row).step_by(KEYS_AT_ONCE as usize) {
        let starts = StartsOf::Grid { first_ticks: 0, step_ticks: 1 };
        reader.read(row..last_row.min(row + KEYS_AT_ONCE), starts, &mut buffer)?;
    }
    Ok(())
}

/// Reads all of a segment.
fn verify(inner: &Inner, nonce: i64, facts: &SegmentFacts) -> Result<(), Problem> {
    let name = file_name(nonce);
    match SegmentReader::open(&*inner.disk, &name, facts).and_then(|reader| reader.verify()) {
        Err(error) if error.io_kind() == Some(ErrorKind::NotFound) => {
            Err(Problem::new(format!("{} is missing", inner.disk.describe(&name))))
        }
        other => other.map_err(Problem::from),
    }
}
