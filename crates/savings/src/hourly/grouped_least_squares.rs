//! Weighted least squares with an intercept for each group of rows: `y ~ group + features`.
//!
//! The intercepts are eliminated first: subtracting from each row the weighted means of its group leaves a regression of a
//! few columns with the same slopes (Frisch and Waugh 1933, Lovell 1963), where a design of 182 columns would stand. What is
//! left is solved by QR with column pivoting (Businger and Golub 1965), not by normal equations.

use nalgebra::{DMatrix, DVector};

/// One row: its group, its weight, what is explained, and the features in the caller's order.
pub(super) struct Row<'a> {
    pub(super) group: usize,
    pub(super) weight: f64,
    pub(super) y: f64,
    pub(super) features: &'a [f64],
}

/// Coefficients of least squares. Where the design leaves some undetermined, they are those of least norm over intercepts
/// and slopes together, as the pseudo-inverse of the whole design gives them.
pub(super) struct Solution {
    /// None for a group without rows.
    pub(super) intercepts: Vec<Option<f64>>,
    pub(super) slopes: Vec<f64>,
    /// How many directions of the slopes are determined.
    pub(super) rank: usize,
}

/// Solves for `groups` intercepts and `columns` slopes, of which there must be one at least. None if the numbers leave the range of floats.
pub(super) fn solve(rows: &[Row<'_>], groups: usize, columns: usize) -> Option<Solution> {
    let means = Means::new(rows, groups, columns);
    // At least as many rows as columns, so that each column has its diagonal element.
    let height = rows.len().max(columns);
    let mut design = DMatrix::zeros(height, columns);
    let mut observed = DVector::zeros(height);
    let mut size = 0.0;
    for (index, row) in rows.iter().enumerate() {
        let root = row.weight.sqrt();
        observed[index] = root * (row.y - means.y[row.group]);
        for (column, &feature) in row.features.iter().enumerate() {
            design[(index, column)] = root * (feature - means.features[(row.group, column)]);
            size += row.weight * feature * feature;
        }
    }
    if !size.is_finite() {
        return None;
    }
    let qr = design.col_piv_qr();
    qr.q_tr_mul(&mut observed);
    let r = qr.r();
    // What is left of a column that its groups explain is rounding, which goes with the size of the column as it was.
    let negligible = f64::EPSILON * height as f64 * f64::sqrt(size);
    let rank = (0..columns).take_while(|&index| r[(index, index)].abs() > negligible).count();

    // The pivots are solved for, with the other columns left out. Each of those can be traded for pivots.
    let pivots = r.view((0, 0), (rank, rank));
    let mut slopes = DVector::zeros(columns);
    slopes.rows_mut(0, rank).copy_from(&pivots.solve_upper_triangular(&observed.rows(0, rank))?);
    let others = columns - rank;
    let mut trades = DMatrix::zeros(columns, others);
    let traded = pivots.solve_upper_triangular(&r.view((0, rank), (rank, others)))?;
    trades.rows_mut(0, rank).copy_from(&-traded);
    trades.rows_mut(rank, others).fill_with_identity();
    qr.p().inv_permute_rows(&mut slopes);
    qr.p().inv_permute_rows(&mut trades);

    let mut intercepts = &means.y - &means.features * &slopes;
    least_norm(&mut intercepts, &mut slopes, &means, &trades)?;
    let finite = intercepts.iter().chain(&slopes).all(|coefficient| coefficient.is_finite());
    finite.then(|| Solution {
        intercepts: (0..groups)
            .map(|group| (means.weights[group] > 0.0).then(|| intercepts[group]))
            .collect(),
        slopes: slopes.as_slice().to_vec(),
        rank,
    })
}

/// Weighted means by group; zero for a group without rows.
struct Means {
    weights: Vec<f64>,
    y: DVector<f64>,
    features: DMatrix<f64>,
}

impl Means {
    fn new(rows: &[Row<'_>], groups: usize, columns: usize) -> Means {
        let mut weights = vec![0.0; groups];
        let mut y = DVector::zeros(groups);
        let mut features = DMatrix::zeros(groups, columns);
        for row in rows {
            weights[row.group] += row.weight;
            y[row.group] += row.weight * row.y;
            for (column, &feature) in row.features.iter().enumerate() {
                features[(row.group, column)] += row.weight * feature;
            }
        }
        for (group, &weight) in weights.iter().enumerate().filter(|&(_, &weight)| weight > 0.0) {
            y[group] /= weight;
            for column in 0..columns {
                features[(group, column)] /= weight;
            }
        }
        Means { weights, y, features }
    }
}

/// Trades slopes until the norm is least. A trade `t` of slopes changes no prediction if the intercepts go along by `−M t`, `M`
/// the means of the features. So with the trades as columns of `T` what is minimised is `|slopes − T c|² + |intercepts + M T c|²`,
/// whose normal equations are `(TᵀT + (MT)ᵀMT) c = Tᵀ slopes − (MT)ᵀ intercepts`. Each trade has a 1 of its own, so they have
/// a solution.
fn least_norm(
    intercepts: &mut DVector<f64>,
    slopes: &mut DVector<f64>,
    means: &Means,
    trades: &DMatrix<f64>,
) -> Option<()> {
    if trades.is_empty() {
        return Some(());
    }
    let along = &means.features * trades;
    let normal = trades.tr_mul(trades) + along.tr_mul(&along);
    let amounts = normal.cholesky()?.solve(&(trades.tr_mul(slopes) - along.tr_mul(intercepts)));
    *slopes -= trades * &amounts;
    *intercepts += along * amounts;
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows<'a>(table: &'a [(usize, f64, f64, &'a [f64])]) -> Vec<Row<'a>> {
        table.iter().map(|&(group, weight, y, features)| Row { group, weight, y, features }).collect()
    }

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-12, "{found}, not {expected}");
    }

    #[test]
    fn a_line_for_each_group() {
        // y = 1 + 2x in group 0, y = 5 + 2x in group 2; group 1 has no rows.
        let table: [(usize, f64, f64, &[f64]); 4] =
            [(0, 1.0, 3.0, &[1.0]), (0, 0.5, 7.0, &[3.0]), (2, 1.0, 5.0, &[0.0]), (2, 2.0, 13.0, &[4.0])];
        let solution = solve(&rows(&table), 3, 1).unwrap();
        assert_eq!(solution.rank, 1);
        assert_close(solution.slopes[0], 2.0);
        assert_close(solution.intercepts[0].unwrap(), 1.0);
        assert_eq!(solution.intercepts[1], None);
        assert_close(solution.intercepts[2].unwrap(), 5.0);
    }

    #[test]
    fn weights_count() {
        // A mean of 0 and 3 with weights 2 and 1.
        let table: [(usize, f64, f64, &[f64]); 2] = [(0, 2.0, 0.0, &[0.0]), (0, 1.0, 3.0, &[0.0])];
        assert_close(solve(&rows(&table), 1, 1).unwrap().intercepts[0].unwrap(), 1.0);
    }

    #[test]
    fn a_column_of_zeros_has_no_slope() {
        let table: [(usize, f64, f64, &[f64]); 3] =
            [(0, 1.0, 3.0, &[0.0, 1.0]), (0, 1.0, 5.0, &[0.0, 2.0]), (0, 1.0, 7.0, &[0.0, 3.0])];
        let solution = solve(&rows(&table), 1, 2).unwrap();
        assert_eq!(solution.rank, 1);
        assert_close(solution.slopes[0], 0.0);
        assert_close(solution.slopes[1], 2.0);
    }

    #[test]
    fn a_constant_column_shares_with_the_intercept_at_least_norm() {
        // y = 10 = a + 3b: the solution of least norm is (1, 3).
        let table: [(usize, f64, f64, &[f64]); 2] = [(0, 1.0, 10.0, &[3.0]), (0, 1.0, 10.0, &[3.0])];
        let solution = solve(&rows(&table), 1, 1).unwrap();
        assert_eq!(solution.rank, 0);
        assert_close(solution.intercepts[0].unwrap(), 1.0);
        assert_close(solution.slopes[0], 3.0);
    }

    #[test]
    fn fewer_rows_than_columns() {
        // y = 2 with features (1, 1, 1) in one group: a = b = c = d = 1/2.
        let table: [(usize, f64, f64, &[f64]); 1] = [(0, 1.0, 2.0, &[1.0, 1.0, 1.0])];
        let solution = solve(&rows(&table), 1, 3).unwrap();
        assert_eq!(solution.rank, 0);
        assert_close(solution.intercepts[0].unwrap(), 0.5);
        for slope in solution.slopes {
            assert_close(slope, 0.5);
        }
    }

    #[test]
    fn numbers_beyond_the_range_of_floats() {
        let table: [(usize, f64, f64, &[f64]); 2] = [(0, 1.0, f64::MAX, &[1.0]), (0, 1.0, f64::MAX, &[2.0])];
        assert!(solve(&rows(&table), 1, 1).is_none());
    }

    proptest! {
        /// Against the whole design with a column for each group. Whole numbers, few of them different, make designs of
        /// deficient rank common.
        #[test]
        fn residuals_are_least_and_so_is_the_norm(
            table in prop::collection::vec(
                (0..4_usize, prop_oneof![Just(0.5), Just(1.0)], -9.0..9.0_f64, prop::array::uniform3(0..4_i8)),
                1..20,
            ),
        ) {
            const GROUPS: usize = 4;
            let table: Vec<(usize, f64, f64, [f64; 3])> =
                table.into_iter().map(|(group, weight, y, x)| (group, weight, y, x.map(f64::from))).collect();
            let rows: Vec<Row<'_>> = table
                .iter()
                .map(|(group, weight, y, features)| Row { group: *group, weight: *weight, y: *y, features })
                .collect();
            let solution = solve(&rows, GROUPS, 3).unwrap();

            let mut design = DMatrix::zeros(rows.len(), GROUPS + 3);
            let mut observed = DVector::zeros(rows.len());
            for (index, row) in rows.iter().enumerate() {
                design[(index, row.group)] = row.weight.sqrt();
                for (column, feature) in row.features.iter().enumerate() {
                    design[(index, GROUPS + column)] = row.weight.sqrt() * feature;
                }
                observed[index] = row.weight.sqrt() * row.y;
            }
            let found = solution.intercepts.iter().map(|intercept| intercept.unwrap_or(0.0)).chain(solution.slopes);
            let found = DVector::from_iterator(GROUPS + 3, found);

            // Least squares: what is left is orthogonal to every column.
            let left = design.tr_mul(&(&design * &found - &observed));
            prop_assert!(left.amax() <= 1e-9, "{}", left.amax());
            // Least norm: what ridge regression tends to as its penalty vanishes.
            let penalty = DMatrix::identity(GROUPS + 3, GROUPS + 3) * 1e-8;
            let ridge = (design.tr_mul(&design) + penalty).cholesky().unwrap().solve(&design.tr_mul(&observed));
            prop_assert!((&found - &ridge).amax() <= 1e-3 * (1.0 + found.amax()), "{found} and {ridge}");
        }
    }
}
