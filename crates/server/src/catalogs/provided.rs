//! Which catalogs pipelines of sources provide: those of the settings, those that are stored, and the sample.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use regex::Regex;
use serde_json::{Map, Value, json};
use sheaf_db::{Pipeline, Registration};
use sheaf_model::{CatalogId, Offer, ResourceCatalog, admit};
use sheaf_sources::{SourceConfig, SourceKind};
use uuid::{Builder, Uuid};

use super::CatalogError;
use super::opened::{OpenSource, Slot};

/// The catalog of the sample, where nothing else is said.
pub(crate) const SAMPLE: &str = "/SAMPLE/LOCAL";

/// The catalog of the sample that is read by requests which bring along a user and a password.
const SAMPLE_OF_REQUESTS: &str = "/SAMPLE/REMOTE";

/// Where a pipeline is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It comes with the program.
    BuiltIn,
    /// In the file of settings.
    File,
    /// In the database.
    Stored,
}

/// A pipeline, as far as its catalogs need it.
#[derive(Clone, Debug)]
pub(crate) struct PipelineInfo {
    pub(crate) id: Uuid,
    pub(crate) origin: Origin,
    pub(crate) owner: Option<String>,
    pub(crate) types: Vec<String>,
    pub(crate) info_urls: Vec<Option<String>>,
    release: Option<Regex>,
    visibility: Option<Regex>,
}

impl PipelineInfo {
    /// Whether a catalog is ready for others.
    pub(crate) fn releases(&self, catalog: &CatalogId) -> bool {
        self.release.as_ref().is_none_or(|pattern| pattern.is_match(catalog.as_str()))
    }

    /// Whether a catalog is shown to those who may not read it. Nothing is unless the pattern says so.
    pub(crate) fn shows(&self, catalog: &CatalogId) -> bool {
        self.visibility.as_ref().is_some_and(|pattern| pattern.is_match(catalog.as_str()))
    }
}

/// A catalog of a pipeline.
#[derive(Debug)]
pub(crate) struct Provision {
    pub(crate) catalog: CatalogId,
    pub(crate) pipeline: Arc<PipelineInfo>,
    /// The sources that provide it, with their positions in the pipeline.
    pub(super) stages: Vec<(usize, Arc<Slot>)>,
    /// What was made of what they said last.
    merged: Mutex<Option<Merged>>,
}

#[derive(Clone, Debug)]
struct Merged {
    of: Vec<Arc<OpenSource>>,
    catalog: Arc<ResourceCatalog>,
}

impl Provision {
    /// The catalog that these answers of the stages make up; made once for the same answers.
    pub(super) fn catalog_of(
        &self,
        stages: &[Arc<OpenSource>],
    ) -> Result<Arc<ResourceCatalog>, CatalogError> {
        let is_same = |merged: &Merged| {
            merged.of.len() == stages.len() && merged.of.iter().zip(stages).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        let known = self.merged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(merged) = known.filter(is_same) {
            return Ok(merged.catalog);
        }
        let parts = self.stages.iter().zip(stages).map(|((position, _), open)| (*position, &**open));
        let catalog = super::merged::of_sources(&self.catalog, parts)
            .map_err(|error| CatalogError::Merge { catalog: self.catalog.clone(), error: Box::new(error) })?;
        let catalog = Arc::new(catalog);
        let merged = Merged { of: stages.to_vec(), catalog: catalog.clone() };
        *self.merged.lock().unwrap_or_else(PoisonError::into_inner) = Some(merged);
        Ok(catalog)
    }
}

/// What the owner of a pipeline may do.
pub(crate) trait OwnerRights: Send + Sync {
    /// Whether this user may write a catalog that belongs to these groups.
    fn may_write(&self, catalog: &CatalogId, groups: &[String]) -> bool;

    /// Whether this user may use a resource locator.
    fn may_use_locator(&self, locator: &str) -> bool;
}

/// What is to be known of people before pipelines provide anything.
#[derive(Default)]
pub(super) struct People {
    /// Which state of users and claims this was.
    pub(super) state: i64,
    /// What owners may do; those that are not named may do everything, and without rights nothing.
    pub(super) owners: HashMap<String, Option<Arc<dyn OwnerRights>>>,
    /// The groups of catalogs.
    pub(super) groups: HashMap<CatalogId, Vec<String>>,
}

impl People {
    fn may_write(&self, owner: &str, catalog: &CatalogId) -> bool {
        let groups = self.groups.get(catalog).map(Vec::as_slice).unwrap_or_default();
        let may = |rights: &Arc<dyn OwnerRights>| rights.may_write(catalog, groups);
        self.owners.get(owner).is_none_or(|rights| rights.as_ref().is_some_and(may))
    }

