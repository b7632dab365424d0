//! What there is: the catalogs of the store and those of sources as one tree, and the way from a path to samples.
//!
//! A catalog is whatever sources and the store say of it, in this order: the stages of its pipeline, the store, the properties
//! that are stored, and what people say ([`merged`]). [`provided`] says which catalogs pipelines provide, [`opened`] keeps their
//! sources open, [`stored`] knows the series of the store, [`aliases`] the traces of projects, [`tree`] the ids of all. What is known is checked against the
//! database each time somebody asks, with two rows: so what another process does is seen at once.

mod aliases;
mod attached;
mod merged;
mod opened;
mod provided;
pub(crate) mod secrets;
mod stored;
mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serde_json::Value;
use sheaf_db::{Access, Attachment, CatalogOverrides, Database, Pipeline, RepositoryError};
use sheaf_engine::{Base, ResolveError, Resolved, SourceIdentity, SourceRollups, catalog_of, resolve};
use sheaf_model::{
    CatalogId, CatalogPath, DataType, FindProblem, Kind, MergeError, Properties, PropertyError,
    Representation, ResourceCatalog, ResourceId, ResourcePath, SamplePeriod, SeriesKey, Tick, TimeRange,
};
use sheaf_sources::{DataSource, SourceSeries};
use sheaf_store::{Bins, Now, Rollups, SeriesId, SeriesSpec, Store, StoreError, in_full};

use aliases::Aliases;
pub(crate) use attached::{AttachmentError, Attachments, check_name};
pub(crate) use merged::Said;
use opened::OpenSource;
pub(crate) use opened::SourceFailure;
pub(crate) use provided::{
    Origin, OwnerRights, Provision, config_of, kind_of, known_kinds, locator_of, mount_of, pattern_of,
};
use provided::{People, Provided};
use stored::Stored;
use tree::Tree;

/// Rows of metadata that are looked up at once.
const PAGE: usize = 1000;

/// The attachment that is the license of a catalog, in whatever case.
const LICENSE: &str = "LICENSE.md";

/// Series whose pieces are looked at at once.
const SERIES_PAGE: usize = 500;

/// What a request brings along for sources, such as credentials: an object with a key for each type of source.
pub(crate) type RequestConfiguration = Option<Arc<Value>>;

/// What there is.
pub(crate) struct Catalogs {
    store: Store,
    database: Database,
    rollups: Arc<Rollups>,
    attachments: Attachments,
    /// Pipelines that are not in the database.
    fixed: Vec<(Origin, Pipeline)>,
    access: Access,
    owners: Option<Owners>,
    known: Mutex<Known>,
    /// Whoever brings what is known up to date; others wait for that.
    updating: tokio::sync::Mutex<()>,
}

/// What was known last.
#[derive(Clone, Default)]
struct Known {
    /// The state of the database that this was looked up in.
    at: Option<Now>,
    provided: Option<Arc<Provided>>,
    stored: Arc<Stored>,
    aliases: Arc<Aliases>,
    tree: Arc<Tree>,
    remembered: Arc<Remembered>,
}

impl Known {
    fn view(&self, provided: Arc<Provided>) -> View {
        let Known { stored, aliases, tree, remembered, .. } = self.clone();
        View { provided, stored, aliases, tree, remembered }
    }
}

/// What there is at one time.
#[derive(Clone)]
pub(crate) struct View {
    provided: Arc<Provided>,
    stored: Arc<Stored>,
    aliases: Arc<Aliases>,
    tree: Arc<Tree>,
    remembered: Arc<Remembered>,
}

/// What was looked up while nothing has changed.
#[derive(Default)]
struct Remembered {
    /// Which series of the store paths are computed from.
    stored: Mutex<HashMap<ResourcePath, Resolved>>,
    over: Mutex<HashMap<(CatalogId, ResourceId), Arc<Over>>>,
    documents: tokio::sync::OnceCell<HashMap<CatalogId, Vec<Attachment>>>,
    facts: Mutex<HashMap<CatalogId, Arc<Facts>>>,
}

/// What is known and said of a resource, beside what its source says.
#[derive(Debug, Default)]
struct Over {
    known: Properties,
    said: Properties,
}

/// The most paths and resources that are remembered. 50 000: a few dozen megabytes.
const MOST_REMEMBERED: usize = 50_000;

/// Adds to what is remembered, and forgets all before it grows too large.
fn remember<K: Eq + Hash, V>(memory: &Mutex<HashMap<K, V>>, new: impl IntoIterator<Item = (K, V)>) {
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    if memory.len() > MOST_REMEMBERED {
        memory.clear();
    }
    memory.extend(new);
}

/// What is remembered of these, one answer for each.
fn recall<K: Eq + Hash, V: Clone>(memory: &Mutex<HashMap<K, V>>, wanted: &[K]) -> Vec<Option<V>> {
    let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    wanted.iter().map(|key| memory.get(key).cloned()).collect()
}

