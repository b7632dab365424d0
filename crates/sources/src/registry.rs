//! All kinds of sources, what they are called, and how their settings are stored.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sheaf_model::file_path;

use crate::error::{Shown, SourceError};
use crate::folder::{self, FolderConfig, FolderSource};
use crate::nexus::{self, NexusConfig, NexusSource};
use crate::postgres::{self, PostgresConfig, PostgresSource};
use crate::sample::{self, SampleConfig, SampleSource};
use crate::source::{DataSource, SourceProblem};

/// The settings of a source, as they are stored: `{"kind": "folder", "root": "/data", "template": "{yyyy}/*.csv"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SourceConfig {
    /// A folder with tables.
    Folder(FolderConfig),
    /// A catalog of another Nexus or Sheaf.
    Nexus(NexusConfig),
    /// A query on a database.
    Postgres(PostgresConfig),
    /// Samples that are made up.
    Sample(SampleConfig),
}

impl SourceConfig {
    /// The settings that a pipeline says: a type by its name, where its data are, and the rest.
    ///
    /// # Errors
    /// There is no such type, or settings of it can't be.
    pub fn from_type(
        type_name: &str,
        resource_locator: Option<&str>,
        configuration: Value,
    ) -> Result<SourceConfig, SourceError> {
        let wrong =
            |setting, problem| SourceError::of_source(type_name, SourceProblem::Setting { setting, problem });
        let kind: SourceKind =
            type_name.parse().map_err(|error: UnknownSourceType| wrong("type", error.to_string()))?;
        let mut settings = match configuration {
            Value::Null => Map::new(),
            Value::Object(settings) => settings,
            other => return Err(wrong("configuration", format!("{other} is no object"))),
        };
        if settings.contains_key("kind") {
            return Err(wrong("kind", "the type says it already; leave it out".to_owned()));
        }
        match (kind.locator_setting(), resource_locator) {
            (_, None) => {}
            (None, Some(locator)) => {
                let problem = format!("{} needs none; leave it out: {}", kind.type_name(), Shown(locator));
                return Err(wrong("resourceLocator", problem));
            }
            (Some(setting), Some(locator)) => {
                let value = if kind == SourceKind::Folder {
                    file_path(locator).ok_or_else(|| {
                        let problem = format!("{} is no path and no URL like file:///data", Shown(locator));
                        wrong("resourceLocator", problem)
                    })?
                } else {
                    locator.to_owned()
                };
                if settings.insert(setting.to_owned(), value.into()).is_some() {
                    return Err(wrong(
                        setting,
                        "the resource locator says it already; leave it out".to_owned(),
                    ));
                }
            }
        }
        settings.insert("kind".to_owned(), kind.tag().into());
        serde_json::from_value(Value::Object(settings))
            .map_err(|error| wrong("configuration", error.to_string()))
    }

    /// The same as [`SourceConfig::from_type`] takes it: the resource locator and the configuration. With secrets.
    ///
    /// # Errors
    /// A setting can't be written as text, such as a path with other bytes.
    pub fn to_type(&self) -> Result<(SourceKind, Option<String>, Value), SourceError> {
        let kind = self.kind();
        let settings = serde_json::to_value(self).map_err(|error| {
            let problem = SourceProblem::Setting { setting: "configuration", problem: error.to_string() };
            SourceError::of_source(kind.type_name(), problem)
        })?;
        let Value::Object(mut settings) = settings else { return Ok((kind, None, settings)) };
        settings.shift_remove("kind");
        let locator = kind.locator_setting().and_then(|setting| settings.shift_remove(setting));
        let locator = locator.and_then(|locator| locator.as_str().map(str::to_owned));
        Ok((kind, locator, Value::Object(settings)))
    }

    /// Which kind it is.
    pub const fn kind(&self) -> SourceKind {
        match self {
            SourceConfig::Folder(_) => SourceKind::Folder,
            SourceConfig::Nexus(_) => SourceKind::Nexus,
            SourceConfig::Postgres(_) => SourceKind::Postgres,
            SourceConfig::Sample(_) => SourceKind::Sample,
        }
    }

