//! Times from text, exact to the tick.

use jiff::fmt::strtime::BrokenDownTime;
use sheaf_model::{SamplePeriod, Tick};

use super::options::TimeFormat;
use super::zone::{Instant, Zone, in_range, parse_offset};
use crate::error::TimeProblem;

const TICKS_PER_DAY: i64 = 86_400 * Tick::PER_SECOND;

/// 1899-12-30, day 0 of spreadsheets and OLE.
const EXCEL_EPOCH: i64 = Tick::UNIX_EPOCH.ticks() - 25_569 * TICKS_PER_DAY;

/// 1900-03-01: before it, spreadsheets count a day that never was.
const EXCEL_FIRST_DAY: i64 = 61;

/// How far a rounded number may be from the time that it stands for, in ticks: half a millisecond.
const MOST_ROUNDED: i128 = 5_000;

/// What a double of today's Excel dates can be off by, in ticks.
const DOUBLE_ROUNDED: i128 = 8;

/// Reads the times of one table.
#[derive(Clone, Debug)]
pub(crate) struct TimeReader {
    format: TimeFormat,
    zone: Zone,
    /// Row 0 and the distance between rows, where they are known.
    begin: Option<i64>,
    period: Option<SamplePeriod>,
    /// Whether Unix times are slots, too.
    snap_unix: bool,
    dates: DateCache,
}

impl TimeReader {
    pub(crate) fn new(
        format: TimeFormat,
        zone: Zone,
        begin: Option<Tick>,
        period: Option<SamplePeriod>,
        snap_unix: bool,
    ) -> TimeReader {
        TimeReader {
            format,
            zone,
            begin: begin.map(Tick::ticks),
            period,
            snap_unix,
            dates: DateCache::default(),
        }
    }

    /// Whether a time may occur twice, because clocks are set back.
    pub(crate) fn has_folds(&self) -> bool {
        self.zone.has_rules()
    }

    pub(crate) fn zone_name(&self) -> &str {
        self.zone.name()
    }

    /// The time that `text` says.
    #[inline]
    pub(crate) fn read(&mut self, text: &[u8]) -> Result<Instant, TimeProblem> {
        match &self.format {
            TimeFormat::Iso | TimeFormat::Auto => {
                let wall = parse_iso(text, &mut self.dates)?;
                match wall.offset_s {
                    Some(offset) => at(wall.ticks - i64::from(offset) * Tick::PER_SECOND),
                    None => self.zone.instant(wall.ticks),
                }
            }
            TimeFormat::UnixS => self.unix(text, Tick::PER_SECOND),
            TimeFormat::UnixMs => self.unix(text, 10_000),
            TimeFormat::UnixUs => self.unix(text, 10),
            TimeFormat::UnixNs => {
                let number = self.number(text)?;
                let (ticks, exact) = number.times(1, 2);
                if !exact {
                    return Err(TimeProblem::TooFine);
                }
                since(Tick::UNIX_EPOCH.ticks(), ticks)
            }
            TimeFormat::Excel => self.excel(text),
            TimeFormat::Index => self.index(text),
            TimeFormat::Custom(format) => {
                let wall = parse_custom(text, format)?;
                match wall.offset_s {
                    Some(offset) => at(wall.ticks - i64::from(offset) * Tick::PER_SECOND),
                    None => self.zone.instant(wall.ticks),
                }
            }
        }
    }

    fn number(&self, text: &[u8]) -> Result<Decimal, TimeProblem> {
        Decimal::parse(text).ok_or(TimeProblem::NotNumber { format: self.format.what() })
    }

    fn unix(&self, text: &[u8], ticks_per_unit: i64) -> Result<Instant, TimeProblem> {
        // Nearly all are plain integers; 18 digits fit an i64.
        if text.len() <= 18
            && let Some(units) = digits_i64(text)
        {
            return since(Tick::UNIX_EPOCH.ticks(), i128::from(units) * i128::from(ticks_per_unit));
        }
        let number = self.number(text)?;
        let (ticks, _) = number.times(ticks_per_unit.into(), 0);
        if self.snap_unix
            && number.decimals > 0
            && let Some(slot) = self.slot(ticks, Tick::UNIX_EPOCH.ticks(), number.half_unit(ticks_per_unit))
        {
            return at(slot);
        }
        since(Tick::UNIX_EPOCH.ticks(), ticks)
    }

