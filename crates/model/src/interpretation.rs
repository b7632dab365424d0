//! What a metered trace means, and in which unit it is written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a metered trace measures. TOTAL consumption is SUPPLIED plus generation CONSUMED; NET is SUPPLIED minus
/// UNCONSUMED; generation TOTAL is CONSUMED plus UNCONSUMED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Interpretation {
    /// `E_C_S`: electricity bought.
    ElectricityConsumptionSupplied,
    /// `E_C_T`: electricity used, wherever it came from.
    ElectricityConsumptionTotal,
    /// `E_C_N`: electricity bought minus electricity fed in.
    ElectricityConsumptionNet,
    /// `E_OSG_T`: electricity made on site.
    ElectricityOnSiteGenerationTotal,
    /// `E_OSG_C`: electricity made and used on site.
    ElectricityOnSiteGenerationConsumed,
    /// `E_OSG_U`: electricity made on site and fed in.
    ElectricityOnSiteGenerationUnconsumed,
    /// `NG_C_S`: natural gas bought.
    NaturalGasConsumptionSupplied,
}

impl Interpretation {
    /// All seven.
    pub const ALL: [Interpretation; 7] = [
        Interpretation::ElectricityConsumptionSupplied,
        Interpretation::ElectricityConsumptionTotal,
        Interpretation::ElectricityConsumptionNet,
        Interpretation::ElectricityOnSiteGenerationTotal,
        Interpretation::ElectricityOnSiteGenerationConsumed,
        Interpretation::ElectricityOnSiteGenerationUnconsumed,
        Interpretation::NaturalGasConsumptionSupplied,
    ];

    /// `ELECTRICITY_CONSUMPTION_SUPPLIED`
    pub const fn name(self) -> &'static str {
        match self {
            Interpretation::ElectricityConsumptionSupplied => "ELECTRICITY_CONSUMPTION_SUPPLIED",
            Interpretation::ElectricityConsumptionTotal => "ELECTRICITY_CONSUMPTION_TOTAL",
            Interpretation::ElectricityConsumptionNet => "ELECTRICITY_CONSUMPTION_NET",
            Interpretation::ElectricityOnSiteGenerationTotal => "ELECTRICITY_ON_SITE_GENERATION_TOTAL",
            Interpretation::ElectricityOnSiteGenerationConsumed => "ELECTRICITY_ON_SITE_GENERATION_CONSUMED",
            Interpretation::ElectricityOnSiteGenerationUnconsumed => {
                "ELECTRICITY_ON_SITE_GENERATION_UNCONSUMED"
            }
            Interpretation::NaturalGasConsumptionSupplied => "NATURAL_GAS_CONSUMPTION_SUPPLIED",
        }
    }

    /// `E_C_S`
    pub const fn short_name(self) -> &'static str {
        match self {
            Interpretation::ElectricityConsumptionSupplied => "E_C_S",
            Interpretation::ElectricityConsumptionTotal => "E_C_T",
            Interpretation::ElectricityConsumptionNet => "E_C_N",
            Interpretation::ElectricityOnSiteGenerationTotal => "E_OSG_T",
            Interpretation::ElectricityOnSiteGenerationConsumed => "E_OSG_C",
            Interpretation::ElectricityOnSiteGenerationUnconsumed => "E_OSG_U",
            Interpretation::NaturalGasConsumptionSupplied => "NG_C_S",
        }
    }

    /// Whether models with cooling are considered: not for natural gas (CalTRACK 3.2.1.1).
    pub const fn may_cool(self) -> bool {
        !matches!(self, Interpretation::NaturalGasConsumptionSupplied)
    }

    /// Whether a reading of zero means that there is none: so for electricity that is consumed (CalTRACK 2.2.1.4). Net
    /// consumption and generation are zero now and then.
    pub const fn zero_is_missing(self) -> bool {
        matches!(
            self,
            Interpretation::ElectricityConsumptionSupplied | Interpretation::ElectricityConsumptionTotal
        )
    }
}

/// The long name.
impl fmt::Display for Interpretation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The long name or the short one.
impl FromStr for Interpretation {
    type Err = UnknownInterpretation;

    fn from_str(text: &str) -> Result<Interpretation, UnknownInterpretation> {
        Interpretation::ALL
            .into_iter()
            .find(|known| known.name() == text || known.short_name() == text)
            .ok_or_else(|| UnknownInterpretation { text: text.to_owned() })
    }
}

/// No interpretation of a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown interpretation {text:?}; allowed: {}", Interpretation::ALL.map(Interpretation::name).join(", "))]
pub struct UnknownInterpretation {
    /// What was given.
    pub text: String,
}

/// A unit of energy of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EnergyUnit {
    /// Kilowatt-hours.
    Kwh,
    /// Therms of 100 000 BTU.
    Therm,
}

impl EnergyUnit {
    /// The unit that a spelling of a data file stands for, and what a value is to be multiplied by; `None` if nobody knows.
    ///
    /// ```
    /// use sheaf_model::EnergyUnit;
    ///
    /// assert_eq!(EnergyUnit::parse("Wh"), Some((EnergyUnit::Kwh, 0.001)));
    /// assert_eq!(EnergyUnit::parse("thm"), Some((EnergyUnit::Therm, 1.0)));
    /// assert_eq!(EnergyUnit::parse("BTU"), None);
    /// ```
    pub fn parse(text: &str) -> Option<(EnergyUnit, f64)> {
        match text {
            "kwh" | "kWh" | "KWH" => Some((EnergyUnit::Kwh, 1.0)),
            "wh" | "Wh" | "WH" => Some((EnergyUnit::Kwh, 0.001)),
            "therm" | "therms" | "thm" | "THERM" | "THERMS" | "THM" => Some((EnergyUnit::Therm, 1.0)),
            _ => None,
        }
    }
}

/// `KWH` or `THERM`.
impl fmt::Display for EnergyUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EnergyUnit::Kwh => "KWH",
            EnergyUnit::Therm => "THERM",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_are_read() {
        for known in Interpretation::ALL {
            assert_eq!(known.name().parse(), Ok(known));
            assert_eq!(known.short_name().parse(), Ok(known));
            assert_eq!(serde_json::to_string(&known).unwrap(), format!("\"{known}\""));
        }
        let error = "E_C".parse::<Interpretation>().unwrap_err().to_string();
        assert!(
            error.starts_with("unknown interpretation \"E_C\"; allowed: ELECTRICITY_CONSUMPTION_SUPPLIED,")
        );
    }
}
