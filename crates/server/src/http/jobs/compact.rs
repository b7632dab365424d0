//! `compact`: fewer and larger files in the store.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sheaf_store::CompactOptions;

use super::{Context, Done, JobError, Kind};

/// Moves small writes to segments, merges small segments, and removes files that were replaced. Begun again, it goes on
/// where it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Compact {
    /// All there is, not only what is worth it.
    #[serde(default)]
    pub(crate) all: bool,
}

impl Kind for Compact {
    const NAME: &'static str = "compact";
}

impl Compact {
    pub(super) async fn run(self, context: &Context) -> Result<Done, JobError> {
        let options = CompactOptions { all: self.all };
        let done = context.app.data.store.compact(options, &context.watch).await?;
        let report = json!({
            "movedPieces": done.moved_pieces,
            "mergedSegments": done.merged_segments,
            "newSegments": done.new_segments,
            "removedFiles": done.removed_files,
            "removedBytes": done.removed_bytes,
            "failures": done.failures,
        });
        Ok(Done { result: Some(report.to_string()), ..Done::default() })
    }
}
