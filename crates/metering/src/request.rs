//! What is asked for becomes runs: which trace of which project, with which model, and which aggregations.
//!
//! Whoever asks names projects, traces or both, by the ids of their rows. All that can be known before a run begins is looked at
//! here, so that a request is refused as a whole, and not one of its runs fails later.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sheaf_db::RepositoryError;
use sheaf_db::datastore::{
    Datastore, MappingFilter, Member, NewAggregation, NewMeterRun, Page, ProjectFilter, TraceListFilter,
};
use sheaf_model::Interpretation;
use sheaf_savings::derivative::DerivativeInterpretation;

use crate::aggregate::{self, selection};
use crate::classes::{self, Choice, ClassError};
use crate::input::{InputError, MeterInput};

/// The model and the formatter of runs, as they are asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The name of a model; the records choose one if nothing.
    pub model_class: Option<String>,
    /// Its settings, an object.
    pub model_kwargs: Option<Value>,
    /// The name of a formatter; that of the model if nothing.
    pub formatter_class: Option<String>,
    /// Its settings, an object.
    pub formatter_kwargs: Option<Value>,
    /// Whether an earlier result of the same input must not stand for a run.
    pub force: bool,
}

impl Settings {
    /// Checks them.
    ///
    /// # Errors
    /// A name or a setting that nobody knows, or a formatter that does not go with the model.
    pub fn check(&self) -> Result<(), ClassError> {
        let request = classes::Request {
            model_class: self.model_class.as_deref(),
            model_kwargs: self.model_kwargs.as_ref(),
            formatter_class: self.formatter_class.as_deref(),
            formatter_kwargs: self.formatter_kwargs.as_ref(),
        };
        Choice::of(request).map(drop)
    }

    /// A run of a trace for a project.
    pub fn run(&self, pair: Pair) -> NewMeterRun {
        NewMeterRun { project_id: Some(pair.project), trace_id: Some(pair.trace), ..self.unbound() }
    }

    /// A run of an input that comes with the request: an object, or a text with one in it.
    ///
    /// # Errors
    /// The input can't be read; the error says where.
    pub fn run_of_input(&self, input: &Value) -> Result<NewMeterRun, InputError> {
        MeterInput::from_json(input)?;
        let text = match input {
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        Ok(NewMeterRun { input: Some(text), ..self.unbound() })
    }

    fn unbound(&self) -> NewMeterRun {
        let kwargs =
            |kwargs: &Option<Value>| kwargs.as_ref().filter(|kwargs| !kwargs.is_null()).map(Value::to_string);
        NewMeterRun {
            model_class: self.model_class.clone(),
            model_kwargs: kwargs(&self.model_kwargs),
            formatter_class: self.formatter_class.clone(),
            formatter_kwargs: kwargs(&self.formatter_kwargs),
            options: if self.force { json!({ "force": true }).to_string() } else { "{}".to_owned() },
            ..NewMeterRun::default()
        }
    }
}

/// What is to be metered: all traces of a project, a trace for its project, or both named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The id of a project's row.
    pub project: Option<i64>,
    /// The id of a trace's row.
    pub trace: Option<i64>,
}

/// A trace for a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    /// The id of the project's row.
    pub project: i64,
    /// The id of the trace's row.
    pub trace: i64,
}

/// Why a target can't be metered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It names nothing.
    #[error("name a project, a trace, or both")]
    Empty,
    /// There is no such project.
    #[error("Invalid pk \"{0}\" - object does not exist.")]
    NoProject(i64),
    /// There is no such trace.
    #[error("Invalid pk \"{0}\" - object does not exist.")]
    NoTrace(i64),
    /// The trace is one of no project, whose periods a run needs.
    #[error("trace {0} belongs to no project, so it has no periods; map it to one, or name a project")]
    Unmapped(i64),
    /// The trace is one of several projects.
    #[error(
        "trace {trace} belongs to several projects: {}; name one of them as \"project\"",
        projects.iter().map(|(id, name)| format!("{id} ({name})")).collect::<Vec<_>>().join(", ")
    )]
    Ambiguous {
        /// The trace.
        trace: i64,
        /// Ids and names of the projects.
        projects: Vec<(i64, String)>,
    },
    /// The trace is on the blacklist.
    #[error("trace {0} is on the blacklist of traces that are not to be used")]
    Blacklisted(i64),
}

