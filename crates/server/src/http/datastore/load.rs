//! Whole files of meters and weather stations as bodies of requests: what `sheaf load` does.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::header::EXPECT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sheaf_db::datastore::OnError;
use sheaf_metering::weather::{NORMAL, OBSERVED, WEATHER, catalog_of};
use sheaf_model::{EnergyUnit, Interpretation, SeriesKey, TimeRange};
use sheaf_sources::{
    Input, Position, TemperatureUnit, WeatherFormat, WeatherOptions, nearest_stations, station, stations,
    zip_area,
};
use sheaf_store::{SeriesId, Watch};
use utoipa::ToSchema;

use super::fields::Fields;
use super::listing::{Listing, Paging, Row};
use super::refusals::{Errors, Refusal, Refusals};
use super::rights::Rights;
use super::times::{micros_of, of_data};
use crate::data::blocking;
use crate::http::api::ingest::{encoding_of, refused};
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;
use crate::http::body::{Encoding, Incoming, forget};
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path, Query};
use crate::loading::traces::{TraceFormat, TraceLoad, TraceOptions};
use crate::loading::weather::weather;
use crate::loading::{LoadError, Loaded};

/// How messages call a body.
const NAME: &str = "the body";

/// A file, which is read once it is known that it may be loaded.
pub(crate) struct Upload {
    headers: HeaderMap,
    body: Body,
    parameters: Result<Fields, Refusal>,
}

impl FromRequest<Shared> for Upload {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, app: &Shared) -> Result<Upload, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let parameters = match Query::<Vec<(String, String)>>::from_request_parts(&mut parts, app).await {
            Ok(Query(parameters)) => Ok(Fields::of_query(parameters)),
            Err(error) => Err(error.into()),
        };
        Ok(Upload { headers: parts.headers, body, parameters })
    }
}

impl Upload {
    /// The body, and what its parameters say.
    async fn open<T>(
        self,
        app: &App,
        may: Result<(), Refusal>,
        read: impl FnOnce(&mut Fields) -> T,
    ) -> Result<(Incoming, Encoding, T), Refusal> {
        let Upload { headers, body, parameters } = self;
        let wanted = || {
            may?;
            let mut fields = parameters?;
            let read = read(&mut fields);
            fields.done()?;
            Ok::<_, Refusal>((read, encoding_of(&headers)?))
        };
        match wanted() {
            Ok((read, encoding)) => {
                let limits = &app.settings.limits;
                Ok((Incoming::new(body, limits.upload_bytes, limits.stall, None), encoding, read))
            }
            Err(refusal) => {
                // Who waits for a word before sending it needs none.
                if !headers.contains_key(EXPECT) {
                    forget(body).await;
                }
                Err(refusal)
            }
        }
    }
}

/// Ends the work if the client leaves.
struct CancelOnDrop(Watch);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Reads a body with a task of its own, which goes on to the end of what it writes if the client leaves.
async fn loaded<T: Send + 'static>(
    app: &App,
    incoming: Incoming,
    encoding: Encoding,
    load: impl AsyncLoad<T>,
) -> Result<T, Refusal> {
    let watch = Watch::default();
    let _cancel = CancelOnDrop(watch.clone());
    let packed = incoming.clone();
    let reader = blocking(move || packed.reader(encoding)).await.map_err(ApiError::from)?;
    let reader = reader.map_err(|error| Errors::one(super::refusals::NO_FIELD, error))?;
    let task = tokio::spawn(load.load(Input::reader(NAME, reader), watch));
    let done = task.await.map_err(|error| ApiError::internal("loading ended early", &error))?;
    match (done, incoming.problem()) {
        (Ok(done), None) => Ok(done),
        (done, problem) => {
            incoming.give_up().await;
            Err(match (problem, done) {
                (Some(problem), _) => refused(app, problem).into(),
                (None, Err(error)) => error.into(),
                (None, Ok(done)) => return Ok(done),
            })
        }
    }
}

