//! Every dependency has a licence that `deny.toml` allows. `cargo deny` checks more, where it is installed.

use std::process::Command;

use super::source::root;

/// The list `allow` of `deny.toml`.
fn allowed(text: &str) -> Vec<String> {
    let list = text.split("\nallow = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// True if an SPDX expression can be met. `/` is how old crates write OR.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any(&words, &mut at, allowed);
    met && at == words.len()
}

fn any(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(words, at, allowed);
    }
    met
}

fn all(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = any(words, at, allowed);
        *at += 1;
        return met;
    }
    let mut name = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    allowed.contains(&name)
}

/// The licence of a package that only has it as a file. One sort is known by its first line; others need a look.
fn of_file(package: &serde_json::Value) -> Option<String> {
    let manifest = std::path::Path::new(package["manifest_path"].as_str()?);
    let text = std::fs::read_to_string(manifest.with_file_name(package["license_file"].as_str()?)).ok()?;
    (text.lines().next() == Some("MIT License")).then(|| "MIT".into())
}

/// Standard output of cargo.
pub(super) fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes text")
}

#[test]
fn every_licence_is_allowed() {
    let allowed = allowed(&std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there"));
    let version = cargo(&["--version", "--verbose"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo knows its host");
    let metadata = cargo(&["metadata", "--format-version", "1", "--locked", "--filter-platform", host]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    assert!(packages.len() > 50, "only {} packages", packages.len());
    let mut refused = Vec::new();
    for package in packages {
        let licence = match package["license"].as_str() {
            Some(expression) => expression.to_owned(),
            None => of_file(package).unwrap_or_else(|| "none stated".into()),
        };
        if !is_met(&licence, &allowed) {
            refused.push(format!("Cargo.lock: {} {}: {licence}", package["name"], package["version"]));
        }
        // Our own have no source.
        let source = package["source"].as_str().unwrap_or("registry+");
        if !source.starts_with("registry+") {
            refused.push(format!("Cargo.lock: {} comes from {source}", package["name"]));
        }
    }
    super::none("licences", &refused);
}

#[test]
fn a_licence_that_is_not_allowed_is_found() {
    let list =
        allowed("[licenses]\nallow = [\n    \"MIT\",\n    \"Apache-2.0 WITH LLVM-exception\",\n    \"ISC\",\n]\n");
    assert_eq!(list.len(), 3);
    for met in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "ISC AND (MIT OR GPL-3.0)", "Apache-2.0 WITH LLVM-exception"]
    {
        assert!(is_met(met, &list), "{met}");
    }
    for unmet in ["AGPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "ISC AND (GPL-2.0 OR GPL-3.0)", "none stated", "MIT MIT"]
    {
        assert!(!is_met(unmet, &list), "{unmet}");
    }
}
