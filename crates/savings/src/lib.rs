//! From a metered trace and hourly temperatures to weather-normalised savings with bounds, and from those to the figures of
//! a portfolio. Pure: no I/O, no clock.
//!
//! ```
//! use sheaf_savings::interpretation::{EnergyUnit, Interpretation};
//! use sheaf_savings::meter::Reading;
//! use sheaf_savings::run::{RunInput, RunSettings, RunStatus, run};
//! use sheaf_savings::settings::Mode;
//! use sheaf_savings::weather::Weather;
//! use sheaf_savings::zone::{TICKS_PER_DAY, TICKS_PER_HOUR, Zone};
//! use sheaf_model::Tick;
//!
//! let start: Tick = "2019-01-01".parse()?;
//! let at = |ticks: i64| start.checked_add(ticks).expect("no calendar ends so soon");
//! let degf = |day: i64| 55.0 - 25.0 * (day as f64 / 365.0 * std::f64::consts::TAU).cos();
//! let hours = (0..731 * 24).map(|hour| (at(hour * TICKS_PER_HOUR), degf(hour / 24)));
//! let weather = Weather::from_degf(hours, Zone::UTC);
//! // A house that heats below 60 °F, and uses 5 kWh a day less from 2020 on. The last reading only ends the one before.
//! let readings: Vec<Reading> = (0..=731)
//!     .map(|day| {
//!         let base = if day < 365 { 20.0 } else { 15.0 };
//!         let value = Some(base + 0.5 * (60.0 - degf(day)).max(0.0));
//!         Reading { start: at(day * TICKS_PER_DAY), value, estimated: false }
//!     })
//!     .collect();
//! let result = run(RunInput {
//!     readings: &readings,
//!     interpretation: Interpretation::ElectricityConsumptionSupplied,
//!     unit: EnergyUnit::Kwh,
//!     weather: &weather,
//!     normal_year: None,
//!     baseline_end: at(365 * TICKS_PER_DAY),
//!     reporting_start: at(365 * TICKS_PER_DAY),
//!     settings: RunSettings::new(Mode::Strict),
//! })
//! .result;
//! assert_eq!(result.status, RunStatus::Success);
//! let model = result.baseline.fit.model.expect("the status says so");
//! assert_eq!(model.formula(), "meter_value ~ hdd_60");
//! let savings = result.metered_savings.expect("the status says so");
//! assert!((savings.metered_savings - 365.0 * 5.0).abs() < 1e-6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # In reading order
//!
//! | module | question |
//! |---|---|
//! | [`run`] | What does a trace with its weather yield? All of the following, in one call. |
//! | [`meter`], [`weather`], [`zone`], [`interpretation`] | What comes in, and what does it mean? |
//! | [`prepare`], [`resample`] | Which days or bills are the readings? |
//! | [`period`] | What lies before the intervention, and what after it? |
//! | [`features`], [`design`] | What was the weather of each row? |
//! | [`sufficiency`], [`warning`] | Is that enough to say something? |
//! | [`search`], [`model`], [`metrics`] | Which candidate is best, and how good is it? |
//! | [`predict`](mod@predict), [`savings`] | What would have been used, and what was saved? |
//! | [`uncertainty`] | How far may that be off? |
//! | [`derivative`], [`series`] | Under which names does it go out? |
//! | [`portfolio`] | What do many of them say together? |
//! | [`hourly`] | The same by hours of the week, for hourly meters. |
//! | [`opendsm`] | What does a stored model of opendsm predict? |
#![cfg_attr(
    feature = "verification",
    doc = "| [`verification`] | What are the numbers worth on this machine? Feature `verification`. |"
)]
//! | [`settings`] | What can be chosen, and which [mode](settings::Mode) does what? |
//!
//! # Formulas and their sources
//!
//! Clauses are those of the CalTRACK methods, version 2.0 (docs.caltrack.org).
//!
//! | what | formula | source |
//! |---|---|---|
//! | usage per day of a period | U/n | 3.3.3.1 |
//! | heating degree days per day | (1/n)·Σ max(T_h − T̄_day, 0) | 3.3.5.1.1 |
//! | cooling degree days per day | (1/n)·Σ max(T̄_day − T_c, 0) | 3.3.4.1.1 |
//! | a model | μ + β_h·HDD + β_c·CDD, coefficients ≥ 0, T_h ≤ T_c | 3.3.2, 3.2.2.1, 3.4.3.2 |
//! | its fit | least squares; of bills weighted by their days | 3.4.1, 3.4.2 |
//! | the best | greatest R²ₐ = 1 − (SS_res/(P − c − 1))/(SS_tot/(P − 1)) | 3.4.3.3.1 |
//! | metered savings of a period | n·(μ + β_h·HDD + β_c·CDD − U/n) | 3.6.1 |
//! | modelled savings | Σ baseline model − Σ reporting model over the same days | IPMVP, normalised savings |
//! | bound of a sum, strict | t·√((n/n″)·(zᵀCz + s²·m)) | [`uncertainty`] |
//! | fractional savings uncertainty | t·(aM² + bM + d)·CV(RMSE)·√((P/P′)(1 + 2/P′)/Q)/F | 4.3.2.4, with the polynomials of Sun and Baltazar (2013) |
//! | of a portfolio | √ΣΔU²/ΣU | 4.3.2.5 |
//! | sum of a portfolio | Σv ± √Σb² by steps | the OpenEEmeter aggregator, [`portfolio`] |
//!
//! What strict and compat mode do differently, and how much that is on the reference meters, is in `docs/SAVINGS.md`.

pub mod derivative;
pub mod design;
pub mod features;
pub mod hourly;
pub mod interpretation;
mod least_squares;
pub mod meter;
pub mod metrics;
pub mod model;
pub mod opendsm;
pub mod period;
pub mod portfolio;
pub mod predict;
pub mod prepare;
pub mod resample;
pub mod run;
pub mod savings;
pub mod search;
pub mod series;
pub mod settings;
mod students_t;
pub mod sufficiency;
mod tangent;
#[cfg(feature = "testing")]
pub mod testing;
pub mod uncertainty;
#[cfg(feature = "verification")]
pub mod verification;
mod version;
pub mod warning;
pub mod weather;
pub mod zone;

pub use version::FormatVersion;
