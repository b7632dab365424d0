//! The laws of the vocabulary: what is written can be read, and what is read can be trusted.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use sheaf_model::{
    Arguments, CatalogId, Kind, RepresentationId, ResourceId, ResourcePath, SamplePeriod, Tick, TimeRange,
    TimeUnit,
};

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z_][A-Za-z0-9_]{0,12}"
}

fn period() -> impl Strategy<Value = SamplePeriod> {
    prop_oneof![
        (1..=SamplePeriod::LONGEST_TICKS).prop_map(|ticks| SamplePeriod::from_ticks(ticks).unwrap()),
        (1..100_000_u128, proptest::sample::select(TimeUnit::ALL.to_vec()))
            .prop_filter_map("fractions of a tick", |(count, unit)| SamplePeriod::new(count, unit).ok()),
    ]
}

fn tick() -> impl Strategy<Value = Tick> {
    (0..=Tick::MAX.ticks()).prop_map(|ticks| Tick::new(ticks).unwrap())
}

prop_compose! {
    fn path_text()(
        catalog in proptest::collection::vec(name(), 1..4),
        resource in name(),
        period in period(),
        kind in proptest::sample::select(Kind::ALL.to_vec()),
        arguments in proptest::collection::btree_map(name(), "[^,)\\s\\p{C}][^,)\\p{C}]{0,8}", 0..3),
        base in proptest::option::of(period()),
        threshold in proptest::option::of(0.0..=1.0),
    ) -> String {
        let mut text = format!("/{}/{resource}/{}", catalog.join("/"), RepresentationId { period, kind });
        if !arguments.is_empty() {
            let arguments: Vec<_> = arguments.iter().map(|(key, value)| format!("{key}={value}")).collect();
            text += &format!("({})", arguments.join(","));
        }
        let threshold = threshold.filter(|_| kind.is_gated());
        let fragment = [base.map(|base| format!("base={base}")), threshold.map(|share| format!("threshold={share}"))];
        let fragment: Vec<_> = fragment.into_iter().flatten().collect();
        if !fragment.is_empty() {
            text += &format!("#{}", fragment.join("&"));
        }
        text
    }
}

proptest! {
    #[test]
    fn a_canonical_path_reads_back_as_it_is(text in path_text()) {
        let path: ResourcePath = text.parse().unwrap();
        prop_assert_eq!(path.to_string(), text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}|[/a-z0-9_#=(),.&\\n äß]{0,60}") {
        if let Ok(path) = text.parse::<ResourcePath>() {
            prop_assert_eq!(path.to_string().parse::<ResourcePath>().unwrap(), path);
        }
        let _ = text.parse::<Tick>();
        let _ = text.parse::<SamplePeriod>();
        let _ = text.parse::<CatalogId>();
        let _ = text.parse::<ResourceId>();
        let _ = text.parse::<Kind>();
    }

    #[test]
    fn a_slip_gives_an_error_that_points_into_the_path(text in path_text(), at in any::<prop::sample::Index>(), slip in any::<char>()) {
        let mut characters: Vec<char> = text.chars().collect();
        let at = at.index(characters.len());
        characters[at] = slip;
        let broken: String = characters.into_iter().collect();
        match broken.parse::<ResourcePath>() {
            Ok(path) => prop_assert_eq!(path.to_string().parse::<ResourcePath>().unwrap(), path),
            Err(error) => prop_assert!(error.position() <= broken.chars().count() && !error.to_string().is_empty()),
        }
    }

    #[test]
    fn periods_read_back(period in period()) {
        prop_assert_eq!(period.to_string().parse::<SamplePeriod>().unwrap(), period);
    }

    #[test]
    fn times_read_back(tick in tick()) {
        prop_assert_eq!(tick.to_string().parse::<Tick>().unwrap(), tick);
    }

    #[test]
    fn rounding_finds_the_bucket(tick in tick(), period in period()) {
        let floor = period.floor(tick);
        prop_assert!(period.divides(floor) && floor <= tick);
        prop_assert!(tick.ticks() - floor.ticks() < period.ticks());
        if let Some(ceil) = period.ceil(tick) {
            prop_assert!(period.divides(ceil) && ceil >= tick);
            prop_assert!(ceil.ticks() - tick.ticks() < period.ticks());
        }
    }

    #[test]
    fn a_widened_range_holds_the_range(a in tick(), b in tick(), period in period()) {
        prop_assume!(a < b);
        let range = TimeRange::new(a, b).unwrap();
        if let Ok(wide) = period.widen(range) {
            prop_assert_eq!(wide.intersection(range), Some(range));
            prop_assert!(sheaf_model::legality::check_range(period, wide).is_ok());
        }
    }
}

proptest! {
    #[test]
    fn arguments_read_back(text in "( {0,2}[a-z]{1,3} {0,2}= {0,2}[^,)\\p{C}]{1,12}){0,1}") {
        if let Ok(arguments) = Arguments::parse(&text) {
            let written = arguments.to_string();
            let inside = written.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
            prop_assert_eq!(Arguments::parse(inside).unwrap(), arguments);
        }
    }
}
