//! `PDS_*` variables, which override the file.

use std::str::FromStr;

use super::{BackendName, Config, ConfigError};

/// A variable and how it sets its key.
type Variable = (&'static str, fn(&mut Config, &str) -> Result<(), String>);

const PREFIX: &str = "PDS_";

const VARIABLES: &[Variable] = &[
    ("PDS_ADDRESS", |config, text| set(&mut config.address, text)),
    ("PDS_PORT", |config, text| set(&mut config.port, text)),
    ("PDS_HOSTNAME", |config, text| set(&mut config.hostname, text)),
    ("PDS_DATA_DIRECTORY", |config, text| set(&mut config.data_directory, text)),
    ("PDS_DEV_PLC_PORT", |config, text| set(&mut config.dev_plc_port, text)),
    ("PDS_STORAGE_BACKEND", |config, text| {
        config.storage.backend = match text {
            "tranquil" => BackendName::Tranquil,
            "postgres" => BackendName::Postgres,
            _ => return Err("neither tranquil nor postgres".into()),
        };
        Ok(())
    }),
    ("PDS_STORAGE_POSTGRES_URL", |config, text| {
        config.storage.postgres.url = Some(text.into());
        Ok(())
    }),
];

fn set<T: FromStr<Err: std::fmt::Display>>(field: &mut T, text: &str) -> Result<(), String> {
    *field = text.parse().map_err(|e: T::Err| e.to_string())?;
    Ok(())
}

/// Applies every variable that is ours.
pub(super) fn apply(
    config: &mut Config,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    for (name, value) in variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let Some((_, set)) = VARIABLES.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            return Err(ConfigError::new(format!("environment: {name} is unknown; there are {known}")));
        };
        set(config, &value).map_err(|why| ConfigError::new(format!("environment: {name}={value:?}: {why}")))?;
    }
    Ok(())
}
