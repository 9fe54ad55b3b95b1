//! Reading the configuration: defaults, then the file, then the environment.

use std::fmt;
use std::path::Path;

use super::{Config, environment};

/// The file that is read if none is named.
const FILE: &str = "pds.toml";
/// The embedded engine's directory below the data directory.
const STORE: &str = "store";

/// What is wrong with the configuration, with the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "configuration: {}", self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the file that is named, or `./pds.toml` if it is there, and the `PDS_*` variables of this process.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that cannot be read, and for an unknown key or a wrong value in file or environment;
    /// it names the key with its line, or the variable.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = file.unwrap_or(Path::new(FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && file.is_none() => String::new(),
            Err(e) => return Err(ConfigError::new(format!("{}: {e}", path.display()))),
        };
        let variables = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
        Self::from_parts(&text, variables).map_err(|e| match e {
            Fault::File(sentence) => ConfigError::new(format!("{}: {sentence}", path.display())),
            Fault::Whole(error) => error,
        })
    }

    /// From the text of a file.
    ///
    /// # Errors
    /// [`ConfigError`] with the key and its line.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::from_parts(text, []).map_err(|e| match e {
            Fault::File(sentence) => ConfigError::new(sentence),
            Fault::Whole(error) => error,
        })
    }

    fn from_parts(text: &str, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Fault> {
        let mut config: Self = toml::from_str(text).map_err(|e| Fault::File(place_and_message(text, &e)))?;
        environment::apply(&mut config, variables).map_err(Fault::Whole)?;
        config.check().map_err(Fault::Whole)?;
        let store = config.data_directory.join(STORE);
        config.storage.tranquil.directory.get_or_insert(store);
        Ok(config)
    }

    /// Refuses, before anything is created, what no type keeps out and no engine will look at.
    fn check(&self) -> Result<(), ConfigError> {
        if self.connections_max == 0 {
            return Err(ConfigError::new("connections_max: 0 is less than 1"));
        }
        let store = self.storage.tranquil.directory.as_ref();
        let directories = [("data_directory", Some(&self.data_directory)), ("storage.tranquil.directory", store)];
        match directories.iter().find(|(_, path)| path.is_some_and(|path| path.as_os_str().is_empty())) {
            Some((key, _)) => {
                Err(ConfigError::new(format!("{key}: an empty path names no directory; \".\" is this one")))
            }
            None => Ok(()),
        }
    }
}

/// Where the error is and what it is, without the line itself: it may be the one with the password.
fn place_and_message(text: &str, error: &toml::de::Error) -> String {
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return error.message().to_owned();
    };
    let (line, column) =
        (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
    let key = before.rsplit('\n').next().and_then(|line| line.split_once('=')).map_or("", |(key, _)| key.trim());
    let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
    format!("line {line}, column {column}: {key}{}", error.message())
}

enum Fault {
    File(String),
    /// Says its place itself, or has none.
    Whole(ConfigError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BackendName;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_parts(text, variables).map_err(|e| match e {
            Fault::File(sentence) => sentence,
            Fault::Whole(error) => error.to_string(),
        })
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_name_and_line() {
        let error = load("port = 1\n\nprot = 2583\n", &[]).unwrap_err();
        assert!(error.contains("prot") && error.contains("line 3"), "{error}");
        let error = load("[storage]\nbackend = \"tranquil\"\n[storage.tranquil]\nhistory = 1\n", &[]).unwrap_err();
        assert!(error.contains("history") && error.contains("line 4"), "{error}");
        let error = load("[storage]\nbackend = \"sqlite\"\n", &[]).unwrap_err();
        assert!(error.contains("sqlite") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_key_and_line() {
        for (text, key, line) in [
            ("hostname = \"a.example.com\"\nport = 70000\n", "port: ", "line 2"),
            ("[storage.tranquil]\nmemory_mib=4294967296", ": memory_mib: ", "line 2"),
            ("port = 1\nprot = 2583\n", "line 2, column 1: unknown field", "prot"),
            ("storage = { tranquil = { event_retention_hours = -1 } }", "storage: ", "line 1"),
        ] {
            let error = load(text, &[]).unwrap_err();
            assert!(error.contains(key) && error.contains(line), "{error}");
        }
    }

    #[test]
    fn a_value_that_nothing_can_run_with_is_refused_with_its_key() {
        for (text, variables, key) in [
            ("connections_max = 0", &[][..], "connections_max: 0"),
            ("data_directory = \"\"", &[], "data_directory: "),
            ("", &[("PDS_DATA_DIRECTORY", "")], "data_directory: "),
            ("[storage.tranquil]\ndirectory = \"\"", &[], "storage.tranquil.directory: "),
        ] {
            let error = load(text, variables).unwrap_err();
            assert!(error.starts_with(&format!("configuration: {key}")), "{error}");
        }
    }

    #[test]
    fn an_error_does_not_show_the_line_that_has_the_password() {
        for text in [
            "[storage.postgres]\nurl = \"postgres://pds:secret@db/pds\n",
            "[storage.postgres]\nurl = postgres://pds:secret@db/pds\n",
            "[storage.postgres]\nurl = [\"postgres://pds:secret@db/pds\"]\n",
            "[storage.postgres]\nuri = \"postgres://pds:secret@db/pds\"\n",
        ] {
            let error = load(text, &[]).unwrap_err();
            assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let config = load(
            "port = 1\nhostname = \"a.example\"\n",
            &[
                ("PDS_PORT", "7"),
                ("PDS_DATA_DIRECTORY", "/srv/pds"),
                ("PDS_DEV_PLC_PORT", "8"),
                ("PDS_STORAGE_BACKEND", "postgres"),
                ("PDS_STORAGE_POSTGRES_URL", "postgres://pds@db/pds"),
                ("HOME", "/root"),
            ],
        )
        .unwrap();
        assert_eq!((config.port, config.dev_plc_port, config.hostname.as_str()), (7, 8, "a.example"));
        assert_eq!(config.storage.backend, BackendName::Postgres);
        assert_eq!(config.storage.postgres.url.as_deref(), Some("postgres://pds@db/pds"));
        assert_eq!(config.storage.tranquil.directory.as_deref(), Some(Path::new("/srv/pds/store")));
        assert_eq!(load("", &[("PDS_HOSTNAME", "b.example")]).unwrap().hostname, "b.example");
    }

    #[test]
    fn unknown_and_malformed_variables_are_refused_by_name() {
        for (name, value) in [("PDS_PROT", "1"), ("PDS_PORT", "many"), ("PDS_STORAGE_BACKEND", "sqlite")] {
            let error = load("", &[(name, value)]).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_named_file_must_be_there() {
        let error = Config::load(Some(Path::new("/nowhere/pds.toml"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/pds.toml"), "{error}");
    }
}
