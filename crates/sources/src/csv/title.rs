//! What titles of columns and comment lines say.

use std::borrow::Cow;

use sheaf_model::{CatalogId, RepresentationId, SamplePeriod, Tick};

use crate::table::{Metadata, NexusTitle};

/// Text in UTF-8, or else in Latin-1, as older loggers write it; and whether it is the latter.
pub(crate) fn decode(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()), true),
    }
}

/// A title without its unit, and the unit: `T1 (°C)`, `T1 [°C]`, `T1[°C]`. An index like `T[1]` is no unit.
pub(crate) fn split_unit(title: &str) -> (&str, Option<&str>) {
    let parts = |open: &str, close: char| {
        let (name, unit) = title.strip_suffix(close)?.rsplit_once(open)?;
        let (name, unit) = (name.trim_end(), unit.trim());
        let index = !unit.is_empty() && unit.bytes().all(|byte| byte.is_ascii_digit());
        (!name.is_empty() && !index).then_some((name, unit))
    };
    // Parentheses without a blank before them belong to the name: `f(x)`.
    match parts(" (", ')').or_else(|| parts("[", ']')) {
        Some((name, unit)) => (name, Some(unit).filter(|unit| !unit.is_empty())),
        None => (title, None),
    }
}

/// The parts of a title without unit in a Nexus export: `resource1_10_min_mean(k=v)`.
pub(crate) fn nexus_title(name: &str) -> Option<NexusTitle> {
    let (ids, parameters) = match name.split_once('(') {
        Some((ids, _)) => (ids, Some(name[ids.len()..].to_owned())),
        None => (name, None),
    };
    // A resource may have underscores and digits, too. The representation is the longest end that is one; a shorter
    // one would have to begin with its number.
    let (resource, representation) = ids.match_indices('_').find_map(|(at, _)| {
        let representation = &ids[at + 1..];
        let representation = representation.parse::<RepresentationId>().ok()?;
        Some((&ids[..at], representation))
    })?;
    (!resource.is_empty()).then(|| NexusTitle { resource: resource.to_owned(), representation, parameters })
}

/// Takes up what a comment line of a Nexus export says.
pub(crate) fn read_comment(metadata: &mut Metadata, comment: &str) {
    let Some((key, value)) = comment.split_once(':') else { return };
    let value = value.trim();
    match key.trim() {
        "date_time" => metadata.begin = nexus_time(value),
        "sample_period" => metadata.period = value.parse::<SamplePeriod>().ok(),
        "catalog_id" => metadata.catalog = value.parse::<CatalogId>().ok(),
        _ => {}
    }
}

/// `2020-01-01T00-00-00Z`: colons can't be in names of files.
fn nexus_time(text: &str) -> Option<Tick> {
    let (date, clock) = text.split_once('T')?;
    format!("{date}T{}", clock.replace('-', ":")).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_in_titles() {
        for (title, name, unit) in [
            ("T1 (°C)", "T1", Some("°C")),
            ("T1 [°C]", "T1", Some("°C")),
            ("T1[°C]", "T1", Some("°C")),
            ("Power (a) (kW)", "Power (a)", Some("kW")),
            ("v (m/s)", "v", Some("m/s")),
            ("rate (1)", "rate (1)", None),
            ("T[1]", "T[1]", None),
            ("f(x)", "f(x)", None),
            ("T1 ()", "T1", None),
            ("(kW)", "(kW)", None),
            (" (kW)", " (kW)", None),
            ("T1", "T1", None),
            ("", "", None),
            ("]", "]", None),
        ] {
            assert_eq!(split_unit(title), (name, unit), "{title}");
        }
    }

    #[test]
    fn titles_of_nexus() {
        let parts = |name: &str| {
            nexus_title(name)
                .map(|title| (title.resource, title.representation.to_string(), title.parameters))
        };
        let some = |resource: &str, representation: &str| {
            Some((resource.to_owned(), representation.to_owned(), None))
        };
        assert_eq!(parts("resource1_1_s"), some("resource1", "1_s"));
        assert_eq!(parts("T_1_10_min_mean"), some("T_1", "10_min_mean"));
        assert_eq!(parts("T_1_1_s"), some("T_1", "1_s"));
        assert_eq!(parts("v_10_min_mean_polar_deg"), some("v", "10_min_mean_polar_deg"));
        assert_eq!(
            parts("a_1_s(k=v,l=2)"),
            Some(("a".to_owned(), "1_s".to_owned(), Some("(k=v,l=2)".to_owned())))
        );
        for name in ["T1", "T1_s", "_1_s", "1_s", ""] {
            assert_eq!(parts(name), None, "{name}");
        }
    }

    #[test]
    fn comments_of_nexus() {
        let mut metadata = Metadata::default();
        for comment in [
            " date_time: 2020-01-01T00-10-00Z",
            " sample_period: 1_s",
            " catalog_id: /A/B/C",
            " made by: me",
            "x",
        ] {
            read_comment(&mut metadata, comment);
        }
        assert_eq!(metadata.begin, Some("2020-01-01T00:10:00Z".parse().unwrap()));
        assert_eq!(metadata.period, Some("1_s".parse().unwrap()));
        assert_eq!(metadata.catalog, Some("/A/B/C".parse().unwrap()));
        read_comment(&mut metadata, "sample_period: often");
        assert_eq!(metadata.period, None);
    }

    #[test]
    fn names_may_be_in_latin_1() {
        assert_eq!(decode("T1 (°C)".as_bytes()), ("T1 (°C)".into(), false));
        assert_eq!(decode(b"T1 (\xB0C)"), ("T1 (°C)".into(), true));
    }
}