impl TargetError {
    /// The field that is to blame, if it is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            TargetError::Empty => None,
            TargetError::NoProject(_) | TargetError::Ambiguous { .. } | TargetError::Unmapped(_) => {
                Some("project")
            }
            TargetError::NoTrace(_) | TargetError::Blacklisted(_) => Some("trace"),
        }
    }
}

/// What each target stands for, in their order. Traces of a project come by their ids; those on the blacklist are left out of
/// projects, and refused where they are named. That a named pair belongs together is not asked.
///
/// # Errors
/// The database fails.
pub async fn pairs(
    datastore: &Datastore,
    targets: &[Target],
) -> Result<Vec<Result<Vec<Pair>, TargetError>>, RepositoryError> {
    let named = |of: fn(&Target) -> Option<i64>| -> Vec<i64> {
        let named: HashSet<i64> = targets.iter().filter_map(of).collect();
        named.into_iter().collect()
    };
    let (project_ids, trace_ids) = (named(|target| target.project), named(|target| target.trace));
    let projects = datastore.existing_projects(&project_ids).await?;
    let blacklist: HashSet<String> =
        datastore.blacklist(Page::ALL).await?.into_iter().map(|row| row.trace_id).collect();

    // The traces of whole projects, and the projects of traces that stand alone.
    let whole: Vec<i64> = {
        let whole = targets.iter().filter(|target| target.trace.is_none());
        whole.filter_map(|target| target.project).collect::<HashSet<_>>().into_iter().collect()
    };
    let of_projects = MappingFilter { projects: Some(whole), ..MappingFilter::default() };
    let mut traces_of: HashMap<i64, Vec<i64>> = HashMap::new();
    for mapping in datastore.mappings(&of_projects, Page::ALL).await? {
        traces_of.entry(mapping.project_id).or_default().push(mapping.trace_id);
    }
    let alone: Vec<i64> = {
        let alone = targets.iter().filter(|target| target.project.is_none());
        alone.filter_map(|target| target.trace).collect::<HashSet<_>>().into_iter().collect()
    };
    let of_traces = MappingFilter { traces: Some(alone), ..MappingFilter::default() };
    let mut projects_of: HashMap<i64, Vec<i64>> = HashMap::new();
    for mapping in datastore.mappings(&of_traces, Page::ALL).await? {
        projects_of.entry(mapping.trace_id).or_default().push(mapping.project_id);
    }
    traces_of.values_mut().for_each(|traces| traces.sort_unstable());
    projects_of.values_mut().for_each(|projects| projects.sort_unstable());

    let mut wanted: HashSet<i64> = trace_ids.into_iter().collect();
    if !blacklist.is_empty() {
        wanted.extend(traces_of.values().flatten());
    }
    let these = TraceListFilter { ids: Some(wanted.into_iter().collect()), ..TraceListFilter::default() };
    let traces: HashMap<i64, bool> = {
        let rows = datastore.traces(&these, Page::ALL).await?;
        rows.into_iter().map(|row| (row.id, blacklist.contains(&row.trace_id))).collect()
    };
    let is_blacklisted = |trace: &i64| traces.get(trace).copied().unwrap_or(false);
    let check_trace = |trace: i64| match traces.get(&trace) {
        None => Err(TargetError::NoTrace(trace)),
        Some(true) => Err(TargetError::Blacklisted(trace)),
        Some(false) => Ok(()),
    };
    let check_project = |project: i64| {
        if projects.contains(&project) { Ok(()) } else { Err(TargetError::NoProject(project)) }
    };
    let resolve = |target: &Target| match *target {
        Target { project: None, trace: None } => Err(TargetError::Empty),
        Target { project: Some(project), trace: Some(trace) } => {
            check_project(project)?;
            check_trace(trace)?;
            Ok(vec![Pair { project, trace }])
        }
        Target { project: Some(project), trace: None } => {
            check_project(project)?;
            let traces = traces_of.get(&project).into_iter().flatten();
            Ok(traces.filter(|trace| !is_blacklisted(trace)).map(|&trace| Pair { project, trace }).collect())
        }
        Target { project: None, trace: Some(trace) } => {
            check_trace(trace)?;
            match projects_of.get(&trace).map(Vec::as_slice) {
                None | Some([]) => Err(TargetError::Unmapped(trace)),
                Some(&[project]) => Ok(vec![Pair { project, trace }]),
                Some(several) => {
                    let projects = several.iter().map(|&project| (project, String::new())).collect();
                    Err(TargetError::Ambiguous { trace, projects })
                }
            }
        }
    };
    let mut resolved: Vec<Result<Vec<Pair>, TargetError>> = targets.iter().map(resolve).collect();
    name_projects(datastore, &mut resolved).await?;
    Ok(resolved)
}