    /// A date as it was shown: in the zone of the table.
    fn excel(&mut self, text: &[u8]) -> Result<Instant, TimeProblem> {
        let number = self.number(text)?;
        let (ticks, _) = number.times(TICKS_PER_DAY.into(), 0);
        if ticks < i128::from(EXCEL_FIRST_DAY * TICKS_PER_DAY) {
            return Err(TimeProblem::ExcelRange);
        }
        let distance = number.half_unit(TICKS_PER_DAY).max(DOUBLE_ROUNDED);
        // A begin is a point in time, so it says where slots are only if the dates are in UTC.
        let known = self.begin.is_none() || self.zone.name() == "UTC";
        if let Some(slot) = self.slot(ticks, EXCEL_EPOCH, distance).filter(|_| known) {
            return self.zone.instant(in_range(slot)?);
        }
        let mut grid = i128::from(Tick::PER_SECOND);
        // At the latest a tick is near enough.
        while grid > 1 && (nearest(ticks, grid) - ticks).abs() > distance.min(MOST_ROUNDED) {
            grid /= 10;
        }
        let wall = i64::try_from(i128::from(EXCEL_EPOCH) + nearest(ticks, grid));
        self.zone.instant(wall.map_err(|_| TimeProblem::OutOfRange).and_then(in_range)?)
    }

    /// The slot that starts within `distance` of a time, where slots are known.
    fn slot(&self, ticks: i128, epoch: i64, distance: i128) -> Option<i64> {
        let period = i128::from(self.period?.ticks());
        let since_begin = ticks + i128::from(epoch) - i128::from(self.begin.unwrap_or(0));
        let slot = nearest(since_begin, period);
        let near = (slot - since_begin).abs() <= distance.min(MOST_ROUNDED);
        if near { i64::try_from(slot + i128::from(self.begin.unwrap_or(0))).ok() } else { None }
    }

    fn index(&self, text: &[u8]) -> Result<Instant, TimeProblem> {
        let index = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
        let index = index.ok_or(TimeProblem::NotNumber { format: self.format.what() })?;
        // A reader of row counts is made only where both are known.
        let (Some(begin), Some(period)) = (self.begin, self.period) else {
            return Err(TimeProblem::NotNumber { format: self.format.what() });
        };
        since(begin, i128::from(index) * i128::from(period.ticks()))
    }
}

fn at(ticks: i64) -> Result<Instant, TimeProblem> {
    in_range(ticks).map(Instant::At)
}

fn since(epoch: i64, ticks: i128) -> Result<Instant, TimeProblem> {
    i64::try_from(i128::from(epoch) + ticks).map_err(|_| TimeProblem::OutOfRange).and_then(at)
}

/// The multiple of `grid` that is nearest to `value`.
fn nearest(value: i128, grid: i128) -> i128 {
    (value + grid / 2).div_euclid(grid) * grid
}

/// A decimal number, exactly: `digits` / 10^`scale`, negative or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    digits: i128,
    scale: i32,
    /// Digits that were written behind the separator.
    decimals: usize,
}

/// Digits of a number that are looked at: more than any time needs, and few enough for 128 bits with what they are
/// multiplied by.
const MOST_DIGITS: usize = 25;

impl Decimal {
    /// A number with a point or a comma, and maybe an exponent.
    pub(crate) fn parse(text: &[u8]) -> Option<Decimal> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let exponent_at = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (plain, exponent) = match exponent_at {
            Some(at) => (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?.parse::<i8>().ok()?),
            None => (text, 0),
        };
        let (mut digits, mut count, mut decimals, mut point) = (0_i128, 0, 0, false);
        for &byte in plain {
            match byte {
                b'0'..=b'9' => {
                    digits = digits * 10 + i128::from(byte - b'0');
                    // Zeros in front don't count.
                    count += usize::from(digits > 0);
                    decimals += usize::from(point);
                    if count > MOST_DIGITS {
                        return None;
                    }
                }
                b'.' | b',' if !point => point = true,
                _ => return None,
            }
        }
        if plain.len() == usize::from(point) || decimals > MOST_DIGITS {
            return None;
        }
        let scale = i32::try_from(decimals).ok()? - i32::from(exponent);
        Some(Decimal {
            digits: if negative { -digits } else { digits },
            scale,
            decimals: scale.max(0) as usize,
        })
    }

    /// The number times `factor`, divided by 10^`shift`, rounded to the nearest integer; and whether it is exactly
    /// that. Numbers that are far too large for a time stay so.
    fn times(&self, factor: i128, shift: i32) -> (i128, bool) {
        let scale = self.scale + shift;
        // 25 digits and a factor of at most 12 leave one digit of 128 bits.
        let product = self.digits.saturating_mul(factor);
        match u32::try_from(scale) {
            Ok(scale) if scale > 37 => (0, product == 0),
            Ok(scale) => {
                let unit = 10_i128.pow(scale);
                let rounded = (product + product.signum() * (unit / 2)) / unit;
                (rounded, product % unit == 0)
            }
            Err(_) => {
                let unit = 10_i128.checked_pow(scale.unsigned_abs()).unwrap_or(i128::MAX / 4);
                // Far outside of time, but far enough from the limits to be added to.
                (product.saturating_mul(unit).clamp(i128::MIN / 4, i128::MAX / 4), true)
            }
        }
    }

    /// Half a unit of the last decimal, in ticks, rounded up.
    fn half_unit(&self, ticks_per_unit: i64) -> i128 {
        let unit = 10_i128.pow(self.decimals.min(30) as u32) * 2;
        (i128::from(ticks_per_unit) + unit - 1) / unit
    }
}

