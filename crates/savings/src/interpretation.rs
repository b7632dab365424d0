//! What a metered trace means, and in which unit it is written: words that readers of meter files and the database know, too.

pub use sheaf_model::{EnergyUnit, Interpretation, UnknownInterpretation};