/// What is done with an input.
trait AsyncLoad<T> {
    fn load(self, input: Input, watch: Watch) -> impl Future<Output = Result<T, LoadError>> + Send + 'static;
}

struct Traces {
    app: Shared,
    options: TraceOptions,
    format: TraceFormat,
    on_error: OnError,
}

impl AsyncLoad<Loaded> for Traces {
    async fn load(self, input: Input, watch: Watch) -> Result<Loaded, LoadError> {
        let Traces { app, options, format, on_error } = self;
        let turn = Some(&app.trace_records);
        TraceLoad { data: &app.data, options, on_error, watch, turn }.load(input, format).await
    }
}

/// Loads a file with readings of any number of traces; traces that are new are made.
///
/// What became of the rows is in the answer. With `on_error=refuse` wrong rows end the loading: of a file that fits into memory nothing
/// is written then, of a larger one what came before. The same file again changes nothing.
#[utoipa::path(post, path = "/api/v1/traces/load", tag = "traces",
    params(
        ("format" = Option<String>, Query, description = "long (default): trace_id,start,value and maybe estimated, interpretation, unit, interval; wide: a column of times and one for each trace; green_button: ESPI XML"),
        ("unit" = Option<String>, Query, description = "What values are in where the file does not say so: KWH, WH or THERM"),
        ("interpretation" = Option<String>, Query, description = "What traces mean where the file does not say so"),
        ("time_zone" = Option<String>, Query, description = "Zone of times without an offset; UTC if it is left out"),
        ("trace_id" = Option<String>, Query, description = "The trace of a Green Button file with one meter"),
        ("on_error" = Option<String>, Query, description = "refuse (default) or skip: what happens if rows are wrong"),
        ("Content-Encoding" = Option<String>, Header, description = "gzip or zstd"),
    ),
    request_body(description = "The file", content((String = "text/csv"), (String = "application/xml"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "What became of the rows", body = serde_json::Value),
        (status = 207, description = "Some rows were skipped", body = serde_json::Value), Refusals))]
pub(crate) async fn load_traces(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    let may = Rights::new(&app, &caller).require_write_traces();
    let read = |fields: &mut Fields| {
        let format = |word: &str| match word {
            "long" => Some(TraceFormat::Long),
            "wide" => Some(TraceFormat::Wide),
            "green_button" => Some(TraceFormat::GreenButton),
            _ => None,
        };
        let format = fields.choice("format", format, "long, wide and green_button").flatten();
        let names = Interpretation::ALL.map(Interpretation::short_name).join(", ");
        let options = TraceOptions {
            unit: fields.choice("unit", EnergyUnit::parse, "KWH, WH and THERM").flatten(),
            interpretation: fields.choice("interpretation", |text| text.parse().ok(), &names).flatten(),
            time_zone: fields.text("time_zone", 100).flatten(),
            trace_id: fields.text("trace_id", 255).flatten(),
        };
        (format.unwrap_or(TraceFormat::Long), options, on_error(fields))
    };
    let (incoming, encoding, (format, options, on_error)) = upload.open(&app, may, read).await?;
    let traces = Traces { app: app.clone(), options, format, on_error };
    let loaded = loaded(&app, incoming, encoding, traces).await?;
    let status = if loaded.wrong.refused > 0 { StatusCode::MULTI_STATUS } else { StatusCode::OK };
    Ok((status, Json(loaded)).into_response())
}

fn on_error(fields: &mut Fields) -> OnError {
    let word = |word: &str| match word {
        "refuse" => Some(OnError::Refuse),
        "skip" => Some(OnError::Skip),
        _ => None,
    };
    fields.choice("on_error", word, "refuse and skip").flatten().unwrap_or(OnError::Refuse)
}

struct Weather {
    app: Shared,
    station: String,
    options: WeatherOptions,
}

