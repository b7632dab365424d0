//! What holds for every portfolio.

use proptest::prelude::*;
use sheaf_savings::portfolio::{
    DerivativePair, Estimate, Figure, Method, PairStatus, PortfolioState, Side, aggregate,
};

use super::{pair, request};

/// What parts of a portfolio may differ by from the whole.
const TOLERANCE: f64 = 1e-12;

fn estimates() -> impl Strategy<Value = Estimate> {
    (-1e6..1e6_f64, 0.0..1e5_f64, 0.0..1e5_f64, 0.0..1000.0_f64)
        .prop_map(|(value, lower, upper, n)| Estimate { value, lower, upper, n })
}

fn members() -> impl Strategy<Value = Vec<(Estimate, Estimate, f64)>> {
    prop::collection::vec((estimates(), estimates(), 0.1..10.0_f64), 1..200)
}

fn state(members: &[(Estimate, Estimate, f64)]) -> PortfolioState {
    let mut state = PortfolioState::new();
    for &(baseline, reporting, weight) in members {
        state.push(baseline, reporting, weight, 0.01 * baseline.value);
    }
    state
}

/// All numbers of a figure.
fn numbers(figure: Figure) -> [f64; 10] {
    let (b, r) = (figure.baseline, figure.reporting);
    [
        b.value,
        b.lower,
        b.upper,
        b.n,
        r.value,
        r.lower,
        r.upper,
        r.n,
        figure.savings_half_width,
        figure.savings_bias,
    ]
}

proptest! {
    #[test]
    fn parts_merge_into_the_whole(members in members(), cuts in prop::collection::vec(0..200_usize, 0..5)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(members.len())).collect();
        cuts.extend([0, members.len()]);
        cuts.sort_unstable();
        let mut merged = PortfolioState::new();
        for part in cuts.windows(2) {
            merged.merge(state(&members[part[0]..part[1]]));
        }
        // Values may cancel; what they may differ by goes with the size of what was added.
        let size: f64 = members.iter().map(|(b, r, w)| w * (b.value.abs() + r.value.abs())).sum();
        for method in Method::ALL {
            let whole = numbers(state(&members).finish(method).unwrap());
            let parts = numbers(merged.finish(method).unwrap());
            for (whole, part) in whole.into_iter().zip(parts) {
                prop_assert!((whole - part).abs() <= TOLERANCE * size.max(whole.abs()), "{whole} and {part}");
            }
        }
    }

    #[test]
    fn a_rejected_member_changes_nothing(
        members in members(),
        place in 0..200_usize,
        field in 0..8_usize,
        spoiled in prop_oneof![Just(None), Just(Some(f64::NAN)), Just(Some(f64::INFINITY)), Just(Some(f64::NEG_INFINITY))],
    ) {
        let pairs: Vec<DerivativePair> = members
            .iter()
            .enumerate()
            .map(|(label, &(baseline, reporting, weight))| DerivativePair {
                weight: Some(weight),
                ..pair(&label.to_string(), baseline.into(), reporting.into())
            })
            .collect();
        let mut sides = [Side::from(members[0].0), Side::from(members[0].1)];
        let side = &mut sides[field / 4];
        *[&mut side.value, &mut side.lower, &mut side.upper, &mut side.n][field % 4] = spoiled;
        let rejected = DerivativePair { weight: Some(1.0), ..pair("rejected", sides[0], sides[1]) };
        let mut more = pairs.clone();
        more.insert(place.min(pairs.len()), rejected);

        for method in Method::ALL {
            let without = aggregate(&request(method.word(), pairs.clone())).unwrap();
            let with = aggregate(&request(method.word(), more.clone())).unwrap();
            prop_assert_eq!(without.figure, with.figure);
            let member = with.members.iter().find(|member| member.label == "rejected").unwrap();
            prop_assert_eq!(member.status, PairStatus::Rejected);
            prop_assert!(member.baseline.problem.is_some() != member.reporting.problem.is_some());
        }
    }

    #[test]
    fn means_of_equal_members_are_the_member(member in estimates(), other in estimates(), count in 1..50_usize) {
        let pairs = (0..count).map(|label| DerivativePair {
            weight: Some(0.25),
            ..pair(&label.to_string(), member.into(), other.into())
        });
        let pairs: Vec<DerivativePair> = pairs.collect();
        for method in &Method::ALL[1..] {
            let Some(figure) = aggregate(&request(method.word(), pairs.clone())).unwrap().figure else {
                // Without any width there is no variance to weigh by.
                prop_assert_eq!(member.lower + member.upper + other.lower + other.upper, 0.0);
                continue;
            };
            let shrunk = member.lower / (count as f64).sqrt();
            let close = |found: f64, expected: f64| (found - expected).abs() <= TOLERANCE * expected.abs();
            prop_assert!(close(figure.baseline.value, member.value));
            prop_assert!(close(figure.baseline.lower, shrunk));
        }
    }
}

#[test]
fn the_state_of_no_member_has_no_figure() {
    for method in Method::ALL {
        assert_eq!(PortfolioState::new().finish(method), None);
    }
}
