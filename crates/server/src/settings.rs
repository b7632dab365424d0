//! What an operator can set, each in four places of rising precedence: its default, the settings file, a variable, a flag.
//!
//! A setting has one name. `limits.body` is `body` in the section `[limits]` of the file, the variable `SHEAF_LIMITS_BODY`
//! and the flag `--limits-body`. [`ALL`] lists them all; [`Settings`] is what they amount to.

mod layers;
mod value;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
pub(crate) use layers::{Layers, SettingsArgs, SettingsError, place};
use value::{Bytes, Span};

use crate::data::{DataError, Place};

/// A setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// `section.name`, or a name of no section.
    pub(crate) key: &'static str,
    /// What its value is, for the help.
    pub(crate) value: &'static str,
    /// In words of the help; none if there is none, or if it depends.
    pub(crate) default: Option<&'static str>,
    /// What it does.
    pub(crate) help: &'static str,
    /// Whether there may be several values: an array in the file, separated by commas in a variable, several flags.
    pub(crate) is_list: bool,
    /// Whether it is never shown.
    pub(crate) is_secret: bool,
}

const fn one(
    key: &'static str,
    value: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { key, value, default, help, is_list: false, is_secret: false }
}

const fn list(key: &'static str, value: &'static str, help: &'static str) -> Setting {
    Setting { key, value, default: None, help, is_list: true, is_secret: false }
}

const fn secret(key: &'static str, value: &'static str, help: &'static str) -> Setting {
    Setting { key, value, default: None, help, is_list: false, is_secret: true }
}

/// All settings, as `sheaf config` prints them. Sections with several entries, like `[[source]]`, are in the file alone.
#[rustfmt::skip]
pub(crate) const ALL: &[Setting] = &[
    one("data_dir", "DIR", None, "The data folder; without one, the platform's folder for data, like ~/.local/share/sheaf"),
    secret("database", "URL", "A PostgreSQL database, postgres://user:password@host/name; without one, SQLite in the data folder"),
    one("listen", "ADDRESS", Some("127.0.0.1:5000"), "Address and port to listen on; port 0 takes a free one"),
    list("server.trusted_proxies", "ADDRESS", "Proxies whose header X-Forwarded-For is believed: addresses or networks, like 10.0.0.0/8"),
    one("tls.certificate", "FILE", None, "Certificate chain in PEM; with it and a key, the server speaks HTTPS"),
    one("tls.key", "FILE", None, "The private key of the certificate, in PEM"),
    one("general.application_name", "NAME", Some("Sheaf"), "What the server calls itself to clients"),
    one("general.help_link", "URL", None, "Where users find help"),
    one("general.public_url", "URL", None, "How browsers reach the server, if another one stands before it, like https://sheaf.example.org"),
    one("general.sample_catalog", "BOOL", Some("true"), "Whether /SAMPLE/LOCAL and /SAMPLE/REMOTE are there"),
    list("auth.anonymous_read", "PATTERN", "Catalogs that can be read without a token, as regular expressions that fit the whole id, like /demo/.*"),
    one("auth.session", "TIME", Some("30 d"), "How long a browser stays signed in"),
    one("limits.body", "SIZE", Some("30 MB"), "The largest body of a request, other than of uploads"),
    one("limits.upload", "SIZE", Some("64 GB"), "The largest body of an upload: samples, attachments"),
    one("limits.memory", "SIZE", Some("512 MB"), "Memory for answers that are being sent"),
    one("limits.scans", "COUNT", Some("16"), "Readings that compute at the same time, at most two for each core; others wait"),
    one("limits.response_points", "COUNT", Some("10000000000"), "The most values of one answer"),
    one("limits.request", "TIME", Some("5 min"), "How long a request may take until its answer begins, uploads apart"),
    one("limits.stall", "TIME", Some("60 s"), "How long a client may neither send nor take anything"),
    one("limits.headers", "TIME", Some("15 s"), "How long the headers of a request may take"),
    one("limits.shutdown", "TIME", Some("30 s"), "How long requests may go on once the server is told to stop"),
    one("jobs.workers", "COUNT", Some("2"), "Jobs that run at the same time"),
    one("jobs.artifact_retention", "TIME", Some("7 d"), "How long the file of an export is kept"),
    one("jobs.retention", "TIME", Some("30 d"), "How long a job is listed after it ended"),
    one("audit.keep", "TIME", Some("400 d"), "How long it is kept on record who changed what"),
    one("log.level", "LEVEL", Some("info"), "error, warn, info, debug or trace, also by module: info,sheaf::http=debug"),
    one("log.format", "text|json", Some("text"), "How lines of the log are written"),
];

/// What is set.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) place: Place,
    pub(crate) listen: SocketAddr,
    pub(crate) server: Server,
    pub(crate) tls: Option<Tls>,
    pub(crate) general: General,
    pub(crate) auth: Auth,
    pub(crate) limits: Limits,
    pub(crate) jobs: Jobs,
    pub(crate) audit: Audit,
    pub(crate) log: Log,
    /// The entries `[[source]]` of the file.
    pub(crate) sources: Vec<serde_json::Value>,
}