impl AsyncLoad<crate::loading::weather::LoadedWeather> for Weather {
    async fn load(self, input: Input, _: Watch) -> Result<crate::loading::weather::LoadedWeather, LoadError> {
        weather(&self.app.data, input, &self.station, self.options).await
    }
}

/// Loads a weather file of a station: ISD, GHCN hourly, TMY3, EPW or a table with times and temperatures.
///
/// TMY3 and EPW files are the normal year of the station, the others what it has observed.
#[utoipa::path(post, path = "/api/v1/weather_stations/{station}/load", tag = "weather",
    params(
        ("station" = String, Path, description = "Its USAF or WBAN id, or a name of your own"),
        ("format" = Option<String>, Query, description = "isd, ghcnh, tmy3, epw or table; recognized if it is left out"),
        ("unit" = Option<String>, Query, description = "What temperatures of a table are in: C or F; what the title of the column says if it is left out"),
        ("time_zone" = Option<String>, Query, description = "Zone of times without an offset in a table"),
        ("Content-Encoding" = Option<String>, Header, description = "gzip or zstd"),
    ),
    request_body(description = "The file", content((String = "text/csv"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "What became of it", body = serde_json::Value), Refusals))]
pub(crate) async fn load_weather(
    State(app): State<Shared>,
    caller: Caller,
    Path(station): Path<String>,
    upload: Upload,
) -> Result<Response, Refusal> {
    let catalog = catalog_of(&station).map_err(LoadError::from)?;
    let may = Rights::new(&app, &caller).require_write_catalog(&catalog);
    let read = |fields: &mut Fields| {
        let names = WeatherFormat::ALL.map(WeatherFormat::name).join(", ");
        let unit = |word: &str| match word {
            "C" => Some(TemperatureUnit::Celsius),
            "F" => Some(TemperatureUnit::Fahrenheit),
            _ => None,
        };
        let mut options = WeatherOptions {
            format: fields.choice("format", |word| word.parse().ok(), &names).flatten(),
            unit: fields.choice("unit", unit, "C and F").flatten(),
            ..WeatherOptions::default()
        };
        options.csv.time_zone = fields.text("time_zone", 100).flatten();
        options
    };
    let (incoming, encoding, options) = upload.open(&app, may, read).await?;
    let weather = Weather { app: app.clone(), station, options };
    let loaded = loaded(&app, incoming, encoding, weather).await?;
    Ok(Json(loaded).into_response())
}

/// A weather station, and what is loaded of it.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct StationRow {
    /// Its place in this list; not durable.
    id: i64,
    /// What it is called here: its USAF id, or a name of somebody.
    station: String,
    name: Option<String>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    elevation_m: Option<f64>,
    /// How far it is from the ZIP code that was asked for.
    distance_km: Option<f64>,
    /// When its observed hours begin; null without any.
    observed_begin: Option<String>,
    /// When they end.
    observed_end: Option<String>,
    /// Whether its normal year is loaded.
    has_normal_year: bool,
}

impl Row for StationRow {
    fn id(&self) -> i64 {
        self.id
    }
}

/// Series of stations, by what they are called.
type OfStations = BTreeMap<String, (Option<TimeRange>, bool)>;

/// What is loaded, of all stations.
async fn of_stations(app: &App) -> Result<OfStations, Refusal> {
    let mut found: BTreeMap<String, (Option<SeriesId>, bool)> = BTreeMap::new();
    let (prefix, mut after): (String, Option<String>) = (format!("{WEATHER}/station_"), None);
    loop {
        let page = app.data.store.series_below(&prefix, after.as_deref(), 1000).await?;
        let Some((_, last)) = page.last() else { break };
        after = Some(last.key.clone());
        for (id, spec) in page {
            let Ok(key) = spec.key.parse::<SeriesKey>() else { continue };
            let Some(name) = key.catalog.as_str().strip_prefix(&prefix) else { continue };
            let entry = found.entry(name.to_owned()).or_default();
            match key.resource.as_str() {
                OBSERVED => entry.0 = Some(id),
                NORMAL => entry.1 = true,
                _ => {}
            }
        }
    }
    let ids: Vec<SeriesId> = found.values().filter_map(|(id, _)| *id).collect();
    let snapshot = app.data.store.snapshot(&ids).await?;
    let mut stations = OfStations::new();
    for (name, (id, has_normal_year)) in found {
        let range = id.map(|id| snapshot.range(id)).transpose()?.flatten();
        stations.insert(name, (range, has_normal_year));
    }
    Ok(stations)
}

