//! Weighted least squares with an intercept and at most two slopes, by orthogonalisation of the data themselves: slower
//! than the normal equations that the search uses, and exact to the last few bits.

/// Intercept and two slopes.
pub(crate) const MOST_COEFFICIENTS: usize = 3;

/// A column that keeps less than this share of its length when the ones before it are taken out depends on them.
const DEPENDENT: f64 = 1e-10;

/// The least-squares solution.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Solution {
    /// Intercept, then one slope for each column.
    pub(crate) coefficients: Vec<f64>,
    /// (XᵀWX)⁻¹, row by row.
    pub(crate) inverse_normal: Vec<Vec<f64>>,
    /// 1 − Σw·r² / Σw(y − ȳ)², ȳ the weighted mean; NaN if y is constant.
    pub(crate) r_squared: f64,
    /// Σw·r².
    pub(crate) weighted_sse: f64,
}

/// Solves for `y` by 1 and the `columns`, all of one length, with weights above zero. `None` if a column depends on the
/// others or there are fewer rows than coefficients.
///
/// Gram–Schmidt, every column twice: "twice is enough" (Giraud, Langou, Rozložník, 2005).
pub(crate) fn solve(columns: &[&[f64]], y: &[f64], weights: &[f64]) -> Option<Solution> {
    let n_coefficients = columns.len() + 1;
    if y.len() < n_coefficients || n_coefficients > MOST_COEFFICIENTS {
        return None;
    }
    let roots: Vec<f64> = weights.iter().map(|weight| weight.sqrt()).collect();
    let scaled = |column: &&[f64]| column.iter().zip(&roots).map(|(x, root)| x * root).collect();
    let design = std::iter::once(roots.clone()).chain(columns.iter().map(scaled));
    let mut q: Vec<Vec<f64>> = Vec::with_capacity(n_coefficients);
    let mut r = vec![vec![0.0; n_coefficients]; n_coefficients];
    for (index, mut column) in design.enumerate() {
        let length = dot(&column, &column).sqrt();
        for _ in 0..2 {
            for (row, before) in q.iter().enumerate() {
                let share = dot(before, &column);
                r[row][index] += share;
                subtract(&mut column, before, share);
            }
        }
        let rest = dot(&column, &column).sqrt();
        if rest <= DEPENDENT * length {
            return None;
        }
        column.iter_mut().for_each(|x| *x /= rest);
        r[index][index] = rest;
        q.push(column);
    }
    let mut residual: Vec<f64> = y.iter().zip(&roots).map(|(y, root)| y * root).collect();
    let mut right = vec![0.0; n_coefficients];
    let mut centred_sum_of_squares = 0.0;
    for (index, column) in q.iter().enumerate() {
        for _ in 0..2 {
            let share = dot(column, &residual);
            right[index] += share;
            subtract(&mut residual, column, share);
        }
        if index == 0 {
            centred_sum_of_squares = dot(&residual, &residual);
        }
    }
    let weighted_sse = dot(&residual, &residual);
    let r_inverse = invert_upper(&r);
    let coefficients =
        (0..n_coefficients).map(|row| (row..n_coefficients).map(|k| r_inverse[row][k] * right[k]).sum());
    let inverse_normal = (0..n_coefficients)
        .map(|row| (0..n_coefficients).map(|column| dot(&r_inverse[row], &r_inverse[column])).collect())
        .collect();
    let r_squared = if is_constant(centred_sum_of_squares, y, weights) {
        f64::NAN
    } else {
        1.0 - weighted_sse / centred_sum_of_squares
    };
    Some(Solution { coefficients: coefficients.collect(), inverse_normal, r_squared, weighted_sse })
}

/// Whether values differ by no more than their rounding: an R² of them means nothing.
pub(crate) fn is_constant(centred_sum_of_squares: f64, y: &[f64], weights: &[f64]) -> bool {
    is_rounding(centred_sum_of_squares, y.iter().zip(weights).map(|(y, weight)| weight * y * y).sum())
}

/// Whether a sum of squares is so small against another one that it is rounding of values of that size.
pub(crate) fn is_rounding(centred_sum_of_squares: f64, sum_of_squares: f64) -> bool {
    const ROUNDING: f64 = 1e-14;
    centred_sum_of_squares <= ROUNDING * ROUNDING * sum_of_squares
}

fn invert_upper(r: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = r.len();
    let mut inverse = vec![vec![0.0; n]; n];
    for column in 0..n {
        inverse[column][column] = 1.0 / r[column][column];
        for row in (0..column).rev() {
            let sum: f64 = (row + 1..=column).map(|k| r[row][k] * inverse[k][column]).sum();
            inverse[row][column] = -sum / r[row][row];
        }
    }
    inverse
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn subtract(from: &mut [f64], column: &[f64], share: f64) {
    for (value, x) in from.iter_mut().zip(column) {
        *value -= share * x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() <= 1e-13 * expected.abs().max(1.0), "{got} {expected}");
    }

    /// y = 1, 3, 2, 6 by x = 0, 1, 2, 3: slope 7/5, intercept 9/10, SSE 21/5, SST 14.
    #[test]
    fn a_line_by_hand() {
        let solution = solve(&[&[0.0, 1.0, 2.0, 3.0]], &[1.0, 3.0, 2.0, 6.0], &[1.0; 4]).unwrap();
        close(solution.coefficients[0], 0.9);
        close(solution.coefficients[1], 1.4);
        close(solution.weighted_sse, 4.2);
        close(solution.r_squared, 0.7);
        // (XᵀX)⁻¹ of n = 4, Σx = 6, Σx² = 14.
        close(solution.inverse_normal[0][0], 0.7);
        close(solution.inverse_normal[0][1], -0.3);
        close(solution.inverse_normal[1][1], 0.2);
    }

    #[test]
    fn a_weight_is_a_number_of_rows() {
        let rows = solve(&[&[0.0, 1.0, 1.0, 3.0]], &[1.0, 3.0, 3.0, 6.0], &[1.0; 4]).unwrap();
        let weighted = solve(&[&[0.0, 1.0, 3.0]], &[1.0, 3.0, 6.0], &[1.0, 2.0, 1.0]).unwrap();
        close(weighted.coefficients[1], rows.coefficients[1]);
        close(weighted.weighted_sse, rows.weighted_sse);
    }

    #[test]
    fn what_has_no_solution() {
        assert_eq!(solve(&[&[2.0, 2.0, 2.0]], &[1.0, 2.0, 3.0], &[1.0; 3]), None);
        assert_eq!(solve(&[&[1.0, 2.0, 4.0], &[3.0, 2.0, 0.0]], &[1.0, 2.0, 3.0], &[1.0; 3]), None);
        assert_eq!(solve(&[&[1.0]], &[1.0], &[1.0]), None);
        assert_eq!(solve(&[], &[], &[]), None);
        let constant = solve(&[], &[0.1, 0.1, 0.1], &[1.0; 3]).unwrap();
        assert!(constant.r_squared.is_nan());
    }
}
