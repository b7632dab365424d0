//! What the bounds of savings cover: simulated meters whose truth is known, each with the whole search of candidates, and
//! portfolios of them. Prints tables in Markdown.
//!
//! `cargo run --release -p sheaf-savings --example coverage --features testing`, which takes minutes; with a number behind `--`
//! only that many portfolios of each kind.

use std::error::Error;
use std::num::NonZeroUsize;
use std::thread;

use sheaf_savings::settings::Interval;
use sheaf_savings::testing::{Coverage, Study};

const INTERVALS: [(Interval, &str); 3] = [
    (Interval::Daily, "daily"),
    (Interval::BillingMonthly, "monthly bills"),
    (Interval::BillingBimonthly, "bimonthly bills"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let portfolios: Option<usize> = match std::env::args().nth(1) {
        Some(number) => {
            let read: NonZeroUsize = number
                .parse()
                .map_err(|_| format!("`{number}` is no number of portfolios; give a whole one above 0"))?;
            Some(read.get())
        }
        None => None,
    };
    println!("Meters, 95 %: 40 weathers of 100 meters each.\n");
    println!("| | autocorrelation | strict | compat | mean error, kWh | mean bound, kWh |");
    println!("|---|---|---|---|---|---|");
    let meters = INTERVALS.into_iter().flat_map(|(interval, name)| {
        [0.0, 0.3, 0.6].map(|autocorrelation| {
            let portfolios = portfolios.unwrap_or(40);
            let study =
                Study { interval, autocorrelation, portfolios, members: 100, seed: 7, ..Study::default() };
            (name, study)
        })
    });
    for_each(meters.collect(), |name, study, coverage| {
        println!(
            "| {name} | {} | {} | {} | {:.1} | {:.1} |",
            study.autocorrelation, coverage.strict, coverage.compat, coverage.mean_error, coverage.mean_bound
        );
    });
    println!("\nPortfolios, 95 %, independent noise, strict; each has weather of its own.\n");
    println!(
        "| | members | portfolios | √Σbound² | √Σbound² + \\|Σbias\\| | mean error of a meter, kWh | mean bias, kWh |"
    );
    println!("|---|---|---|---|---|---|---|");
    let sums = INTERVALS.into_iter().flat_map(|(interval, name)| {
        [(100, 200), (1000, 100)].map(|(members, usual)| {
            let portfolios = portfolios.unwrap_or(usual);
            (name, Study { interval, portfolios, members, seed: 11, ..Study::default() })
        })
    });
    for_each(sums.collect(), |name, study, coverage| {
        println!(
            "| {name} | {} | {} | {} | {} | {:.2} | {:.2} |",
            study.members,
            study.portfolios,
            coverage.portfolios,
            coverage.portfolios_with_bias,
            coverage.mean_error,
            coverage.mean_bias
        );
    });
    Ok(())
}

/// Runs studies two at a time, and reports them in order.
fn for_each(studies: Vec<(&str, Study)>, report: impl Fn(&str, &Study, &Coverage)) {
    for pair in studies.chunks(2) {
        let results: Vec<Coverage> = thread::scope(|scope| {
            let running: Vec<_> = pair.iter().map(|(_, study)| scope.spawn(|| study.run())).collect();
            running.into_iter().flat_map(thread::ScopedJoinHandle::join).collect()
        });
        for ((name, study), coverage) in pair.iter().zip(&results) {
            report(name, study, coverage);
        }
    }
}
