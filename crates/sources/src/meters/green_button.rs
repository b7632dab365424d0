//! Green Button files: energy data of utilities as an Atom feed of ESPI elements (NAESB REQ.21).
//!
//! A feed has an entry for each UsagePoint, MeterReading, ReadingType and IntervalBlock, in any order; links say what belongs
//! together. A MeterReading becomes a [`GreenButtonMeter`], or a [`RefusedMeter`] if its values are no energy.
//!
//! Times are seconds since 1970 in UTC. `LocalTimeParameters` say how a household's clocks differ from that, for those who
//! show times to people; they shift nothing here.

use std::collections::HashMap;
use std::ops::Range;
use std::str::FromStr;

use sheaf_model::{EnergyUnit, Interpretation, Tick};

use super::problem::MeterProblem;
use super::xml::{Node, Xml, XmlError};
use crate::csv::{Number, parse_number};
use crate::error::{SourceError, TableProblem};
use crate::input::Input;

/// Intervals of a file, at most: more than a year of each quarter of an hour for 250 meters.
const MOST_INTERVALS: usize = 10_000_000;

/// Entries of a file, at most.
const MOST_ENTRIES: usize = 1_000_000;

/// Characters of a link, an id or a title, at most.
const LONGEST_TEXT: usize = 1024;

/// Links of an entry, at most.
const MOST_LINKS: usize = 64;

/// Values are beyond any meter from here on; ESPI has 48 bits for them.
const LARGEST_VALUE: f64 = 1e15;

/// Qualities of values that somebody guessed: by a reference day, by interpolation, as a forecast.
const ESTIMATED: [u32; 3] = [8, 9, 12];

/// What a Green Button file holds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GreenButton {
    /// Its meters, in the order of their MeterReadings.
    pub meters: Vec<GreenButtonMeter>,
    /// MeterReadings whose values are no energy known here.
    pub refused: Vec<RefusedMeter>,
    /// How far the standard time of the household is ahead of UTC, in seconds, if the file says so. For people only.
    pub utc_offset_s: Option<i32>,
}

/// The values of a MeterReading.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GreenButtonMeter {
    /// The link of the MeterReading to itself, or else the id of its entry; maybe empty in a file with one meter.
    pub id: String,
    /// What people call it; maybe empty.
    pub title: String,
    /// What it measures as far as commodity and direction of flow say so; nothing if they could mean several things.
    pub interpretation: Option<Interpretation>,
    /// What values are in.
    pub unit: EnergyUnit,
    /// By start. Where several have one start, the first of the file is kept.
    pub intervals: Vec<MeterInterval>,
    /// How many intervals were left out because another one has their start.
    pub duplicates: usize,
}

/// Energy of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeterInterval {
    /// Where it begins.
    pub start: Tick,
    /// How long it is, in seconds; at least 1.
    pub duration_s: u32,
    /// The energy in the unit of the meter; nothing if it is missing.
    pub value: Option<f64>,
    /// Whether somebody guessed it: the quality is 8 (by a reference day), 9 (interpolated) or 12 (a forecast).
    pub estimated: bool,
}

/// A record as traces have it: it covers the time to the start of the next one, and the last one only ends that before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeterRecord {
    /// Where it begins.
    pub start: Tick,
    /// The energy; nothing if it is missing, and in the last record.
    pub value: Option<f64>,
    /// Whether somebody guessed it.
    pub estimated: bool,
}

/// A MeterReading that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedMeter {
    /// As [`GreenButtonMeter::id`].
    pub id: String,
    /// As [`GreenButtonMeter::title`].
    pub title: String,
    /// Why not.
    pub problem: MeterProblem,
}

impl GreenButtonMeter {
    /// The intervals as records: one without a value wherever nothing is known, and one at the end. Of intervals that overlap
    /// the one that begins first ends where the next one begins.
    pub fn records(&self) -> Vec<MeterRecord> {
        let mut records = Vec::with_capacity(self.intervals.len() + 1);
        for (index, interval) in self.intervals.iter().enumerate() {
            let MeterInterval { start, duration_s, value, estimated } = *interval;
            records.push(MeterRecord { start, value, estimated });
            let end = start.checked_add(i64::from(duration_s) * Tick::PER_SECOND).unwrap_or(Tick::MAX);
            if self.intervals.get(index + 1).is_none_or(|next| next.start > end) {
                records.push(MeterRecord { start: end, value: None, estimated: false });
            }
        }
        records
    }
}

