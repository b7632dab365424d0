//! From a resource path to its values: where the vocabulary of [`sheaf_model`] meets the arithmetic of
//! [`sheaf_kernels`].
//!
//! ```
//! use sheaf_engine::read_samples;
//! use sheaf_model::{Samples, SamplePeriod, TimeRange, Values};
//!
//! let second: SamplePeriod = "1_s".parse()?;
//! let minutes = TimeRange::new("2020-01-01T00:00Z".parse()?, "2020-01-01T00:02Z".parse()?)?;
//! let values: Vec<f64> = (0..120).map(f64::from).collect();
//! let samples = Samples::new(minutes.begin(), second, Values::F64(values))?;
//! assert_eq!(read_samples(&samples, "1_min_mean".parse()?, minutes, None)?, [29.5, 89.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod columns;
mod finalize;
mod in_memory;
mod ingest;
mod kept;
mod kept_values;
mod ladder;
mod resolve;
mod rollup_key;
mod spread;
mod stored;
mod validity;

pub use columns::{Columns, read_columns};
pub use finalize::statistic;
pub use in_memory::{MOST_VALUES, ReadError, read_samples};
pub use ingest::{
    ColumnProblem, Found, IngestError, IngestKey, IngestOptions, Ingested, IngestedSeries, Reopen,
    RowProblem, ingest,
};
pub use ladder::fold_period;
pub use resolve::{
    Base, ResolveError, Resolved, SourceRollups, catalog_in_place, catalog_of, resolve, resolve_in_place,
};
pub use rollup_key::{RollupOf, SourceIdentity, rollup_of, rollup_range, rollup_series};
pub use stored::{Query, Reading, StoredQuery, Usage, read_in_place, read_many_stored, read_stored};