/// Says what the projects are called that a trace may be meant for.
async fn name_projects(
    datastore: &Datastore,
    resolved: &mut [Result<Vec<Pair>, TargetError>],
) -> Result<(), RepositoryError> {
    let ambiguous = |resolved: &Result<Vec<Pair>, TargetError>| match resolved {
        Err(TargetError::Ambiguous { projects, .. }) => projects.iter().map(|(id, _)| *id).collect(),
        _ => Vec::new(),
    };
    let ids: Vec<i64> = resolved.iter().flat_map(ambiguous).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let these = ProjectFilter { allowed: Some(ids), ..ProjectFilter::default() };
    let names: HashMap<i64, String> = datastore
        .projects(&these, Page::ALL)
        .await?
        .into_iter()
        .map(|row| (row.id, row.project_id))
        .collect();
    for resolved in resolved {
        if let Err(TargetError::Ambiguous { projects, .. }) = resolved {
            for (id, name) in projects {
                name.clone_from(names.get(id).unwrap_or(&String::new()));
            }
        }
    }
    Ok(())
}

/// The derivatives that OpenEEmeter's datastore knew: what "all" means where aggregations don't name any. Those of ours take part
/// when they are named.
pub const ALL_DERIVATIVES: [DerivativeInterpretation; 2] =
    [DerivativeInterpretation::AnnualizedWeatherNormal, DerivativeInterpretation::GrossPredicted];

/// A set of derivatives that aggregations are asked for: a union, or a group of traces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AggregationTarget {
    /// The ids of projects' rows.
    pub projects: Vec<i64>,
    /// The ids of traces' rows.
    pub traces: Vec<i64>,
    /// The ids of derivatives.
    pub derivatives: Vec<i64>,
    /// The id of a group of traces.
    pub group: Option<i64>,
    /// `SUM` and so on.
    pub aggregation_interpretation: String,
    /// All successful runs of a trace for a project count, and not only the latest one.
    pub all_runs: bool,
    /// Everything else that is asked for: `baseline_default_value`, `reporting_default_value`.
    pub options: Value,
}

/// An interpretation, by its long name and as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The long name.
    pub name: String,
    /// As it was given.
    pub given: String,
}

impl Named {
    /// What traces mean, by a short or a long name.
    ///
    /// # Errors
    /// Nobody knows it.
    pub fn of_trace(given: &str) -> Result<Named, String> {
        let known = given.trim().parse::<Interpretation>().map_err(|error| error.to_string())?;
        Ok(Named { name: known.name().to_owned(), given: given.trim().to_owned() })
    }

    /// What a derivative says.
    ///
    /// # Errors
    /// Nobody knows it.
    pub fn of_derivative(given: &str) -> Result<Named, String> {
        use DerivativeInterpretation as Known;
        let all = [
            Known::AnnualizedWeatherNormal,
            Known::GrossPredicted,
            Known::MeteredSavings,
            Known::ModeledSavings,
        ];
        let names = all.map(Known::name);
        match names.iter().find(|name| **name == given.trim()) {
            Some(name) => Ok(Named { name: (*name).to_owned(), given: (*name).to_owned() }),
            None => {
                Err(format!("unknown derivative interpretation `{given}`; allowed: {}", names.join(", ")))
            }
        }
    }
}

