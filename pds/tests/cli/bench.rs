//! `pds bench`, small: it measures all that it is to measure, under the names that scripts rely on, and cleans up.

use std::process::Command;

use postgres_fixture::Database;
use serde_json::Value;

fn bench(args: &[&str]) -> Value {
    bench_with(args, &[])
}

fn bench_with(args: &[&str], variables: &[(&str, &str)]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pds"));
    let output = command
        .arg("bench")
        .args(args)
        .args(["--json", "--directory"])
        .arg(directory.path())
        .envs(variables.iter().copied())
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "{args:?} leaves nothing behind");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every figure of `names` is there and above 0.
fn has(figures: &Value, names: &[&str]) {
    for name in names {
        let figure = figures[name].as_f64().unwrap_or_else(|| panic!("no {name} in {figures}"));
        assert!(figure > 0.0, "{name} is {figure}");
    }
}

const SUMMARY: [&str; 5] = ["count", "mean_us", "p50_us", "p99_us", "max_us"];

#[test]
fn commits_have_one_sync_a_cycle_and_share_cycles() {
    let report = bench(&["commits", "--clients", "1,64", "--commits", "512", "--seconds", "60"]);
    has(&report["disk"], &["append_4k_sync_per_s", "overwrite_4k_sync_per_s", "sequential_write_mb_per_s"]);
    let runs = report["runs"].as_array().unwrap();
    for (run, clients) in runs.iter().zip([1, 64]) {
        has(run, &["commits_per_s", "p50_us", "p99_us", "max_us", "bytes_written_per_commit", "cpu_us_per_commit"]);
        has(run, &["rss_bytes", "cycle_us_max"]);
        assert_eq!((&run["clients"], &run["commits"]), (&clients.into(), &512.into()));
        assert_eq!(run["cycles"], run["syncs"], "{run}");
    }
    assert_eq!(runs[0]["cycles"], 512, "a lone writer has each cycle to itself");
    let shared = runs[1]["cycles"].as_u64().unwrap();
    // The quicker the disk, the fewer come while it is busy.
    assert!(shared <= 512 / 2, "64 writers share cycles: {shared} for 512 commits");
}

/// One run tells of the embedded engine and of the database beside it.
#[tokio::test]
async fn both_engines_are_measured_side_by_side() {
    if !postgres_fixture::available() {
        return;
    }
    let database = Database::create().await;
    let args = ["commits", "--backend", "both", "--clients", "64", "--commits", "256", "--seconds", "60"];
    let url = database.url();
    let report = tokio::task::spawn_blocking(move || bench_with(&args, &[("PDS_STORAGE_POSTGRES_URL", &url)]));
    let report = report.await.unwrap();
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|run| &run["backend"]).collect::<Vec<_>>(), ["tranquil", "postgres"]);
    for run in runs {
        has(run, &["commits_per_s", "cycles", "syncs", "bytes_written_per_commit", "cpu_us_per_commit"]);
        assert_eq!((&run["clients"], &run["commits"]), (&64.into(), &256.into()));
        assert!(run["cycles"].as_u64() <= Some(256 / 2), "writers share transactions: {run}");
    }
}

#[test]
fn events_are_appended_delivered_and_caught_up_with() {
    let report = bench(&["events", "--sizes", "2500,3000", "--seconds", "0.2", "--subscribers", "20"]);
    has(&report["append"], &["events", "events_per_s"]);
    has(&report["live"], &["commits_per_s"]);
    has(&report["live"]["latency"], &["count"]);
    // Whoever follows may have every event before its writer has the answer.
    assert!(report["live"]["latency"]["max_us"].is_number(), "{report}");
    let sizes: Vec<&Value> = report["catch_up"].as_array().unwrap().iter().map(|c| &c["events"]).collect();
    assert!(sizes[0].as_u64() >= Some(2_500) && sizes[1].as_u64() > sizes[0].as_u64(), "{sizes:?}");
    assert_eq!(report["crowd"]["subscribers"], 20);
    has(&report["crowd"], &["delivered_per_s", "busy_ratio"]);
    for load in ["alone", "followed"] {
        has(&report["crowd"][load], &["commits_per_s", "cores", "cpu_us_per_commit"]);
    }
}

#[test]
fn reads_are_hot_cached_and_cold() {
    let report = bench(&["reads", "--commits", "500"]);
    for kind in ["hot", "page_cached", "opened", "cold"] {
        has(&report[kind], &SUMMARY);
    }
}

#[test]
fn stores_open_after_a_close_a_kill_and_without_metadata() {
    let report = bench(&["open", "--commits", "500", "--seconds", "1"]);
    has(&report, &["clean_ms", "rebuild_ms", "after_kill_ms"]);
    let (before, after) = (report["commits"].as_u64(), report["commits_after_kill"].as_u64());
    assert!(after > before, "the killed process wrote: {before:?}, {after:?}");
}