/// Reads a Green Button file, compressed or not.
///
/// # Errors
/// It can't be read, is no XML or cut off, is none of this kind, or an interval is not what it should be.
pub fn read_green_button(input: Input) -> Result<GreenButton, SourceError> {
    let opened = input.open()?;
    let mut feed = Feed::new(opened.name, Xml::new(opened.text));
    feed.read()?;
    feed.finish()
}

/// A value before its type is known.
#[derive(Clone, Copy)]
struct Raw {
    start: Tick,
    duration_s: u32,
    /// NaN if missing.
    value: f64,
    estimated: bool,
}

/// What an entry says of itself.
#[derive(Default)]
struct Entry {
    id: String,
    title: String,
    itself: String,
    up: String,
    related: Vec<String>,
    usage_point: Option<Option<u32>>,
    meter: bool,
    kind: Option<ReadingType>,
    /// Where its values are among those of the feed.
    values: Option<Range<usize>>,
}

/// Codes of a ReadingType.
#[derive(Clone, Copy, Default)]
struct ReadingType {
    commodity: Option<u32>,
    unit: Option<u32>,
    multiplier: Option<i32>,
    flow: Option<u32>,
    accumulation: Option<u32>,
}

/// A MeterReading.
struct Meter {
    id: String,
    title: String,
    itself: String,
    related: Vec<String>,
}

/// The values of an IntervalBlock.
struct Values {
    range: Range<usize>,
    itself: String,
    up: String,
    /// The MeterReading before it in the file.
    before: Option<usize>,
}

/// An IntervalReading in the making.
#[derive(Clone, Copy)]
struct Reading {
    start: Option<Tick>,
    duration_s: Option<u32>,
    value: f64,
    estimated: bool,
}

/// A feed that is being read.
struct Feed {
    input: String,
    xml: Xml,
    entry: Entry,
    reading: Option<Reading>,
    entries: usize,
    raws: Vec<Raw>,
    meters: Vec<Meter>,
    kinds: Vec<(String, ReadingType)>,
    usage_points: HashMap<String, Option<u32>>,
    values: Vec<Values>,
    utc_offset_s: Option<i32>,
}

impl Feed {
    fn new(input: String, xml: Xml) -> Feed {
        Feed {
            input,
            xml,
            entry: Entry::default(),
            reading: None,
            entries: 0,
            raws: Vec::new(),
            meters: Vec::new(),
            kinds: Vec::new(),
            usage_points: HashMap::new(),
            values: Vec::new(),
            utc_offset_s: None,
        }
    }

    fn read(&mut self) -> Result<(), SourceError> {
        loop {
            match self.xml.next() {
                Ok(Node::Start { name, attributes }) => self.begin(&name, &attributes)?,
                Ok(Node::End { name, text }) => {
                    let parent = self.xml.parent().to_owned();
                    self.end(&parent, &name, &text)?;
                }
                Ok(Node::Eof) => return Ok(()),
                Err(XmlError::Damaged(problem)) => return Err(self.wrong(MeterProblem::Xml(problem))),
                Err(XmlError::Read(source)) => {
                    let (input, line) = (self.input.clone(), self.xml.line() - 1);
                    return Err(SourceError::Read { input, line, source });
                }
            }
        }
    }

    fn wrong(&self, problem: MeterProblem) -> SourceError {
        SourceError::Table {
            input: self.input.clone(),
            line: Some(self.xml.line()),
            problem: Box::new(TableProblem::Meters(problem)),
        }
    }