impl AggregationTarget {
    /// A run of it.
    fn run(&self, trace: Option<&Named>, derivative: Option<&Named>) -> NewAggregation {
        let name = |named: Option<&Named>| named.map(|named| named.name.clone());
        let given = |named: Option<&Named>| named.map(|named| named.given.clone());
        NewAggregation {
            projects: self.projects.clone(),
            traces: self.traces.clone(),
            derivatives: self.derivatives.clone(),
            group_id: self.group,
            trace_interpretation: name(trace),
            trace_interpretation_given: given(trace),
            derivative_interpretation: name(derivative),
            derivative_interpretation_given: given(derivative),
            aggregation_interpretation: self.aggregation_interpretation.clone(),
            all_runs: self.all_runs,
            options: self.options.to_string(),
        }
    }

    /// One aggregation of it. What is left out of interpretations is what all derivatives have.
    ///
    /// # Errors
    /// The database fails; or, within, why these derivatives can't be aggregated.
    pub async fn single(
        &self,
        datastore: &Datastore,
        trace: Option<&Named>,
        derivative: Option<&Named>,
    ) -> Result<Result<NewAggregation, aggregate::Refusal>, RepositoryError> {
        let run = self.run(trace, derivative);
        let members = datastore.aggregation_members(&selection(datastore, &run).await?).await?;
        let request = aggregate::Request {
            trace_interpretation: run.trace_interpretation.as_deref(),
            derivative_interpretation: run.derivative_interpretation.as_deref(),
            aggregation_interpretation: &run.aggregation_interpretation,
        };
        Ok(request.resolve(&members).map(|resolved| NewAggregation {
            trace_interpretation: Some(resolved.trace_interpretation),
            derivative_interpretation: Some(resolved.derivative_interpretation),
            ..run
        }))
    }

    /// All aggregations of it that have a derivative at least: by what traces mean, then by what derivatives say, in the order in
    /// which they are given; all of them if they are not.
    ///
    /// # Errors
    /// The database fails; or, within, why derivatives of one kind can't be aggregated.
    pub async fn all(
        &self,
        datastore: &Datastore,
        traces: Option<&[Named]>,
        derivatives: Option<&[Named]>,
    ) -> Result<Result<Vec<NewAggregation>, aggregate::Refusal>, RepositoryError> {
        let named = |name: &str| Named { name: name.to_owned(), given: name.to_owned() };
        let all_traces = Interpretation::ALL.map(|known| named(known.name()));
        let all_derivatives = ALL_DERIVATIVES.map(|known| named(known.name()));
        let (traces, derivatives) = (traces.unwrap_or(&all_traces), derivatives.unwrap_or(&all_derivatives));
        let members =
            datastore.aggregation_members(&selection(datastore, &self.run(None, None)).await?).await?;
        let mut by_kind: HashMap<(&str, &str), Vec<Member>> = HashMap::new();
        for member in &members {
            let kind = (member.trace_interpretation.as_str(), member.interpretation.as_str());
            by_kind.entry(kind).or_default().push(member.clone());
        }
        let mut runs = Vec::new();
        for trace in traces {
            for derivative in derivatives {
                let Some(members) = by_kind.get(&(&*trace.name, &*derivative.name)) else { continue };
                let request = aggregate::Request {
                    trace_interpretation: Some(&trace.name),
                    derivative_interpretation: Some(&derivative.name),
                    aggregation_interpretation: &self.aggregation_interpretation,
                };
                if let Err(refusal) = request.resolve(members) {
                    return Ok(Err(refusal));
                }
                runs.push(self.run(Some(trace), Some(derivative)));
            }
        }
        Ok(Ok(runs))
    }
}