/// What a clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wall {
    /// Ticks as if the clock showed UTC.
    pub(crate) ticks: i64,
    /// The offset of the clock, where it is written.
    pub(crate) offset_s: Option<i32>,
}

/// The last date and the last minute, and what they are in ticks: rows of one day and of one minute stand together.
#[derive(Clone, Debug, Default)]
pub(crate) struct DateCache {
    text: [u8; 10],
    ticks: i64,
    minute: Option<([u8; 17], i64)>,
}

/// A time in ISO 8601, see [`TimeFormat::Iso`].
#[inline]
pub(crate) fn parse_iso(text: &[u8], dates: &mut DateCache) -> Result<Wall, TimeProblem> {
    // `2020-01-31 12:34:56`, in the minute of the last one.
    if let Some((begin, &[ten @ b'0'..=b'5', one @ b'0'..=b'9'])) = text.split_first_chunk()
        && let Some((minute, ticks)) = &dates.minute
        && begin == minute
    {
        let second = i64::from(ten - b'0') * 10 + i64::from(one - b'0');
        return Ok(Wall { ticks: ticks + second * Tick::PER_SECOND, offset_s: None });
    }
    let (date, rest) = match text {
        [_, _, _, _, b'-' | b'/', _, _, b'-' | b'/', _, _, rest @ ..] if text[4] == text[7] => {
            if text[..10] != dates.text {
                let ticks = date_ticks([&text[..4], &text[5..7], &text[8..10]], text)?;
                dates.text.copy_from_slice(&text[..10]);
                dates.ticks = ticks;
            }
            (dates.ticks, rest)
        }
        // Without a time of day this would be a number like any other.
        [_, _, _, _, _, _, _, _, b'T' | b't', ..] => {
            (date_ticks([&text[..4], &text[4..6], &text[6..8]], text)?, &text[8..])
        }
        _ => return Err(no_iso(text)),
    };
    let clock = match rest {
        [] => return Ok(Wall { ticks: date, offset_s: None }),
        [b'T' | b't', clock @ ..] => clock,
        [b' ', clock @ ..] => clock.trim_ascii_start(),
        _ => return Err(no_iso(text)),
    };
    let (clock, rest) = clock_ticks(clock).map_err(|problem| problem.unwrap_or_else(|| no_iso(text)))?;
    if let ([_, _, _, _, _, _, _, _, _, _, _, _, _, b':', _, _, b':', _, _], [], Some(minute)) =
        (text, rest, text.first_chunk())
    {
        dates.minute = Some((*minute, date + clock - clock % (60 * Tick::PER_SECOND)));
    }
    let offset_s = match rest.trim_ascii_start() {
        [] => None,
        [b'Z' | b'z'] => Some(0),
        zone if zone.eq_ignore_ascii_case(b"utc") => Some(0),
        zone => Some(parse_offset(zone).ok_or_else(|| match zone {
            [b'+' | b'-', ..] => TimeProblem::Offset,
            _ => no_iso(text),
        })?),
    };
    Ok(Wall { ticks: date + clock, offset_s })
}

#[inline]
fn digits(text: &[u8]) -> Option<u32> {
    let mut value = 0;
    for &byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u32::from(byte - b'0');
    }
    Some(value)
}