    fn begin(&mut self, name: &str, attributes: &[(String, String)]) -> Result<(), SourceError> {
        match name {
            "entry" => {
                self.entries += 1;
                if self.entries > MOST_ENTRIES {
                    return Err(self.wrong(MeterProblem::TooMany { most: MOST_ENTRIES, what: "entries" }));
                }
                self.entry = Entry::default();
            }
            "link" => {
                let value = |key: &str| {
                    attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
                };
                let href = self.short(value("href").unwrap_or_default().trim_end_matches('/'))?;
                match value("rel") {
                    Some("self") => self.entry.itself = href,
                    Some("up") => self.entry.up = href,
                    Some("related") if self.entry.related.len() < MOST_LINKS => self.entry.related.push(href),
                    _ => {}
                }
            }
            "UsagePoint" => self.entry.usage_point = Some(None),
            "MeterReading" => self.entry.meter = true,
            "ReadingType" => self.entry.kind = Some(ReadingType::default()),
            "IntervalReading" => {
                let nothing = Reading { start: None, duration_s: None, value: f64::NAN, estimated: false };
                self.reading = Some(nothing);
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, parent: &str, name: &str, text: &str) -> Result<(), SourceError> {
        match (parent, name) {
            ("entry", "id") => self.entry.id = self.short(text)?,
            ("entry", "title") => self.entry.title = self.short(text)?,
            ("ServiceCategory", "kind") if self.entry.usage_point.is_some() => {
                self.entry.usage_point = Some(Some(self.code("kind", text)?));
            }
            ("LocalTimeParameters", "tzOffset") => {
                let offset = self.number("tzOffset", text, "offset from UTC in seconds")?;
                self.utc_offset_s.get_or_insert(offset);
            }
            ("ReadingType", _) if self.entry.kind.is_some() => self.end_of_type(name, text)?,
            ("timePeriod" | "IntervalReading" | "ReadingQuality", _) if self.reading.is_some() => {
                self.end_in_reading(name, text)?;
            }
            (_, "IntervalReading") => self.end_of_reading()?,
            (_, "entry") => self.end_of_entry(),
            _ => {}
        }
        Ok(())
    }

    fn end_of_type(&mut self, name: &str, text: &str) -> Result<(), SourceError> {
        let mut kind = self.entry.kind.unwrap_or_default();
        match name {
            "commodity" => kind.commodity = Some(self.code("commodity", text)?),
            "uom" => kind.unit = Some(self.code("uom", text)?),
            "flowDirection" => kind.flow = Some(self.code("flowDirection", text)?),
            "accumulationBehaviour" => kind.accumulation = Some(self.code("accumulationBehaviour", text)?),
            "powerOfTenMultiplier" => {
                kind.multiplier = Some(self.number("powerOfTenMultiplier", text, "whole number")?);
            }
            _ => {}
        }
        self.entry.kind = Some(kind);
        Ok(())
    }

    fn end_in_reading(&mut self, name: &str, text: &str) -> Result<(), SourceError> {
        let Some(mut reading) = self.reading else { return Ok(()) };
        let value =
            |element, wanted| self.wrong(MeterProblem::Value { element, text: text.to_owned(), wanted });
        match name {
            "start" => {
                let wanted = "number of seconds since 1970 in UTC";
                let ticks =
                    text.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(Tick::PER_SECOND));
                let start = ticks.and_then(|ticks| Tick::UNIX_EPOCH.checked_add(ticks));
                reading.start = Some(start.ok_or_else(|| value("start", wanted))?);
            }
            "duration" => {
                let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
                let wanted = "number of seconds from 1 on";
                reading.duration_s = Some(seconds.ok_or_else(|| value("duration", wanted))?);
            }
            "value" if !text.is_empty() => {
                let number = parse_number(text.as_bytes(), b'.').ok().map(Number::as_f64);
                let wanted = "number of at most fifteen digits";
                reading.value = number
                    .filter(|number| number.abs() < LARGEST_VALUE)
                    .ok_or_else(|| value("value", wanted))?;
            }
            "quality" => reading.estimated |= ESTIMATED.contains(&self.code("quality", text)?),
            _ => {}
        }
        self.reading = Some(reading);
        Ok(())
    }

    fn end_of_reading(&mut self) -> Result<(), SourceError> {
        let Some(Reading { start, duration_s, value, estimated }) = self.reading.take() else {
            return Ok(());
        };
        let (Some(start), Some(duration_s)) = (start, duration_s) else {
            return Err(self.wrong(MeterProblem::NoPeriod));
        };
        if self.raws.len() == MOST_INTERVALS {
            return Err(self.wrong(MeterProblem::TooMany { most: MOST_INTERVALS, what: "intervals" }));
        }
        let begin = self.entry.values.as_ref().map_or(self.raws.len(), |values| values.start);
        self.raws.push(Raw { start, duration_s, value, estimated });
        self.entry.values = Some(begin..self.raws.len());
        Ok(())
    }

    fn end_of_entry(&mut self) {
        let Entry { id, title, itself, up, related, usage_point, meter, kind, values } =
            std::mem::take(&mut self.entry);
        if let Some(service) = usage_point {
            self.usage_points.insert(itself.clone(), service);
        }
        if let Some(kind) = kind {
            self.kinds.push((itself.clone(), kind));
        }
        if let Some(range) = values {
            let before = self.meters.len().checked_sub(1);
            self.values.push(Values { range, itself: itself.clone(), up, before });
        }
        if meter {
            self.meters.push(Meter { id, title, itself, related });
        }
    }

    /// A text that is kept.
    fn short(&self, text: &str) -> Result<String, SourceError> {
        if text.len() > LONGEST_TEXT {
            let problem = format!("a link, an id or a title is longer than {LONGEST_TEXT} bytes");
            return Err(self.wrong(MeterProblem::Xml(problem)));
        }
        Ok(text.to_owned())
    }

    /// A code of an enumeration.
    fn code(&self, element: &'static str, text: &str) -> Result<u32, SourceError> {
        self.number(element, text, "code of ESPI, a number from 0 on")
    }

    fn number<T: FromStr>(
        &self,
        element: &'static str,
        text: &str,
        wanted: &'static str,
    ) -> Result<T, SourceError> {
        text.parse().map_err(|_| self.wrong(MeterProblem::Value { element, text: text.to_owned(), wanted }))
    }

    /// Finds out what belongs together, now that all is known.
    fn finish(mut self) -> Result<GreenButton, SourceError> {
        if self.meters.is_empty() && self.kinds.is_empty() && self.values.is_empty() {
            return Err(self.wrong(MeterProblem::NotGreenButton));
        }
        if self.meters.is_empty() {
            // Files of a single meter may leave it out.
            let [id, title, itself] = [(); 3].map(|()| String::new());
            self.meters.push(Meter { id, title, itself, related: Vec::new() });
        }
        let (ranges, mut refused) = self.values_of_meters();
        let mut meters = Vec::new();
        for (meter, ranges) in self.meters.iter().zip(ranges) {
            let id = if meter.itself.is_empty() { &meter.id } else { &meter.itself }.clone();
            let title = meter.title.clone();
            match self.meaning(meter) {
                Ok(meaning) => {
                    let raws = ranges.into_iter().flat_map(|range| &self.raws[range]);
                    meters.push(meaning.of(id, title, raws.copied().collect()));
                }
                Err(problem) => refused.push(RefusedMeter { id, title, problem }),
            }
        }
        Ok(GreenButton { meters, refused, utc_offset_s: self.utc_offset_s })
    }

    /// Which values each meter has, and those that belong to none.
    fn values_of_meters(&self) -> (Vec<Vec<Range<usize>>>, Vec<RefusedMeter>) {
        let mut by_link = HashMap::new();
        for (index, meter) in self.meters.iter().enumerate() {
            let links = meter.related.iter().chain([&meter.itself]).filter(|link| !link.is_empty());
            by_link.extend(links.map(|link| (link.as_str(), index)));
        }
        // A type may be related to several meters, but has no values.
        let by_link = |link: &str| {
            let above = link.split("/IntervalBlock").next().unwrap_or_default();
            by_link.get(link).or_else(|| by_link.get(above)).copied()
        };
        let only = (self.meters.len() == 1).then_some(0);
        let mut ranges = vec![Vec::new(); self.meters.len()];
        let mut refused: Vec<RefusedMeter> = Vec::new();
        for values in &self.values {
            let unlinked = values.up.is_empty() && values.itself.is_empty();
            let before = values.before.filter(|_| unlinked);
            let found = by_link(&values.up).or_else(|| by_link(&values.itself)).or(before).or(only);
            match found {
                Some(meter) => ranges[meter].push(values.range.clone()),
                None => {
                    let problem = MeterProblem::NoMeter { link: values.up.clone() };
                    // One message for all blocks of a meter.
                    if refused.last().is_none_or(|last| last.problem != problem) {
                        refused.push(RefusedMeter {
                            id: values.itself.clone(),
                            title: String::new(),
                            problem,
                        });
                    }
                }
            }
        }
        (ranges, refused)
    }

    fn meaning(&self, meter: &Meter) -> Result<Meaning, MeterProblem> {
        let related = |(itself, _): &&(String, ReadingType)| meter.related.contains(itself);
        let kind = match self.kinds.as_slice() {
            [(_, only)] => *only,
            kinds => kinds.iter().find(related).ok_or(MeterProblem::NoType { count: kinds.len() })?.1,
        };
        let usage_point = meter.itself.split("/MeterReading").next().unwrap_or_default();
        let only = || if self.usage_points.len() == 1 { self.usage_points.values().next() } else { None };
        let service = self.usage_points.get(usage_point).or_else(only).copied().flatten();
        Meaning::of_type(kind, service)
    }
}

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
enum Commodity {
    Electricity,
    Gas,
    /// Nobody says.
    Unknown,
}

/// What the values of a meter mean.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Meaning {
    interpretation: Option<Interpretation>,
    unit: EnergyUnit,
    /// Values are multiplied by this power of ten.
    exponent: i32,
}

