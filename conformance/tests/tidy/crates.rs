//! Between crates the arrows run one way: the contract knows nobody, an engine knows the contract, and only the host
//! knows engines.

use super::none;
use super::source::files;

/// Each crate of the workspace, and those of the workspace that it may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("backend-api", &[]),
    ("backend-api/fuzz", &["backend-api"]),
    ("backend-postgres", &["backend-api"]),
    ("backend-postgres/fixture", &[]),
    ("backend-tranquil", &["backend-api"]),
    ("backend-tranquil/fuzz", &["backend-tranquil"]),
    ("backend-tranquil/sim", &["backend-api", "backend-tranquil", "conformance"]),
    ("conformance", &["backend-api"]),
    // A tool that nobody depends on: it compares the engines, so it must see them.
    ("conformance/differential", &["backend-api", "backend-postgres", "backend-tranquil", "conformance"]),
    ("pds/fuzz", &["backend-api", "conformance", "pds"]),
    ("pds", &["backend-api", "backend-postgres", "backend-tranquil"]),
];

/// What tests may use besides.
const IN_TESTS: &[&str] = &["backend-api", "conformance", "postgres-fixture"];

fn arrows(path: &str, manifest: &str) -> Vec<String> {
    let Some(name) = path.strip_suffix("/Cargo.toml") else { return Vec::new() };
    let Some((_, allowed)) = CRATES.iter().find(|(known, _)| *known == name) else {
        return vec![format!("{path}: the crate is not in the table of conformance/tests/tidy")];
    };
    let mut out = Vec::new();
    let mut section = "";
    for (i, line) in manifest.lines().enumerate() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            continue;
        }
        let dependency = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if !CRATES.iter().any(|(known, _)| *known == dependency) {
            continue;
        }
        let is_allowed = match section {
            "dependencies" | "build-dependencies" => allowed.contains(&dependency),
            "dev-dependencies" => {
                name != "backend-api" && (IN_TESTS.contains(&dependency) || allowed.contains(&dependency))
            }
            _ => false,
        };
        if !is_allowed {
            out.push(format!("{path}:{}: {name} must not depend on {dependency} in [{section}]", i + 1));
        }
    }
    out
}

/// Nothing unpinned, nothing from anywhere but the registry and this workspace.
fn pins(path: &str, manifest: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut section = "";
    for (i, line) in manifest.lines().enumerate() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            continue;
        }
        let is_dependency = section.ends_with("dependencies") && line.contains('=') && !line.starts_with('#');
        let is_pinned = line.contains("workspace = true") || line.contains("path = ") || line.contains("\"=");
        if is_dependency && (!is_pinned || line.contains("git = ")) {
            out.push(format!("{path}:{}: pin it as \"=x.y.z\" in [workspace.dependencies]: {line}", i + 1));
        }
    }
    out
}

fn manifests() -> Vec<(String, String)> {
    files("toml").into_iter().filter(|(path, _)| path.ends_with("Cargo.toml")).collect()
}

#[test]
fn crates_depend_one_way() {
    let manifests = manifests();
    none("crates", &manifests.iter().flat_map(|(path, text)| arrows(path, text)).collect::<Vec<_>>());
    for (name, _) in CRATES {
        let path = format!("{name}/Cargo.toml");
        assert!(manifests.iter().any(|(there, _)| *there == path), "the table names {name}, which is not there");
    }
}

#[test]
fn dependencies_are_pinned() {
    none("pins", &manifests().iter().flat_map(|(path, text)| pins(path, text)).collect::<Vec<_>>());
}

/// The README's first command names no program.
#[test]
fn a_bare_cargo_run_is_the_host() {
    let metadata = super::licences::cargo(&["metadata", "--format-version", "1", "--locked", "--no-deps"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("cargo writes JSON");
    let members = metadata["workspace_default_members"].as_array().expect("there are members");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let mut programs = Vec::new();
    for package in packages.iter().filter(|package| members.contains(&package["id"])) {
        for target in package["targets"].as_array().expect("there are targets") {
            let kinds = target["kind"].as_array().expect("a target has kinds");
            if kinds.iter().any(|kind| kind == "bin") {
                programs.push(target["name"].as_str().expect("a target has a name").to_owned());
            }
        }
    }
    assert_eq!(programs, ["pds"], "what `cargo run` can mean");
}

#[test]
fn wrong_dependencies_are_found() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nbackend-tranquil.workspace = true\n";
    assert_eq!(arrows("conformance/Cargo.toml", manifest).len(), 1);
    assert_eq!(arrows("backend-api/Cargo.toml", "[dev-dependencies]\nconformance.workspace = true\n").len(), 1);
    assert!(arrows("pds/Cargo.toml", manifest).is_empty());
    assert!(arrows("backend-tranquil/Cargo.toml", "[dev-dependencies]\nconformance.workspace = true\n").is_empty());
    assert_eq!(arrows("attic/Cargo.toml", "").len(), 1);
    assert_eq!(pins("Cargo.toml", "[dependencies]\nserde = \"1\"\n").len(), 1);
    assert_eq!(pins("Cargo.toml", "[dependencies]\nx = { git = \"https://x\", version = \"=1.0.0\" }\n").len(), 1);
    assert!(pins("Cargo.toml", "[dependencies]\nserde = \"=1.0.2\"\n# a = \"1\"\n").is_empty());
}
