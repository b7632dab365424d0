//! What can be wrong with a meter file as a whole, or with all readings of a meter.

use crate::error::Shown;

/// Why a file, or one of its meters, can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MeterProblem {
    /// A column is not there.
    #[error("there is no column {wanted}; the columns are {columns}")]
    NoColumn {
        /// Which one.
        wanted: &'static str,
        /// Those that are there.
        columns: String,
    },
    /// Nothing of a loader's folder.
    #[error(
        "there is neither a folder `projects`, `traces` or `project-trace-mappings` nor a file `project-metadata.csv` or \
         `trace-blacklist.csv`"
    )]
    NoFolder,
    /// No XML, or cut off.
    #[error("the XML is damaged: {0}")]
    Xml(String),
    /// XML of something else.
    #[error(
        "this is no Green Button file: it has no entry with a MeterReading, a ReadingType or an IntervalBlock"
    )]
    NotGreenButton,
    /// Something that takes too much memory.
    #[error("there are more than {most} {what}; cut the file into several")]
    TooMany {
        /// How many there may be.
        most: usize,
        /// Of what.
        what: &'static str,
    },
    /// A value that should be a number of a kind.
    #[error("{element} is {}, which is no {wanted}", Shown(text))]
    Value {
        /// The element.
        element: &'static str,
        /// What it holds.
        text: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A reading without a time.
    #[error("an IntervalReading has no timePeriod with start and duration")]
    NoPeriod,
    /// Readings of nobody knows which meter.
    #[error("its link {} leads to no MeterReading of the file", Shown(link))]
    NoMeter {
        /// What the block says that it belongs to.
        link: String,
    },
    /// A meter without a type.
    #[error(
        "it is related to none of the {count} ReadingTypes of the file, so nobody knows what its values mean"
    )]
    NoType {
        /// How many there are.
        count: usize,
    },
    /// Water and the like.
    #[error("its commodity is {0}; only electricity (1, 2) and natural gas (7) are read")]
    Commodity(u32),
    /// A volume, a power, a current.
    #[error("{}", Unit(*.0))]
    Unit(u32),
    /// A register, whose values are not those of intervals.
    #[error(
        "its values are no energy of intervals (accumulationBehaviour {0}, not 4), but of a register or a moment"
    )]
    Accumulation(u32),
    /// A multiplier beyond all meters.
    #[error("its powerOfTenMultiplier is {0}; -12 to 12 can be")]
    Multiplier(i32),
}

/// Why values of a unit are not read, by its ESPI code.
struct Unit(u32);

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let volume = match self.0 {
            42 => Some("m³"),
            119 => Some("ft³"),
            128 => Some("US gallons"),
            134 => Some("litres"),
            _ => None,
        };
        match volume {
            Some(unit) => write!(
                f,
                "its values are volumes ({unit}, uom {}), and how much energy they are depends on the gas: ask the utility for \
                 therms, or convert them with the heating value of its bills and load them as CSV",
                self.0
            ),
            None => write!(
                f,
                "its values are no energy known here (uom {}); Wh (72), BTU (132) and therms (169) are",
                self.0
            ),
        }
    }
}