impl View {
    /// Whether there is such a catalog.
    pub(crate) fn exists(&self, id: &CatalogId) -> bool {
        self.tree.contains(id)
    }

    /// Whether there is a catalog at a path or below it; the root is always there.
    pub(crate) fn has_any_in(&self, path: &CatalogPath) -> bool {
        self.tree.has_any_in(path)
    }

    /// The catalogs right below a path, behind `after`.
    pub(crate) fn children(
        &self,
        path: &CatalogPath,
        after: Option<&CatalogId>,
    ) -> impl Iterator<Item = CatalogId> {
        self.tree.children(path, after)
    }

    /// Whether the store has series of a catalog.
    pub(crate) fn has_series(&self, id: &CatalogId) -> bool {
        !self.stored.series(id).is_empty() || self.aliases.traces(id).next().is_some()
    }

    /// The catalog in which a resource is kept: that of traces where it is one of a project.
    fn home(&self, catalog: &CatalogId, resource: &ResourceId) -> CatalogId {
        let traces = || sheaf_metering::records::catalog().ok();
        let alias = self.aliases.has(catalog, resource).then(traces).flatten();
        alias.unwrap_or_else(|| catalog.clone())
    }

    /// The pipeline that provides a catalog, if one does.
    pub(crate) fn provision(&self, id: &CatalogId) -> Option<&Arc<Provision>> {
        self.provided.catalogs.get(id)
    }

    /// All catalogs that pipelines provide.
    pub(crate) fn provisions(&self) -> impl Iterator<Item = &Arc<Provision>> {
        self.provided.catalogs.values()
    }
}

/// Finds out what a user may do; `None` if there is no such user. An operator at the command line asks nobody.
pub(crate) type Owners = Arc<
    dyn Fn(String) -> BoxFuture<'static, Result<Option<Arc<dyn OwnerRights>>, RepositoryError>> + Send + Sync,
>;

/// A path with what it is computed from, and what is known of its resource.
pub(crate) struct Found {
    pub(crate) resolved: Resolved,
    pub(crate) unit: Option<String>,
    /// What is known of the resource: from its source, stored, and said by people.
    pub(crate) properties: Properties,
}

impl Found {
    /// The type of what is read.
    pub(crate) fn data_type(&self) -> DataType {
        match self.resolved.path.kind() {
            Kind::Original => self.resolved.base.data_type(),
            _ => DataType::Float64,
        }
    }
}

/// What is known of a catalog without reading what is in it.
pub(crate) struct Summary {
    pub(crate) id: CatalogId,
    pub(crate) properties: Properties,
    pub(crate) contact: Option<String>,
    pub(crate) readme: Option<String>,
    pub(crate) provision: Option<Arc<Provision>>,
    pub(crate) facts: Arc<Facts>,
}

/// What decides who may do something with a catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The user whose pipeline provides it.
    pub(crate) owner: Option<String>,
    /// The groups that it belongs to.
    pub(crate) groups: Vec<String>,
    /// Its license: the attachment, else the property.
    pub(crate) license: Option<String>,
}

impl Catalogs {
    /// Without sources other than those that are stored, and the samples.
    pub(crate) fn new(store: Store, database: Database, rollups: Arc<Rollups>, folder: PathBuf) -> Catalogs {
        Catalogs {
            store,
            attachments: Attachments::new(database.clone(), folder),
            access: database.access(),
            database,
            rollups,
            fixed: provided::samples().map(|sample| (Origin::BuiltIn, sample)).to_vec(),
            owners: None,
            known: Mutex::default(),
            updating: tokio::sync::Mutex::default(),
        }
    }

    /// With these sections `[[source]]` of the settings, and the samples if they are wanted.
    ///
    /// # Errors
    /// A section can't be.
    pub(crate) fn configure(&mut self, sample: bool, sections: &[Value]) -> Result<(), String> {
        self.fixed.clear();
        if sample {
            self.fixed.extend(provided::samples().map(|sample| (Origin::BuiltIn, sample)));
        }
        for (number, section) in sections.iter().enumerate() {
            let pipeline = provided::of_section(number, section)
                .map_err(|problem| format!("section {} of [[source]]: {problem}", number + 1))?;
            self.fixed.push((Origin::File, pipeline));
        }
        self.known = Mutex::default();
        Ok(())
    }

    /// From here on owners of pipelines provide what they may.
    pub(crate) fn set_owners(&mut self, owners: Owners) {
        self.owners = Some(owners);
        self.known = Mutex::default();
    }

    /// The files that belong to catalogs.
    pub(crate) fn attachments(&self) -> &Attachments {
        &self.attachments
    }

    /// The pipelines that are not in the database.
    pub(crate) fn fixed(&self) -> &[(Origin, Pipeline)] {
        &self.fixed
    }

