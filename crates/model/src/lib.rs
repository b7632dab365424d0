//! The vocabulary of Sheaf. What everything else speaks about, and nothing that reads or computes.
//!
//! A *catalog* holds *resources*, a resource is one quantity, a *representation* is that quantity at one sample period.
//! A *resource path* names any of them at any period:
//!
//! ```
//! use sheaf_model::{Kind, ResourcePath, SamplePeriod};
//!
//! let path: ResourcePath = "/plant/met_mast/T1/600_s_mean#base=1_s".parse()?;
//! assert_eq!(path.catalog().as_str(), "/plant/met_mast");
//! assert_eq!(path.kind(), Kind::Mean);
//! assert_eq!(path.period(), "10_min".parse::<SamplePeriod>()?);
//! assert_eq!(path.to_string(), "/plant/met_mast/T1/10_min_mean#base=1_s");
//!
//! let error = "/plant/met_mast/T1/10_min_maen".parse::<ResourcePath>().unwrap_err();
//! assert!(error.to_string().starts_with(
//!     "`/plant/met_mast/T1/10_min_maen`: unknown kind `maen` at position 26, did you mean `mean`? allowed: "
//! ));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Time is counted in ticks of 100 ns since 0001-01-01T00:00Z ([`Tick`]), periods are multiples of it
//! ([`SamplePeriod`]), and buckets are aligned to tick 0. [`ResourceCatalog::find`] looks a path up, [`legality`] says
//! what may be asked of what it finds, and [`Samples`] is what is read.

pub mod legality;

mod catalog;
mod data_type;
mod hierarchy;
mod ids;
mod interpretation;
mod kind;
mod locator;
mod properties;
mod representation;
mod resource;
mod resource_path;
mod sample_period;
mod samples;
mod series_key;
mod text;
mod tick;
mod time_range;

pub use catalog::{CatalogItem, FindError, FindProblem, MergeError, ResourceCatalog};
pub use data_type::{DataType, UnknownDataType};
pub use hierarchy::{
    CatalogNode, Dropped, Hierarchy, LinkError, Offer, Refusal, Registration, admit, fold_catalogs,
};
pub use ids::{CatalogId, CatalogPath, IdError, ParameterKey, RegistrationError, ResourceId};
pub use interpretation::{EnergyUnit, Interpretation, UnknownInterpretation};
pub use kind::{Kind, UnknownKind};
pub use locator::file_path;
pub use properties::{Properties, PropertyError};
pub use representation::{ArgumentError, Parameter, Parameters, Representation, RepresentationId};
pub use resource::{DuplicateRepresentation, Resource};
pub use resource_path::{Arguments, PathError, PathProblem, ResourcePath, Threshold};
pub use sample_period::{PeriodError, SamplePeriod, TimeUnit};
pub use samples::{Samples, SamplesError, Values};
pub use series_key::{SeriesKey, SeriesKeyError};
pub use text::write_quoted;
pub use tick::{Tick, TickError};
pub use time_range::{TimeRange, TimeRangeError};
