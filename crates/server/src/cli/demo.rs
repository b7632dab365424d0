//! `sheaf demo`: a small store, a programme of homes that are metered, what can be read from both, and a server for them.

use std::error::Error;
use std::f64::consts::TAU;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;
use sheaf_db::ResourceMetadata;
use sheaf_db::datastore::Progress;
use sheaf_model::{CatalogId, Properties, ResourceId, SamplePeriod, Samples, SeriesKey, Tick, Values};
use sheaf_store::{Layout, SeriesSpec, Watch};

use super::Outcome;
use super::data::{self, Data};
use super::{read, serve};
use crate::http::auth::well_known;
use crate::seeding::{dev, metered, portfolio};
use crate::settings::{Settings, SettingsArgs};

/// Make a store with made-up samples and traces, read and meter it, say what to try next, and serve it
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf demo
  sheaf demo --no-serve
  sheaf demo --listen 127.0.0.1:8080 --data-dir /tmp/demo

The samples are a mast with a day at 10 Hz and a meter with a year of hours, in the catalog /demo. The traces are those of
`sheaf dev-seed`, and of a made-up programme of 500 homes in four climates, metered and added up; what the homes really save is in
the metadata of the projects. A second run finds all of it there. On this machine, the token `tokstr` and the user `demo` with
the password `demo-password` may do everything; from elsewhere they are worth nothing.")]
pub(crate) struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print JSON: one object for each series, then what was read
    #[arg(long)]
    json: bool,
    /// End without serving it
    #[arg(long)]
    no_serve: bool,
    /// How many projects the programme has
    #[arg(long, value_name = "COUNT", default_value_t = portfolio::PROJECTS, value_parser = projects)]
    projects: usize,
}

/// A series of the demo.
struct Made {
    catalog: &'static str,
    resource: &'static str,
    unit: &'static str,
    description: &'static str,
    samples: Samples,
}

/// What is shown, from begin to end.
const SHOWN: [&str; 4] = [
    "/demo/mast/temperature/1_h_mean",
    "/demo/mast/temperature/1_h_std",
    "/demo/mast/wind_speed/1_h_max",
    "/demo/mast/wind_direction/1_h_mean_polar_deg",
];

fn projects(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count <= portfolio::MOST_PROJECTS);
    count.ok_or_else(|| format!("a number from 0 to {}", portfolio::MOST_PROJECTS))
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    let settings = Settings::from_layers(&args.settings.layers()?)?;
    make(args, &settings, out)?;
    if args.no_serve {
        return Ok(ExitCode::SUCCESS);
    }
    serve::serve(settings, out)
}

fn make(args: &Args, settings: &Settings, out: &mut (impl Write + Send)) -> Result<(), Box<dyn Error>> {
    data::run(data::Unit::Count, async |watch| {
        let data = settings.place.create().await?;
        for made in series()? {
            let (key, samples) = (made.key()?, made.samples.len());
            let started = Instant::now();
            let is_new = made.write(&data).await?;
            let elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
            if args.json {
                writeln!(out, "{}", json!({"series": key, "samples": samples, "written": is_new}))?;
            } else if is_new {
                let samples = data::count(samples as u64);
                writeln!(out, "{key}: wrote {samples} samples, durable after {elapsed_ms:.0} ms")?;
            } else {
                writeln!(out, "{key}: is there")?;
            }
        }
        let paths = SHOWN.into_iter().map(str::parse).collect::<Result<Vec<_>, _>>()?;
        if !args.json {
            writeln!(out, "\n$ sheaf read {} --rows 6", SHOWN.join(" "))?;
        }
        let started = Instant::now();
        read::show(&data, &paths, args.json, 6, &watch, out).await?;
        if !args.json {
            writeln!(
                out,
                "\nThat took {:.1} ms. A value is missing (–) where less than 99 % of its samples are valid.\n",
                started.elapsed().as_secs_f64() * 1e3
            )?;
        }
        seed(args, &data, &watch, out).await?;
        if !args.json {
            suggest(args, settings, out)?;
        }
        Ok(())
    })
}

