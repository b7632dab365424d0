//! Savings as one JSON object.

use serde_json::{Value, json};
use sheaf_savings::model::Model;
use sheaf_savings::run::{RunResult, SideResult};

/// All of a result but the single periods: figures first, how they came about behind them. Savings are in the meter's unit.
pub(super) fn describe(result: &RunResult) -> Value {
    let metered = result.metered_savings.as_ref();
    let modeled = result.modeled_savings.as_ref();
    let mode = result.settings.mode;
    json!({
        "version": result.version,
        "engine_version": result.engine_version,
        "input_hash": result.input_hash,
        "mode": mode,
        "settings": result.settings,
        "interpretation": result.interpretation,
        "unit": result.unit,
        "interval": result.interval,
        "status": result.status,
        "models": { "baseline": model(&result.baseline), "reporting": model(&result.reporting) },
        "metered_savings": metered.map(|of| of.metered_savings),
        "metered_savings_bound": metered.and_then(|of| of.bound_in(mode)),
        "metered_savings_details": metered.map(|of| json!({
            "counterfactual_usage": of.counterfactual_usage,
            "reporting_observed": of.reporting_observed,
            "counterfactual_loads": of.counterfactual_loads,
            "n_periods": of.n_periods,
            "n_days": of.n_days,
            "confidence": of.confidence,
            "bound": of.bound,
            "bias": of.bias,
            "error_bands": of.error_bands,
        })),
        "modeled_savings": modeled.map(|of| of.modeled_savings),
        "modeled_savings_bound": modeled.and_then(|of| of.bound_in(mode)),
        "modeled_over": result.modeled_over,
        "modeled_savings_details": modeled,
        "derivatives": result.derivatives,
        "sufficiency": { "baseline": result.baseline.sufficiency, "reporting": result.reporting.sufficiency },
        "warnings": result.warnings,
    })
}

/// The model of a period with its metrics, and what was tried; without one, why there is none.
fn model(side: &SideResult) -> Value {
    let fit = &side.fit;
    let tried = json!({
        "status": fit.status,
        "data_start": side.data_start,
        "data_end": side.data_end,
        "n_usable_periods": side.n_usable_periods,
        "candidates": fit.candidates,
        "warnings": fit.warnings,
    });
    let Value::Object(mut all) = tried else { return tried };
    if let Some(model) = &fit.model {
        all.insert("formula".to_owned(), model.formula().into());
        if let Ok(Value::Object(numbers)) = serde_json::to_value::<&Model>(model) {
            all.extend(numbers);
        }
        // Usage per day is what is fitted, so its metrics are the model's.
        if let Some(metrics) = all.get("avgs_metrics").cloned() {
            all.insert("metrics".to_owned(), metrics);
        }
    }
    Value::Object(all)
}
