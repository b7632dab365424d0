//! The named series of a run: fit parameters, models, observations and weather over its periods, under the names that
//! eemeter 0.5 to 1.5 gave them.

use serde::{Deserialize, Serialize};
use sheaf_model::Tick;

use crate::features::Features;
use crate::model::Model;
use crate::predict::predicted_rows;
use crate::run::{CONFIDENCE, Run, day_features};
use crate::uncertainty::SumOfPredictions;

/// A value of a series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeriesPoint {
    /// Begin of the period; nothing if the series is one figure.
    pub start: Option<Tick>,
    /// In the series' unit; nothing if unknown.
    pub value: Option<f64>,
    /// How far below the value the truth may lie, at 95 %; nothing if there is no bound.
    pub lower: Option<f64>,
    /// How far above.
    pub upper: Option<f64>,
}

/// One named series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedSeries {
    /// Its name.
    pub series: String,
    /// What it is, as a formula where it is one.
    pub description: String,
    /// `KWH`, `KWH/d`, `KWH/(degF d)` and so on.
    pub unit: String,
    /// Values that are known.
    pub n: usize,
    /// In order of time.
    pub points: Vec<SeriesPoint>,
}

impl Run<'_> {
    /// All series that the run has data for. Those over a normal year are by days, the others by the trace's periods.
    /// Bounds of models are those of [`SumOfPredictions::bound`], of one period or of the sum; differences of two models
    /// have theirs in quadrature. `Masked` series lack the periods without an observation.
    pub fn named_series(&self) -> Vec<NamedSeries> {
        let mut list = Vec::new();
        let models = [self.result.baseline.fit.model.as_ref(), self.result.reporting.fit.model.as_ref()];
        for (model, period) in models.into_iter().zip(["baseline period", "reporting period"]) {
            self.push_parameters(&mut list, model, period);
        }
        self.push_normal_year(&mut list, models);
        self.push_reporting_models(&mut list, models);
        self.push_observations(&mut list);
        list.retain(|series| series.n > 0);
        list
    }

    fn push_parameters(&self, list: &mut Vec<NamedSeries>, model: Option<&Model>, period: &str) {
        let Some(model) = model else { return };
        let unit = self.result.unit;
        let per_degree_day = format!("{unit}/(degF d)");
        let parameters = [
            ("Heating degree day balance point", model.heating_balance_point, 3, "degF"),
            ("Cooling degree day balance point", model.cooling_balance_point, 4, "degF"),
            ("Best-fit intercept", Some(model.intercept), 0, &format!("{unit}/d")),
            ("Best-fit heating coefficient", model.beta_hdd, 1, &per_degree_day),
            ("Best-fit cooling coefficient", model.beta_cdd, 2, &per_degree_day),
        ];
        for (name, value, index, unit) in parameters {
            let bound = value
                .and(model.uncertainty.as_ref())
                .and_then(|uncertainty| uncertainty.bound_of_parameter(index, CONFIDENCE));
            let description =
                "of the best candidate; bound t·√C, C its element of the parameters' covariance";
            list.push(figure(format!("{name}, {period}"), description, unit.to_owned(), value, bound));
        }
    }

    fn push_normal_year(&self, list: &mut Vec<NamedSeries>, models: [Option<&Model>; 2]) {
        let Some(year) = self.input.normal_year else { return };
        let period = "normal year";
        let features = day_features(&self.input, year, year.day_bounds(), self.result.interval);
        let [baseline, reporting] = models.map(|model| model.map(|model| Predicted::new(model, &features)));
        self.push_model(list, "baseline model", baseline.as_ref(), period);
        self.push_model(list, "reporting model", reporting.as_ref(), period);
        if let (Some(baseline), Some(reporting)) = (baseline, reporting) {
            let difference = baseline.minus(&reporting);
            self.push_model(list, "baseline model minus reporting model", Some(&difference), period);
        }
        list.push(temperatures(&features, format!("Temperature, {period}"), |_| true));
    }

    fn push_reporting_models(&self, list: &mut Vec<NamedSeries>, [baseline, reporting]: [Option<&Model>; 2]) {
        let unit = self.result.unit.to_string();
        if let Some(model) = baseline {
            let in_sample = Predicted::new(model, self.designs[0].features());
            list.push(in_sample.by_period("Baseline model, baseline period".into(), &unit));
            let expected = Predicted::new(model, &self.reporting_features);
            let observed = self.observed(1);
            let masked = Predicted::of_observed(model, &self.reporting_features, &observed);
            let saved = masked.minus_observed(&observed);
            let period = "reporting period";
            self.push_model(list, "baseline model", Some(&expected), period);
            self.push_model(list, "baseline model minus observed", Some(&saved), period);
            list.push(masked.by_period(format!("Masked baseline model, {period}"), &unit));
            list.push(saved.by_period(format!("Masked baseline model minus observed, {period}"), &unit));
        }
        if let Some(model) = reporting {
            let in_sample = Predicted::new(model, self.designs[1].features());
            list.push(in_sample.by_period("Reporting model, reporting period".into(), &unit));
        }
    }

    fn push_observations(&self, list: &mut Vec<NamedSeries>) {
        let unit = self.result.unit.to_string();
        let mut project = Vec::new();
        for (index, period) in ["baseline period", "reporting period"].into_iter().enumerate() {
            let observed = self.observed(index);
            let features = self.designs[index].features();
            let starts = features.periods().iter().map(|period| period.start);
            let points: Vec<SeriesPoint> =
                starts.zip(&observed).map(|(start, value)| known(start, *value)).collect();
            let mask: Vec<SeriesPoint> = points
                .iter()
                .zip(features.periods())
                .map(|(point, period)| {
                    let counts = point.value.is_some() && period.is_known();
                    SeriesPoint { value: Some(f64::from(u8::from(counts))), ..*point }
                })
                .collect();
            let masked = points
                .iter()
                .zip(&mask)
                .map(|(point, mask)| SeriesPoint {
                    value: point.value.filter(|_| mask.value == Some(1.0)),
                    ..*point
                })
                .collect();
            let sum = points.iter().filter_map(|point| point.value).sum();
            project.extend_from_slice(&points);
            list.push(figure(
                format!("Cumulative observed, {period}"),
                "Σ of what was metered",
                unit.clone(),
                Some(sum).filter(|_| !points.is_empty()),
                Some(0.0),
            ));
            list.push(series(format!("Observed, {period}"), "what was metered", &unit, points));
            if index == 1 {
                list.push(series(
                    format!("Masked observed, {period}"),
                    "where the weather is known",
                    &unit,
                    masked,
                ));
                let name = format!("Masked temperature, {period}");
                list.push(temperatures(features, name, |index| observed[index].is_some()));
            }
            list.push(temperatures(features, format!("Temperature, {period}"), |_| true));
            list.push(series(
                format!("Inclusion mask, {period}"),
                "1 with both usage and weather, else 0",
                "1",
                mask,
            ));
        }
        list.push(series(
            "Observed, project period".into(),
            "what was metered, without the blackout",
            &unit,
            project,
        ));
    }

    /// Energy of each period of a side; nothing if missing.
    fn observed(&self, side: usize) -> Vec<Option<f64>> {
        self.meters[side]
            .energy()
            .iter()
            .map(|energy| Some(*energy).filter(|energy| !energy.is_nan()))
            .collect()
    }

    fn push_model(
        &self,
        list: &mut Vec<NamedSeries>,
        name: &str,
        predicted: Option<&Predicted>,
        period: &str,
    ) {
        let Some(predicted) = predicted else { return };
        let unit = self.result.unit.to_string();
        let title = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        list.push(predicted.cumulative(format!("Cumulative {name}, {period}"), &unit));
        list.push(predicted.by_period(format!("{title}, {period}"), &unit));
    }
}

