//! A catalog of another Nexus or Sheaf, read over its HTTP API.
//!
//! `config` has the settings, `wire` what answers mean. This file asks, and believes an answer only if all of it is there.

mod config;
mod wire;

use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sheaf_model::{DataType, Properties, ResourceId, SamplePeriod, Samples, Tick, TimeRange, Values};
use ureq::http::{Response, StatusCode, Uri};
use ureq::{Agent, Body};
use xxhash_rust::xxh3::Xxh3;

pub use self::config::NexusConfig;
pub(crate) use self::config::schema;
use self::wire::{Availability, Catalog, CatalogTimeRange};
use crate::error::{RowError, Shown, SourceError};
use crate::registry::SourceKind;
use crate::remembered::{Remembered, duration, lock};
use crate::secret::Secret;
use crate::source::{DataSource, Revision, SourceProblem, SourceSeries, slots_of};

/// For how long an answer is waited for, in ticks.
const DEFAULT_TIMEOUT: i64 = 60 * Tick::PER_SECOND;

/// For how long a connection is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer in JSON, at most: some hundred thousand resources.
const MOST_JSON_BYTES: u64 = 128 << 20;

/// What is read of an answer that is an error.
const MOST_MESSAGE_BYTES: u64 = 4096;

/// Tokens of requests for which the catalog is remembered.
const MOST_TOKENS: usize = 256;

/// A catalog of another Nexus or Sheaf.
///
/// All its representations without parameters are series. Their samples come as the original ones, as floats of 64 bits:
/// integers of up to 32 bits are made of them again, those of 64 bits stay floats. What the server says of catalog and resources
/// is passed on.
///
/// Nothing is asked before it is needed. What the catalog has, and revisions, are remembered for the time of `ttl`, or until a
/// refresh. If the server gives an `ETag` for `/api/v1/series`, as Sheaf does, that is the revision of a range; else there is a
/// new one each `ttl`, as if all data had changed then.
///
/// Requests that bring a token of their own, `{"Sheaf.Sources.Nexus": {"token": "…"}}`, see what that token may see, and have
/// revisions of their own. Redirects are not followed, so that no token goes where it does not belong.
pub struct NexusSource {
    name: String,
    config: NexusConfig,
    base: String,
    agent: Agent,
    remembered: Remembered<Known, (ResourceId, SamplePeriod, TimeRange), Option<String>>,
    /// Whether the server is known to have no tags.
    has_no_tags: AtomicBool,
    /// The same with the tokens of requests; those that were used last are at the end.
    others: Mutex<Vec<(Secret, Arc<NexusSource>)>>,
}

/// What the catalog had when it was asked for.
struct Known {
    series: Vec<SourceSeries>,
    properties: Properties,
}

/// What a request may bring along.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRequest {
    token: Option<Secret>,
}

impl fmt::Debug for NexusSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NexusSource").field("config", &self.config).finish_non_exhaustive()
    }
}