/// An integer of at most 18 digits and no sign.
#[inline]
fn digits_i64(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    text.iter()
        .try_fold(0_i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// Midnight of a date.
fn date_ticks([year, month, day]: [&[u8]; 3], text: &[u8]) -> Result<i64, TimeProblem> {
    let (Some(year), Some(month), Some(day)) = (digits(year), digits(month), digits(day)) else {
        return Err(no_iso(text));
    };
    if year == 0 {
        return Err(TimeProblem::OutOfRange);
    }
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return Err(TimeProblem::NoSuchDate),
    };
    if day == 0 || day > days {
        return Err(TimeProblem::NoSuchDate);
    }
    // Days before the month, in a year that begins in March: the day that some years have more is its last one then.
    let before_march = u32::from(month < 3);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let years = i64::from(year - before_march);
    // 306 days from March to December of the year 0.
    let days = years * 365 + years / 4 - years / 100 + years / 400 + i64::from(day_of_year) - 306;
    Ok(days * TICKS_PER_DAY)
}

/// The time of day that a text begins with, and what follows; `None` for what is none.
#[inline]
fn clock_ticks(text: &[u8]) -> Result<(i64, &[u8]), Option<TimeProblem>> {
    let (hour, minute, second, rest) = match text {
        [_, _, b':', _, _, b':', _, _, rest @ ..] => (&text[..2], &text[3..5], &text[6..8], rest),
        [_, _, b':', _, _, rest @ ..] => (&text[..2], &text[3..5], &text[..0], rest),
        [a, b, c, d, e, f, rest @ ..] if [a, b, c, d, e, f].into_iter().all(u8::is_ascii_digit) => {
            (&text[..2], &text[2..4], &text[4..6], rest)
        }
        [_, _, _, _, rest @ ..] => (&text[..2], &text[2..4], &text[..0], rest),
        _ => return Err(None),
    };
    let has_seconds = !second.is_empty();
    let (Some(hour), Some(minute), Some(second)) = (digits(hour), digits(minute), digits(second)) else {
        return Err(None);
    };
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Some(match (hour, minute, second) {
            (24, 0, 0) => TimeProblem::Hour24,
            (0..=23, 0..=59, 60) => TimeProblem::LeapSecond,
            _ => TimeProblem::NoSuchClock,
        }));
    }
    let mut ticks = i64::from((hour * 60 + minute) * 60 + second) * Tick::PER_SECOND;
    let (b'.' | b',', true) = (rest.first().copied().unwrap_or(0), has_seconds) else {
        return Ok((ticks, rest));
    };
    let fraction = &rest[1..];
    let len = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if len == 0 {
        return Err(None);
    }
    let mut unit = Tick::PER_SECOND;
    for &digit in &fraction[..len] {
        unit /= 10;
        if unit == 0 && digit != b'0' {
            return Err(Some(TimeProblem::TooFine));
        }
        ticks += i64::from(digit - b'0') * unit;
    }
    Ok((ticks, &fraction[len..]))
}

/// Why a text is no time in ISO 8601.
#[cold]
fn no_iso(text: &[u8]) -> TimeProblem {
    match day_or_month(text) {
        Some((day_first, month_first)) => TimeProblem::DayOrMonth { day_first, month_first },
        None => TimeProblem::NotIso,
    }
}

/// Whether a text is a time of day, and nothing else.
pub(crate) fn is_clock(text: &[u8]) -> bool {
    text.contains(&b':') && matches!(clock_ticks(text), Ok((_, [])) | Err(Some(_)))
}

/// Both formats that a date like `01/02/2020` may have, with the time of day that follows it.
pub(crate) fn day_or_month(text: &[u8]) -> Option<(String, String)> {
    let number = |text: &[u8], most: usize| {
        let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (1..=most).contains(&len).then_some(len)
    };
    let first = number(text, 2)?;
    let separator = *text.get(first)?;
    if !matches!(separator, b'/' | b'.' | b'-') {
        return None;
    }
    let second = number(&text[first + 1..], 2)?;
    let year_at = first + second + 2;
    if text.get(year_at - 1) != Some(&separator) {
        return None;
    }
    let year = number(&text[year_at..], 4)?;
    let year_directive = match year {
        4 => "%Y",
        2 => "%y",
        _ => return None,
    };
    let rest = &text[year_at + year..];
    let clock = match rest {
        [b'T', clock @ ..] => clock,
        _ => rest.trim_ascii_start(),
    };
    let colons = clock.iter().filter(|&&byte| byte == b':').count();
    let half = clock.last().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'm'));
    let fraction = clock.iter().copied().find(|byte| matches!(byte, b'.' | b','));
    let mut time = String::new();
    if colons > 0 && clock.len() < rest.len() {
        // Any white space is a blank to the parser.
        time.push(if rest[0] == b'T' { 'T' } else { ' ' });
    }
    time.push_str(match (colons, half) {
        (0, _) => "",
        (1, false) => "%H:%M",
        (1, true) => "%I:%M",
        (_, false) => "%H:%M:%S",
        (_, true) => "%I:%M:%S",
    });
    if let (Some(point), 2..) = (fraction, colons) {
        time.push(char::from(point));
        time.push_str("%f");
    }
    if half && colons > 0 {
        time.push_str(" %p");
    }
    let separator = char::from(separator);
    let format = |first, second| format!("{first}{separator}{second}{separator}{year_directive}{time}");
    Some((format("%d", "%m"), format("%m", "%d")))
}