impl Meaning {
    /// What a ReadingType says; and where it has no commodity, the kind of service of the UsagePoint (0 electricity, 1 gas).
    fn of_type(kind: ReadingType, service: Option<u32>) -> Result<Meaning, MeterProblem> {
        let commodity = match (kind.commodity.unwrap_or(0), service) {
            (1 | 2, _) | (0, Some(0)) => Commodity::Electricity,
            (7, _) | (0, Some(1)) => Commodity::Gas,
            (0, None) => Commodity::Unknown,
            (0, Some(_)) => return Err(MeterProblem::Commodity(0)),
            (other, _) => return Err(MeterProblem::Commodity(other)),
        };
        // 4 is energy of an interval; nothing and 0 say nothing else.
        if let Some(accumulation) = kind.accumulation.filter(|code| !matches!(code, 0 | 4)) {
            return Err(MeterProblem::Accumulation(accumulation));
        }
        let (unit, exponent) = match kind.unit.unwrap_or(0) {
            72 => (EnergyUnit::Kwh, -3),
            169 => (EnergyUnit::Therm, 0),
            // A therm is 100 000 BTU.
            132 => (EnergyUnit::Therm, -5),
            other => return Err(MeterProblem::Unit(other)),
        };
        let multiplier = kind.multiplier.unwrap_or(0);
        if !(-12..=12).contains(&multiplier) {
            return Err(MeterProblem::Multiplier(multiplier));
        }
        // 1 is to the customer, 4 the difference of both directions, 19 from the customer.
        let interpretation = match (commodity, kind.flow.unwrap_or(0)) {
            (Commodity::Electricity, 0 | 1) => Some(Interpretation::ElectricityConsumptionSupplied),
            (Commodity::Electricity, 4) => Some(Interpretation::ElectricityConsumptionNet),
            (Commodity::Electricity, 19) => Some(Interpretation::ElectricityOnSiteGenerationUnconsumed),
            (Commodity::Gas, 0 | 1) => Some(Interpretation::NaturalGasConsumptionSupplied),
            _ => None,
        };
        Ok(Meaning { interpretation, unit, exponent: multiplier + exponent })
    }

