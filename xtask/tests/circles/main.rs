//! Finds circles between the modules of each crate of the workspace.
//!
//! Module A depends on module B if A's code names a path into B; a path through a re-export leads to the module that defines the
//! item. At every level of the module tree, the dependencies between sibling modules, each with everything below it, must form no
//! circle. A module and what is below it are one unit: a parent may use its children, and they may use what it defines. Code for
//! tests (`#[cfg(test)]`) does not count. Dependencies without a path, such as a method call, are not seen.

mod circles;
mod modules;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use modules::Crate;

/// Returns the libraries and programs of the workspace, parsed.
fn workspace() -> Vec<Crate> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut crates = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        for target in package["targets"].as_array().unwrap() {
            let kind = text(&target["kind"][0]);
            if ["lib", "bin"].contains(&kind.as_str()) {
                let name = format!("{} ({kind} {})", text(&package["name"]), text(&target["name"]));
                crates.push(Crate::parse(name, Path::new(&text(&target["src_path"]))));
            }
        }
    }
    crates
}

#[test]
fn every_crate_of_the_workspace_is_read() {
    let crates = workspace();
    for name in [
        "xtask (lib xtask)",
        "xtask (bin xtask)",
        "board-tests (bin board-tests)",
        "expression-core (lib expression_core)",
    ] {
        assert!(crates.iter().any(|it| it.name == name && !it.modules.is_empty()), "{name} is missing");
    }
    let xtask = crates.iter().find(|it| it.name == "xtask (lib xtask)").unwrap();
    let paths: Vec<String> = xtask.modules.iter().map(|module| module.path.join("::")).collect();
    assert!(paths.contains(&"crate::setup::staging".to_owned()), "{paths:?}");
    let dependencies = xtask.dependencies();
    let depends = |from: &str, to: &str| dependencies.iter().any(|it| paths[it.from] == from && paths[it.to] == to);
    assert!(depends("crate::setup::staging", "crate::setup::fetch") && depends("crate::program", "crate::arm"));
}

#[test]
fn no_crate_has_circles() {
    let found: Vec<String> = workspace().iter().flat_map(circles::find).collect();
    assert!(found.is_empty(), "{} circles between modules:\n{}", found.len(), found.join("\n"));
}