impl NexusSource {
    /// A catalog, which is not looked at yet.
    ///
    /// # Errors
    /// Settings can't be.
    pub fn open(config: NexusConfig) -> Result<NexusSource, SourceError> {
        let base = config.url.trim_end_matches('/').to_owned();
        let wrong = |setting, problem: &str| {
            let problem = SourceProblem::Setting { setting, problem: problem.to_owned() };
            // The URL may have a password in it.
            SourceError::of_source(&format!("catalog {} of another server", config.remote), problem)
        };
        let url = base.parse::<Uri>().ok().filter(|url| {
            matches!(url.scheme_str(), Some("http" | "https"))
                && url.host().is_some_and(|host| !host.is_empty())
        });
        let url = url.ok_or_else(|| wrong("url", "write it like `https://nexus.example.org`"))?;
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("url", "leave user and password out; a token goes into `token`"));
        }
        if url.query().is_some() || base.contains('#') {
            return Err(wrong("url", "it ends before `/api`; leave `?` and `#` and what follows out"));
        }
        if config.token.as_ref().is_some_and(|token| !is_token(token)) {
            return Err(wrong("token", NO_TOKEN));
        }
        let agent = Agent::config_builder()
            .timeout_global(Some(duration(config.timeout, DEFAULT_TIMEOUT)))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("sheaf/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(NexusSource {
            name: format!("catalog {} of {base}", config.remote),
            remembered: Remembered::new(config.ttl),
            has_no_tags: AtomicBool::new(false),
            config,
            base,
            agent: agent.new_agent(),
            others: Mutex::default(),
        })
    }

    fn wrong(&self, problem: SourceProblem) -> SourceError {
        SourceError::of_source(&self.name, problem)
    }

    /// Asks for something; the answer, and how messages call the question.
    fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<(Response<Body>, String), SourceError> {
        let request = format!("{} {path}", method.name());
        let url = format!("{}{path}", self.base);
        let mut builder = match method {
            Method::Get => self.agent.get(url),
            Method::Head => self.agent.head(url),
        };
        for (key, value) in query {
            builder = builder.query(*key, *value);
        }
        if let Some(token) = &self.config.token {
            builder = builder.header("Authorization", format!("Bearer {}", token.reveal()));
        }
        // Samples hardly get smaller, and their length is checked.
        if method == Method::Get && path == DATA {
            builder =
                builder.header("Accept", "application/octet-stream").header("Accept-Encoding", "identity");
        } else {
            builder = builder.header("Accept", "application/json");
        }
        let response = builder.call().map_err(|error| {
            self.wrong(SourceProblem::Unreachable { request: request.clone(), error: error.to_string() })
        })?;
        Ok((response, request))
    }

    /// The error that an answer is.
    fn refused(&self, response: Response<Body>, request: String) -> SourceError {
        let status = response.status();
        let mut message = String::new();
        if status.is_redirection() {
            let to = response.headers().get("location").and_then(|to| to.to_str().ok()).unwrap_or_default();
            message = format!("it is at {to}; write that as `url`");
        } else {
            let mut body = Vec::new();
            let reader = response.into_body().into_reader().take(MOST_MESSAGE_BYTES);
            // What can't be read of it is not needed.
            let _ = { reader }.read_to_end(&mut body);
            let text = serde_json::from_slice::<String>(&body)
                .unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned());
            if let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) {
                message = Shown(&RowError::excerpt(line.as_bytes())).to_string();
            }
            if message.is_empty() && status == StatusCode::UNAUTHORIZED {
                "it wants a token: set `token`, or send one with the request".clone_into(&mut message);
            }
        }
        self.wrong(SourceProblem::Refused { request, status: status.as_u16(), message })
    }

    fn json<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, SourceError> {
        let (response, request) = self.ask(Method::Get, path, query)?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response, request));
        }
        let body = response.into_body().into_with_config().limit(MOST_JSON_BYTES).read_to_vec();
        let problem = match body {
            Ok(body) => match serde_json::from_slice(&body) {
                Ok(answer) => return Ok(answer),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        Err(self.wrong(SourceProblem::Answer { request, problem }))
    }

    fn catalog_path(&self, rest: &str) -> String {
        let id = utf8_percent_encode(self.config.remote.as_str(), NON_ALPHANUMERIC);
        format!("/api/v1/catalogs/{id}{rest}")
    }

    /// What the catalog has.
    fn known(&self) -> Result<Arc<Known>, SourceError> {
        self.remembered.known(|| self.look())
    }

    /// Asks what the catalog has.
    fn look(&self) -> Result<Known, SourceError> {
        let catalog: Catalog = self.json(&self.catalog_path(""), &[])?;
        let range: CatalogTimeRange = self.json(&self.catalog_path("/timerange"), &[])?;
        Ok(Known { series: catalog.series(&range), properties: catalog.properties() })
    }

    fn find(&self, resource: &ResourceId, period: SamplePeriod) -> Result<SourceSeries, SourceError> {
        let known = self.known()?;
        let found =
            known.series.iter().find(|series| series.resource == *resource && series.period == period);
        found.cloned().ok_or_else(|| self.wrong(SourceProblem::no_series(resource, period, &known.series)))
    }

    fn query(
        &self,
        resource: &ResourceId,
        period: SamplePeriod,
        range: TimeRange,
    ) -> [(&'static str, String); 3] {
        let path = format!("{}/{resource}/{period}", self.config.remote);
        [("resourcePath", path), ("begin", range.begin().to_string()), ("end", range.end().to_string())]
    }

    /// The tag of a range, if the server has tags.
    fn tag(
        &self,
        resource: &ResourceId,
        period: SamplePeriod,
        range: TimeRange,
    ) -> Result<Option<String>, SourceError> {
        if self.has_no_tags.load(Ordering::Relaxed) {
            return Ok(None);
        }
        self.remembered.revision((resource.clone(), period, range), || {
            let query = self.query(resource, period, range);
            let query = query.each_ref().map(|(key, value)| (*key, value.as_str()));
            let (response, request) = self.ask(Method::Head, SERIES, &query)?;
            let status = response.status();
            if status.is_server_error() || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            {
                return Err(self.refused(response, request));
            }
            let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
            let tag = tag.filter(|_| status == StatusCode::OK);
            // Only a server that does not know the question has no tags at all.
            if tag.is_none() && matches!(status, StatusCode::OK | StatusCode::NOT_FOUND) {
                self.has_no_tags.store(true, Ordering::Relaxed);
            }
            Ok(tag.map(|tag| tag.trim_start_matches("W/").to_owned()))
        })
    }
}

const DATA: &str = "/api/v1/data";
const SERIES: &str = "/api/v1/series";

/// What a token is made of.
fn is_token(token: &Secret) -> bool {
    !token.reveal().is_empty() && token.reveal().bytes().all(|byte| byte.is_ascii_graphic())
}

const NO_TOKEN: &str = "a token has letters, digits and signs, no blanks";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Head,
}

