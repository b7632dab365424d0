//! A Sheaf that reads another one in place.

use serde_json::json;
use sheaf_model::TimeRange;
use sheaf_sources::testing::{a_change_is_seen, laws_of_sources};
use sheaf_sources::{DataSource, NexusSource};

use super::http::{Server, encoded};

/// A server with an hour of minutes at `/plant/mast`, and a token that may read it.
fn far() -> (Server, String, String) {
    let server = Server::start(&[]);
    let writer = server.token(&["--read", "/plant/.*", "--write", "/plant/.*"]);
    let reader = server.token(&["--read", "/plant/.*"]);
    write(&server, &writer, 0..60, 0.5);
    (server, writer, reader)
}

fn write(server: &Server, token: &str, minutes: std::ops::Range<u32>, offset: f64) {
    let rows =
        minutes.map(|minute| format!("2020-01-01 00:{minute:02},{},{minute}\n", f64::from(minute) + offset));
    let table = format!("time,T1 (°C),n\n{}", rows.collect::<String>());
    let answer =
        server.post("/api/v1/ingest?catalog=/plant/mast").token(token).body("text/csv", table).send();
    assert_eq!(answer.status, 200, "{answer}");
}

fn open(server: &Server, token: &str) -> NexusSource {
    let url = format!("http://{}", server.address());
    let config = json!({"url": url, "remote": "/plant/mast", "token": token});
    NexusSource::open(serde_json::from_value(config).unwrap()).unwrap()
}

#[test]
fn it_keeps_what_sources_promise() {
    let (server, writer, reader) = far();
    let source = open(&server, &reader);
    laws_of_sources(&source);
    let all = source.series().unwrap();
    let keys: Vec<String> =
        all.iter().map(|series| format!("{}/{}", series.resource, series.period)).collect();
    assert_eq!(keys, ["T1/1_min", "n/1_min"]);
    assert_eq!(all[0].unit(), Some("°C"));
    let hour = TimeRange::new("2020-01-01".parse().unwrap(), "2020-01-01T01:00".parse().unwrap()).unwrap();
    assert_eq!(all[0].range, Some(hour));
    a_change_is_seen(&source, &all[0], hour, || write(&server, &writer, 30..40, 100.0));
    let samples = source.read(&all[0].resource, all[0].period, hour).unwrap();
    assert_eq!((samples.get(29), samples.get(30)), (Some(29.5), Some(130.0)));
}

#[test]
fn a_token_that_may_not_read_is_told_so() {
    let (server, _, _) = far();
    let stranger = server.token(&["--read", "/other"]);
    for (token, status) in [(stranger.as_str(), 403), ("nonsense", 401)] {
        let error = open(&server, token).series().unwrap_err().to_string();
        assert!(error.contains("catalog /plant/mast of http://"), "{error}");
        assert!(error.contains(&format!("was answered with {status}")) && !error.contains(token), "{error}");
    }
}

#[test]
fn a_pipeline_leads_to_the_other_server() {
    let (far, writer, reader) = far();
    let near = Server::start(&[]);
    let admin = near.token(&["--admin"]);
    let pipeline = json!({"registrations": [{
        "type": "Sheaf.Sources.Nexus",
        "resourceLocator": format!("http://{}", far.address()),
        "configuration": {"catalog": "/far", "remote": "/plant/mast", "token": reader, "ttl": "1_ms"},
    }]});
    let answer = near.post("/api/v1/sources/pipelines").token(&admin).json(&pipeline).send();
    assert_eq!(answer.status, 200, "{answer}");
    let values = |path: &str| {
        let answer = near
            .get(&format!(
                "/api/v1/data?resourcePath={}&begin=2020-01-01&end=2020-01-01T01:00:00Z",
                encoded(path)
            ))
            .token(&admin)
            .send();
        assert_eq!(answer.status, 200, "{answer}");
        answer.doubles()
    };
    assert_eq!(values("/far/T1/1_min")[59], 59.5);
    let means = values("/far/T1/10_min_mean");
    assert_eq!((means.len(), means[3]), (6, 35.0));
    // Again, from what is kept; then after a change over there.
    assert_eq!(values("/far/T1/10_min_mean"), means);
    write(&far, &writer, 30..40, 100.0);
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(values("/far/T1/10_min_mean")[3], 134.5);
    // A server that is gone is an error, and no number.
    drop(far);
    let answer = near
        .get(&format!(
            "/api/v1/data?resourcePath={}&begin=2020-01-01&end=2020-01-01T01:00:00Z",
            encoded("/far/T1/1_min")
        ))
        .token(&admin)
        .send();
    assert!(answer.status == 502 || answer.status == 503, "{answer}");
    assert!(answer.text().contains("catalog /plant/mast of http://"), "{answer}");
}