    /// Opens the source.
    ///
    /// # Errors
    /// It can't be reached, or settings can't be.
    pub fn open(self) -> Result<Arc<dyn DataSource>, SourceError> {
        Ok(match self {
            SourceConfig::Folder(config) => Arc::new(FolderSource::open(config)?),
            SourceConfig::Nexus(config) => Arc::new(NexusSource::open(config)?),
            SourceConfig::Postgres(config) => Arc::new(PostgresSource::open(config)?),
            SourceConfig::Sample(config) => Arc::new(SampleSource::new(&config)),
        })
    }
}

/// A kind of source. Its type name is what pipelines and the configurations of requests call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceKind {
    /// A folder with tables.
    Folder,
    /// A catalog of another Nexus or Sheaf.
    Nexus,
    /// A query on a PostgreSQL database.
    Postgres,
    /// Samples that are made up.
    Sample,
}

impl SourceKind {
    /// All of them.
    pub const ALL: [SourceKind; 4] =
        [SourceKind::Folder, SourceKind::Nexus, SourceKind::Postgres, SourceKind::Sample];

    /// `Sheaf.Sources.Folder` and the like.
    pub const fn type_name(self) -> &'static str {
        match self {
            SourceKind::Folder => "Sheaf.Sources.Folder",
            SourceKind::Nexus => "Sheaf.Sources.Nexus",
            SourceKind::Postgres => "Sheaf.Sources.Postgres",
            SourceKind::Sample => "Sheaf.Sources.Sample",
        }
    }

    /// What it is, in one line.
    pub const fn description(self) -> &'static str {
        match self {
            SourceKind::Folder => "A folder of CSV, JSON lines, Parquet or Arrow files, read in place",
            SourceKind::Nexus => "A catalog of another Nexus or Sheaf, read over HTTP",
            SourceKind::Postgres => "A query on a PostgreSQL database, read in place",
            SourceKind::Sample => "Sample data, made up for any time",
        }
    }

    /// The setting that the resource locator of a pipeline is.
    pub const fn locator_setting(self) -> Option<&'static str> {
        match self {
            SourceKind::Folder => Some("root"),
            SourceKind::Nexus | SourceKind::Postgres => Some("url"),
            SourceKind::Sample => None,
        }
    }

    /// Settings that nobody may see.
    pub const fn secret_settings(self) -> &'static [&'static str] {
        match self {
            SourceKind::Folder | SourceKind::Sample => &[],
            SourceKind::Nexus => &["token"],
            SourceKind::Postgres => &["password"],
        }
    }

    /// Hides secrets in settings, whether they are stored ones or those of a pipeline.
    pub fn redact(self, configuration: &mut Value) {
        for setting in self.secret_settings() {
            if let Some(secret) = configuration.get_mut(setting).filter(|secret| !secret.is_null()) {
                *secret = "***".into();
            }
        }
    }

    /// What tells it from others where settings are stored: `{"kind": "folder", …}`.
    pub const fn tag(self) -> &'static str {
        match self {
            SourceKind::Folder => "folder",
            SourceKind::Nexus => "nexus",
            SourceKind::Postgres => "postgres",
            SourceKind::Sample => "sample",
        }
    }

    /// A JSON schema (2020-12) of its settings, those aside that the type and the resource locator say.
    pub fn schema(self) -> Value {
        let (properties, required) = match self {
            SourceKind::Folder => folder::schema(),
            SourceKind::Nexus => nexus::schema(),
            SourceKind::Postgres => postgres::schema(),
            SourceKind::Sample => sample::schema(),
        };
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.description(),
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

impl FromStr for SourceKind {
    type Err = UnknownSourceType;

    fn from_str(text: &str) -> Result<SourceKind, UnknownSourceType> {
        let found = SourceKind::ALL.into_iter().find(|kind| kind.type_name() == text);
        found.ok_or_else(|| UnknownSourceType { text: text.to_owned() })
    }
}

/// No type of source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no type of source {}; there are {}", Shown(text), known_types())]
pub struct UnknownSourceType {
    /// What was given.
    pub text: String,
}

fn known_types() -> String {
    SourceKind::ALL.map(SourceKind::type_name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(type_name: &str, locator: Option<&str>, configuration: Value) -> String {
        SourceConfig::from_type(type_name, locator, configuration).unwrap_err().to_string()
    }

    #[test]
    fn pipelines_say_type_locator_and_the_rest() {
        let configuration =
            json!({"template": "{yyyy}/*.csv", "table": {"csv": {"time_zone": "Europe/Berlin"}}});
        let config = SourceConfig::from_type(
            "Sheaf.Sources.Folder",
            Some("file:///data/Mast%201"),
            configuration.clone(),
        )
        .unwrap();
        let SourceConfig::Folder(folder) = &config else { panic!("{config:?}") };
        assert_eq!(folder.root.to_str(), Some("/data/Mast 1"));
        assert_eq!(folder.table.csv.time_zone.as_deref(), Some("Europe/Berlin"));
        let (kind, locator, rest) = config.to_type().unwrap();
        assert_eq!((kind, locator.as_deref()), (SourceKind::Folder, Some("/data/Mast 1")));
        assert_eq!(SourceConfig::from_type(kind.type_name(), locator.as_deref(), rest).unwrap(), config);
        let sample = SourceConfig::from_type("Sheaf.Sources.Sample", None, Value::Null).unwrap();
        assert_eq!(sample, SourceConfig::Sample(SampleConfig::default()));
        assert_eq!(serde_json::to_value(sample).unwrap(), json!({"kind": "sample"}));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (type_name, locator, configuration, problem) in [
            (
                "Nexus.Sources.Famos",
                None,
                json!({}),
                "there is no type of source `Nexus.Sources.Famos`; there are Sheaf.",
            ),
            (
                "Sheaf.Sources.Sample",
                Some("/data"),
                json!({}),
                "setting `resourceLocator`: Sheaf.Sources.Sample needs none",
            ),
            ("Sheaf.Sources.Sample", None, json!({"speed": 1}), "unknown field `speed`"),
            ("Sheaf.Sources.Sample", None, json!([]), "setting `configuration`: [] is no object"),
            (
                "Sheaf.Sources.Folder",
                Some("https://host/a"),
                json!({"template": "*"}),
                "is no path and no URL like",
            ),
            (
                "Sheaf.Sources.Folder",
                Some("/a"),
                json!({"root": "/b", "template": "*"}),
                "setting `root`: the resource locator",
            ),
            ("Sheaf.Sources.Folder", Some("/a"), json!({}), "missing field `template`"),
            (
                "Sheaf.Sources.Folder",
                None,
                json!({"kind": "sample"}),
                "setting `kind`: the type says it already",
            ),
        ] {
            let error = refused(type_name, locator, configuration);
            assert!(error.starts_with(type_name) && error.contains(problem), "{error}");
        }
    }

    #[test]
    fn secrets_are_hidden() {
        let mut configuration = json!({"remote": "/A", "token": "right"});
        let config =
            SourceConfig::from_type("Sheaf.Sources.Nexus", Some("https://host"), configuration.clone())
                .unwrap();
        assert!(!format!("{config:?}").contains("right"), "{config:?}");
        assert_eq!(config.to_type().unwrap().2["token"], "right");
        SourceKind::Nexus.redact(&mut configuration);
        assert_eq!(configuration, json!({"remote": "/A", "token": "***"}));
        for kind in SourceKind::ALL {
            let schema = kind.schema();
            assert!(
                kind.secret_settings().iter().all(|secret| schema["properties"][secret].is_object()),
                "{kind}"
            );
        }
    }

    /// What a schema offers is what the settings take, and the other way around.
    #[test]
    fn schemas_list_all_settings() {
        for kind in SourceKind::ALL {
            let schema = kind.schema();
            let offered = schema["properties"].as_object().unwrap();
            let mut unknown = Map::from_iter([("there_is_no_such_setting".to_owned(), Value::Null)]);
            unknown.insert("kind".to_owned(), kind.tag().into());
            let error =
                serde_json::from_value::<SourceConfig>(Value::Object(unknown)).unwrap_err().to_string();
            let taken = error.split('`').skip(3).step_by(2).map(str::to_owned).collect::<Vec<_>>();
            let mut wanted: Vec<String> = offered.keys().cloned().collect();
            wanted.extend(kind.locator_setting().map(str::to_owned));
            wanted.sort_unstable();
            let mut taken: Vec<String> = taken.into_iter().filter(|name| name != "kind").collect();
            taken.sort_unstable();
            assert_eq!(taken, wanted, "{kind}: {error}");
            for (name, of) in offered {
                assert!(of["description"].is_string(), "{kind}: {name} is not described");
            }
            let required = schema["required"].as_array().unwrap();
            assert!(required.iter().all(|name| offered.contains_key(name.as_str().unwrap())), "{kind}");
        }
    }
}
