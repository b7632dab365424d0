//! Verifying a store: every row of the manifest, every byte of every segment, and that they fit together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::ErrorKind;
use std::sync::Arc;

use sheaf_model::Tick;

use crate::collect;
use crate::disk::Disk;
use crate::error::{SeriesName, StoreError, in_full};
use crate::head_file::{self, Acknowledged, HeadFile};
use crate::lease::Lease;
use crate::manifest::{
    CommitRow, HeadRow, Manifest, ManifestRead, PieceKey, PieceKind, PieceRow, SegmentStateRow, SeriesRow,
    Stored,
};
use crate::publish::{file_name, now_ms, tail_bytes};
use crate::segment::{SegmentFacts, SegmentReader, StartsOf};
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
    /// Whether something is wrong with pieces of series.
    lost_pieces: bool,
    /// Pieces whose samples can't be read.
    unreadable: HashSet<PieceKey>,
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

    fn note(&mut self, text: String, repaired: Option<&'static str>) {
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
        Ok(()) if options.repair => mend(&inner, options, &mut report).await,
        other => other,
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
    async fn run(
        &mut self,
        read: &mut dyn ManifestRead,
        head: &HeadRow,
        head_file: HeadFile,
    ) -> Result<(), StoreError> {
        self.check_head(read, head, head_file).await?;
        let states = match view::all_segment_states(read, self.inner, head).await {
            Ok(states) => states,
            Err(error) if error.is_damage() => {
                self.report.damage(error, None);
                read.segment_states_after(i64::MIN, u64::MAX >> 1).await.unwrap_or_default()
            }
            Err(error) => return Err(error),
        };
        let mut segments = self.check_segments(read, &states).await?;
        self.check_series(read, head, &mut segments).await?;
        for state in &states {
            let found = segments.get(&state.row.id).map(|checked| (checked.live_rows, checked.live_pieces));
            let says = (state.row.live_rows.max(0) as u64, state.row.live_pieces.max(0) as u64);
            if found.is_some_and(|found| found != says) && !self.report.lost_pieces {
                let text = format!(
                    "segment {}: {} rows in {} pieces are listed, {found:?} were found",
                    state.row.id, says.0, says.1
                );
                self.report.damage(text, None);
            }
        }
        self.check_left_over(read, &states).await
    }

    async fn check_head(
        &mut self,
        read: &mut dyn ManifestRead,
        head: &HeadRow,
        head_file: HeadFile,
    ) -> Result<(), StoreError> {
        let Err(error) = compare(&*self.inner.disk, &*self.inner.manifest, read, head, head_file).await
        else {
            return Ok(());
        };
        let repairs = match &error {
            StoreError::HeadFile { .. } => self.options.repair,
            StoreError::Rewound { .. } => self.options.repair && self.options.accept_loss,
            StoreError::OtherStore { .. } => false,
            _ => return Err(error),
        };
        if !repairs {
            self.report.damage(error, None);
            return Ok(());
        }
        let (disk, to) = (
            self.inner.disk.clone(),
            Acknowledged { store: head.store, commit: head.commit, nonce: head.nonce },
        );
        blocking(move || head_file::reset(&*disk, to)).await?;
        self.report.damage(error, Some("HEAD was written anew"));
        Ok(())
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
                self.report.damage(self.inner.damaged(format!("segment {id} ({file}) is not listed")), None);
                continue;
            };
            let (nonce, facts) = match facts(row, state) {
                Ok(facts) => facts,
                Err(problem) => {
                    self.report.damage(self.inner.damaged(format!("{problem} ({file})")), None);
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
                Err(text) => {
                    self.report.damage(text, None);
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
            self.report.damage(self.inner.damaged(text), None);
        }
        if tail_rows != head.tail_rows.max(0) as u64 && !self.report.lost_pieces {
            let text = format!("the tail has {tail_rows} rows, {} are listed", head.tail_rows);
            self.report.damage(self.inner.damaged(text), None);
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
            damages.into_iter().for_each(|text| self.report.damage(text, None));
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
        if !damages.is_empty() {
            let gives_up = self.options.repair && self.options.accept_loss;
            let repaired = gives_up.then_some("what is lost was removed from the series");
            damages.into_iter().for_each(|text| self.report.damage(text, repaired));
            self.report.lost_pieces = true;
        }
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
        blocking(move || {
            let problem = check_keys(&inner, nonce, &facts, layout, &piece);
            // Of a damaged file some pieces may be intact.
            Ok(problem
                .or_else(|| if is_readable { None } else { check_values(&inner, nonce, &facts, &piece) }))
        })
        .await
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
        for file in collect::list(self.inner).await? {
            let is_known = states.iter().any(|state| file_name(state.row.file_nonce).ends_with(&file.name))
                || pending.iter().any(|row| row.row.file.ends_with(&file.name));
            if !is_known {
                let name = self.inner.disk.describe(&format!("{}/{}", crate::store::SEGMENTS, file.name));
                self.report.note(format!("{name}: nothing refers to it, {} bytes", file.bytes), removed);
            }
        }
        Ok(())
    }
}

/// So many keys of a segment are compared at once.
const KEYS_AT_ONCE: u64 = 1 << 20;

/// Compares the series and the starts in a segment with what the manifest says of a piece.
fn check_keys(
    inner: &Inner,
    nonce: i64,
    facts: &SegmentFacts,
    layout: Layout,
    piece: &Piece,
) -> Option<String> {
    let name = file_name(nonce);
    let reader = match SegmentReader::open(&*inner.disk, &name, facts) {
        Ok(reader) => reader,
        Err(error) => return Some(in_full(&error)),
    };
    let (begin, end) = (piece.range.begin().ticks(), piece.range.end().ticks());
    let mut before = i64::MIN;
    let mut row = piece.first_row;
    let last_row = piece.first_row + piece.rows;
    while row < last_row {
        let until = last_row.min(row + KEYS_AT_ONCE);
        let (series, starts) = match reader.keys(row..until) {
            Ok(keys) => keys,
            Err(error) => return Some(in_full(&error)),
        };
        if let Some(other) = series.iter().find(|&&id| id != piece.key.series) {
            return Some(format!("{name} has rows of series {other} in its place"));
        }
        for (at, &start) in starts.iter().enumerate() {
            let is_right = match layout {
                Layout::Regular { period, .. } if piece.is_dense() => {
                    start == begin + (row - piece.first_row + at as u64) as i64 * period.ticks()
                }
                _ => begin <= start && start < end && before < start,
            };
            if !is_right {
                return Some(format!(
                    "row {} of {name} starts at tick {start}, which does not fit",
                    row + at as u64
                ));
            }
            before = start;
        }
        row = until;
    }
    None
}

/// Reads the samples of a piece; a text says why they can't be.
fn check_values(inner: &Inner, nonce: i64, facts: &SegmentFacts, piece: &Piece) -> Option<String> {
    let last_row = piece.first_row + piece.rows;
    let read = SegmentReader::open(&*inner.disk, &file_name(nonce), facts).and_then(|reader| {
        (piece.first_row..last_row).step_by(KEYS_AT_ONCE as usize).try_for_each(|row| {
            let starts = StartsOf::Grid { first_ticks: 0, step_ticks: 1 };
            reader.read(row..last_row.min(row + KEYS_AT_ONCE), starts).map(drop)
        })
    });
    read.err().map(|error| in_full(&error))
}

/// Reads all of a segment; a text says what is wrong.
fn verify(inner: &Inner, nonce: i64, facts: &SegmentFacts) -> Result<(), String> {
    let name = file_name(nonce);
    match SegmentReader::open(&*inner.disk, &name, facts).and_then(|reader| reader.verify()) {
        Err(error) if error.io_kind() == Some(ErrorKind::NotFound) => {
            Err(format!("{} is missing", inner.disk.describe(&name)))
        }
        other => other.map_err(|error| in_full(&error)),
    }
}

/// Removes what nothing refers to and, if that is wanted, what is lost.
async fn mend(inner: &Arc<Inner>, options: CheckOptions, report: &mut CheckReport) -> Result<(), StoreError> {
    if options.accept_loss && report.lost_pieces {
        give_up(inner, &report.unreadable).await?;
    }
    match collect::collect(inner).await {
        Ok(_) => Ok(()),
        // With a damaged manifest nobody knows which files are needed.
        Err(error) if error.is_damage() => {
            report.note(format!("no files were removed: {error}"), None);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Leaves all series with the pieces that are intact and can be read, and says that the others changed. All
/// digests are made anew.
async fn give_up(inner: &Arc<Inner>, unreadable: &HashSet<PieceKey>) -> Result<(), StoreError> {
    // First the transaction: the files of all that was published until now are there, and nothing is published meanwhile.
    let mut tx = inner.manifest.write().await?;
    let files: HashSet<String> = collect::list(inner).await?.into_iter().map(|file| file.name).collect();
    let mut head = view::intact_head(&mut *tx, &inner.manifest.describe()).await?;
    (head.commit, head.nonce) = (head.commit + 1, rand::random());
    (head.tail_rows, head.tail_bytes) = (0, 0);

    let mut states: BTreeMap<i64, SegmentStateRow> = BTreeMap::new();
    let mut gone = Vec::new();
    for state in tx.segment_states_after(i64::MIN, i64::MAX as u64).await? {
        let name = file_name(state.row.file_nonce);
        let is_there = files.iter().any(|file| name.ends_with(file.as_str()));
        if is_there && state.is_intact() {
            states.insert(
                state.row.id,
                SegmentStateRow { live_rows: 0, live_pieces: 0, retired_ms: 0, ..state.row },
            );
        } else {
            gone.push(state.row.id);
        }
    }
    tx.delete_segments(&gone).await?;

    (head.series_count, head.series_digest) = (0, 0);
    let mut after = i64::MIN;
    loop {
        let page = tx.series_after(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.row.id;
        for mut series in page.into_iter().map(|stored| stored.row) {
            let Ok(spec) = SeriesSpec::from_row(&series) else { continue };
            let (mut left, mut lost) = (Vec::new(), Vec::new());
            for stored in tx.pieces(&[series.id]).await? {
                match Piece::from_stored(stored.clone(), spec.data_type) {
                    Ok(piece) if unreadable.contains(&piece.key) => lost.push(stored.row),
                    Ok(piece) if !piece.is_in_segment() || states.contains_key(&piece.segment) => {
                        left.push(piece);
                    }
                    _ => lost.push(stored.row),
                }
            }
            let keys: Vec<PieceKey> = lost.iter().map(PieceRow::piece_key).collect();
            tx.delete_pieces(&keys).await?;
            for piece in &left {
                count(piece, &mut head, &mut states);
            }
            series.piece_count = left.len() as i64;
            series.piece_digest = left.iter().fold(0, |sum, piece| sum.wrapping_add(piece.checksum));
            if !lost.is_empty() {
                let change = all_changed(&series, &mut head);
                series.piece_count += 1;
                series.piece_digest = series.piece_digest.wrapping_add(change.checksum);
                tx.insert_pieces(vec![change]).await?;
            }
            let series = Stored::seal(series);
            head.series_count += 1;
            head.series_digest = head.series_digest.wrapping_add(series.checksum);
            tx.put_series(vec![series]).await?;
        }
    }
    let now = now_ms();
    let seal = |mut state: SegmentStateRow| {
        state.retired_ms = if state.live_pieces == 0 { now } else { 0 };
        Stored::seal(state)
    };
    let states: Vec<_> = states.into_values().map(seal).collect();
    head.segment_count = states.len() as i64;
    head.segment_digest = states.iter().fold(0, |sum, state| sum.wrapping_add(state.checksum));
    tx.put_segment_states(states).await?;
    let (store, commit, nonce) = (head.store, head.commit, head.nonce);
    tx.insert_commit(Stored::seal(CommitRow { commit, nonce, at_ms: now })).await?;
    tx.put_head(Stored::seal(head)).await?;
    tx.commit().await?;
    let disk = inner.disk.clone();
    blocking(move || head_file::raise(&*disk, Acknowledged { store, commit, nonce })).await
}

/// Counts a piece that stays.
fn count(piece: &Piece, head: &mut HeadRow, states: &mut BTreeMap<i64, SegmentStateRow>) {
    if piece.kind == PieceKind::Tail {
        head.tail_rows += piece.rows as i64;
        head.tail_bytes += tail_bytes(piece.blob_bytes);
    }
    if let Some(state) = states.get_mut(&piece.segment) {
        state.live_rows += piece.rows as i64;
        state.live_pieces += 1;
    }
}

/// A piece that says that anything of a series may have changed.
fn all_changed(series: &SeriesRow, head: &mut HeadRow) -> Stored<PieceRow> {
    let ordinal = head.next_ordinal;
    head.next_ordinal += 1;
    Stored::seal(PieceRow {
        series: series.id,
        commit: head.commit,
        ordinal,
        kind: PieceKind::Change.code(),
        begin_ticks: Tick::MIN.ticks(),
        end_ticks: Tick::MAX.ticks(),
        segment: -1,
        first_row: 0,
        rows: 0,
        missing: 0,
        blob: Vec::new(),
    })
}
