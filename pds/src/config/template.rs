//! The commented configuration file that `pds config` prints.

/// Every key with its default.
pub const TEXT: &str = r#"# Configuration of pds. Every key is optional; these are the defaults.
# Environment variables override the file: PDS_ADDRESS, PDS_PORT, PDS_HOSTNAME, PDS_DATA_DIRECTORY, PDS_DEV_PLC_PORT,
# PDS_STORAGE_BACKEND, PDS_STORAGE_POSTGRES_URL. Unknown keys and unknown PDS_ variables are refused.

# Where to listen. Port 0 takes a free port.
address = "127.0.0.1"
port = 2583

# The name under which the network knows this host. Handles are names below it, such as alice.pds.example.com.
hostname = "localhost"

# Everything that this host keeps is below this directory.
data_directory = "./data"

# `serve --dev` runs a local did:plc directory on this port.
dev_plc_port = 2582

# Connections at the most, those that follow the firehose included; more wait until one ends. Each takes a file descriptor:
# where the process may open few files (`ulimit -n`), there are fewer, for 2,048 or half of them are left to the store.
connections_max = 4096

[storage]
# "tranquil": embedded, nothing else to run. "postgres": over a database of yours.
backend = "tranquil"

[storage.tranquil]
# The engine's own directory; by default `store` below the data directory.
# directory = "./data/store"

# How long past commits stay readable, and removed blocks on disk. At least 1.
history_window_hours = 72

# How long events stay in the firehose.
event_retention_hours = 72

# Memory in MiB, in sixteenths: five for the metadata store's cache, two for each of two tables of what was written last,
# two for blocks that were read, one for the newest events, four for what waits to be written. At least 96. The process
# takes more: filters and indexes of the metadata store grow with it. `pds stats` shows bounds and use.
memory_mib = 512

[storage.postgres]
# Where the database is. `?sslmode=verify-full` demands TLS with a certificate for the host's name.
# url = "postgres://pds:password@localhost/pds"

# Connections at the most: two write, or one of three; one listens; the others read. At least 3.
pool_size = 16

# The schema that the tables are in; it is created if it is not there.
schema = "public"

# After so long the server gives a statement up; 0 for never.
statement_timeout_seconds = 60

# As above.
history_window_hours = 72
event_retention_hours = 72
"#;

#[cfg(test)]
mod tests {
    use super::TEXT;
    use crate::config::Config;

    #[test]
    fn the_template_is_the_defaults() {
        assert_eq!(Config::parse(TEXT).unwrap(), Config::parse("").unwrap());
        let uncommented = TEXT.replace("# directory =", "directory =").replace("# url =", "url =");
        let config = Config::parse(&uncommented).unwrap();
        assert_eq!(config.storage.tranquil, Config::parse("").unwrap().storage.tranquil);
        assert!(config.storage.postgres.url.as_ref().is_some_and(|url| !format!("{config:?}").contains(url)));
    }

    #[test]
    fn the_template_has_every_key() {
        fn keys(value: &serde_json::Value, out: &mut Vec<String>) {
            for (key, value) in value.as_object().into_iter().flatten() {
                out.push(key.clone());
                keys(value, out);
            }
        }
        let mut all = Vec::new();
        keys(&serde_json::to_value(Config::default()).unwrap(), &mut all);
        assert!(all.len() > 8, "{all:?}");
        for key in all {
            assert!(TEXT.contains(&format!("{key} = ")) || TEXT.contains(&format!("{key}]")), "{key}");
        }
    }
}