    /// What there is now.
    pub(crate) async fn view(&self) -> Result<View, CatalogError> {
        // Before all else: what comes in between is seen the next time.
        let now = self.store.now().await?;
        let known = self.known();
        if let Some(provided) = &known.provided
            && known.at == Some(now)
        {
            return Ok(known.view(provided.clone()));
        }
        // One row each; who finds that nothing has changed here waits for nobody.
        let generation = self.database.generation().await?;
        let is_old = match &known.provided {
            Some(provided) => !self.is_as_before(provided, generation).await?,
            None => true,
        };
        let newer = known.stored.newer(&self.store).await?;
        match &known.provided {
            Some(provided) if !is_old && newer.is_none() => {
                let mut last = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                if last.provided.as_ref().is_some_and(|last| Arc::ptr_eq(last, provided))
                    && Arc::ptr_eq(&last.stored, &known.stored)
                {
                    last.at = Some(now);
                }
                return Ok(known.view(provided.clone()));
            }
            _ => {}
        }
        let _updating = self.updating.lock().await;
        let known = self.known();
        let stored = match known.stored.newer(&self.store).await? {
            Some(newer) => Arc::new(newer),
            None => known.stored.clone(),
        };
        // The number before the rows: what comes in between is seen the next time.
        let generation = self.database.generation().await?;
        let provided = match known.provided {
            Some(provided) if self.is_as_before(&provided, generation).await? => provided,
            before => {
                let all = self.database.pipelines().all().await?;
                let people = self.people(&all).await?;
                let all = all.into_iter().map(|pipeline| (Origin::Stored, pipeline));
                let all = self.fixed.iter().cloned().chain(all).collect();
                Arc::new(Provided::new(generation, all, &people, &before.unwrap_or_default()))
            }
        };
        let mappings = self.database.mapping_generation().await?;
        let aliases = match known.aliases.generation == Some(mappings) {
            true => known.aliases,
            false => Arc::new(Aliases::read(&self.database, mappings).await?),
        };
        let mut tree = Tree::default();
        stored
            .catalogs()
            .chain(provided.catalogs.keys())
            .chain(aliases.catalogs())
            .for_each(|id| tree.add(id));
        let view = View { provided, stored, aliases, tree: Arc::new(tree), remembered: Arc::default() };
        let View { provided, stored, aliases, tree, remembered } = view.clone();
        let known = Known { at: None, provided: Some(provided), stored, aliases, tree, remembered };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(view)
    }

    /// Whether pipelines provide what they did.
    async fn is_as_before(&self, provided: &Provided, generation: i64) -> Result<bool, CatalogError> {
        if provided.generation != generation {
            return Ok(false);
        }
        match (provided.people, &self.owners) {
            (Some(state), Some(_)) => Ok(self.access.state().await? == state),
            _ => Ok(true),
        }
    }

    /// What the owners of these pipelines may do.
    async fn people(&self, pipelines: &[Pipeline]) -> Result<People, CatalogError> {
        let Some(owners) = &self.owners else { return Ok(People::default()) };
        let mut people = People { state: self.access.state().await?, ..People::default() };
        for owner in pipelines.iter().filter_map(|pipeline| pipeline.owner.as_ref()) {
            if !people.owners.contains_key(owner) {
                people.owners.insert(owner.clone(), owners(owner.clone()).await?);
            }
        }
        if !people.owners.is_empty() {
            let registrations = pipelines.iter().flat_map(|pipeline| &pipeline.registrations);
            let ids: BTreeSet<CatalogId> = registrations.filter_map(|one| mount_of(one).ok()).collect();
            let ids: Vec<CatalogId> = ids.into_iter().collect();
            let said = self.database.overrides().of(&ids).await?;
            people.groups =
                ids.into_iter().zip(said.into_iter().map(|said| said.groups.unwrap_or_default())).collect();
        }
        Ok(people)
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What each path is computed from: series of sources that are read in place, or of the store. States are kept, unless the
    /// resource says otherwise.
    pub(crate) async fn resolve(
        &self,
        paths: &[ResourcePath],
        configuration: &RequestConfiguration,
    ) -> Result<Vec<Found>, CatalogError> {
        let view = self.view().await?;
        let mut open = HashMap::new();
        for path in paths {
            let id = path.catalog();
            if !open.contains_key(id)
                && let Some(provision) = view.provision(id)
            {
                open.insert(id, self.open(provision, configuration).await?);
            }
        }
        let mut found: Vec<Option<Resolved>> = Vec::with_capacity(paths.len());
        for path in paths {
            let in_place = open.get(path.catalog()).map(|open| open.find(path)).transpose();
            found.push(in_place?.flatten());
        }
        let left: Vec<ResourcePath> = paths
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(path, _)| path.clone())
            .collect();
        let mut stored = self.resolve_stored(&view, &open, &left).await?.into_iter();
        let over = self.over(&view, paths).await?;
        let mut all = Vec::with_capacity(paths.len());
        for ((path, found), over) in paths.iter().zip(found).zip(over) {
            let Some(mut resolved) = found.or_else(|| stored.next()) else {
                return Err(CatalogError::NoCatalog { id: path.catalog().clone() });
            };
            let of_source = open.get(path.catalog()).and_then(|open| open.catalog.resource(path.resource()));
            let under = of_source.map(|resource| resource.properties().clone()).unwrap_or_default();
            let properties = merged::layered(under, [&over.known, &over.said]);
            self.keep_states(&mut resolved.base, path.catalog(), &open, &properties)?;
            let unit = properties.unit().map(str::to_owned);
            all.push(Found { resolved, unit, properties });
        }
        Ok(all)
    }