/// What a model expects of some periods, of each and in all.
struct Predicted {
    points: Vec<SeriesPoint>,
    sum: f64,
    bound_of_sum: Option<f64>,
}

impl Predicted {
    fn new(model: &Model, features: &Features) -> Predicted {
        Predicted::of_rows(model, features, |_| true)
    }

    /// Of the periods that have an observation.
    fn of_observed(model: &Model, features: &Features, observed: &[Option<f64>]) -> Predicted {
        Predicted::of_rows(model, features, |index| observed[index].is_some())
    }

    fn of_rows(model: &Model, features: &Features, counts: impl Fn(usize) -> bool) -> Predicted {
        let mut sum = SumOfPredictions::default();
        let points = predicted_rows(model, features)
            .zip(features.periods())
            .enumerate()
            .map(|(index, (row, period))| {
                let Some(row) = row.filter(|_| counts(index)) else { return known(period.start, None) };
                let mut one = SumOfPredictions::default();
                one.add(model, &row);
                sum.add(model, &row);
                bounded(Some(period.start), Some(one.value), one.bound(model, CONFIDENCE))
            })
            .collect();
        Predicted { points, sum: sum.value, bound_of_sum: sum.bound(model, CONFIDENCE) }
    }

    /// Of the same periods.
    fn minus(&self, other: &Predicted) -> Predicted {
        let in_quadrature = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a.hypot(b));
        let points = self
            .points
            .iter()
            .zip(&other.points)
            .map(|(a, b)| {
                let value = a.value.zip(b.value).map(|(a, b)| a - b);
                bounded(a.start, value, in_quadrature(a.upper, b.upper))
            })
            .collect();
        let bound_of_sum = in_quadrature(self.bound_of_sum, other.bound_of_sum);
        Predicted { points, sum: self.sum - other.sum, bound_of_sum }
    }

    /// Of the same periods; what was observed has no bound.
    fn minus_observed(&self, observed: &[Option<f64>]) -> Predicted {
        let points: Vec<SeriesPoint> = self
            .points
            .iter()
            .zip(observed)
            .map(|(expected, energy)| {
                let value = expected.value.zip(*energy).map(|(expected, energy)| expected - energy);
                SeriesPoint { value, ..*expected }
            })
            .collect();
        let sum = points.iter().filter_map(|point| point.value).sum();
        Predicted { points, sum, bound_of_sum: self.bound_of_sum }
    }

    fn by_period(&self, name: String, unit: &str) -> NamedSeries {
        series(
            name,
            "intercept · d + beta_hdd · HDD + beta_cdd · CDD, of each period",
            unit,
            self.points.clone(),
        )
    }

    fn cumulative(&self, name: String, unit: &str) -> NamedSeries {
        let sum = Some(self.sum).filter(|_| self.points.iter().any(|point| point.value.is_some()));
        figure(name, "Σ over the periods whose weather is known", unit.to_owned(), sum, self.bound_of_sum)
    }
}

fn temperatures(features: &Features, name: String, counts: impl Fn(usize) -> bool) -> NamedSeries {
    let points = features
        .periods()
        .iter()
        .enumerate()
        .map(|(index, period)| {
            let degf = Some(period.temperature_mean).filter(|degf| !degf.is_nan() && counts(index));
            known(period.start, degf)
        })
        .collect();
    series(name, "mean over the period", "degF", points)
}

fn series(series: String, description: &str, unit: &str, points: Vec<SeriesPoint>) -> NamedSeries {
    let n = points.iter().filter(|point| point.value.is_some()).count();
    NamedSeries { series, description: description.to_owned(), unit: unit.to_owned(), n, points }
}

fn figure(
    name: String,
    description: &str,
    unit: String,
    value: Option<f64>,
    bound: Option<f64>,
) -> NamedSeries {
    series(name, description, &unit, vec![bounded(None, value, bound)])
}

fn bounded(start: Option<Tick>, value: Option<f64>, bound: Option<f64>) -> SeriesPoint {
    SeriesPoint { start, value, lower: bound, upper: bound }
}

/// Without a bound: a measurement, or nothing.
fn known(start: Tick, value: Option<f64>) -> SeriesPoint {
    bounded(Some(start), value, None)
}