/// What stands around the server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) trusted_proxies: Vec<IpNet>,
}

/// Files of a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What the server says of itself, and shows by itself.
#[derive(Clone, Debug)]
pub(crate) struct General {
    pub(crate) application_name: String,
    pub(crate) help_link: Option<String>,
    pub(crate) public_url: Option<String>,
    pub(crate) sample_catalog: bool,
}

/// Who may do what.
#[derive(Clone, Debug)]
pub(crate) struct Auth {
    pub(crate) anonymous_read: Vec<String>,
    pub(crate) session: Duration,
    /// The entries `[[auth.oidc]]` of the file.
    pub(crate) oidc: Vec<serde_json::Value>,
}

/// What a request may cost.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) body_bytes: usize,
    pub(crate) upload_bytes: u64,
    pub(crate) memory_bytes: usize,
    pub(crate) scans: usize,
    pub(crate) response_points: u64,
    pub(crate) request: Duration,
    pub(crate) stall: Duration,
    pub(crate) headers: Duration,
    pub(crate) shutdown: Duration,
}

/// Work in the background.
#[derive(Clone, Debug)]
pub(crate) struct Jobs {
    pub(crate) workers: usize,
    pub(crate) artifact_retention: Duration,
    pub(crate) retention: Duration,
}

/// The record of what was done.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    pub(crate) keep: Duration,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) is_json: bool,
}

impl Settings {
    /// What these layers amount to.
    ///
    /// # Errors
    /// A value that can't be; the message says where it was set.
    pub(crate) fn from_layers(layers: &Layers) -> Result<Settings, SettingsError> {
        let tls = match (layers.optional("tls.certificate")?, layers.optional("tls.key")?) {
            (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err(layers.wrong("tls.key", "a certificate needs its key, too")),
            (None, Some(_)) => {
                return Err(layers.wrong("tls.certificate", "a key needs its certificate, too"));
            }
        };
        let is_json = match layers.get::<String>("log.format")?.as_str() {
            "json" => true,
            "text" => false,
            _ => return Err(layers.wrong("log.format", "it is text or json")),
        };
        let positive = |key: &'static str| -> Result<usize, SettingsError> {
            match layers.get(key)? {
                0 => Err(layers.wrong(key, "it is at least 1")),
                count => Ok(count),
            }
        };
        Ok(Settings {
            place: Place::new(layers.optional("data_dir")?, layers.optional("database")?)?,
            listen: layers.get("listen")?,
            server: Server { trusted_proxies: networks(layers, "server.trusted_proxies")? },
            tls,
            general: General {
                application_name: layers.get("general.application_name")?,
                help_link: layers.optional("general.help_link")?,
                public_url: layers.optional("general.public_url")?,
                sample_catalog: layers.get("general.sample_catalog")?,
            },
            auth: Auth {
                anonymous_read: layers.list("auth.anonymous_read"),
                session: layers.get::<Span>("auth.session")?.0,
                oidc: layers.entries("auth.oidc"),
            },
            limits: Limits {
                body_bytes: layers.get::<Bytes>("limits.body")?.as_usize(),
                upload_bytes: layers.get::<Bytes>("limits.upload")?.0,
                memory_bytes: layers.get::<Bytes>("limits.memory")?.as_usize(),
                scans: positive("limits.scans")?,
                response_points: layers.get("limits.response_points")?,
                request: layers.get::<Span>("limits.request")?.0,
                stall: layers.get::<Span>("limits.stall")?.0,
                headers: layers.get::<Span>("limits.headers")?.0,
                shutdown: layers.get::<Span>("limits.shutdown")?.0,
            },
            jobs: Jobs {
                workers: positive("jobs.workers")?,
                artifact_retention: layers.get::<Span>("jobs.artifact_retention")?.0,
                retention: layers.get::<Span>("jobs.retention")?.0,
            },
            audit: Audit { keep: layers.get::<Span>("audit.keep")?.0 },
            log: Log { level: layers.get("log.level")?, is_json },
            sources: layers.entries("source"),
        })
    }
}

/// Networks, or addresses, which are networks of one.
fn networks(layers: &Layers, key: &'static str) -> Result<Vec<IpNet>, SettingsError> {
    let network = |text: &String| match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
        (Ok(network), _) => Ok(network),
        (_, Ok(address)) => Ok(address.into()),
        _ => Err(layers.wrong(
            key,
            &format!("`{text}` is no address like 10.0.0.7 or fd00::7, and no network like 10.0.0.0/8"),
        )),
    };
    layers.list(key).iter().map(network).collect()
}

impl From<DataError> for SettingsError {
    fn from(error: DataError) -> SettingsError {
        SettingsError::Place(Box::new(error))
    }
}
