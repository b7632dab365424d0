//! Which hours of the week are occupied (CalTRACK 3.8.3, 3.8.4).

use super::grouped_least_squares::{Row, solve};
use super::{HOURS_PER_WEEK, Hour, HourlySettings};

/// For each hour of the week whether more than the threshold of its hours use more than heating and cooling degrees
/// explain: `energy ~ 1 + max(T − 65, 0) + max(50 − T, 0)`, weighted. An hour of the week without data counts as occupied,
/// as in eemeter; nothing is predicted for it.
///
/// None if the numbers leave the range of floats.
pub(super) fn estimate(hours: &[(Hour, f64)], settings: &HourlySettings) -> Option<Vec<bool>> {
    let degrees: Vec<[f64; 2]> = hours
        .iter()
        .map(|(hour, _)| {
            [
                (hour.temp_degf - settings.cooling_balance_degf).max(0.0),
                (settings.heating_balance_degf - hour.temp_degf).max(0.0),
            ]
        })
        .collect();
    let rows: Vec<Row<'_>> = hours
        .iter()
        .zip(&degrees)
        .map(|(&(hour, weight), features)| Row { group: 0, weight, y: hour.energy, features })
        .collect();
    let solution = solve(&rows, 1, 2)?;
    let intercept = solution.intercepts.first().copied().flatten()?;

    let mut above = [0_u32; HOURS_PER_WEEK];
    let mut all = [0_u32; HOURS_PER_WEEK];
    for ((hour, _), [cooling, heating]) in hours.iter().zip(&degrees) {
        let explained = intercept + solution.slopes[0] * cooling + solution.slopes[1] * heating;
        all[hour.hour_of_week] += 1;
        above[hour.hour_of_week] += u32::from(hour.energy > explained);
    }
    Some(
        above
            .into_iter()
            .zip(all)
            .map(|(above, all)| all == 0 || f64::from(above) / f64::from(all) > settings.occupancy_threshold)
            .collect(),
    )
}