    fn may_use_locator(&self, owner: &str, locator: &str) -> bool {
        let may = |rights: &Arc<dyn OwnerRights>| rights.may_use_locator(locator);
        self.owners.get(owner).is_none_or(|rights| rights.as_ref().is_some_and(may))
    }
}

/// All that pipelines provide.
#[derive(Debug, Default)]
pub(crate) struct Provided {
    pub(super) generation: i64,
    /// The state of users and claims that this depends on, if it does.
    pub(super) people: Option<i64>,
    pub(crate) catalogs: BTreeMap<CatalogId, Arc<Provision>>,
    /// By the fingerprints of their settings.
    slots: HashMap<String, Arc<Slot>>,
}

impl Provided {
    /// What these pipelines provide, in this order. Sources that `before` had with the same settings stay open.
    pub(super) fn new(
        generation: i64,
        pipelines: Vec<(Origin, Pipeline)>,
        people: &People,
        before: &Provided,
    ) -> Provided {
        let has_owners = pipelines.iter().any(|(_, pipeline)| pipeline.owner.is_some());
        let depends_on = has_owners.then_some(people.state);
        let mut provided = Provided { generation, people: depends_on, ..Provided::default() };
        let (mut offers, mut provisions) = (Vec::new(), Vec::new());
        for (origin, pipeline) in pipelines {
            let info = Arc::new(info_of(origin, &pipeline));
            let mut of_pipeline: BTreeMap<CatalogId, Vec<(usize, Arc<Slot>)>> = BTreeMap::new();
            for (position, registration) in pipeline.registrations.iter().enumerate() {
                match mount_of(registration) {
                    Ok(catalog) => {
                        let slot = provided.slot(&catalog, registration, before);
                        of_pipeline.entry(catalog).or_default().push((position, slot));
                    }
                    Err(problem) => {
                        tracing::warn!(pipeline = %pipeline.id, kind = registration.kind, problem, "a source is left out");
                    }
                }
            }
            let owner = pipeline.owner.as_deref();
            let mut locators = pipeline.registrations.iter().filter_map(locator_of);
            let may_use_locators =
                owner.is_none_or(|owner| locators.all(|locator| people.may_use_locator(owner, &locator)));
            for (catalog, stages) in of_pipeline {
                let may_write = owner.is_none_or(|owner| people.may_write(owner, &catalog));
                let registration = sheaf_model::Registration::new(catalog.clone());
                offers.push(Offer {
                    registration,
                    owner: pipeline.owner.clone(),
                    may_write,
                    may_use_locators,
                });
                if may_write && may_use_locators {
                    let (pipeline, merged) = (info.clone(), Mutex::default());
                    provisions.push(Provision { catalog, pipeline, stages, merged });
                }
            }
        }
        let (admitted, dropped) = admit(offers);
        for dropped in dropped {
            tracing::warn!(catalog = %dropped.registration.id, problem = %dropped.refusal, "a registration is left out");
        }
        let mut admitted = admitted.into_iter().peekable();
        // Those that stand are in the order of the offers, and of several with one id the first one does.
        for provision in provisions {
            if admitted.next_if(|registration| registration.id == provision.catalog).is_some() {
                provided.catalogs.entry(provision.catalog.clone()).or_insert(Arc::new(provision));
            }
        }
        provided
    }