/// Weather stations: those with weather first in order of their ids, or all that are known by their distance from a ZIP code.
#[utoipa::path(get, path = "/api/v1/weather_stations", tag = "weather",
    params(
        ("zipcode" = Option<String>, Query, description = "A ZIP code of the United States; the nearest stations come first"),
        ("loaded" = Option<bool>, Query, description = "Only stations with weather; true unless a ZIP code is given"),
        Paging,
    ),
    responses((status = 200, body = Vec<StationRow>), Refusals))]
pub(crate) async fn list_stations(
    State(app): State<Shared>,
    caller: Caller,
    mut listing: Listing,
) -> Result<Response, Refusal> {
    Rights::new(&app, &caller).require_user()?;
    let zipcode = listing.filters.text("zipcode", 10).flatten();
    let loaded_only = listing.filters.flag("loaded").flatten();
    let area = match &zipcode {
        Some(zipcode) => Some(zip_area(zipcode).map_err(|error| Errors::one("zipcode", error))?.position),
        None => None,
    };
    listing.filters.done()?;
    let loaded = of_stations(&app).await?;
    let rights = Rights::new(&app, &caller);
    let mut rows = rows_of(area, &loaded, loaded_only.unwrap_or(zipcode.is_none()));
    rows.retain(|row| {
        let is_loaded = row.observed_begin.is_some() || row.has_normal_year;
        !is_loaded || catalog_of(&row.station).is_ok_and(|catalog| rights.may_read_catalog(&catalog))
    });
    (1..).zip(&mut rows).for_each(|(id, row)| row.id = id);
    listing
        .answer(std::sync::Arc::new(rows), move |rows, page| {
            let first = rows.partition_point(|row| row.id <= page.after);
            let last = page.limit.map_or(rows.len(), |limit| rows.len().min(first.saturating_add(limit)));
            std::future::ready(Ok(rows[first..last].to_vec()))
        })
        .await
}

fn rows_of(area: Option<Position>, loaded: &OfStations, loaded_only: bool) -> Vec<StationRow> {
    let row = |name: &str| {
        let known = station(name).ok();
        let (observed, has_normal_year) = loaded.get(name).copied().unwrap_or_default();
        StationRow {
            id: 0,
            station: name.to_owned(),
            name: known.map(|known| known.name.to_owned()),
            latitude: known.map(|known| known.position.latitude_deg),
            longitude: known.map(|known| known.position.longitude_deg),
            elevation_m: known.and_then(|known| known.elevation_m),
            distance_km: area.zip(known).map(|(area, known)| area.distance_km(known.position)),
            observed_begin: observed.map(|range| of_data(micros_of(range.begin()))),
            observed_end: observed.map(|range| of_data(micros_of(range.end()))),
            has_normal_year,
        }
    };
    match area {
        Some(area) => nearest_stations(area)
            .map(|near| near.station.usaf_id)
            .filter(|id| !loaded_only || loaded.contains_key(*id))
            .map(row)
            .collect(),
        None if loaded_only => loaded.keys().map(|name| row(name)).collect(),
        None => {
            let own = loaded.keys().filter(|name| station(name).is_err()).map(String::as_str);
            own.chain(stations().iter().map(|station| station.usaf_id)).map(row).collect()
        }
    }
}
