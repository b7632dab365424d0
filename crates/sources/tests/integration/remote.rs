//! Catalogs of other servers, over HTTP: against a small server of our own that answers as the reference says, or wrongly.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use sheaf_model::{DataType, ResourceId, SamplePeriod, Samples, Tick, TimeRange};
use sheaf_sources::testing::{a_change_is_seen, laws_of_sources};
use sheaf_sources::{DataSource, NexusConfig, NexusSource, SourceConfig, SourceError};

const BEGIN: &str = "2020-01-01T00:00:00Z";
const END: &str = "2020-01-01T01:00:00Z";

/// How the server is to answer.
#[derive(Clone, Default)]
struct Manner {
    /// Token that is asked for.
    token: Option<&'static str>,
    /// The tag of all ranges, if there is one.
    tag: Option<String>,
    /// Added to all values.
    offset: f64,
    /// What is answered to a path, instead.
    instead: HashMap<&'static str, (u16, String)>,
    /// Bytes that are cut off, while the header says that they come.
    cut: usize,
    /// Bytes too many in the header.
    longer: i64,
}

struct Server {
    url: String,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(manner: Manner) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (manner, asked) = (Arc::new(Mutex::new(manner)), Arc::new(Mutex::new(Vec::new())));
        let server = Server { url, manner: Arc::clone(&manner), asked: Arc::clone(&asked) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (manner, asked) = (Arc::clone(&manner), Arc::clone(&asked));
                thread::spawn(move || serve(stream, &manner, &asked));
            }
        });
        server
    }

    fn config(&self) -> NexusConfig {
        serde_json::from_value(json!({"url": self.url, "remote": "/A/B"})).unwrap()
    }

    fn open(&self) -> NexusSource {
        NexusSource::open(self.config()).unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.manner.lock().unwrap());
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn serve(mut stream: TcpStream, manner: &Mutex<Manner>, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut request = String::new();
        if lines.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let mut token = None;
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("authorization")
            {
                token = value.trim().strip_prefix("Bearer ").map(str::to_owned);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut words = request.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap().to_owned());
        asked.lock().unwrap().push(format!("{method} {target}"));
        let manner = manner.lock().unwrap().clone();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (mut status, mut body) = match path {
            _ if manner.token.is_some() && manner.token != token.as_deref() => (401, Vec::new()),
            "/api/v1/catalogs/%2FA%2FB" => (200, catalog().to_string().into_bytes()),
            "/api/v1/catalogs/%2FA%2FB/timerange" => {
                (200, json!({"begin": BEGIN, "end": END}).to_string().into_bytes())
            }
            "/api/v1/catalogs/%2FA%2FB/availability" => {
                (200, json!({"data": [0.75]}).to_string().into_bytes())
            }
            "/api/v1/data" => (200, data(query, manner.offset)),
            "/api/v1/series" if manner.tag.is_some() => (200, Vec::new()),
            _ => (404, b"there is nothing here\nreally".to_vec()),
        };
        if let Some((other, text)) = manner.instead.get(path) {
            (status, body) = (*other, text.clone().into_bytes());
        }
        let is_data = path == "/api/v1/data";
        let len = body.len() as i64 + if is_data { manner.longer } else { 0 };
        let tag = manner.tag.map(|tag| format!("ETag: \"{tag}\"\r\n")).unwrap_or_default();
        let place = if status == 302 { "Location: http://elsewhere/\r\n" } else { "" };
        write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {len}\r\n{tag}{place}\r\n").unwrap();
        let sent = body.len() - if is_data { manner.cut } else { 0 };
        if method != "HEAD" {
            // Whoever asked may be gone.
            let _ = stream.write_all(&body[..sent]);
        }
        if sent < body.len() {
            return;
        }
    }
}

fn catalog() -> Value {
    let series = |data_type: &str, period: &str| json!({"dataType": data_type, "samplePeriod": period, "parameters": null});
    json!({
        "id": "/A/B",
        "properties": {"readme": "Hello"},
        "resources": [
            {"id": "T1", "properties": {"unit": "°C", "groups": ["mast"]},
             "representations": [series("FLOAT64", "00:00:01"), series("FLOAT32", "00:01:00")]},
            {"id": "n", "properties": null, "representations": [series("INT16", "00:00:10")]},
        ],
    })
}

/// Minutes of the day, missing outside of the hour and in its last minute.
fn data(query: &str, offset: f64) -> Vec<u8> {
    let decoded = query.replace("%2F", "/").replace("%3A", ":");
    let values: HashMap<&str, &str> = decoded.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let period: SamplePeriod = values["resourcePath"].rsplit('/').next().unwrap().parse().unwrap();
    let tick = |key: &str| values[key].parse::<Tick>().unwrap().ticks();
    let (first, last) = (BEGIN.parse::<Tick>().unwrap().ticks(), END.parse::<Tick>().unwrap().ticks());
    let minute = 60 * Tick::PER_SECOND;
    let value = |ticks: i64| {
        let is_there = (first..last - minute).contains(&ticks);
        if is_there { (ticks / minute % 1440) as f64 + offset } else { f64::NAN }
    };
    (tick("begin")..tick("end"))
        .step_by(period.ticks() as usize)
        .flat_map(|ticks| value(ticks).to_le_bytes())
        .collect()
}

