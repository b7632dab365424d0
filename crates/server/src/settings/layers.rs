//! Where settings come from, and which of several values counts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{ALL, Setting};
use crate::data::{DataError, Place};

/// Name of the settings file that is read from the data folder if no other one is named.
const FILE: &str = "sheaf.toml";

/// Sections of the file that may be there several times.
const ENTRIES: &[&str] = &["source", "auth.oidc"];

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Variable(String),
    Flag(String),
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(file) => write!(f, "{}", file.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

/// The settings that were given, each where it counts most.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    values: BTreeMap<&'static str, (Vec<String>, Origin)>,
    entries: BTreeMap<&'static str, Vec<serde_json::Value>>,
}

/// Flags of commands that take settings.
#[derive(Clone, Debug)]
pub(crate) struct SettingsArgs {
    config: Option<PathBuf>,
    given: Vec<(&'static Setting, Vec<String>, Origin)>,
}

impl Setting {
    fn flag(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    fn variable(&self) -> String {
        format!("SHEAF_{}", self.key.replace('.', "_").to_uppercase())
    }
}

impl clap::Args for SettingsArgs {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .env("SHEAF_CONFIG")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The settings file [default: sheaf.toml in the data folder, if it is there]");
        let arg = |setting: &'static Setting| {
            let mut help = setting.help.to_owned();
            if let Some(default) = setting.default {
                help.push_str(&format!(" [default: {default}]"));
            }
            let arg = Arg::new(setting.key)
                .long(setting.flag())
                .value_name(setting.value)
                .env(setting.variable())
                .hide_env_values(setting.is_secret)
                .help(help);
            match setting.is_list {
                true => arg.action(ArgAction::Append),
                // Of several, the last one counts.
                false => arg.action(ArgAction::Set).overrides_with(setting.key),
            }
        };
        let command = command.next_help_heading("Settings, also by variable and in the settings file");
        ALL.iter().fold(command.arg(config), |command, setting| command.arg(arg(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        SettingsArgs::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingsArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<SettingsArgs, clap::Error> {
        let given = ALL.iter().filter_map(|setting| {
            let values: Vec<String> = matches.get_many::<String>(setting.key)?.cloned().collect();
            let is_flag = matches.value_source(setting.key) == Some(ValueSource::CommandLine);
            Some(if is_flag {
                (setting, values, Origin::Flag(format!("--{}", setting.flag())))
            } else if setting.is_list {
                let parts = values.iter().flat_map(|text| text.split(','));
                let parts = parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty());
                (setting, parts.collect(), Origin::Variable(setting.variable()))
            } else {
                (setting, values, Origin::Variable(setting.variable()))
            })
        });
        Ok(SettingsArgs { config: matches.get_one::<PathBuf>("config").cloned(), given: given.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = SettingsArgs::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Where the data are, for commands that take no other settings: these options over the settings file, so that a command
/// finds what the server beside it works on.
///
/// # Errors
/// The file can't be read, or has something that is no setting.
pub(crate) fn place(
    config: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    database: Option<String>,
) -> Result<Place, SettingsError> {
    let file = match config {
        Some(file) => Some(file),
        None => Some(Place::new(data_dir.clone(), None)?.folder().join(FILE)).filter(|file| file.is_file()),
    };
    let mut layers = Layers { values: BTreeMap::new(), entries: BTreeMap::new() };
    if let Some(file) = file {
        layers.read(&file)?;
    }
    let data_dir = if data_dir.is_some() { data_dir } else { layers.optional("data_dir")? };
    let database = if database.is_some() { database } else { layers.optional("database")? };
    let sample: Option<String> = layers.optional("general.sample_catalog")?;
    let has_sample = sample.is_none_or(|sample| sample != "false");
    Ok(Place::new(data_dir, database)?.with_sources(has_sample, layers.entries("source")))
}

impl SettingsArgs {
    /// These flags and variables over the settings file over the defaults.
    ///
    /// # Errors
    /// The file can't be read, or has something that is no setting.
    pub(crate) fn layers(&self) -> Result<Layers, SettingsError> {
        let default = |setting: &'static Setting| {
            let values = setting.default.map(|text| vec![text.to_owned()])?;
            Some((setting.key, (values, Origin::Default)))
        };
        let mut layers =
            Layers { values: ALL.iter().filter_map(default).collect(), entries: BTreeMap::new() };
        if let Some(file) = self.file()? {
            layers.read(&file)?;
        }
        for (setting, values, origin) in &self.given {
            layers.values.insert(setting.key, (values.clone(), origin.clone()));
        }
        Ok(layers)
    }

    /// The options that say where the data are, as they have to be given again.
    pub(crate) fn place_options(&self) -> String {
        let given = |key: &str| self.given.iter().find(|(setting, ..)| setting.key == key);
        let folder = given("data_dir").map(|(_, values, _)| format!(" --data-dir {}", values.join("")));
        // The URL may hold a password, so it is not shown.
        let database = given("database").map(|_| " --database URL".to_owned());
        [folder, database].into_iter().flatten().collect()
    }

    fn file(&self) -> Result<Option<PathBuf>, SettingsError> {
        if let Some(file) = &self.config {
            return Ok(Some(file.clone()));
        }
        let folder = self.given.iter().find(|(setting, ..)| setting.key == "data_dir");
        let folder = folder.map(|(_, values, _)| values.iter().map(OsString::from).collect());
        let file = Place::new(folder, None)?.folder().join(FILE);
        Ok(file.is_file().then_some(file))
    }
}

impl Layers {
    fn read(&mut self, file: &Path) -> Result<(), SettingsError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| SettingsError::Read { file: file.to_owned(), source })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| SettingsError::Toml {
            file: file.to_owned(),
            problem: error.to_string(),
        })?;
        self.take(file, "", table)
    }

    fn take(&mut self, file: &Path, section: &str, table: toml::Table) -> Result<(), SettingsError> {
        for (name, value) in table {
            let key = if section.is_empty() { name } else { format!("{section}.{name}") };
            let is_section = ALL.iter().any(|setting| setting.key.starts_with(&format!("{key}.")));
            let wrong =
                |problem: String| SettingsError::Entry { file: file.to_owned(), key: key.clone(), problem };
            if let Some(key) = ENTRIES.iter().find(|known| **known == key) {
                let entries = serde_json::to_value(value).map_err(|error| wrong(error.to_string()))?;
                let serde_json::Value::Array(entries) = entries else {
                    return Err(wrong(format!("it is a list of sections: [[{key}]]")));
                };
                self.entries.insert(key, entries);
            } else if let Some(setting) = ALL.iter().find(|setting| setting.key == key) {
                let values = texts(setting, value).map_err(wrong)?;
                self.values.insert(setting.key, (values, Origin::File(file.to_owned())));
            } else if let (toml::Value::Table(table), true) = (value, is_section) {
                self.take(file, &key, table)?;
            } else {
                let near = ALL.iter().map(|setting| setting.key).chain(ENTRIES.iter().copied());
                let near = near
                    .max_by(|a, b| strsim::jaro_winkler(a, &key).total_cmp(&strsim::jaro_winkler(b, &key)));
                return Err(wrong(format!(
                    "there is no such setting; did you mean `{}`? `sheaf config` lists all",
                    near.unwrap_or_default()
                )));
            }
        }
        Ok(())
    }

    /// The value of a setting that has one.
    pub(super) fn get<T: FromStr<Err: Display>>(&self, key: &'static str) -> Result<T, SettingsError> {
        self.optional(key)?.ok_or_else(|| self.wrong(key, "it is missing"))
    }

    /// The value of a setting; none if it has none, or an empty one.
    pub(super) fn optional<T: FromStr<Err: Display>>(
        &self,
        key: &'static str,
    ) -> Result<Option<T>, SettingsError> {
        let text = self.values.get(key).and_then(|(values, _)| values.last()).filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(|error: T::Err| self.wrong(key, &error.to_string()))).transpose()
    }

    /// The values of a setting that may have several.
    pub(super) fn list(&self, key: &'static str) -> Vec<String> {
        self.values.get(key).map(|(values, _)| values.clone()).unwrap_or_default()
    }

    /// The entries of a section that may be there several times.
    pub(super) fn entries(&self, key: &'static str) -> Vec<serde_json::Value> {
        self.entries.get(key).cloned().unwrap_or_default()
    }

    /// What is wrong with a value, with all that tells where it is.
    pub(super) fn wrong(&self, key: &'static str, problem: &str) -> SettingsError {
        let (values, origin) = self.values.get(key).cloned().unwrap_or((Vec::new(), Origin::Default));
        let is_secret = ALL.iter().any(|setting| setting.key == key && setting.is_secret);
        let value = if is_secret { "…".to_owned() } else { values.join(", ") };
        SettingsError::Value { key, value, origin, problem: problem.to_owned() }
    }

    /// Each setting with its values, as they can be shown, and where they come from.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (&'static Setting, Vec<String>, Option<&Origin>)> {
        ALL.iter().map(|setting| match self.values.get(setting.key) {
            Some((_, origin)) if setting.is_secret => (setting, vec!["…".to_owned()], Some(origin)),
            Some((values, origin)) => (setting, values.clone(), Some(origin)),
            None => (setting, Vec::new(), None),
        })
    }
}

/// The value of a setting in the file, as it is written in a variable.
fn texts(setting: &Setting, value: toml::Value) -> Result<Vec<String>, String> {
    let text = |value: toml::Value| match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        other => Err(format!("a {} can't be its value", other.type_str())),
    };
    match value {
        toml::Value::Array(values) if setting.is_list => values.into_iter().map(text).collect(),
        value => Ok(vec![text(value)?]),
    }
}

