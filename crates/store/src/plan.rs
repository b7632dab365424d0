//! Which pieces answer for which part of a range: a pure function of a series' pieces.

use std::collections::BTreeSet;

use sheaf_model::{Tick, TimeRange};

use crate::manifest::PieceKind;
use crate::series::{Layout, Piece, SeriesView};

/// A part of a range with the same pieces throughout. A part that nothing answers for has no step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) range: TimeRange,
    pub(crate) how: How,
}

/// How a step is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// From one dense piece alone.
    Direct(usize),
    /// From several pieces, or from one that is not dense: later ones in the list win, sample by sample; a tombstone blanks
    /// what came before it.
    Overlay(Vec<usize>),
}

/// Direct steps shorter than this become part of an overlay beside them: it is read anyway, and many tiny steps are slow.
const SHORTEST_DIRECT: i64 = 4096;

/// The steps for `range`, or for all there is, in order of time. They don't overlap, and in a regular series they begin
/// and end with slots: a slot belongs to where it starts.
pub(crate) fn plan(view: &SeriesView, range: Option<TimeRange>) -> Vec<Step> {
    let range = match range.map(|range| to_slots(range, view.spec.layout)) {
        Some(None) => return Vec::new(),
        Some(range) => range,
        None => None,
    };
    let wanted = |piece: TimeRange| {
        let piece = to_slots(piece, view.spec.layout)?;
        range.map_or(Some(piece), |range| range.intersection(piece))
    };
    // The pieces that matter, by rank: place in this list is precedence.
    let mut pieces: Vec<(usize, TimeRange)> = view
        .pieces
        .iter()
        .enumerate()
        .filter(|(_, piece)| piece.is_data() || piece.kind == PieceKind::Tombstone)
        .filter_map(|(index, piece)| Some((index, wanted(piece.range)?)))
        .collect();
    pieces.sort_by_key(|&(index, _)| view.pieces[index].rank());

    let mut events: Vec<(Tick, bool, usize)> = Vec::with_capacity(2 * pieces.len());
    for (place, &(_, range)) in pieces.iter().enumerate() {
        events.push((range.begin(), true, place));
        events.push((range.end(), false, place));
    }
    events.sort_unstable();

    let mut planner = Planner { view, pieces: &pieces, drafts: Vec::new(), begun: Vec::new() };
    let mut active: BTreeSet<usize> = BTreeSet::new();
    let mut events = events.into_iter().peekable();
    while let Some((at, begins, place)) = events.next() {
        if begins {
            active.insert(place);
            planner.begun.push(place);
        } else {
            active.remove(&place);
        }
        if let Some(&(next, ..)) = events.peek()
            && let Ok(range) = TimeRange::new(at, next)
        {
            planner.add(range, &active);
            planner.begun.clear();
        }
    }
    planner.finish()
}

/// The slots that start in a range: from the begin of the first to the end of the last.
pub(crate) fn to_slots(range: TimeRange, layout: Layout) -> Option<TimeRange> {
    let Layout::Regular { period, phase_ticks } = layout else { return Some(range) };
    let period = period.ticks();
    let next_start = |ticks: i64| {
        let beyond = (ticks - phase_ticks).rem_euclid(period);
        ticks.checked_add(if beyond == 0 { 0 } else { period - beyond })
    };
    let begin = next_start(range.begin().ticks())?;
    let end = next_start(range.end().ticks()).filter(|&end| end <= Tick::MAX.ticks());
    // No slot ends after the last tick, so the one that would is none.
    let end = end.unwrap_or_else(|| {
        let last = Tick::MAX.ticks();
        last - (last - phase_ticks).rem_euclid(period)
    });
    TimeRange::new(Tick::new(begin).ok()?, Tick::new(end).ok()?).ok()
}

struct Planner<'a> {
    view: &'a SeriesView,
    pieces: &'a [(usize, TimeRange)],
    drafts: Vec<Draft>,
    /// Places that began since a range was added.
    begun: Vec<usize>,
}

/// Where more pieces than this overlap, all of them go into one overlay. Looking for those that count, for each range
/// anew, would take the square of their number.
const MANY: usize = 64;

/// A step in the making: the places of its pieces, highest first, in no order once steps were joined.
struct Draft {
    range: TimeRange,
    places: Vec<usize>,
    /// The first place answers alone.
    direct: bool,
    /// All pieces that lie in the range are among the places, also those that others hide.
    complete: bool,
}

impl Planner<'_> {
    /// Adds the step for a range in which the pieces at these places lie.
    fn add(&mut self, range: TimeRange, active: &BTreeSet<usize>) {
        if active.len() > MANY {
            match self.drafts.last_mut() {
                Some(last) if last.complete && last.range.end() == range.begin() => {
                    last.range = last.range.hull(range);
                    last.places.append(&mut self.begun);
                }
                _ => {
                    let places = active.iter().copied().collect();
                    self.drafts.push(Draft { range, places, direct: false, complete: true });
                }
            }
            return;
        }
        let mut places = Vec::new();
        let mut data = 0;
        for &place in active.iter().rev() {
            let piece = self.piece(place);
            places.push(place);
            if piece.kind == PieceKind::Tombstone {
                break;
            }
            data += 1;
            if piece.is_dense() && piece.missing == 0 {
                break;
            }
        }
        if data == 0 {
            return;
        }
        let direct = data == 1 && self.piece(places[0]).is_dense();
        match self.drafts.last_mut() {
            Some(last)
                if !last.complete
                    && last.range.end() == range.begin()
                    && last.direct == direct
                    && last.places == places =>
            {
                last.range = last.range.hull(range);
            }
            _ => self.drafts.push(Draft { range, places, direct, complete: false }),
        }
    }

    fn piece(&self, place: usize) -> &Piece {
        &self.view.pieces[self.pieces[place].0]
    }

    /// Joins overlays that touch, and short direct steps beside them; then turns places into pieces.
    fn finish(self) -> Vec<Step> {
        let row_ticks = self.view.spec.row_ticks();
        let joins = |draft: &Draft| !draft.direct || draft.range.ticks() / row_ticks < SHORTEST_DIRECT;
        let mut joined: Vec<Draft> = Vec::new();
        for draft in self.drafts {
            match joined.last_mut() {
                Some(last) if last.range.end() == draft.range.begin() && joins(last) && joins(&draft) => {
                    last.range = last.range.hull(draft.range);
                    last.places.extend(draft.places);
                    last.direct = false;
                }
                _ => joined.push(draft),
            }
        }
        let piece = |place: &usize| self.pieces[*place].0;
        joined
            .into_iter()
            .map(|mut draft| {
                let how = if draft.direct {
                    How::Direct(piece(&draft.places[0]))
                } else {
                    draft.places.sort_unstable();
                    draft.places.dedup();
                    How::Overlay(draft.places.iter().map(piece).collect())
                };
                Step { range: draft.range, how }
            })
            .collect()
    }
}