impl Method {
    const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
        }
    }
}

impl DataSource for NexusSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn refresh(&self) -> Result<(), SourceError> {
        self.remembered.refresh(|| self.look())?;
        self.has_no_tags.store(false, Ordering::Relaxed);
        // Those of requests look again when they are needed.
        lock(&self.others).clear();
        Ok(())
    }

    fn series(&self) -> Result<Vec<SourceSeries>, SourceError> {
        Ok(self.known()?.series.clone())
    }

    fn properties(&self) -> Result<Properties, SourceError> {
        Ok(self.known()?.properties.clone())
    }

    fn read(
        &self,
        resource: &ResourceId,
        period: SamplePeriod,
        range: TimeRange,
    ) -> Result<Samples, SourceError> {
        let series = self.find(resource, period)?;
        let len = slots_of(resource, period, range).map_err(|problem| self.wrong(problem))?;
        let query = self.query(resource, period, range);
        let query = query.each_ref().map(|(key, value)| (*key, value.as_str()));
        let (response, request) = self.ask(Method::Get, DATA, &query)?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response, request));
        }
        let answer = |problem| {
            let path = &query[0].1;
            let request = format!("{request} for {path} of {range}");
            self.wrong(SourceProblem::Answer { request, problem })
        };
        let wanted = 8 * len as u64;
        if let Some(found) = response.body().content_length().filter(|found| *found != wanted) {
            return Err(answer(format!("it has {found} bytes, not {wanted}: 8 for each of {len} samples")));
        }
        // One byte more would be seen.
        let mut bytes = Vec::new();
        let mut reader = response.into_body().into_reader().take(wanted + 1);
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| answer(format!("it ends after {} of {wanted} bytes: {error}", bytes.len())))?;
        if bytes.len() as u64 != wanted {
            let than = if bytes.len() as u64 > wanted { "more" } else { "fewer" };
            return Err(answer(format!("it has {than} than {wanted} bytes: 8 for each of {len} samples")));
        }
        let (chunks, _) = bytes.as_chunks::<8>();
        let values = chunks.iter().map(|bytes| f64::from_le_bytes(*bytes));
        samples(values, series.data_type, period, range).map_err(answer)
    }

    fn revision(
        &self,
        resource: &ResourceId,
        period: SamplePeriod,
        range: TimeRange,
    ) -> Result<Revision, SourceError> {
        let series = self.find(resource, period)?;
        let mut hash = Xxh3::new();
        let mut add = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        add(&self.base);
        add(self.config.remote.as_str());
        add(series.data_type.name());
        // What one token may see is not what another one may.
        add(self.config.token.as_ref().map_or("", Secret::reveal));
        // Tags change with anything that the server stores, so one for all of the series is as good as one for each range.
        let whole = series.range.map_or(range, |known| known.hull(range));
        match self.tag(resource, period, whole)? {
            Some(tag) => add(&tag),
            None => add(&format!("ttl {}", self.remembered.turn())),
        }
        Ok(Revision(hash.digest()))
    }

    fn availability(&self, range: TimeRange) -> Result<Option<f64>, SourceError> {
        let (begin, end) = (range.begin().to_string(), range.end().to_string());
        let step = wire::duration(range.ticks());
        let query = [("begin", begin.as_str()), ("end", end.as_str()), ("step", step.as_str())];
        let availability: Availability = self.json(&self.catalog_path("/availability"), &query)?;
        let share = availability.data.first().copied().flatten();
        Ok(share.filter(|share| (0.0..=1.0).contains(share)))
    }

    fn with_request(&self, configuration: &Value) -> Result<Option<Arc<dyn DataSource>>, SourceError> {
        let type_name = SourceKind::Nexus.type_name();
        let Some(ours) = configuration.get(type_name) else { return Ok(None) };
        let wrong = |problem: String| self.wrong(SourceProblem::Request { type_name, problem });
        // What is wrong is not quoted, because it may be a token.
        let ours = OfRequest::deserialize(ours)
            .map_err(|_| wrong("write it like `{\"token\": \"…\"}`".to_owned()))?;
        let Some(token) = ours.token else { return Ok(None) };
        if !is_token(&token) {
            return Err(wrong(NO_TOKEN.to_owned()));
        }
        let mut others = lock(&self.others);
        let at = others.iter().position(|(known, _)| *known == token);
        let other = match at.map(|at| others.remove(at)) {
            Some((_, other)) => other,
            None => Arc::new(NexusSource {
                name: self.name.clone(),
                config: NexusConfig { token: Some(token.clone()), ..self.config.clone() },
                base: self.base.clone(),
                agent: self.agent.clone(),
                remembered: self.remembered.like(),
                has_no_tags: AtomicBool::new(false),
                others: Mutex::default(),
            }),
        };
        if others.len() >= MOST_TOKENS {
            others.remove(0);
        }
        others.push((token, Arc::clone(&other)));
        Ok(Some(other))
    }
}

