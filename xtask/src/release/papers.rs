//! What a release says about the libraries in the program: their licences, and the list of them (CycloneDX).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::bad_input;
use crate::{cargo, process};

/// Commands of cargo that write these, and the versions that are known to work.
const TOOLS: [(&str, &str); 2] =
    [("cyclonedx", "cargo-cyclonedx@0.5.9"), ("about", "cargo-about@0.9.3 --features cli")];
/// The page with the licences of all dependencies.
const LICENCES: &str = "LICENCES.html";

/// Checks that the tools are installed.
///
/// # Errors
/// Returns an error with the command that installs the one that is missing.
pub fn require_tools() -> Result<()> {
    for (name, package) in TOOLS {
        if process::run(&mut cargo::command(&[name, "--version"])).is_err() {
            return Err(bad_input(format!(
                "missing: cargo-{name}; install it with `cargo install --locked {package}`"
            )));
        }
    }
    Ok(())
}

/// Writes a page with the licences of all crates of the program to `folder`, without asking any server, and returns its path.
///
/// # Errors
/// Returns an error if cargo-about fails, for instance because a crate has a licence that is not accepted.
pub fn write_licences(root: &Path, folder: &Path) -> Result<PathBuf> {
    let page = folder.join(LICENCES);
    let mut about = cargo::command(&["about", "generate", "--fail", "--offline", "--locked", "--config"]);
    about.arg(root.join("boards/release/about.toml")).arg("--manifest-path").arg(root.join("edge-runtime/Cargo.toml"));
    about.arg("--output-file").arg(&page).arg(root.join("boards/release/licences.hbs"));
    process::run(&mut about).context("the licences could not be listed")?;
    Ok(page)
}

/// Writes the list of all crates in the program for a target, in CycloneDX's JSON.
///
/// # Errors
/// Returns an error if cargo-cyclonedx fails or writes no list of `edge-runtime`.
pub fn write_dependencies(root: &Path, target: &str, date: u64, list: &Path) -> Result<()> {
    let name = "release-dependencies";
    let mut tool = cargo::command(&["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5"]);
    tool.args(["--target", target, "--no-build-deps", "--override-filename", name, "--manifest-path"]);
    tool.arg(root.join("edge-runtime/Cargo.toml")).env("SOURCE_DATE_EPOCH", date.to_string());
    process::run(&mut tool).context("the dependencies could not be listed")?;
    // It writes a list beside the manifest of each member of the workspace.
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let members = manifest["workspace"]["members"].as_array().context("the workspace has no members")?;
    let mut text = None;
    for member in members.iter().filter_map(toml::Value::as_str) {
        let path = root.join(member).join(format!("{name}.json"));
        if member == "edge-runtime" {
            text = fs::read_to_string(&path).ok();
        }
        let _ = fs::remove_file(path);
    }
    let text = text.context("cargo-cyclonedx wrote no list of edge-runtime")?;
    // Crates of the workspace are named by their paths.
    let text = text.replace(&root.display().to_string(), "/source");
    let mut dependencies: Value = serde_json::from_str(&text).context("cargo-cyclonedx wrote no JSON")?;
    let components = dependencies["components"].as_array_mut().context("cargo-cyclonedx lists no components")?;
    components.extend(models(&root.join("models/ferplus-edge"))?);
    let text = format!("{}\n", serde_json::to_string_pretty(&dependencies)?);
    fs::write(list, text).with_context(|| format!("{} could not be written", list.display()))
}

/// Returns the components that are models: the nets of the bundle.
fn models(bundle: &Path) -> Result<[Value; 2]> {
    let model = |file: &str, name: &str, copyright: &str, licences: Value| -> Result<Value> {
        let path = bundle.join(file);
        let content = fs::read(&path).with_context(|| format!("{} could not be read", path.display()))?;
        let sum: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(json!({
            "type": "machine-learning-model",
            "bom-ref": file,
            "name": name,
            "scope": "required",
            "hashes": [{ "alg": "SHA-256", "content": sum }],
            "licenses": licences,
            "copyright": copyright,
        }))
    };
    let own = json!([{ "expression": "MIT OR Apache-2.0" }]);
    let apache = json!([{ "license": { "id": "Apache-2.0" } }]);
    Ok([
        model("expression.onnx", "ferplus-edge", "the FN2EN on the edge authors", own)?,
        model("detector.onnx", "BlazeFace 256x256", "The MediaPipe Authors", apache)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_are_listed_with_their_hashes_and_licences() {
        let bundle = tempfile::tempdir().unwrap();
        fs::write(bundle.path().join("expression.onnx"), "").unwrap();
        assert!(models(bundle.path()).unwrap_err().to_string().contains("detector.onnx could not be read"));
        fs::write(bundle.path().join("detector.onnx"), "abc").unwrap();
        let [_, detector] = models(bundle.path()).unwrap();
        assert_eq!(detector["licenses"][0]["license"]["id"], "Apache-2.0");
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(detector["hashes"][0]["content"], sum);
    }

    #[test]
    fn the_licences_that_a_release_accepts_are_those_of_deny_toml() {
        let root = cargo::workspace_root();
        let table = |path: &str| fs::read_to_string(root.join(path)).unwrap().parse::<toml::Table>().unwrap();
        assert_eq!(table("boards/release/about.toml")["accepted"], table("deny.toml")["licenses"]["allow"]);
    }
}
