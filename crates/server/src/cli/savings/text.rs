//! Savings for people: both models, what was saved, and a chart of the months.

use std::io::{self, Write};
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use sheaf_savings::model::Model;
use sheaf_savings::run::{ModeledOver, RunResult, SideResult};
use sheaf_savings::savings::MeteredPeriod;
use sheaf_savings::settings::{Interval, Mode};
use sheaf_savings::warning::Warning;
use sheaf_savings::zone::Zone;

/// Characters of the longest bar.
const WIDTH: f64 = 40.0;

/// Dates are those of the zone.
pub(super) fn print(meter: &Path, result: &RunResult, zone: &Zone, out: &mut impl Write) -> io::Result<()> {
    let mode = match result.settings.mode {
        Mode::Strict => "strict: CalTRACK 2.0 as it is written",
        Mode::Compat => "compat: as eemeter 3.2 computes",
    };
    let interval = match result.interval {
        Interval::Daily => "daily",
        Interval::BillingMonthly => "monthly bills",
        Interval::BillingBimonthly => "bills of two months",
    };
    writeln!(out, "{}: {}, {interval}, {} ({mode})\n", meter.display(), result.interpretation, result.unit)?;
    writeln!(out, "{}\n", models(result, zone).trim_fmt())?;
    if !result.status.has_savings() || result.metered_savings.is_none() {
        writeln!(out, "No savings: {}", result.status)?;
    }
    savings(result, out)?;
    months(result, zone, out)?;
    warnings(result, out)?;
    writeln!(out, "\nsheaf {}, input {}", result.engine_version, result.input_hash)
}

fn models(result: &RunResult, zone: &Zone) -> Table {
    let sides = [&result.baseline, &result.reporting];
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["", "baseline", "reporting period"]);
    let mut row = |name: &str, cell: &dyn Fn(&SideResult) -> String| {
        table.add_row([name.to_owned(), cell(sides[0]), cell(sides[1])]);
    };
    let unit = result.unit;
    row("data", &|side| match (side.data_start, side.data_end) {
        (Some(start), Some(end)) => format!("{} to {}", zone.date(start), zone.date(end)),
        _ => "none".to_owned(),
    });
    row("periods with usage and weather", &|side| side.n_usable_periods.to_string());
    row("sufficiency", &|side| {
        serde_json::to_value(side.sufficiency.status).map_or_else(|_| String::new(), |status| plain(&status))
    });
    row("model", &|side| of(side, |model| Some(model.formula())));
    row(&format!("base load ({unit}/day)"), &|side| of(side, |model| Some(number(model.intercept))));
    row(&format!("heating ({unit} per °F·day)"), &|side| {
        of(side, |model| {
            Some(format!("{} below {} °F", number(model.beta_hdd?), model.heating_balance_point?))
        })
    });
    row(&format!("cooling ({unit} per °F·day)"), &|side| {
        of(side, |model| {
            Some(format!("{} above {} °F", number(model.beta_cdd?), model.cooling_balance_point?))
        })
    });
    row("adjusted R²", &|side| of(side, |model| Some(format!("{:.4}", model.r_squared_adj))));
    row("CVRMSE", &|side| of(side, |model| Some(format!("{:.1} %", model.avgs_metrics.cvrmse? * 100.0))));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// What a model has, `-` where it has none.
fn of(side: &SideResult, get: impl Fn(&Model) -> Option<String>) -> String {
    side.fit.model.as_ref().and_then(get).unwrap_or_else(|| "-".to_owned())
}

fn savings(result: &RunResult, out: &mut impl Write) -> io::Result<()> {
    let mode = result.settings.mode;
    let unit = result.unit;
    let line = |value: f64, bound: Option<f64>, confidence: f64, expected: f64| {
        let bound = match bound {
            Some(bound) => format!(" ± {} {unit} ({:.0} %)", number(bound), confidence * 100.0),
            None => format!(" {unit}, without bounds: too few periods"),
        };
        let share =
            if expected > 0.0 { format!(", {:.1} %", value / expected * 100.0) } else { String::new() };
        format!("{}{bound} of {} expected{share}", number(value), number(expected))
    };
    if let Some(of) = &result.metered_savings {
        let text = line(of.metered_savings, of.bound_in(mode), of.confidence, of.counterfactual_usage);
        writeln!(out, "Metered savings   {text}, in {:.0} days", of.n_days)?;
    }
    if let Some(of) = &result.modeled_savings {
        let text = line(of.modeled_savings, of.bound_in(mode), of.confidence, of.modeled_baseline_usage);
        let over = match result.modeled_over {
            ModeledOver::NormalYear => "in a normal year",
            ModeledOver::ReportingPeriod => "in the weather of the reporting period",
        };
        writeln!(out, "Modelled savings  {text}, {over}")?;
    }
    Ok(())
}

/// A bar for each month, of what was metered and of what was expected.
fn months(result: &RunResult, zone: &Zone, out: &mut impl Write) -> io::Result<()> {
    let Some(savings) = &result.metered_savings else { return Ok(()) };
    let months = by_month(&savings.periods, zone);
    let longest = months.iter().fold(0.0_f64, |most, month| most.max(month.metered).max(month.expected));
    if longest <= 0.0 {
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["month", "metered", "expected", "saved", "█ metered  ░ saved  ▓ used in addition"]);
    for month in &months {
        let length = |value: f64| (value.max(0.0) / longest * WIDTH).round() as usize;
        let (metered, expected) = (length(month.metered), length(month.expected));
        let (rest, more) = (expected.saturating_sub(metered), metered.saturating_sub(expected));
        let bar = "█".repeat(metered - more) + &"░".repeat(rest) + &"▓".repeat(more);
        table.add_row([
            month.name.clone(),
            number(month.metered),
            number(month.expected),
            number(month.expected - month.metered),
            bar,
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "\n{}", table.trim_fmt())
}

struct Month {
    name: String,
    metered: f64,
    expected: f64,
}

/// Sums of the periods that begin in each month and have savings.
fn by_month(periods: &[MeteredPeriod], zone: &Zone) -> Vec<Month> {
    let mut months: Vec<Month> = Vec::new();
    for period in periods {
        let (Some(metered), Some(expected)) = (period.observed, period.counterfactual) else { continue };
        let name: String = zone.date(period.start).chars().take(7).collect();
        if months.last().is_none_or(|month| month.name != name) {
            months.push(Month { name, metered: 0.0, expected: 0.0 });
        }
        if let Some(month) = months.last_mut() {
            month.metered += metered;
            month.expected += expected.total();
        }
    }
    months
}

fn warnings(result: &RunResult, out: &mut impl Write) -> io::Result<()> {
    let sides = [("baseline", &result.baseline), ("reporting period", &result.reporting)];
    let mut all: Vec<(String, &Warning)> = result.warnings.iter().map(|of| (String::new(), of)).collect();
    for (name, side) in sides {
        let of_side = side.sufficiency.warnings.iter().chain(&side.fit.warnings);
        all.extend(of_side.map(|warning| (format!("{name}: "), warning)));
    }
    if !all.is_empty() {
        writeln!(out, "\nTo be noted:")?;
    }
    all.iter().try_for_each(|(side, warning)| writeln!(out, "  {side}{warning}"))
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Five significant digits or a tenth, which is more than anyone can tell of a meter.
fn number(value: f64) -> String {
    if value.abs() >= 1000.0 {
        format!("{value:.1}")
    } else if value.abs() >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}