    fn of(self, id: String, title: String, mut raws: Vec<Raw>) -> GreenButtonMeter {
        raws.sort_by_key(|raw| raw.start);
        let count = raws.len();
        raws.dedup_by_key(|raw| raw.start);
        let duplicates = count - raws.len();
        let intervals = raws.into_iter().map(|raw| MeterInterval {
            start: raw.start,
            duration_s: raw.duration_s,
            value: (!raw.value.is_nan()).then(|| scaled(raw.value, self.exponent)),
            estimated: raw.estimated,
        });
        GreenButtonMeter {
            id,
            title,
            interpretation: self.interpretation,
            unit: self.unit,
            intervals: intervals.collect(),
            duplicates,
        }
    }
}

/// A value times a power of ten. Powers to 10²² are exact, so integers are rounded once.
fn scaled(value: f64, exponent: i32) -> f64 {
    let power = 10_f64.powi(exponent.abs());
    if exponent < 0 { value / power } else { value * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(commodity: u32, unit: u32, flow: u32) -> ReadingType {
        ReadingType {
            commodity: Some(commodity),
            unit: Some(unit),
            multiplier: None,
            flow: Some(flow),
            accumulation: Some(4),
        }
    }

    #[test]
    fn codes_mean_energy_or_are_refused() {
        use Interpretation::{
            ElectricityConsumptionNet, ElectricityConsumptionSupplied, ElectricityOnSiteGenerationUnconsumed,
            NaturalGasConsumptionSupplied,
        };
        let meaning = |kind, service| {
            Meaning::of_type(kind, service).map(|it| (it.interpretation, it.unit, it.exponent))
        };
        assert_eq!(
            meaning(kind(1, 72, 1), None),
            Ok((Some(ElectricityConsumptionSupplied), EnergyUnit::Kwh, -3))
        );
        assert_eq!(meaning(kind(2, 72, 4), None), Ok((Some(ElectricityConsumptionNet), EnergyUnit::Kwh, -3)));
        assert_eq!(meaning(kind(1, 72, 19), None).unwrap().0, Some(ElectricityOnSiteGenerationUnconsumed));
        assert_eq!(meaning(kind(1, 72, 20), None).unwrap().0, None);
        assert_eq!(
            meaning(kind(7, 169, 1), None),
            Ok((Some(NaturalGasConsumptionSupplied), EnergyUnit::Therm, 0))
        );
        assert_eq!(
            meaning(kind(0, 132, 0), Some(1)),
            Ok((Some(NaturalGasConsumptionSupplied), EnergyUnit::Therm, -5))
        );
        assert_eq!(meaning(kind(0, 72, 0), None), Ok((None, EnergyUnit::Kwh, -3)));
        let thousands = ReadingType { multiplier: Some(3), ..kind(1, 72, 1) };
        assert_eq!(meaning(thousands, None).unwrap().2, 0);

        assert_eq!(meaning(kind(9, 72, 1), None), Err(MeterProblem::Commodity(9)));
        assert_eq!(meaning(kind(0, 72, 1), Some(2)), Err(MeterProblem::Commodity(0)));
        assert_eq!(meaning(kind(7, 119, 1), None), Err(MeterProblem::Unit(119)));
        let register = ReadingType { accumulation: Some(1), ..kind(1, 72, 1) };
        assert_eq!(meaning(register, None), Err(MeterProblem::Accumulation(1)));
        let vast = ReadingType { multiplier: Some(13), ..kind(1, 72, 1) };
        assert_eq!(meaning(vast, None), Err(MeterProblem::Multiplier(13)));
    }

    #[test]
    fn values_are_rounded_once() {
        assert_eq!(scaled(1234.0, -3), 1.234);
        assert_eq!(scaled(7.0, -5), 7e-5);
        assert_eq!(scaled(-3.0, 2), -300.0);
    }

    #[test]
    fn gaps_and_the_end_are_records() {
        let start = |hour: i64| Tick::UNIX_EPOCH.checked_add(hour * 3600 * Tick::PER_SECOND).unwrap();
        let interval = |hour, duration_s| MeterInterval {
            start: start(hour),
            duration_s,
            value: Some(1.0),
            estimated: false,
        };
        let meter = GreenButtonMeter {
            id: String::new(),
            title: String::new(),
            interpretation: None,
            unit: EnergyUnit::Kwh,
            intervals: vec![interval(0, 3600), interval(1, 3600), interval(4, 7200), interval(5, 3600)],
            duplicates: 0,
        };
        let records: Vec<_> =
            meter.records().into_iter().map(|record| (record.start, record.value)).collect();
        let hours = [(0, Some(1.0)), (1, Some(1.0)), (2, None), (4, Some(1.0)), (5, Some(1.0)), (6, None)];
        assert_eq!(records, hours.map(|(hour, value)| (start(hour), value)));
        assert!(GreenButtonMeter { intervals: Vec::new(), ..meter }.records().is_empty());
    }
}
