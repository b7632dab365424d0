//! The sample keeps what sources promise.

use sheaf_sources::testing::laws_of_sources;
use sheaf_sources::{SampleSource, SourceConfig};

#[test]
fn the_sample_is_a_source() {
    laws_of_sources(&SampleSource::default());
    let source =
        SourceConfig::from_type("Sheaf.Sources.Sample", None, serde_json::json!({})).unwrap().open().unwrap();
    assert_eq!(source.series().unwrap().len(), 4);
    assert!(source.properties().unwrap().readme().is_some());
}
