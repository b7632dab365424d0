//! What can be wrong with a weather file as a whole.

/// Why a file is no weather, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeatherProblem {
    /// A header is not there.
    #[error("this should be {wanted}")]
    Header {
        /// What should stand there.
        wanted: &'static str,
    },
    /// A column is not there.
    #[error("there is no column {wanted}; the columns are {columns}")]
    NoColumn {
        /// Which one.
        wanted: &'static str,
        /// Those that are there.
        columns: String,
    },
    /// The file ends too soon.
    #[error(
        "{count} of 8760 hours of the year are not there, the first is {first}; the file ends here, but should go on"
    )]
    Gaps {
        /// How many hours.
        count: usize,
        /// The first of them, in local standard time: `02-28 23:00`.
        first: String,
    },
    /// More reports than can be held in memory.
    #[error("there are more than {most} temperatures; cut the file into years")]
    TooMany {
        /// How many there may be.
        most: usize,
    },
    /// No column of temperatures, or several.
    #[error(
        "which column has the temperatures? Name it with option `temperature_column`. The columns are {columns}"
    )]
    TemperatureColumn {
        /// Those that are there.
        columns: String,
    },
    /// °C or °F?
    #[error("column {column} may be in °C or °F; say which with option `unit`: celsius or fahrenheit")]
    Unit {
        /// The column.
        column: String,
    },
}
