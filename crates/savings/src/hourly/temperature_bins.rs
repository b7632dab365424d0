//! Temperature in bins: a slope of its own in each.

/// The endpoints that leave enough hours in every bin (CalTRACK 3.9.1.2). Bins are open on the left and closed on the right.
///
/// Endpoints are taken away from the outside in, in the order of eemeter: while the lowest or the highest bin holds fewer
/// than `min_hours`, its endpoint goes; then the right endpoint of every inner bin that does; until every bin is full or
/// one is left.
pub(super) fn kept_endpoints(temps_degf: &[f64], candidates_degf: &[f64], min_hours: usize) -> Vec<f64> {
    let mut endpoints = candidates_degf.to_vec();
    while !endpoints.is_empty() {
        let counts = hours_per_bin(temps_degf, &endpoints);
        let sparse = |bin: usize| counts[bin] < min_hours;
        let last = endpoints.len() - 1;
        // An endpoint `i` lies between the bins `i` and `i + 1`.
        let goes: Vec<bool> = if sparse(0) || sparse(last + 1) {
            (0..=last).map(|i| (i == 0 && sparse(0)) || (i == last && sparse(last + 1))).collect()
        } else {
            (0..=last).map(sparse).collect()
        };
        if !goes.contains(&true) {
            break;
        }
        let mut goes = goes.into_iter();
        endpoints.retain(|_| goes.next() == Some(false));
    }
    endpoints
}

fn hours_per_bin(temps_degf: &[f64], endpoints_degf: &[f64]) -> Vec<usize> {
    let mut counts = vec![0; endpoints_degf.len() + 1];
    for &temp in temps_degf {
        counts[endpoints_degf.partition_point(|&endpoint| endpoint < temp)] += 1;
    }
    counts
}

/// Appends a number for each of the `endpoints + 1` bins, and together they are the temperature: the lowest bin holds the
/// temperature up to its endpoint, each further one by how much the temperature reaches into it.
pub(super) fn push_features(temp_degf: f64, endpoints_degf: &[f64], features: &mut Vec<f64>) {
    let Some((&first, _)) = endpoints_degf.split_first() else {
        features.push(temp_degf);
        return;
    };
    features.push(temp_degf.min(first));
    for (index, &left) in endpoints_degf.iter().enumerate() {
        let right = endpoints_degf.get(index + 1).copied().unwrap_or(f64::INFINITY);
        features.push((temp_degf - left).clamp(0.0, right - left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINTS: [f64; 3] = [30.0, 45.0, 55.0];

    /// So many temperatures at each value.
    fn temps(counts: &[(f64, usize)]) -> Vec<f64> {
        counts.iter().flat_map(|&(temp, count)| vec![temp; count]).collect()
    }

    #[test]
    fn full_bins_keep_their_endpoints() {
        let temps = temps(&[(30.0, 2), (45.0, 2), (55.0, 2), (55.1, 2)]);
        assert_eq!(kept_endpoints(&temps, &ENDPOINTS, 2), ENDPOINTS);
    }

    #[test]
    fn outer_bins_are_joined_first() {
        // The lowest bin and the one in the middle are sparse; joined with the lowest, the middle is full.
        let sparse = temps(&[(20.0, 1), (40.0, 1), (50.0, 2), (60.0, 2)]);
        assert_eq!(kept_endpoints(&sparse, &ENDPOINTS, 2), [45.0, 55.0]);
    }

    #[test]
    fn inner_bins_lose_their_right_endpoint() {
        let sparse = temps(&[(20.0, 2), (40.0, 1), (50.0, 2), (60.0, 2)]);
        assert_eq!(kept_endpoints(&sparse, &ENDPOINTS, 2), [30.0, 55.0]);
    }

    #[test]
    fn too_few_hours_are_one_bin() {
        assert!(kept_endpoints(&[], &ENDPOINTS, 2).is_empty());
        assert!(kept_endpoints(&temps(&[(50.0, 1)]), &ENDPOINTS, 2).is_empty());
        assert!(kept_endpoints(&temps(&[(50.0, 3)]), &ENDPOINTS, 2).is_empty());
    }

    #[test]
    fn features_add_up_to_the_temperature() {
        for temp in [-10.0, 30.0, 37.5, 45.0, 50.0, 55.0, 99.0] {
            let mut features = Vec::new();
            push_features(temp, &ENDPOINTS, &mut features);
            assert_eq!(features.len(), 4);
            assert_eq!(features.iter().sum::<f64>(), temp);
        }
        let mut features = Vec::new();
        push_features(50.0, &ENDPOINTS, &mut features);
        assert_eq!(features, [30.0, 15.0, 5.0, 0.0]);
        push_features(50.0, &[], &mut features);
        assert_eq!(features[4..], [50.0]);
    }
}