    fn slot(&mut self, catalog: &CatalogId, registration: &Registration, before: &Provided) -> Arc<Slot> {
        let fingerprint =
            json!([registration.kind, registration.resource_locator, registration.configuration]).to_string();
        let slot = self.slots.entry(fingerprint.clone()).or_insert_with(|| {
            before.slots.get(&fingerprint).cloned().unwrap_or_else(|| {
                let config = config_of(registration);
                Arc::new(Slot::new(catalog.clone(), registration.kind.clone(), config, fingerprint))
            })
        });
        slot.clone()
    }
}

fn info_of(origin: Origin, pipeline: &Pipeline) -> PipelineInfo {
    let regex = |what: &str, pattern: &Option<String>| {
        let pattern = pattern.as_deref().filter(|pattern| !pattern.is_empty())?;
        match pattern_of(pattern) {
            Ok(regex) => Some(regex),
            Err(problem) => {
                tracing::warn!(pipeline = %pipeline.id, problem, "the {what} pattern is left out");
                None
            }
        }
    };
    PipelineInfo {
        id: pipeline.id,
        origin,
        owner: pipeline.owner.clone(),
        types: pipeline.registrations.iter().map(|one| one.kind.clone()).collect(),
        info_urls: pipeline.registrations.iter().map(|one| one.info_url.clone()).collect(),
        release: regex("release", &pipeline.release_pattern),
        visibility: regex("visibility", &pipeline.visibility_pattern),
    }
}

/// A pattern of catalogs, which must fit the whole id.
pub(crate) fn pattern_of(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(1 << 20)
        .build()
        .map_err(|_| format!("`{}` is no regular expression, or too large a one", pattern.escape_debug()))
}

/// The kind with this name: `Sheaf.Sources.Folder`, or `folder` for short.
pub(crate) fn kind_of(name: &str) -> Result<SourceKind, String> {
    let short = |kind: &SourceKind| {
        kind.type_name().rsplit('.').next().is_some_and(|short| short.eq_ignore_ascii_case(name))
    };
    match name.parse::<SourceKind>() {
        Ok(kind) => Ok(kind),
        Err(error) => SourceKind::ALL.into_iter().find(short).ok_or_else(|| error.to_string()),
    }
}

/// The catalog that a source of a pipeline provides.
pub(crate) fn mount_of(registration: &Registration) -> Result<CatalogId, String> {
    match registration.configuration.get("catalog") {
        Some(Value::String(catalog)) => {
            catalog.parse().map_err(|error| format!("setting `catalog`: {error}"))
        }
        None if kind_of(&registration.kind) == Ok(SourceKind::Sample) => {
            SAMPLE.parse().map_err(|error: sheaf_model::IdError| error.to_string())
        }
        _ => Err("setting `catalog` is missing in the configuration: the id of the catalog that the source \
                  provides, like \"/plant/met_mast\""
            .to_owned()),
    }
}

/// The settings of a source of a pipeline.
pub(crate) fn config_of(registration: &Registration) -> Result<SourceConfig, String> {
    let kind = kind_of(&registration.kind)?;
    let mut settings = registration.configuration.clone();
    settings.shift_remove("catalog");
    let locator = registration.resource_locator.as_deref().filter(|locator| !locator.is_empty());
    SourceConfig::from_type(kind.type_name(), locator, Value::Object(settings))
        .map_err(|error| error.to_string())
}

/// Where the data of a source are, in whichever way it is said.
pub(crate) fn locator_of(registration: &Registration) -> Option<String> {
    if let Some(locator) = registration.resource_locator.as_ref().filter(|locator| !locator.is_empty()) {
        return Some(locator.clone());
    }
    let setting = kind_of(&registration.kind).ok()?.locator_setting()?;
    Some(registration.configuration.get(setting)?.as_str().unwrap_or_default().to_owned())
}

/// The pipelines of the samples: one for everybody, and one for requests that sign in at it.
pub(super) fn samples() -> [Pipeline; 2] {
    let of = |number, catalog: &str, needs_sign_in: bool| {
        let mut configuration = Map::from_iter([("catalog".to_owned(), catalog.into())]);
        if needs_sign_in {
            configuration.insert("needs_sign_in".to_owned(), true.into());
        }
        let kind = SourceKind::Sample.type_name().to_owned();
        let registration = Registration { kind, configuration, ..Registration::default() };
        Pipeline { id: id_of(number), created_at_ms: 0, ..Pipeline::new(None, vec![registration]) }
    };
    [of(0, SAMPLE, false), of(1, SAMPLE_OF_REQUESTS, true)]
}

/// The pipeline of a section `[[source]]` in the file of settings: `catalog`, `type`, and the settings of the source.
pub(super) fn of_section(number: usize, section: &Value) -> Result<Pipeline, String> {
    let Value::Object(section) = section else { return Err("it is no table".to_owned()) };
    let mut settings = section.clone();
    let mut text = |key: &str| match settings.shift_remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("`{key}` must be a text, not {other}")),
    };
    let kind = text("type")?.ok_or_else(|| format!("`type` is missing: {}", known_kinds()))?;
    let (resource_locator, info_url) = (text("resource_locator")?, text("info_url")?);
    let (release_pattern, visibility_pattern) = (text("release_pattern")?, text("visibility_pattern")?);
    let kind = kind_of(&kind)?.type_name().to_owned();
    let registration = Registration { kind, resource_locator, configuration: settings, info_url };
    mount_of(&registration)?;
    config_of(&registration)?;
    for pattern in [&release_pattern, &visibility_pattern].into_iter().flatten() {
        pattern_of(pattern)?;
    }
    let pipeline = Pipeline::new(None, vec![registration]);
    Ok(Pipeline {
        id: id_of(samples().len() + number),
        created_at_ms: 0,
        release_pattern,
        visibility_pattern,
        ..pipeline
    })
}

/// The kinds of sources, for messages.
pub(crate) fn known_kinds() -> String {
    let names =
        SourceKind::ALL.map(|kind| kind.type_name().rsplit('.').next().unwrap_or_default().to_lowercase());
    names.join(", ")
}