/// A time in a format of strftime.
fn parse_custom(text: &[u8], format: &str) -> Result<Wall, TimeProblem> {
    let wrong = |reason: String| {
        // The reason may quote the text.
        let reason = reason.chars().take(200).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
        TimeProblem::Custom { format: format.to_owned(), reason }
    };
    let time = BrokenDownTime::parse(format, text).map_err(|error| wrong(error.to_string()))?;
    if let Some(timestamp) = time.timestamp() {
        let nanoseconds = timestamp.as_nanosecond();
        if nanoseconds % i128::from(Tick::NANOSECONDS) != 0 {
            return Err(TimeProblem::TooFine);
        }
        let ticks = nanoseconds / i128::from(Tick::NANOSECONDS) + i128::from(Tick::UNIX_EPOCH.ticks());
        let ticks = i64::try_from(ticks).map_err(|_| TimeProblem::OutOfRange)?;
        return Ok(Wall { ticks, offset_s: Some(0) });
    }
    // The parser reads second 60 as 59: so a text is the same with 59 in its place.
    if time.second() == Some(59) && is_leap_second(text, format, &time) {
        return Err(TimeProblem::LeapSecond);
    }
    let date = time.to_date().map_err(|error| wrong(error.to_string()))?;
    // A format without a time of day means midnight.
    let clock = match (time.hour(), time.minute()) {
        (None, None) => jiff::civil::Time::midnight(),
        _ => time.to_time().map_err(|error| wrong(error.to_string()))?,
    };
    if i64::from(clock.subsec_nanosecond()) % Tick::NANOSECONDS != 0 {
        return Err(TimeProblem::TooFine);
    }
    if date.year() < 1 {
        return Err(TimeProblem::OutOfRange);
    }
    let since_epoch = date.to_datetime(clock).duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0));
    let ticks = Tick::UNIX_EPOCH.ticks()
        + since_epoch.as_secs() * Tick::PER_SECOND
        + i64::from(since_epoch.subsec_nanos()) / Tick::NANOSECONDS;
    Ok(Wall { ticks, offset_s: time.offset().map(jiff::tz::Offset::seconds) })
}

fn is_leap_second(text: &[u8], format: &str, time: &BrokenDownTime) -> bool {
    let same = |other: &BrokenDownTime| {
        other.to_date().ok() == time.to_date().ok()
            && other.to_time().ok() == time.to_time().ok()
            && other.offset() == time.offset()
    };
    text.windows(2).enumerate().filter(|(_, two)| *two == b"60").any(|(at, _)| {
        let mut changed = text.to_vec();
        changed[at..at + 2].copy_from_slice(b"59");
        BrokenDownTime::parse(format, &changed).is_ok_and(|other| same(&other))
    })
}

