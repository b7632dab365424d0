//! `sheaf jobs`: work that takes time, seen and ended from the command line.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use comfy_table::{Table, presets};
use serde_json::{Value, json};
use sheaf_db::{Database, Job, JobState, NewEvent, NewJob};
use sheaf_model::Tick;
use uuid::Uuid;

use super::Outcome;
use super::data::{self, DataArgs};

/// Jobs that are shown at most, if nothing else is said.
const SHOWN: usize = 50;

/// See, cancel and retry jobs, like exports, that a server does
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf jobs list
  sheaf jobs show 8b0f3c1e-3b47-4a8c-9d0e-2f6f4f4a1c55
  sheaf jobs cancel 8b0f3c1e-3b47-4a8c-9d0e-2f6f4f4a1c55
  sheaf jobs retry 8b0f3c1e-3b47-4a8c-9d0e-2f6f4f4a1c55

All of it works beside a server: what is cancelled here ends there within seconds, and what is retried begins.")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List jobs, the newest first
    #[command(after_help = "Examples:\n  sheaf jobs list\n  sheaf jobs list --limit 1000 --json")]
    List {
        /// The most jobs
        #[arg(long, value_name = "COUNT", default_value_t = SHOWN)]
        limit: usize,
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object for each job
        #[arg(long)]
        json: bool,
    },
    /// Show all that is known of a job
    #[command(after_help = "Example:\n  sheaf jobs show 8b0f3c1e-3b47-4a8c-9d0e-2f6f4f4a1c55")]
    Show {
        /// Its id
        #[arg(value_name = "ID")]
        id: Uuid,
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Cancel a job; one that is being done ends a little later
    #[command(after_help = "Example:\n  sheaf jobs cancel 8b0f3c1e-3b47-4a8c-9d0e-2f6f4f4a1c55")]
    Cancel {
        /// Its id
        #[arg(value_name = "ID")]
        id: Uuid,
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Ask again for what a job should have done that has failed or was cancelled, as another job of its owner
    #[command(after_help = "Example:
  sheaf jobs retry 8b0f3c1e-3b47-4a8c-9d0e-2f6f4f4a1c55

Whether its owner still may is not asked here. An export that came with a configuration for its sources can be asked for
again over HTTP only: the configuration is not kept.")]
    Retry {
        /// Its id
        #[arg(value_name = "ID")]
        id: Uuid,
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object: the new job
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        match &args.command {
            Command::List { limit, data, json } => {
                let (_, database) = data.existing().await?;
                list(&database.jobs().list(None, None, *limit).await?, *json, out)?;
            }
            Command::Show { id, data, json } => {
                let (_, database) = data.existing().await?;
                let job = database.jobs().find(*id).await?.ok_or_else(|| missing(*id))?;
                show(&job, *json, out)?;
            }
            Command::Cancel { id, data, json } => {
                let (_, database) = data.existing().await?;
                let job = database.jobs().cancel(*id, now_ms()).await?.ok_or_else(|| missing(*id))?;
                if matches!(job.state, JobState::Canceled | JobState::Running) {
                    let detail = json!({ "kind": job.kind, "owner": job.owner });
                    let event = NewEvent::by_command("job.cancel", job.id.to_string(), detail);
                    database.access().record(event).await?;
                }
                if *json {
                    writeln!(out, "{}", to_json(&job))?;
                } else {
                    let what = match job.state {
                        JobState::Canceled => "is cancelled",
                        JobState::Running => "is told to end",
                        _ => "has ended already",
                    };
                    writeln!(out, "job {id} {what}")?;
                }
            }
            Command::Retry { id, data, json } => {
                let (_, database) = data.existing().await?;
                let job = retry(&database, *id).await?;
                if *json {
                    writeln!(out, "{}", to_json(&job))?;
                } else {
                    writeln!(out, "job {id} is asked for again, as {}", job.id)?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Asks for the same again; the new job.
async fn retry(database: &Database, id: Uuid) -> Result<Job, Box<dyn Error>> {
    let old = database.jobs().find(id).await?.ok_or_else(|| missing(id))?;
    if !old.state.can_be_retried() {
        let state = name(old.state);
        return Err(format!(
            "job {id} can't be retried: only one that has failed or was cancelled can, but its state is `{state}`"
        )
        .into());
    }
    let new = NewJob {
        id: Uuid::new_v4(),
        kind: old.kind.clone(),
        owner: old.owner.clone(),
        owner_name: old.owner_name,
        parameters: old.parameters,
        max_attempts: old.max_attempts,
        reserved: None,
    };
    let detail = json!({ "kind": old.kind, "owner": old.owner, "job": new.id });
    let mut jobs = database.jobs().insert(vec![new], now_ms()).await?;
    database.access().record(NewEvent::by_command("job.retry", id.to_string(), detail)).await?;
    jobs.pop().ok_or_else(|| missing(id).into())
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

fn missing(id: Uuid) -> String {
    format!("there is no job {id}: `sheaf jobs list` lists them")
}

fn list(jobs: &[Job], is_json: bool, out: &mut impl Write) -> std::io::Result<()> {
    if is_json {
        return jobs.iter().try_for_each(|job| writeln!(out, "{}", to_json(job)));
    }
    if jobs.is_empty() {
        return writeln!(out, "there are no jobs");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["id", "kind", "owner", "state", "done", "asked for"]);
    for job in jobs {
        let done = format!("{:.0} %", job.progress * 100.0);
        let id = job.id.to_string();
        let (state, asked) = (name(job.state), time(job.created_at_ms));
        table.add_row([&id, job.kind.as_str(), &job.owner_name, state, &done, &asked]);
    }
    writeln!(out, "{}", table.trim_fmt())
}

fn show(job: &Job, is_json: bool, out: &mut impl Write) -> std::io::Result<()> {
    if is_json {
        return writeln!(out, "{}", to_json(job));
    }
    let mut line = |name: &str, value: &str| match value {
        "" => Ok(()),
        value => writeln!(out, "{name:<11}{value}"),
    };
    line("id", &job.id.to_string())?;
    line("kind", &job.kind)?;
    line("owner", &job.owner_name)?;
    line("state", if job.cancel_requested && !job.state.is_ended() { "ending" } else { name(job.state) })?;
    line("done", &format!("{:.0} %", job.progress * 100.0))?;
    line("doing", &job.activity)?;
    line("attempt", &format!("{} of at most {}", job.attempt, job.max_attempts))?;
    line("asked for", &time(job.created_at_ms))?;
    line("begun", &job.started_at_ms.map(time).unwrap_or_default())?;
    line("ended", &job.finished_at_ms.map(time).unwrap_or_default())?;
    line("result", job.result.as_deref().unwrap_or_default())?;
    line("failure", job.failure.as_deref().unwrap_or_default())?;
    line("parameters", &job.parameters.to_string())
}

const fn name(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "waits",
        JobState::Running => "runs",
        JobState::Succeeded => "done",
        JobState::Faulted => "failed",
        JobState::Canceled => "cancelled",
    }
}

fn time(ms: i64) -> String {
    let tick = ms.checked_mul(Tick::PER_SECOND / 1000).and_then(|ticks| Tick::UNIX_EPOCH.checked_add(ticks));
    // To the second.
    tick.map(|tick| {
        tick.to_string().split('.').next().unwrap_or_default().trim_end_matches('Z').to_owned() + "Z"
    })
    .unwrap_or_default()
}

fn to_json(job: &Job) -> Value {
    json!({
        "id": job.id,
        "kind": job.kind,
        "owner": job.owner,
        "ownerName": job.owner_name,
        "state": name(job.state),
        "progress": job.progress,
        "activity": job.activity,
        "attempt": job.attempt,
        "maxAttempts": job.max_attempts,
        "cancelRequested": job.cancel_requested,
        "created": time(job.created_at_ms),
        "started": job.started_at_ms.map(time),
        "finished": job.finished_at_ms.map(time),
        "result": job.result,
        "failure": job.failure,
        "parameters": job.parameters,
    })
}