/// Makes traces, meters them and adds up what they saved.
async fn seed(
    args: &Args,
    data: &Data,
    watch: &Watch,
    out: &mut (impl Write + Send),
) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let dev = dev::seed(data, watch).await?;
    let programme = portfolio::seed(data, args.projects, watch).await?;
    let seeded_s = started.elapsed().as_secs_f64();
    let mut projects = vec![dev.project];
    projects.extend(&programme.projects);
    let metered = metered::meter(data, &projects, watch).await?;
    let metered_s = started.elapsed().as_secs_f64() - seeded_s;
    let added_up = metered::aggregate(data, &programme.groups, watch).await?;
    let (traces, records) = (dev.traces + programme.traces, dev.records + programme.records);
    if args.json {
        let counts = |progress: &Progress| json!({"success": progress.success, "failed": progress.failed, "cancelled": progress.cancelled});
        let object = json!({
            "projects": projects.len(),
            "traces": {"written": traces, "records": records},
            "groups": programme.groups.len(),
            "meterRuns": counts(&metered),
            "aggregationRuns": counts(&added_up),
        });
        writeln!(out, "{object}")?;
        return Ok(());
    }
    let count = |number: usize| data::count(number as u64);
    writeln!(
        out,
        "{} projects: wrote {} records of {} traces in {seeded_s:.1} s",
        count(projects.len()),
        data::count(records),
        data::count(traces)
    )?;
    writeln!(
        out,
        "{} meter runs: {} have figures, {} have not; {metered_s:.1} s",
        data::count(metered.ended()),
        data::count(metered.success),
        data::count(metered.failed)
    )?;
    let groups = count(programme.groups.len());
    writeln!(out, "{} aggregations of {groups} groups of traces", data::count(added_up.ended()))?;
    Ok(())
}

/// Says what to try next.
fn suggest(args: &Args, settings: &Settings, out: &mut impl Write) -> io::Result<()> {
    let place = args.settings.place_options();
    writeln!(out, "\nTry next:")?;
    writeln!(out, "  sheaf catalogs{place}")?;
    writeln!(out, "  sheaf read /demo/meter/energy/7_d_sum --rows 8{place}")?;
    writeln!(out, "  sheaf read '/demo/mast/wind_speed/10_min_mean#threshold=0.5' --format csv{place}")?;
    writeln!(out, "  sheaf read /traces/DEV_SEED_TRACE_ELECTRICITY_HOURLY/30_d_sum --rows 8{place}")?;
    writeln!(out, "  sheaf mart export groupstatisticsmart -o saved.csv{place}")?;
    writeln!(out, "  sheaf export /demo --format parquet -o exported{place}")?;
    writeln!(out, "  sheaf ingest your.csv --catalog /your/catalog{place}")?;
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}/api/v1", settings.listen);
    writeln!(out, "And while it is served, on this machine:")?;
    writeln!(out, "  curl -H 'Authorization: Bearer {}' '{url}/projects/?limit=3'", well_known::SECRET)?;
    writeln!(out, "  curl -H 'Authorization: Bearer {}' {url}/meter_results/1/", well_known::SECRET)?;
    writeln!(out, "  curl -H 'Authorization: Bearer {}' {url}/aggregation_results/1/\n", well_known::SECRET)
}

impl Made {
    fn key(&self) -> Result<String, Box<dyn Error>> {
        let (catalog, resource) = self.ids()?;
        Ok(SeriesKey { catalog, resource, period: Some(self.samples.period()) }.to_string())
    }

    fn ids(&self) -> Result<(CatalogId, ResourceId), Box<dyn Error>> {
        Ok((self.catalog.parse()?, self.resource.parse()?))
    }