fn id(name: &str) -> ResourceId {
    name.parse().unwrap()
}

fn range(begin: &str, end: &str) -> TimeRange {
    TimeRange::new(begin.parse().unwrap(), end.parse().unwrap()).unwrap()
}

fn read(source: &dyn DataSource, resource: &str, period: &str) -> Result<Samples, SourceError> {
    source.read(&id(resource), period.parse().unwrap(), range("2020-01-01T00:58:00Z", END))
}

fn refused(source: &dyn DataSource) -> String {
    let error = read(source, "T1", "1_min").unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    error.to_string()
}

#[test]
fn a_catalog_elsewhere_is_a_source() {
    let server = Server::start(Manner::default());
    let source = server.open();
    assert_eq!(server.asked(), Vec::<String>::new());
    laws_of_sources(&source);
    let all = source.series().unwrap();
    let keys: Vec<String> =
        all.iter().map(|series| format!("{}/{}", series.resource, series.period)).collect();
    assert_eq!(keys, ["T1/1_s", "T1/1_min", "n/10_s"]);
    assert_eq!(all[0].unit(), Some("°C"));
    assert_eq!(all[0].properties.groups(), ["mast"]);
    assert_eq!(source.properties().unwrap().readme(), Some("Hello"));
    assert_eq!(source.availability(range(BEGIN, END)).unwrap(), Some(0.75));
    let samples = read(&source, "T1", "1_min").unwrap();
    assert_eq!(samples.values().data_type(), DataType::Float32);
    assert_eq!((samples.get(0), samples.get(1)), (Some(58.0), None));
    let samples = read(&source, "n", "10_s").unwrap();
    assert_eq!(
        (samples.values().data_type(), samples.get(5), samples.get(6)),
        (DataType::Int16, Some(58.0), None)
    );
    assert_eq!(samples.validity(), Some(&[0b11_1111][..]));
    server.asked();
    source.series().unwrap();
    read(&source, "T1", "1_s").unwrap();
    let data = "GET /api/v1/data?resourcePath=%2FA%2FB%2FT1%2F1_s&begin=2020-01-01T00%3A58%3A00Z&end=2020-01-01T01%3A00%3A00Z";
    assert_eq!(
        server.asked().iter().map(|asked| asked.replace('/', "%2F")).collect::<Vec<_>>(),
        [data.replace('/', "%2F")]
    );
}

#[test]
fn tags_are_revisions() {
    let server = Server::start(Manner { tag: Some("1".to_owned()), ..Manner::default() });
    let source = server.open();
    laws_of_sources(&source);
    let series = source.series().unwrap();
    server.asked();
    a_change_is_seen(&source, &series[1], range(BEGIN, END), || {
        server.change(|manner| (manner.tag, manner.offset) = (Some("2".to_owned()), 0.5));
    });
    let heads = server.asked().iter().filter(|asked| asked.starts_with("HEAD /api/v1/series?")).count();
    assert_eq!(heads, 1, "what is known is not asked for again, what has changed is");
    source.revision(&series[1].resource, series[1].period, range(BEGIN, END)).unwrap();
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn an_answer_that_is_wrong_is_an_error_and_no_number() {
    let server = Server::start(Manner::default());
    let source = server.open();
    let name = format!("catalog /A/B of {}: ", server.url);
    let data = "GET /api/v1/data";
    for (change, problem) in [
        (Manner { cut: 1, ..Manner::default() }, "it ends after"),
        (Manner { cut: 8, ..Manner::default() }, "it ends after"),
        (Manner { longer: 8, ..Manner::default() }, "it has 24 bytes, not 16: 8 for each of 2 samples"),
        (Manner { longer: -8, ..Manner::default() }, "it has 8 bytes, not 16"),
        (
            Manner {
                instead: HashMap::from([("/api/v1/data", (500, "\n  out of order \nmore".to_owned()))]),
                ..Manner::default()
            },
            "was answered with 500: `out of order`",
        ),
        (
            Manner {
                instead: HashMap::from([("/api/v1/data", (422, "\"no such thing\"".to_owned()))]),
                ..Manner::default()
            },
            "was answered with 422: `no such thing`",
        ),
        (
            Manner { instead: HashMap::from([("/api/v1/data", (302, String::new()))]), ..Manner::default() },
            "was answered with 302: it is at http://elsewhere/; write that as `url`",
        ),
        (
            Manner {
                instead: HashMap::from([("/api/v1/data", (200, "soon".to_owned()))]),
                ..Manner::default()
            },
            "it has 4 bytes, not 16",
        ),
    ] {
        read(&source, "T1", "1_min").unwrap();
        server.change(|manner| *manner = change);
        let error = refused(&source);
        server.change(|manner| *manner = Manner::default());
        assert!(error.starts_with(&name) && error.contains(data) && error.contains(problem), "{error}");
    }
    // Fractions are no integers.
    server.change(|manner| manner.offset = 0.5);
    let error = read(&source, "n", "10_s").unwrap_err().to_string();
    assert!(error.contains("the sample of 2020-01-01T00:58:00Z is 58.5, which is no INT16"), "{error}");

    let path = "/api/v1/catalogs/%2FA%2FB";
    server.change(|manner| manner.instead = HashMap::from([(path, (200, "{\"id\": ".to_owned()))]));
    let error = server.open().series().unwrap_err().to_string();
    assert!(error.contains(&format!("the answer to GET {path} can't be used: EOF")), "{error}");
    // What was known stays known.
    assert!(source.refresh().is_err());
    assert_eq!(source.series().unwrap().len(), 3);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let config = json!({"remote": "/A/B", "timeout": "2_s"});
    let config = SourceConfig::from_type("Sheaf.Sources.Nexus", Some(&url), config).unwrap();
    let source = config.open().unwrap();
    let error = source.series().unwrap_err();
    assert!(error.is_unavailable() && !error.is_invalid_input());
    let start = format!("catalog /A/B of {url}: GET /api/v1/catalogs/%2FA%2FB got no answer: ");
    assert!(error.to_string().starts_with(&start), "{error}");
}

/// A server that takes requests and never answers.
#[test]
fn no_answer_is_waited_for_only_so_long() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = serde_json::from_value(json!({"url": url, "remote": "/A", "timeout": "200_ms"})).unwrap();
    let error = NexusSource::open(config).unwrap().series().unwrap_err().to_string();
    assert!(error.contains("got no answer: timeout"), "{error}");
}