/// Samples of a type from what was sent as floats.
fn samples(
    values: impl Iterator<Item = f64> + Clone,
    data_type: DataType,
    period: SamplePeriod,
    range: TimeRange,
) -> Result<Samples, String> {
    macro_rules! ints {
        ($variant:ident, $type:ty) => {{
            let int = |(slot, value): (usize, f64)| {
                let int = value as $type;
                if value.is_nan() || f64::from(int) == value {
                    return Ok(int);
                }
                let at = range.begin().checked_add(slot as i64 * period.ticks()).unwrap_or(Tick::MAX);
                Err(format!("the sample of {at} is {value}, which is no {data_type}"))
            };
            Values::$variant(values.clone().enumerate().map(int).collect::<Result<_, String>>()?)
        }};
    }
    let typed = match data_type {
        DataType::Uint8 => ints!(U8, u8),
        DataType::Int8 => ints!(I8, i8),
        DataType::Uint16 => ints!(U16, u16),
        DataType::Int16 => ints!(I16, i16),
        DataType::Uint32 => ints!(U32, u32),
        DataType::Int32 => ints!(I32, i32),
        DataType::Float32 => Values::F32(values.clone().map(|value| value as f32).collect()),
        _ => Values::F64(values.clone().collect()),
    };
    let is_float = matches!(typed, Values::F32(_) | Values::F64(_));
    let len = typed.len();
    let samples = Samples::new(range.begin(), period, typed).map_err(|error| error.to_string())?;
    if is_float {
        return Ok(samples);
    }
    let mut words = vec![0_u64; len.div_ceil(64)];
    let mut missing = 0;
    for (slot, value) in values.enumerate() {
        missing += usize::from(value.is_nan());
        words[slot / 64] |= u64::from(!value.is_nan()) << (slot % 64);
    }
    if missing == 0 { Ok(samples) } else { samples.with_validity(words).map_err(|error| error.to_string()) }
}
