//! Which runs, as options name them, and how they are asked for.

use std::error::Error;

use serde_json::{Value, json};
use sheaf_db::RepositoryError;
use sheaf_db::datastore::{Datastore, NewBatch, Progress};

/// What runs that commands ask for belong to.
const OWNER: &str = "command";

/// Projects and traces by the ids of their rows, or by what their people call them.
#[derive(clap::Args)]
pub(crate) struct Subjects {
    /// Projects, by the ids of their rows
    #[arg(long, value_name = "PROJECT", num_args = 1..)]
    pub(crate) projects: Vec<String>,
    /// Traces, by the ids of their rows
    #[arg(long, value_name = "TRACE", num_args = 1..)]
    pub(crate) traces: Vec<String>,
    /// Projects are named by their project_id
    #[arg(long)]
    use_project_id: bool,
    /// Traces are named by their trace_id
    #[arg(long)]
    use_trace_id: bool,
}

impl Subjects {
    /// The ids of the projects that are named.
    pub(crate) async fn project_ids(&self, datastore: &Datastore) -> Result<Vec<i64>, Box<dyn Error>> {
        let find = async |name: &str| Ok(datastore.find_project(name).await?.map(|project| project.id));
        ids("project", &self.projects, self.use_project_id, find).await
    }

    /// The ids of the traces that are named.
    pub(crate) async fn trace_ids(&self, datastore: &Datastore) -> Result<Vec<i64>, Box<dyn Error>> {
        let find = async |name: &str| Ok(datastore.find_trace(name).await?.map(|trace| trace.id));
        ids("trace", &self.traces, self.use_trace_id, find).await
    }
}

async fn ids(
    what: &str,
    given: &[String],
    are_names: bool,
    find: impl AsyncFn(&str) -> Result<Option<i64>, RepositoryError>,
) -> Result<Vec<i64>, Box<dyn Error>> {
    let mut ids = Vec::with_capacity(given.len());
    for text in given {
        if are_names {
            let found = find(text).await?;
            ids.push(found.ok_or_else(|| format!("there is no {what} with the {what}_id `{text}`"))?);
        } else {
            let wrong = |_| {
                format!(
                    "`{text}` is no id of a row; with --use-{what}-id, a {what} is named by its {what}_id"
                )
            };
            ids.push(text.parse().map_err(wrong)?);
        }
    }
    Ok(ids)
}

/// How runs are asked for.
#[derive(clap::Args)]
pub(crate) struct Asking {
    /// Runs with a higher one come first
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true)]
    priority: i64,
    /// What to call this request
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Do them in this process, together with servers that do, and wait until they have ended; exit code 1 if one has failed
    #[arg(long, visible_alias = "work")]
    pub(crate) wait: bool,
}

impl Asking {
    /// The request.
    pub(crate) fn batch(&self, kind: &str) -> NewBatch {
        NewBatch {
            owner: OWNER.to_owned(),
            kind: kind.to_owned(),
            priority: self.priority,
            label: self.label.clone(),
        }
    }
}

/// Where runs stand, for people.
pub(crate) fn text_of(progress: &Progress) -> String {
    let Progress { pending, running, success, failed, cancelled, .. } = progress;
    let total = progress.ended() + progress.unended();
    format!(
        "{total} runs: {pending} pending, {running} running, {success} success, {failed} failed, {cancelled} cancelled"
    )
}

/// Where runs stand, with the names that statuses have.
pub(crate) fn json_of(progress: &Progress) -> Value {
    json!({
        "PENDING": progress.pending,
        "RUNNING": progress.running,
        "SUCCESS": progress.success,
        "FAILED": progress.failed,
        "CANCELLED": progress.cancelled,
    })
}