/// Whether a format can be parsed at all, and says at least a date.
pub(crate) fn check_format(format: &str) -> Result<(), String> {
    if format.len() > 256 {
        return Err("it is too long".to_owned());
    }
    // What it prints, it must be able to read.
    let sample = jiff::civil::date(2020, 1, 31).at(12, 34, 56, 0).to_zoned(jiff::tz::TimeZone::UTC);
    let sample = sample.map_err(|error| error.to_string())?;
    let text = BrokenDownTime::from(&sample).to_string(format).map_err(|error| error.to_string())?;
    match parse_custom(text.as_bytes(), format) {
        Ok(_) => Ok(()),
        Err(TimeProblem::Custom { reason, .. }) => Err(reason),
        Err(problem) => Err(problem.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tick(text: &str) -> i64 {
        text.parse::<Tick>().unwrap().ticks()
    }

    fn reader(format: &str) -> TimeReader {
        TimeReader::new(format.parse().unwrap(), Zone::new(None).unwrap(), None, None, false)
    }

    fn read(format: &str, text: &str) -> Result<String, TimeProblem> {
        match reader(format).read(text.as_bytes())? {
            Instant::At(ticks) => Ok(Tick::new(ticks).unwrap().to_string()),
            fold => panic!("{fold:?}"),
        }
    }

    fn ok(text: &str) -> Result<String, TimeProblem> {
        Ok(text.to_owned())
    }

    #[test]
    fn usual_forms_of_iso() {
        for (text, time) in [
            ("2020-01-31", "2020-01-31T00:00:00Z"),
            ("2020/01/31 12:00", "2020-01-31T12:00:00Z"),
            ("2020-01-31T12:34:56", "2020-01-31T12:34:56Z"),
            ("2020-01-31  12:34:56", "2020-01-31T12:34:56Z"),
            ("2020-01-31 12:34:56.5", "2020-01-31T12:34:56.5000000Z"),
            ("2020-01-31 12:34:56,25", "2020-01-31T12:34:56.2500000Z"),
            ("2020-01-01T00:33:19.0000000Z", "2020-01-01T00:33:19Z"),
            ("2020-01-01T00:00:00.000000100Z", "2020-01-01T00:00:00.0000001Z"),
            ("2015-11-22 06:00:00+00:00", "2015-11-22T06:00:00Z"),
            ("2020-01-31T12:34:56+05:30", "2020-01-31T07:04:56Z"),
            ("2020-01-31T12:34-0800", "2020-01-31T20:34:00Z"),
            ("2020-01-31T12:34:56 +01", "2020-01-31T11:34:56Z"),
            ("2020-01-31 12:34:56 UTC", "2020-01-31T12:34:56Z"),
            ("20200131T123456Z", "2020-01-31T12:34:56Z"),
            ("20200131T1234", "2020-01-31T12:34:00Z"),
            ("0001-01-01", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.9999999Z"),
            ("2000-02-29", "2000-02-29T00:00:00Z"),
        ] {
            assert_eq!(read("iso", text), ok(time), "{text}");
        }
    }

    #[test]
    fn what_is_no_iso_time_says_why() {
        use TimeProblem::{Hour24, LeapSecond, NoSuchClock, NoSuchDate, NotIso, Offset, OutOfRange, TooFine};
        for (text, problem) in [
            ("", NotIso),
            ("now", NotIso),
            ("2020-01", NotIso),
            ("20200131", NotIso),
            ("2020-01/31", NotIso),
            ("2020-01-31T", NotIso),
            ("2020-01-31x12:00", NotIso),
            ("2020-01-31T12", NotIso),
            ("2020-01-31T12:3", NotIso),
            ("2020-01-31T12:34:56.", NotIso),
            ("2020-01-31T12:34:56Zx", NotIso),
            ("2020-01-31T12:34.5", NotIso),
            ("2020-1-31T12:34", NotIso),
            ("2020-02-30", NoSuchDate),
            ("1900-02-29", NoSuchDate),
            ("2020-13-01", NoSuchDate),
            ("2020-00-01", NoSuchDate),
            ("2020-01-00", NoSuchDate),
            ("0000-01-01", OutOfRange),
            ("0001-01-01T00:00+01:00", OutOfRange),
            ("2020-01-31T24:00:00", Hour24),
            ("2020-01-31T24:00:01", NoSuchClock),
            ("2020-01-31T12:60", NoSuchClock),
            ("2020-12-31T23:59:60Z", LeapSecond),
            ("2020-01-31T12:34:56.12345678", TooFine),
            ("2020-01-31T12:34:56+19:00", Offset),
            ("2020-01-31T12:34:56+01:60", Offset),
        ] {
            assert_eq!(read("iso", text), Err(problem), "{text}");
        }
    }

    #[test]
    fn day_and_month_are_never_guessed() {
        let formats = |text: &str| day_or_month(text.as_bytes()).map(|(day_first, _)| day_first);
        for (text, format) in [
            ("01/02/2020", "%d/%m/%Y"),
            ("1.2.2020 12:00", "%d.%m.%Y %H:%M"),
            ("31.12.20 12:00:00", "%d.%m.%y %H:%M:%S"),
            ("01-02-2020T12:00:00,5", "%d-%m-%YT%H:%M:%S,%f"),
            ("1/2/2020 1:30 PM", "%d/%m/%Y %I:%M %p"),
        ] {
            assert_eq!(formats(text).as_deref(), Some(format), "{text}");
            assert!(matches!(read("iso", text), Err(TimeProblem::DayOrMonth { .. })));
        }
        assert_eq!(formats("2020-01-02"), None);
        assert_eq!(formats("1.5"), None);
        // What is suggested can be read.
        assert_eq!(read("%d.%m.%Y %H:%M", "1.2.2020 12:00"), ok("2020-02-01T12:00:00Z"));
        assert_eq!(read("%m/%d/%Y %I:%M %p", "1/2/2020 1:30 PM"), ok("2020-01-02T13:30:00Z"));
        assert_eq!(
            read("%d.%m.%Y %H:%M:%S,%f", "01.02.2020 12:00:00,25"),
            ok("2020-02-01T12:00:00.2500000Z")
        );
    }

    #[test]
    fn unix_times() {
        for (format, text, time) in [
            ("unix_s", "1577838799", "2020-01-01T00:33:19Z"),
            ("unix_s", "1577838799.00000", "2020-01-01T00:33:19Z"),
            ("unix_s", "1577836800.1234567", "2020-01-01T00:00:00.1234567Z"),
            // More digits than a tick has: rounded.
            ("unix_s", "1577836800.12345678", "2020-01-01T00:00:00.1234568Z"),
            ("unix_s", "1.5778368E+09", "2020-01-01T00:00:00Z"),
            ("unix_s", "-0.5", "1969-12-31T23:59:59.5000000Z"),
            ("unix_ms", "1577836800001", "2020-01-01T00:00:00.0010000Z"),
            ("unix_us", "1577836800000001", "2020-01-01T00:00:00.0000010Z"),
            ("unix_us", "1577836800000000.26", "2020-01-01T00:00:00.0000003Z"),
            ("unix_ns", "1577836800000000100", "2020-01-01T00:00:00.0000001Z"),
        ] {
            assert_eq!(read(format, text), ok(time), "{format} {text}");
        }
        assert_eq!(read("unix_ns", "1577836800000000150"), Err(TimeProblem::TooFine));
        assert_eq!(read("unix_s", "1e30"), Err(TimeProblem::OutOfRange));
        assert_eq!(read("unix_s", "1e127"), Err(TimeProblem::OutOfRange));
        assert_eq!(read("unix_s", "1e-127"), ok("1970-01-01T00:00:00Z"));
        assert_eq!(read("unix_s", "9999999999999999999999999"), Err(TimeProblem::OutOfRange));
        for text in ["", "-", ".", "1e", "1.2.3", "x", "1e999", "99999999999999999999999999999999999999999"] {
            assert!(matches!(read("unix_s", text), Err(TimeProblem::NotNumber { .. })), "{text}");
        }
    }

    #[test]
    fn excel_dates_are_images_of_round_times() {
        for (text, time) in [
            ("43831", "2020-01-01T00:00:00Z"),
            ("43831.5", "2020-01-01T12:00:00Z"),
            ("43831.023136574", "2020-01-01T00:33:19Z"),
            ("43831.02313657407", "2020-01-01T00:33:19Z"),
            // 10 ms, and 1 ms
            ("43831.000000116", "2020-01-01T00:00:00.0100000Z"),
            ("43831.0000000116", "2020-01-01T00:00:00.0010000Z"),
            ("43831.0069444", "2020-01-01T00:09:59.9960000Z"),
            ("61", "1900-03-01T00:00:00Z"),
        ] {
            assert_eq!(read("excel", text), ok(time), "{text}");
        }
        for text in ["60", "0", "-1.5"] {
            assert_eq!(read("excel", text), Err(TimeProblem::ExcelRange), "{text}");
        }
        assert_eq!(read("excel", "1e9"), Err(TimeProblem::OutOfRange));
    }

    #[test]
    fn a_period_makes_numbers_exact() {
        let zone = || Zone::new(None).unwrap();
        let begin = Tick::new(tick("2020-01-01T00:00:00Z")).unwrap();
        for period in ["1_s", "100_ms", "1_ms", "130_ms", "90_us"] {
            let period: SamplePeriod = period.parse().unwrap();
            let mut reader = TimeReader::new(TimeFormat::Excel, zone(), Some(begin), Some(period), false);
            for index in [0, 1, 2, 3, 7, 1000, 86_399] {
                let ticks = index * period.ticks();
                let days = (begin.ticks() - EXCEL_EPOCH + ticks) as f64 / TICKS_PER_DAY as f64;
                let read = reader.read(format!("{days:.9}").as_bytes());
                assert_eq!(read, Ok(Instant::At(begin.ticks() + ticks)), "{period} {index}");
            }
        }
        // A third of a second is no multiple of 10 µs.
        let period = SamplePeriod::from_ticks(3_333_333).unwrap();
        let mut reader = TimeReader::new(TimeFormat::UnixS, zone(), Some(begin), Some(period), true);
        assert_eq!(reader.read(b"1577836800.33333"), Ok(Instant::At(begin.ticks() + 3_333_333)));
    }

    #[test]
    fn rows_are_counted() {
        let period = "10_min".parse().unwrap();
        let begin = "2020-01-01".parse().unwrap();
        let mut reader =
            TimeReader::new(TimeFormat::Index, Zone::new(None).unwrap(), Some(begin), Some(period), false);
        assert_eq!(reader.read(b"6"), Ok(Instant::At(tick("2020-01-01T01:00"))));
        assert_eq!(reader.read(b"-6"), Ok(Instant::At(tick("2019-12-31T23:00"))));
        assert_eq!(reader.read(b"9223372036854775807"), Err(TimeProblem::OutOfRange));
        assert!(matches!(reader.read(b"1.5"), Err(TimeProblem::NotNumber { .. })));
    }

    #[test]
    fn formats_of_strftime() {
        for (format, text, time) in [
            ("%d.%m.%Y %H:%M:%S", "31.01.2020 12:34:56", "2020-01-31T12:34:56Z"),
            ("%m/%d/%Y", "01/31/2020", "2020-01-31T00:00:00Z"),
            ("%Y%m%d%H%M", "202001311234", "2020-01-31T12:34:00Z"),
            ("%d-%b-%y %H:%M", "31-Jan-20 12:34", "2020-01-31T12:34:00Z"),
            ("%d.%m.%Y %H:%M:%S %z", "31.01.2020 12:34:56 +0100", "2020-01-31T11:34:56Z"),
            ("%Y-%j", "2020-031", "2020-01-31T00:00:00Z"),
        ] {
            assert_eq!(read(format, text), ok(time), "{format}");
            assert_eq!(check_format(format), Ok(()), "{format}");
        }
        assert!(matches!(read("%d.%m.%Y", "2020-01-31"), Err(TimeProblem::Custom { .. })));
        assert!(matches!(read("%d.%m.%Y", "30.02.2020"), Err(TimeProblem::Custom { .. })));
        assert_eq!(read("%Y-%m-%d %H:%M:%S", "2016-12-31 23:59:60"), Err(TimeProblem::LeapSecond));
        assert!(read("%Y-%m-%d %H:%M:%S", "2060-12-31 23:60:59").is_err());
        assert_eq!(read("%Y-%m-%d %H:%M:%S", "2060-12-31 23:59:59"), ok("2060-12-31T23:59:59Z"));
        assert_eq!(read("%d.%m.%Y %H:%M:%S.%f", "31.01.2020 12:34:56.12345678"), Err(TimeProblem::TooFine));
        for format in ["%H:%M", "%", "%d.%m. %H:%M", "%K"] {
            assert!(check_format(format).is_err(), "{format}");
        }
    }

    proptest! {
        #[test]
        fn times_round_trip(ticks in Tick::MIN.ticks()..=Tick::MAX.ticks()) {
            let time = Tick::new(ticks).unwrap();
            let text = time.to_string();
            let wall = parse_iso(text.as_bytes(), &mut DateCache::default());
            prop_assert_eq!(wall, Ok(Wall { ticks, offset_s: Some(0) }));
            let wall = parse_iso(text.trim_end_matches('Z').replace('T', " ").as_bytes(), &mut DateCache::default());
            prop_assert_eq!(wall, Ok(Wall { ticks, offset_s: None }));
            let unix = format!("{:.7}", Digits(time.unix_ticks()));
            prop_assert_eq!(reader("unix_s").read(unix.as_bytes()), Ok(Instant::At(ticks)));
        }

        /// What both read, they read alike.
        #[test]
        fn agrees_with_the_model(text in "[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\\.[0-9]{1,8})?)?(Z|[+-][01][0-9]:[0-6][0-9])?") {
            let ours = reader("iso").read(text.as_bytes()).ok();
            let theirs = text.parse::<Tick>().ok().map(|tick| Instant::At(tick.ticks()));
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn anything_gives_a_time_or_an_error(text in prop::collection::vec(any::<u8>(), 0..40)) {
            for format in ["iso", "unix_s", "unix_ns", "excel", "%Y-%m-%d %H:%M:%S.%f", "%s"] {
                let _ = reader(format).read(&text);
            }
            let _ = (day_or_month(&text), is_clock(&text));
        }

        /// Excel dates with the digits of a double hold milliseconds.
        #[test]
        fn excel_dates_hold_milliseconds(ms in 61 * 86_400_000_i64..80_000 * 86_400_000) {
            let text = format!("{:.9}", ms as f64 / 86_400_000.0);
            let read = reader("excel").read(text.as_bytes()).unwrap();
            let Instant::At(ticks) = read else { panic!("{read:?}") };
            prop_assert_eq!(ticks - EXCEL_EPOCH, ms * 10_000, "{}", text);
        }
    }

    /// Ticks, as seconds with seven decimals.
    struct Digits(i64);

    impl std::fmt::Display for Digits {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let sign = if self.0 < 0 { "-" } else { "" };
            let ticks = self.0.unsigned_abs();
            write!(f, "{sign}{}.{:07}", ticks / 10_000_000, ticks % 10_000_000)
        }
    }
}
