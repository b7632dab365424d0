//! The same again, and something coarser, inside one process.

use serde_json::{Value, json};
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::Failure;

use crate::own::Own;
use crate::samples::Set;
use crate::{Bench, compare, say};

/// What is read: first cold without rollups, then into them, then out of them. What comes after is coarser, and answered from
/// what the first left.
const READS: [(&str, &[&str]); 4] =
    [("10_min_mean", &["1_h_max", "1_d_std"]), ("1_min_mean", &[]), ("10_s_mean", &[]), ("1_s_mean", &[])];

pub(crate) async fn run(bench: &mut Bench) -> Result<Value, Failure> {
    let set = Set::channel(&bench.scale);
    let folder = set.in_store(bench).await?;
    let own = Own::open(&folder).await?;
    let mut seconds = Seconds::default();
    for round in 0..=bench.scale.rounds {
        say(&format!("round {round} of {}", bench.scale.rounds));
        if round == 1 {
            seconds = Seconds::default();
        }
        for (first, coarser) in READS {
            own.rollups.clear();
            let paths = [set.path(0, first)?];
            let cold = seconds.time_async(&format!("{first} cold"), own.read(&paths, false)).await?;
            let filling = seconds.time_async(&format!("{first} filling"), own.read(&paths, true)).await?;
            own.rollups.flush().await;
            for what in std::iter::once(&first).chain(coarser) {
                let paths = [set.path(0, what)?];
                let cold = if *what == first { cold.clone() } else { own.read(&paths, false).await? };
                let warm = seconds.time_async(&format!("{what} warm"), own.read(&paths, true)).await?;
                same_bits(what, &warm, &cold)?;
            }
            same_bits(first, &filling, &cold)?;
            if round == 0 && first == "10_min_mean" {
                compare(first, &cold, &set.expected(0, "mean"))?;
            }
        }
    }
    own.opened.close().await;
    Ok(json!({ "samples": set.len, "seconds": Value::from(seconds) }))
}

/// That rollups do not change an answer.
pub(crate) fn same_bits(what: &str, warm: &[f64], cold: &[f64]) -> Result<(), Failure> {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    if bits(warm) == bits(cold) {
        Ok(())
    } else {
        Err(format!("{what} has other values with rollups").into())
    }
}