#[test]
fn tokens_come_with_the_settings_or_with_a_request() {
    let server = Server::start(Manner { token: Some("right"), ..Manner::default() });
    let source = server.open();
    let error = source.series().unwrap_err().to_string();
    assert!(error.contains("was answered with 401: it wants a token: set `token`, or send one"), "{error}");
    let with_token =
        NexusSource::open(NexusConfig { token: Some("right".to_owned().into()), ..server.config() });
    assert_eq!(with_token.unwrap().series().unwrap().len(), 3);

    let request =
        json!({"Sheaf.Sources.Nexus": {"token": "right"}, "Sheaf.Sources.Other": {"token": "other"}});
    let other = source.with_request(&request).unwrap().unwrap();
    assert_eq!(other.series().unwrap().len(), 3);
    let again = source.with_request(&request).unwrap().unwrap();
    server.asked();
    again.series().unwrap();
    assert_eq!(server.asked(), Vec::<String>::new(), "what a token may see is remembered");
    // Who has another token, or none, does not see it, and has other revisions.
    let wrong = source.with_request(&json!({"Sheaf.Sources.Nexus": {"token": "wrong"}})).unwrap().unwrap();
    assert!(wrong.series().is_err());
    assert!(source.with_request(&json!({"Sheaf.Sources.Other": {}})).unwrap().is_none());
    server.change(|manner| (manner.token, manner.tag) = (None, Some("1".to_owned())));
    let revision = |source: &dyn DataSource| {
        source.revision(&id("T1"), "1_s".parse().unwrap(), range(BEGIN, END)).unwrap()
    };
    assert_ne!(revision(&*other), revision(&*wrong));
    assert_ne!(revision(&*other), revision(&source));

    for configuration in
        [json!({"token": 5}), json!({"token": "a b"}), json!({"tokn": "x"}), json!("x"), json!({"token": ""})]
    {
        let error =
            source.with_request(&json!({"Sheaf.Sources.Nexus": configuration})).unwrap_err().to_string();
        assert!(error.contains("the request's configuration for `Sheaf.Sources.Nexus`: "), "{error}");
    }
    for text in [format!("{other:?} {source:?}"), refused(&*wrong_after(&server, &source))] {
        assert!(!text.contains("right") && !text.contains("wrong"), "{text}");
    }
}

/// A source with a token that the server does not take.
fn wrong_after(server: &Server, source: &NexusSource) -> Arc<dyn DataSource> {
    server.change(|manner| manner.token = Some("other"));
    source.refresh().unwrap_err();
    source.with_request(&json!({"Sheaf.Sources.Nexus": {"token": "wrong"}})).unwrap().unwrap()
}

#[test]
fn settings_that_cannot_be() {
    for (url, problem) in [
        ("nexus.example.org", "write it like `https://nexus.example.org`"),
        ("ftp://nexus.example.org", "write it like"),
        ("https://", "write it like"),
        ("https://user:hidden@host", "leave user and password out"),
        ("https://host/?a=b", "leave `?` and `#`"),
    ] {
        let error = SourceConfig::from_type("Sheaf.Sources.Nexus", Some(url), json!({"remote": "/A"}))
            .unwrap()
            .open()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("setting `url`") && error.contains(problem) && !error.contains("hidden"),
            "{error}"
        );
    }
    let error = NexusSource::open(NexusConfig {
        token: Some("with blanks".to_owned().into()),
        ..serde_json::from_value(json!({"url": "https://host", "remote": "/A"})).unwrap()
    });
    assert!(!error.unwrap_err().to_string().contains("with blanks"));
}