    /// Writes the series, unless it is there; whether it did.
    async fn write(self, data: &Data) -> Result<bool, Box<dyn Error>> {
        let key = self.key()?;
        let (catalog, resource) = self.ids()?;
        let layout = Layout::Regular { period: self.samples.period(), phase_ticks: 0 };
        let spec = SeriesSpec { key, data_type: self.samples.values().data_type(), layout };
        let series = match data.store.create_series(&[spec]).await?[..] {
            [series] => series,
            _ => return Err("the store made another number of series than asked for".into()),
        };
        if data.store.snapshot(&[series]).await?.range(series)?.is_some() {
            return Ok(false);
        }
        let mut properties = Properties::default();
        properties.insert("unit", self.unit);
        properties.insert("description", self.description);
        let metadata = ResourceMetadata { catalog, resource, properties };
        data.database.metadata().patch(Vec::new(), vec![metadata]).await?;
        data.store.write(sheaf_store::Write::new().rows(series, self.samples)).await?;
        Ok(true)
    }
}

/// A mast at 10 Hz for a day, from 12:30 to 12:40 without wind, and a meter for a year.
fn series() -> Result<[Made; 4], Box<dyn Error>> {
    let day: Tick = "2020-06-01T00:00Z".parse()?;
    let tenth: SamplePeriod = "100_ms".parse()?;
    let samples_of_a_day = 864_000;
    let mast = |value: &dyn Fn(f64, f64) -> f64| -> Result<Samples, Box<dyn Error>> {
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        let values = (0..samples_of_a_day).map(|index| {
            let hours = f64::from(index) / 36_000.0;
            (value(hours, noise.next()) * 1e3).round() / 1e3
        });
        Ok(Samples::new(day, tenth, Values::F64(values.collect()))?)
    };
    let is_calibrating = |hours: f64| (12.5..12.5 + 1.0 / 6.0).contains(&hours);
    let temperature = mast(&|hours, noise| 14.0 - 6.0 * ((hours - 3.0) / 24.0 * TAU).cos() + 0.2 * noise)?;
    let speed = mast(&|hours, noise| {
        let speed = 7.0 + 3.0 * (hours / 5.0 * TAU).sin() + (hours * 40.0).sin() + 1.5 * noise;
        if is_calibrating(hours) { f64::NAN } else { speed.max(0.0) }
    })?;
    // It turns through north, where a plain mean would say south.
    let direction = mast(&|hours, noise| {
        let degrees = (340.0 + 3.0 * hours + 8.0 * noise).rem_euclid(360.0);
        if is_calibrating(hours) { f64::NAN } else { degrees }
    })?;
    let mut noise = Noise(0x2545_f491_4f6c_dd1d);
    let energy = (0..8784_i32).map(|hour| {
        let (day, hour) = (hour / 24, hour % 24);
        let is_open = day % 7 < 5 && (7..19).contains(&hour);
        let season = 20.0 * (f64::from(day) / 366.0 * TAU).cos();
        (40.0 + season + if is_open { 60.0 } else { 0.0 } + 5.0 * noise.next()).round() as i64
    });
    let energy = Samples::new("2020-01-01T00:00Z".parse()?, "1_h".parse()?, Values::I64(energy.collect()))?;
    let of = |catalog, resource, unit, description, samples| Made {
        catalog,
        resource,
        unit,
        description,
        samples,
    };
    Ok([
        of("/demo/mast", "temperature", "°C", "air temperature at 80 m", temperature),
        of("/demo/mast", "wind_speed", "m/s", "wind speed at 80 m, without 12:30 to 12:40", speed),
        of("/demo/mast", "wind_direction", "deg", "where the wind comes from", direction),
        of("/demo/meter", "energy", "kWh", "energy used in an hour", energy),
    ])
}

/// Numbers around 0 that are the same in every run: the sum of three from -1/3 to 1/3, made by Marsaglia's xorshift.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        let mut uniform = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            ((self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0) / 3.0
        };
        uniform() + uniform() + uniform()
    }
}