/// The number of a pipeline that is not stored.
fn id_of(number: usize) -> Uuid {
    Builder::from_custom_bytes((number as u128).to_be_bytes()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Other;

    impl OwnerRights for Other {
        fn may_write(&self, catalog: &CatalogId, groups: &[String]) -> bool {
            catalog.as_str() != "/X" || groups == ["x"]
        }

        fn may_use_locator(&self, locator: &str) -> bool {
            !locator.contains("secret")
        }
    }

    fn people() -> People {
        let other: Arc<dyn OwnerRights> = Arc::new(Other);
        let owners = HashMap::from([("other".to_owned(), Some(other)), ("gone".to_owned(), None)]);
        People { state: 1, owners, groups: HashMap::new() }
    }

    fn registration(catalog: &str, root: &str) -> Registration {
        let configuration = json!({"catalog": catalog, "template": "*.csv", "root": root});
        let Value::Object(configuration) = configuration else { panic!() };
        Registration { kind: "folder".to_owned(), configuration, ..Registration::default() }
    }

    fn provided(pipelines: &[(&str, &[Registration])], before: &Provided) -> Provided {
        let pipelines = pipelines.iter().map(|(owner, registrations)| {
            let owner = (!owner.is_empty()).then(|| (*owner).to_owned());
            (Origin::Stored, Pipeline::new(owner, registrations.to_vec()))
        });
        Provided::new(1, pipelines.collect(), &people(), before)
    }

    fn ids(provided: &Provided) -> Vec<(&str, Option<&str>)> {
        provided.catalogs.iter().map(|(id, one)| (id.as_str(), one.pipeline.owner.as_deref())).collect()
    }

    /// Reference 1.8, "catalog hierarchy"; and what is ours.
    #[test]
    fn the_earlier_one_stands_unless_its_owner_may_not() {
        let admin = ["/A", "/B/A"].map(|id| registration(id, "/data"));
        let mut other = ["/A", "/B/B", "/B/B2", "/C/A"].map(|id| registration(id, "/data")).to_vec();
        let all = provided(&[("admin", &admin), ("other", &other)], &Provided::default());
        assert_eq!(
            ids(&all),
            [
                ("/A", Some("admin")),
                ("/B/A", Some("admin")),
                ("/B/B", Some("other")),
                ("/B/B2", Some("other")),
                ("/C/A", Some("other"))
            ]
        );
        // A locator that he may not use takes the whole pipeline away, in whichever way it is said.
        other.push(registration("/D", "/secret"));
        assert_eq!(ids(&provided(&[("admin", &admin), ("other", &other)], &Provided::default())).len(), 2);
        let taken =
            provided(&[("other", &[registration("/X", "/data")]), ("", &[registration("/x", "/b")])], &all);
        assert_eq!(ids(&taken), [("/x", None)]);
        // Nobody provides anything in the name of a user who is gone.
        assert!(ids(&provided(&[("gone", &[registration("/Y", "/data")])], &all)).is_empty());
    }

    #[test]
    fn sources_with_the_same_settings_stay_open() {
        let two = [registration("/A", "/data"), registration("/A", "/more"), registration("/B", "/data")];
        let before = provided(&[("", &two)], &Provided::default());
        assert_eq!(before.catalogs[&"/A".parse().unwrap()].stages.len(), 2);
        let after = provided(&[("", &[registration("/A", "/data"), registration("/A", "/other")])], &before);
        let slot = |of: &Provided, stage: usize| of.catalogs[&"/A".parse().unwrap()].stages[stage].1.clone();
        assert!(Arc::ptr_eq(&slot(&before, 0), &slot(&after, 0)));
        assert!(!Arc::ptr_eq(&slot(&before, 1), &slot(&after, 1)));
    }

    #[test]
    fn sections_of_the_settings_are_checked() {
        let pipeline =
            of_section(0, &json!({"catalog": "/a", "type": "folder", "root": "/d", "template": "*"}))
                .unwrap();
        assert_eq!(pipeline.registrations[0].kind, "Sheaf.Sources.Folder");
        assert_eq!(mount_of(&pipeline.registrations[0]).unwrap().as_str(), "/a");
        for (section, problem) in [
            (json!([]), "no table"),
            (json!({"catalog": "/a"}), "`type` is missing: folder, nexus, postgres, sample"),
            (json!({"catalog": "/a", "type": "famos"}), "no type of source"),
            (json!({"catalog": "/a", "type": 1}), "`type` must be a text"),
            (json!({"type": "folder", "root": "/d", "template": "*"}), "`catalog` is missing"),
            (json!({"catalog": "a", "type": "folder", "root": "/d", "template": "*"}), "setting `catalog`"),
            (json!({"catalog": "/a", "type": "folder", "root": "/d"}), "`template`"),
            (json!({"catalog": "/a", "type": "sample", "release_pattern": "("}), "no regular expression"),
        ] {
            let error = of_section(0, &section).unwrap_err();
            assert!(error.contains(problem), "{error} should say {problem}");
        }
        assert_eq!(mount_of(&samples()[0].registrations[0]).unwrap().as_str(), SAMPLE);
    }
}