    /// The series of the store behind these paths.
    async fn resolve_stored(
        &self,
        view: &View,
        open: &HashMap<&CatalogId, OpenCatalog>,
        paths: &[ResourcePath],
    ) -> Result<Vec<Resolved>, CatalogError> {
        let mut found = recall(&view.remembered.stored, paths);
        let new: Vec<ResourcePath> = paths
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(path, _)| path.clone())
            .collect();
        if !new.is_empty() {
            let at_home =
                |path: &ResourcePath| path.clone().with_catalog(view.home(path.catalog(), path.resource()));
            let homes: Vec<ResourcePath> = new.iter().map(at_home).collect();
            let resolved = match resolve(&self.store, &homes).await {
                Ok(resolved) => resolved,
                Err(error) => return Err(not_found(view, open, error)),
            };
            let as_asked =
                |(path, resolved): (&ResourcePath, Resolved)| Resolved { path: path.clone(), ..resolved };
            let resolved: Vec<Resolved> = new.iter().zip(resolved).map(as_asked).collect();
            remember(&view.remembered.stored, new.into_iter().zip(resolved.iter().cloned()));
            let mut resolved = resolved.into_iter();
            found.iter_mut().filter(|found| found.is_none()).for_each(|found| *found = resolved.next());
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// What is known and said of the resources of these paths.
    async fn over(&self, view: &View, paths: &[ResourcePath]) -> Result<Vec<Arc<Over>>, CatalogError> {
        let keys: Vec<(CatalogId, ResourceId)> = paths
            .iter()
            .map(|path| (view.home(path.catalog(), path.resource()), path.resource().clone()))
            .collect();
        let mut found = recall(&view.remembered.over, &keys);
        let new: Vec<(CatalogId, ResourceId)> = keys
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(key, _)| key.clone())
            .collect();
        if !new.is_empty() {
            let known = self.database.metadata().resources(&new).await?;
            let catalogs: BTreeSet<CatalogId> = new.iter().map(|(catalog, _)| catalog.clone()).collect();
            let catalogs: Vec<CatalogId> = catalogs.into_iter().collect();
            let said: HashMap<CatalogId, SaidOf> = self.said(&catalogs).await?.into_iter().collect();
            let over = new.iter().zip(known).map(|((catalog, resource), known)| {
                let said = said.get(catalog).and_then(|said| said.said.of(resource)).cloned();
                Arc::new(Over { known, said: said.unwrap_or_default() })
            });
            let over: Vec<Arc<Over>> = over.collect();
            remember(&view.remembered.over, new.into_iter().zip(over.iter().cloned()));
            let mut over = over.into_iter();
            found.iter_mut().filter(|found| found.is_none()).for_each(|found| *found = over.next());
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Says where states of a series are kept.
    fn keep_states(
        &self,
        base: &mut Base,
        catalog: &CatalogId,
        open: &HashMap<&CatalogId, OpenCatalog>,
        properties: &Properties,
    ) -> Result<(), CatalogError> {
        let without = properties.without_rollups()?;
        let wants = |period: Option<SamplePeriod>| !period.is_some_and(|period| without.contains(&period));
        let period = base.period();
        match base {
            Base::Stored { rollups, .. } => *rollups = wants(period).then(|| self.rollups.clone()),
            Base::InPlace { source, rollups, .. } => {
                let fingerprint = open.get(catalog).and_then(|open| open.fingerprint_of(source));
                *rollups = fingerprint.filter(|_| wants(period)).map(|fingerprint| SourceRollups {
                    rollups: self.rollups.clone(),
                    source: SourceIdentity::new(self.store.id(), catalog, fingerprint),
                });
            }
        }
        Ok(())
    }

    /// The sources of a catalog, with what they have now.
    async fn open(
        &self,
        provision: &Arc<Provision>,
        configuration: &RequestConfiguration,
    ) -> Result<OpenCatalog, CatalogError> {
        let (mut stages, mut fingerprints) = (Vec::new(), Vec::new());
        for (_, slot) in &provision.stages {
            let mut open = slot.open().await?;
            let mut fingerprint = slot.fingerprint().to_owned();
            if let Some(configuration) = configuration
                && let Some(of_request) = slot.for_request(&open, configuration).await.map_err(of_request)?
            {
                open = Arc::new(of_request);
                fingerprint = format!("{fingerprint} {configuration}");
            }
            stages.push(open);
            fingerprints.push(fingerprint);
        }
        let catalog = provision.catalog_of(&stages)?;
        Ok(OpenCatalog { stages, fingerprints, catalog })
    }

    /// The series of the sources of a catalog; none if no pipeline provides it.
    pub(crate) async fn series_in_place(&self, id: &CatalogId) -> Result<Vec<SourceSeries>, CatalogError> {
        let view = self.view().await?;
        let Some(provision) = view.provision(id) else { return Ok(Vec::new()) };
        let open = self.open(provision, &None).await?;
        let mut seen = BTreeSet::new();
        let all = open.stages.iter().flat_map(|stage| &stage.series);
        // Of several stages that have the same, the first one counts.
        Ok(all.filter(|series| seen.insert((&series.resource, series.period))).cloned().collect())
    }

    /// What people say of catalogs, one answer for each.
    async fn said(&self, ids: &[CatalogId]) -> Result<Vec<(CatalogId, SaidOf)>, CatalogError> {
        let overrides = self.database.overrides().of(ids).await?;
        ids.iter().zip(overrides).map(|(id, of)| Ok((id.clone(), SaidOf::new(id, of)?))).collect()
    }

    /// All of a catalog.
    pub(crate) async fn catalog(
        &self,
        id: &CatalogId,
        configuration: &RequestConfiguration,
    ) -> Result<ResourceCatalog, CatalogError> {
        let view = self.view().await?;
        let catalog = self.bare(&view, id, configuration).await?;
        let metadata = self.database.metadata();
        let mut known_of = BTreeMap::new();
        let mut after: Option<ResourceId> = None;
        loop {
            let page = metadata.resources_of(id, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.resource.clone());
            known_of.extend(page.into_iter().map(|of| (of.resource, of.properties)));
        }
        let traces: Vec<(CatalogId, ResourceId)> =
            view.aliases.traces(id).map(|trace| (view.home(id, trace), trace.clone())).collect();
        let of_traces = metadata.resources(&traces).await?;
        known_of.extend(traces.into_iter().map(|(_, trace)| trace).zip(of_traces));
        let known = metadata.catalog(id).await?;
        let said = self.said(std::slice::from_ref(id)).await?.pop().map(|(_, said)| said.said);
        let merged = merged::with_properties(catalog, &known, &known_of, &said.unwrap_or_default());
        merged.map_err(|error| CatalogError::Merge { catalog: id.clone(), error: Box::new(error) })
    }

    /// The series of the traces of a project.
    async fn aliases(
        &self,
        view: &View,
        id: &CatalogId,
    ) -> Result<Vec<(SeriesId, SeriesSpec)>, CatalogError> {
        Ok(sheaf_metering::records::series_of(&self.store, view.aliases.traces(id)).await?)
    }

    /// The series of the store in a catalog, and those of its traces if it is a project.
    async fn series(&self, view: &View, id: &CatalogId) -> Result<Vec<SeriesId>, CatalogError> {
        let aliases = self.aliases(view, id).await?.into_iter().map(|(id, _)| id);
        Ok(view.stored.series(id).iter().copied().chain(aliases).collect())
    }

    /// A catalog as sources and the store have it.
    async fn bare(
        &self,
        view: &View,
        id: &CatalogId,
        configuration: &RequestConfiguration,
    ) -> Result<ResourceCatalog, CatalogError> {
        if !view.exists(id) {
            return Err(CatalogError::NoCatalog { id: id.clone() });
        }
        let failed = |error| CatalogError::Merge { catalog: id.clone(), error: Box::new(error) };
        let specs = self.store.specs(view.stored.series(id)).await?;
        // As if series of traces lay in the project.
        let aliases = self.aliases(view, id).await?.into_iter().filter_map(|(_, spec)| {
            let key = spec.key.parse::<SeriesKey>().ok()?;
            Some(SeriesSpec { key: SeriesKey { catalog: id.clone(), ..key }.to_string(), ..spec })
        });
        let aliases: Vec<SeriesSpec> = aliases.collect();
        let mut catalog = catalog_of(id, specs.iter().map(AsRef::as_ref).chain(&aliases)).map_err(failed)?;
        if let Some(provision) = view.provision(id) {
            let open = self.open(provision, configuration).await?;
            let both = ResourceCatalog::clone(&open.catalog).merge(catalog);
            catalog = both.and_then(merged::finest_first).map_err(failed)?;
        }
        Ok(catalog)
    }

    /// What is known and said of catalogs themselves, one answer for each; of sources, what they said last.
    pub(crate) async fn summaries(
        &self,
        view: &View,
        ids: &[CatalogId],
    ) -> Result<Vec<Summary>, CatalogError> {
        let known = self.database.metadata().catalogs(ids).await?;
        let said = self.said(ids).await?;
        let mut all = Vec::with_capacity(ids.len());
        for ((id, said), known) in said.into_iter().zip(known) {
            let provision = view.provision(&id).cloned();
            let (mut properties, mut is_all) = (Properties::default(), true);
            for (_, slot) in provision.iter().flat_map(|provision| &provision.stages) {
                match slot.known() {
                    Some(open) => properties = properties.merge(open.properties.clone()),
                    None => is_all = false,
                }
            }
            let properties = merged::layered(
                properties,
                [Some(&known), said.said.properties.as_ref()].into_iter().flatten(),
            );
            let readme = self.document(view, &id, "README.md").await?;
            let license = self.document(view, &id, LICENSE).await?;
            let license = license.or_else(|| properties.license().map(str::to_owned));
            let facts = Arc::new(Facts {
                owner: provision.as_ref().and_then(|provision| provision.pipeline.owner.clone()),
                groups: said.groups,
                license: license.filter(|license| !license.trim().is_empty()),
            });
            // A source that nobody has asked yet may say more.
            if is_all {
                remember(&view.remembered.facts, [(id.clone(), facts.clone())]);
            }
            all.push(Summary {
                readme: readme.or_else(|| properties.readme().map(str::to_owned)),
                facts,
                id,
                properties,
                contact: said.contact,
                provision,
            });
        }
        Ok(all)
    }

    /// The text of an attachment that is called so, in whatever case.
    async fn document(
        &self,
        view: &View,
        id: &CatalogId,
        name: &str,
    ) -> Result<Option<String>, CatalogError> {
        let documents = view.remembered.documents.get_or_try_init(async || {
            let mut by_catalog: HashMap<CatalogId, Vec<Attachment>> = HashMap::new();
            for document in self.attachments.documents(&["readme.md", "license.md"]).await? {
                by_catalog.entry(document.catalog.clone()).or_default().push(document);
            }
            Ok::<_, CatalogError>(by_catalog)
        });
        let documents = documents.await?.get(id).map(Vec::as_slice).unwrap_or_default();
        match documents.iter().find(|document| document.name.eq_ignore_ascii_case(name)) {
            Some(document) => Ok(Some(self.attachments.text(document).await?)),
            None => Ok(None),
        }
    }

    /// Under which key a series is kept: in the catalog of traces, where it is asked for as one of a project.
    ///
    /// # Errors
    /// The database or the store fails.
    pub(crate) async fn home(&self, key: &SeriesKey) -> Result<SeriesKey, CatalogError> {
        let catalog = self.view().await?.home(&key.catalog, &key.resource);
        Ok(SeriesKey { catalog, ..key.clone() })
    }

    /// The license of a catalog: the attachment, else the property.
    pub(crate) async fn license(&self, id: &CatalogId) -> Result<Option<String>, CatalogError> {
        let view = self.view().await?;
        let summary = self.summaries(&view, std::slice::from_ref(id)).await?.pop();
        Ok(summary.and_then(|summary| summary.facts.license.clone()))
    }

    /// The properties of some catalogs themselves.
    pub(crate) async fn properties(
        &self,
        ids: &[CatalogId],
    ) -> Result<HashMap<CatalogId, Properties>, CatalogError> {
        let view = self.view().await?;
        let summaries = self.summaries(&view, ids).await?;
        Ok(summaries.into_iter().map(|summary| (summary.id, summary.properties)).collect())
    }

    /// What decides who may do something with a catalog, whether it is there or not.
    pub(crate) async fn facts(&self, id: &CatalogId) -> Result<Arc<Facts>, CatalogError> {
        let view = self.view().await?;
        if let Some(Some(facts)) = recall(&view.remembered.facts, std::slice::from_ref(id)).pop() {
            return Ok(facts);
        }
        match self.summaries(&view, std::slice::from_ref(id)).await?.pop() {
            Some(summary) => Ok(summary.facts),
            None => Ok(Arc::default()),
        }
    }

    /// From the first to the last sample of a catalog, as far as is known without reading any.
    pub(crate) async fn time_range(
        &self,
        id: &CatalogId,
        configuration: &RequestConfiguration,
    ) -> Result<Option<TimeRange>, CatalogError> {
        let view = self.existing(id).await?;
        let mut ranges = Vec::new();
        for page in self.series(&view, id).await?.chunks(SERIES_PAGE) {
            ranges.extend(self.store.series_stats(page).await?.into_iter().filter_map(|stats| stats.range));
        }
        if let Some(provision) = view.provision(id) {
            let open = self.open(provision, configuration).await?;
            for series in open.stages.iter().flat_map(|stage| &stage.series) {
                let range = if series.is_endless() { always() } else { series.range };
                ranges.extend(range);
            }
        }
        Ok(ranges.into_iter().reduce(TimeRange::hull))
    }

    /// How much of a catalog there is in each of some parts of time, from 0 to 1: the mean of what its sources say, and of the
    /// resources in the store. `None` where nobody knows.
    pub(crate) async fn availability(
        &self,
        id: &CatalogId,
        bins: Bins,
        configuration: &RequestConfiguration,
    ) -> Result<Vec<Option<f64>>, CatalogError> {
        let view = self.existing(id).await?;
        let mut all: Vec<Vec<Option<f64>>> = Vec::new();
        if let Some(stored) = self.stored_availability(&self.series(&view, id).await?, bins).await? {
            all.push(stored.into_iter().map(Some).collect());
        }
        if let Some(provision) = view.provision(id) {
            let open = self.open(provision, configuration).await?;
            let ranges: Vec<TimeRange> = ranges_of(bins);
            for ((_, slot), stage) in provision.stages.iter().zip(&open.stages) {
                all.push(slot.availability(&stage.source, ranges.clone()).await?);
            }
        }
        let mean = |bin: usize| {
            let known: Vec<f64> = all.iter().filter_map(|one| *one.get(bin)?).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        Ok((0..bins.count).map(mean).collect())
    }

    async fn stored_availability(
        &self,
        series: &[SeriesId],
        bins: Bins,
    ) -> Result<Option<Vec<f64>>, CatalogError> {
        let (mut sums, mut count) = (vec![0.0; bins.count], 0_u64);
        for page in series.chunks(SERIES_PAGE) {
            let snapshot = self.store.snapshot(page).await?;
            for &id in page {
                if let Some(shares) = snapshot.availability(id, bins)? {
                    count += 1;
                    sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
                }
            }
        }
        let mean = |sums: Vec<f64>| sums.into_iter().map(|sum| sum / count as f64).collect();
        Ok((count > 0).then(|| mean(sums)))
    }

    /// What there is, in which this catalog must be.
    async fn existing(&self, id: &CatalogId) -> Result<View, CatalogError> {
        let view = self.view().await?;
        match view.exists(id) {
            true => Ok(view),
            false => Err(CatalogError::NoCatalog { id: id.clone() }),
        }
    }

    /// Whether what people want to say of a catalog fits what is there.
    pub(crate) async fn check_said(
        &self,
        id: &CatalogId,
        said: &Said,
        configuration: &RequestConfiguration,
    ) -> Result<(), CatalogError> {
        let view = self.view().await?;
        let catalog = self.bare(&view, id, configuration).await?;
        for of in said.resources.iter().flatten() {
            if let Some(properties) = &of.properties {
                properties.without_rollups()?;
            }
            if catalog.resource(&of.id).is_none() {
                return Err(CatalogError::NoResource { catalog: id.clone(), resource: of.id.clone() });
            }
        }
        Ok(())
    }
}

/// What to say where the store has nothing behind a path: sources may have something like it.
fn not_found(view: &View, open: &HashMap<&CatalogId, OpenCatalog>, error: ResolveError) -> CatalogError {
    if let ResolveError::NoCatalog { path } = &error {
        if let Some(open) = open.get(path.catalog())
            && let Err(error) = open.catalog.find(path)
        {
            return ResolveError::NotThere(Box::new(error)).into();
        }
        if view.stored.series(path.catalog()).is_empty() {
            return CatalogError::NoCatalog { id: path.catalog().clone() };
        }
    }
    error.into()
}

/// A source that does not take what the request brings along is no fault of the source.
fn of_request(failure: SourceFailure) -> CatalogError {
    match failure {
        SourceFailure::Failed { catalog, error } if error.is_invalid_input() => {
            CatalogError::Configuration { catalog, problem: in_full(&*error) }
        }
        failure => failure.into(),
    }
}

/// All of time.
fn always() -> Option<TimeRange> {
    TimeRange::new(Tick::MIN, Tick::MAX).ok()
}

/// The bins as ranges; those beyond the end of time are left out.
fn ranges_of(bins: Bins) -> Vec<TimeRange> {
    let at = |bin: usize| {
        let ticks = i64::try_from(bin).ok()?.checked_mul(bins.ticks)?;
        bins.begin.checked_add(ticks)
    };
    (0..bins.count).filter_map(|bin| TimeRange::new(at(bin)?, at(bin + 1)?).ok()).collect()
}

/// What people say of a catalog.
#[derive(Debug, Default)]
struct SaidOf {
    contact: Option<String>,
    groups: Vec<String>,
    said: Said,
}

impl SaidOf {
    fn new(id: &CatalogId, overrides: CatalogOverrides) -> Result<SaidOf, CatalogError> {
        let said = match overrides.overrides {
            Some(said) => serde_json::from_value(said)
                .map_err(|error| CatalogError::Said { id: id.clone(), problem: error.to_string() })?,
            None => Said::default(),
        };
        Ok(SaidOf { contact: overrides.contact, groups: overrides.groups.unwrap_or_default(), said })
    }
}

/// The sources of a catalog, open.
struct OpenCatalog {
    stages: Vec<Arc<OpenSource>>,
    /// What tells each of them from others.
    fingerprints: Vec<String>,
    catalog: Arc<ResourceCatalog>,
}

impl OpenCatalog {
    /// What a path is computed from here; `None` if no source has such a resource or representation, and the store may.
    fn find(&self, path: &ResourcePath) -> Result<Option<Resolved>, ResolveError> {
        let item = match self.catalog.find(path) {
            Ok(item) => item,
            Err(error) => {
                return match error.problem() {
                    FindProblem::NoResource { .. } | FindProblem::NoRepresentation { .. } => Ok(None),
                    _ => Err(ResolveError::NotThere(Box::new(error))),
                };
            }
        };
        let Representation { sample_period, .. } = item.base;
        let is_it =
            |series: &&SourceSeries| series.resource == *path.resource() && series.period == *sample_period;
        // The first stage that has it: for what is stored as for what is computed.
        let found = self.stages.iter().find_map(|stage| Some((stage, stage.series.iter().find(is_it)?)));
        Ok(found.map(|(stage, series)| {
            let base = Base::InPlace { source: stage.source.clone(), series: series.clone(), rollups: None };
            Resolved { path: path.clone(), base }
        }))
    }

    fn fingerprint_of(&self, source: &Arc<dyn DataSource>) -> Option<&str> {
        let at = self.stages.iter().position(|stage| Arc::ptr_eq(&stage.source, source))?;
        self.fingerprints.get(at).map(String::as_str)
    }
}

/// Something that there is not, or that can't be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogError {
    /// No such catalog.
    #[error("there is no catalog `{id}`")]
    NoCatalog {
        /// Which one.
        id: CatalogId,
    },
    /// No such resource.
    #[error("the catalog `{catalog}` has no resource `{resource}`")]
    NoResource {
        /// Of which catalog.
        catalog: CatalogId,
        /// Which one.
        resource: ResourceId,
    },
    /// Nothing behind a path.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A source fails.
    #[error(transparent)]
    Source(#[from] SourceFailure),
    /// What the request brings along for sources can't be.
    #[error("the header Nexus-Configuration does not fit the catalog `{catalog}`: {problem}")]
    Configuration {
        /// The catalog.
        catalog: CatalogId,
        /// What is wrong.
        problem: String,
    },
    /// What sources and the store say does not fit together.
    #[error("the sources of the catalog `{catalog}` contradict each other: {error}")]
    Merge {
        /// The catalog.
        catalog: CatalogId,
        /// What does not fit.
        error: Box<MergeError>,
    },
    /// What people say of a catalog can't be read.
    #[error("the overrides of the catalog `{id}` can't be read: {problem}")]
    Said {
        /// The catalog.
        id: CatalogId,
        /// What is wrong.
        problem: String,
    },
    /// A property that can't be.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// The database can't be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An attachment can't be read.
    #[error(transparent)]
    Attachment(#[from] AttachmentError),
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use sheaf_store::{Layout, LocalDisk, RollupSettings, SeriesSpec, Settings};

    use super::*;

    /// What is listed does not cost what is stored: 100 000 series in 3 000 catalogs.
    #[tokio::test(flavor = "multi_thread")]
    async fn many_series_are_looked_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::sqlite(&folder.path().join("sheaf.db")).await.unwrap();
        let disk = Arc::new(LocalDisk::new(folder.path().to_owned()).unwrap());
        let store = Store::open(disk, Arc::new(database.manifest()), Settings::default()).await.unwrap();
        let rollups = Arc::new(Rollups::new(folder.path().join("rollups"), RollupSettings::default()));
        let catalogs = Catalogs::new(store.clone(), database.clone(), rollups, folder.path().to_owned());
        let layout = Layout::Regular { period: "1_s".parse().unwrap(), phase_ticks: 0 };
        let spec = |number: usize| SeriesSpec {
            key: format!("/P{}/M{}/T{number}/1_s", number % 30, number % 3000),
            data_type: DataType::Float64,
            layout,
        };
        store.create_series(&(0..100_000).map(spec).collect::<Vec<_>>()).await.unwrap();
        // Far more than it takes, also unoptimized and beside other tests: a scan of all would take longer.
        let quick =
            |what: &str, begun: Instant| assert!(begun.elapsed().as_millis() < 1500, "{what} takes too long");
        let view = catalogs.view().await.unwrap();
        let begun = Instant::now();
        let root: Vec<CatalogId> = view.children(&CatalogPath::Root, None).collect();
        assert_eq!(root.len(), 3002);
        assert_eq!(view.children(&"/P7".parse().unwrap(), None).count(), 100);
        quick("listing", begun);
        let begun = Instant::now();
        assert_eq!(catalogs.summaries(&view, &root).await.unwrap().len(), 3002);
        quick("summaries of all", begun);
        let begun = Instant::now();
        let paths: Vec<ResourcePath> =
            (0..100).map(|i| format!("/P{i}/M{i}/T{i}/1_s", i = i % 30).parse().unwrap()).collect();
        assert_eq!(catalogs.resolve(&paths, &None).await.unwrap().len(), 100);
        quick("100 paths", begun);
        // One more is seen, and only that is read.
        store
            .create_series(&[SeriesSpec {
                key: "/new/T1/1_s".to_owned(),
                data_type: DataType::Float64,
                layout,
            }])
            .await
            .unwrap();
        let begun = Instant::now();
        assert!(catalogs.view().await.unwrap().exists(&"/new".parse().unwrap()));
        quick("one more", begun);
        let begun = Instant::now();
        for _ in 0..100 {
            assert_eq!(catalogs.resolve(&paths[..1], &None).await.unwrap().len(), 1);
        }
        quick("a known path, 100 times", begun);
    }
}
