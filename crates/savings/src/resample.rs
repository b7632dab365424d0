//! From periods to other periods, by how they overlap: what `as_freq` computes from atoms of a minute, in closed form.
//! Equal to it wherever all times are whole minutes.

use sheaf_model::Tick;

use crate::meter::MeterSeries;

/// What falls into a bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// The energy, or the mean, of what is known of the bin; NaN if nothing is.
    pub value: f64,
    /// The share of the bin of which something is known, 0 to 1.
    pub coverage: f64,
}

/// Spreads the energy of each period evenly over it and adds up what falls into each bin. `bounds` ascend; there is a bin
/// between each two of them. Takes time proportional to periods plus bins.
pub fn spread(meter: &MeterSeries, bounds: &[Tick]) -> Vec<Bin> {
    bins(meter, bounds, |energy, share_of_period, _| energy * share_of_period)
        .map(|(sum, coverage)| Bin { value: sum, coverage })
        .collect()
}

/// The mean over each bin of a quantity that keeps its value from bound to bound, by time. Only the part of the bin of
/// which something is known counts.
pub fn average(steps: &MeterSeries, bounds: &[Tick]) -> Vec<Bin> {
    bins(steps, bounds, |value, _, share_of_bin| value * share_of_bin)
        .map(|(sum, coverage)| Bin { value: sum / coverage, coverage })
        .collect()
}

/// For each bin: the sum of what its overlaps contribute (of the value, the overlap's share of the period and that of the
/// bin), and the share of it that is known. NaN and 0 if nothing is.
fn bins(
    series: &MeterSeries,
    bounds: &[Tick],
    contribution: impl Fn(f64, f64, f64) -> f64,
) -> impl Iterator<Item = (f64, f64)> {
    let mut next = 0;
    bounds.windows(2).map(move |bin| {
        let (begin, end) = (bin[0].ticks(), bin[1].ticks());
        let (mut sum, mut known) = (0.0, 0);
        let periods = series.bounds();
        while next < series.len() && periods[next + 1].ticks() <= begin {
            next += 1;
        }
        for (period, value) in periods[next.min(periods.len())..].windows(2).zip(&series.energy()[next..]) {
            let (from, to) = (period[0].ticks(), period[1].ticks());
            if from >= end {
                break;
            }
            if !value.is_nan() {
                let overlap = to.min(end) - from.max(begin);
                known += overlap;
                sum += contribution(
                    *value,
                    overlap as f64 / (to - from) as f64,
                    overlap as f64 / (end - begin) as f64,
                );
            }
        }
        if known == 0 { (f64::NAN, 0.0) } else { (sum, known as f64 / (end - begin) as f64) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Tick {
        text.parse().unwrap()
    }

    #[test]
    fn energy_is_spread_by_time() {
        let bounds = ["2020-01-01T12:00", "2020-01-03T12:00", "2020-01-04", "2020-01-05"].map(at).to_vec();
        let meter = MeterSeries::new(bounds, vec![8.0, f64::NAN, 5.0]);
        let days =
            ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04", "2020-01-05", "2020-01-06"].map(at);
        let expected = [(2.0, 0.5), (4.0, 1.0), (2.0, 0.5), (5.0, 1.0)];
        let got = spread(&meter, &days);
        for (bin, (value, coverage)) in got.iter().zip(expected) {
            assert_eq!((bin.value, bin.coverage), (value, coverage));
        }
        assert!(got[4].value.is_nan() && got[4].coverage == 0.0);
        let mean = average(&meter, &[at("2020-01-03"), at("2020-01-05")]);
        // Twelve hours of 8 and a day of 5.
        assert_eq!(mean, [Bin { value: 6.0, coverage: 0.75 }]);
    }

    #[test]
    fn nothing_gives_nothing() {
        let days = [at("2020-01-01"), at("2020-01-02")];
        assert!(spread(&MeterSeries::default(), &days)[0].value.is_nan());
        assert!(spread(&MeterSeries::default(), &[]).is_empty());
    }
}
