//! Projects, traces and their records, as clients of OpenEEmeter's datastore know them.
//!
//! `fields.rs` reads objects field by field, `refusals.rs` says what is wrong with them, `body.rs` reads many of them from one
//! body and `bulk.rs` says what became of those, `listing.rs` writes lists, `rights.rs` says who sees and changes what, `runs.rs` has what
//! requests for both kinds of runs have in common. All
//! else is one file for each kind of object.

pub(super) mod aggregation_results;
pub(super) mod aggregation_runs;
pub(super) mod batches;
pub(super) mod blacklist;
mod body;
mod bulk;
mod fields;
pub(super) mod groups;
mod listing;
pub(super) mod load;
pub(super) mod mappings;
pub(super) mod marts;
pub(super) mod metadata;
pub(super) mod meter_derivatives;
pub(super) mod meter_results;
pub(super) mod meter_runs;
pub(super) mod owners;
pub(super) mod projects;
mod refusals;
mod rights;
mod runs;
mod times;
pub(super) mod trace_records;
pub(super) mod traces;

pub(super) use refusals::in_words_of_ours;

use axum::http::Method;

/// What this family of routes is about: the segment behind `/api/v1/`.
const KINDS: [&str; 16] = [
    "aggregation_results",
    "aggregation_runs",
    "batches",
    "marts",
    "meter_derivatives",
    "meter_results",
    "meter_runs",
    "project_metadata",
    "project_owners",
    "project_trace_mappings",
    "projects",
    "trace_blacklist",
    "trace_groups",
    "trace_records",
    "traces",
    "weather_stations",
];

/// Whether a path is one of this family.
pub(super) fn is_ours(path: &str) -> bool {
    let kind = path.strip_prefix("/api/v1/").and_then(|rest| rest.split('/').next());
    kind.is_some_and(|kind| KINDS.contains(&kind))
}

/// Whether a request brings along many objects, and so more than a request usually does.
pub(super) fn is_upload(method: &Method, path: &str) -> bool {
    const LAST: [&str; 8] = [
        "bulk_insert",
        "bulk_upsert",
        "bulk_upsert_verbose",
        "load",
        "project_metadata",
        "project_trace_mappings",
        "trace_blacklist",
        "trace_records",
    ];
    *method == Method::POST && is_ours(path) && LAST.iter().any(|last| path.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_known_by_its_paths() {
        for path in ["/api/v1/traces", "/api/v1/projects/3", "/api/v1/meter_runs/bulk"] {
            assert!(is_ours(path), "{path}");
        }
        for path in ["/api/v1/catalogs/%2Ftraces", "/api/v1/tracesx", "/traces", "/api/v2/traces", "/api/v1/"]
        {
            assert!(!is_ours(path), "{path}");
        }
        assert!(is_upload(&Method::POST, "/api/v1/trace_records/bulk_insert"));
        assert!(!is_upload(&Method::POST, "/api/v1/projects"));
        assert!(!is_upload(&Method::GET, "/api/v1/trace_records"));
    }
}