/// Settings that can't be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A value.
    #[error("setting `{key}` = `{value}` ({origin}): {problem}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// Where it was set.
        origin: Origin,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Something in the file.
    #[error("{}: `{key}`: {problem}", file.display())]
    Entry {
        /// The file.
        file: PathBuf,
        /// What was set.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The file is no TOML.
    #[error("{}: {problem}", file.display())]
    Toml {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// The file can't be read.
    #[error("can't read the settings file {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no data folder.
    #[error(transparent)]
    Place(Box<DataError>),
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::super::Settings;
    use super::*;

    fn args(flags: &[&str]) -> SettingsArgs {
        let command = <SettingsArgs as clap::Args>::augment_args(Command::new("sheaf"));
        let matches = command.get_matches_from(std::iter::once(&"sheaf").chain(flags));
        SettingsArgs::from_arg_matches(&matches).unwrap()
    }

    fn with_file(text: &str, flags: &[&str]) -> Result<Layers, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sheaf.toml");
        std::fs::write(&file, text).unwrap();
        let file = file.display().to_string();
        args(&[&["--config", &file, "--data-dir", "/nowhere"], flags].concat()).layers()
    }

    #[test]
    fn defaults_are_settings() {
        let settings = Settings::from_layers(&args(&["--data-dir", "/nowhere"]).layers().unwrap()).unwrap();
        assert_eq!(settings.listen, "127.0.0.1:5000".parse().unwrap());
        assert_eq!(settings.limits.body_bytes, 30_000_000);
        assert!(settings.tls.is_none() && settings.auth.anonymous_read.is_empty());
    }

    #[test]
    fn a_flag_comes_before_the_file_and_that_before_the_default() {
        let text = "[limits]\nbody = \"1 MB\"\nscans = 3\n[auth]\nanonymous_read = [\"/a\", \"/b,c\"]\n\
                    [[source]]\ncatalog = \"/x\"\n";
        let layers = with_file(text, &["--limits-scans", "5"]).unwrap();
        let settings = Settings::from_layers(&layers).unwrap();
        assert_eq!((settings.limits.body_bytes, settings.limits.scans), (1_000_000, 5));
        assert_eq!(settings.auth.anonymous_read, ["/a", "/b,c"]);
        assert_eq!(settings.sources, [serde_json::json!({"catalog": "/x"})]);
        let origin = |key: &str| layers.values[key].1.to_string();
        assert_eq!(
            (origin("limits.scans").as_str(), origin("listen").as_str()),
            ("--limits-scans", "default")
        );
        assert!(origin("limits.body").ends_with("sheaf.toml"));
    }

    #[test]
    fn what_is_wrong_says_where_and_what_would_be_right() {
        let error = with_file("[limits]\nbodi = 1\n", &[]).unwrap_err().to_string();
        assert!(
            error
                .contains("sheaf.toml: `limits.bodi`: there is no such setting; did you mean `limits.body`?")
        );
        let error = with_file("limits = 3", &[]).unwrap_err().to_string();
        assert!(error.contains("`limits`"), "{error}");
        assert!(with_file("= 3", &[]).is_err());
        let layers = with_file("[limits]\nbody = \"much\"\n", &[]).unwrap();
        let error = Settings::from_layers(&layers).unwrap_err().to_string();
        assert!(error.contains("setting `limits.body` = `much`") && error.contains("512 MB"), "{error}");
        let layers =
            args(&["--data-dir", "/nowhere", "--server-trusted-proxies", "10.0.0.300"]).layers().unwrap();
        let error = Settings::from_layers(&layers).unwrap_err().to_string();
        assert!(error.contains("--server-trusted-proxies") && error.contains("10.0.0.0/8"), "{error}");
        let layers = args(&["--data-dir", "/nowhere", "--tls-key", "k.pem"]).layers().unwrap();
        assert!(Settings::from_layers(&layers).unwrap_err().to_string().contains("tls.certificate"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let layers =
            args(&["--data-dir", "/nowhere", "--database", "mysql://u:hidden@h/d"]).layers().unwrap();
        assert!(layers.shown().all(|(_, values, _)| values.iter().all(|value| !value.contains("hidden"))));
    }
}
