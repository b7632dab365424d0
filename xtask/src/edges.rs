//! Which of our crates may depend on which, and which must stay pure.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::Workspace;

/// What a crate may depend on.
#[derive(Clone, Copy)]
enum Edges {
    Any,
    Only(&'static [&'static str]),
}
use Edges::{Any, Only};

/// Our crates, and which of our crates each may depend on: to run, to build or to test. Arrows go down only, from the
/// top of this list to its bottom. A crate may be its own dev-dependency, to switch a feature on for its tests.
#[rustfmt::skip]
const ALLOWED: &[(&str, Edges)] = &[
    ("xtask",             Only(&[])),
    ("sheaf-bench",       Any),
    ("sheaf-fuzz",        Any),
    ("sheaf-server",      Only(&["sheaf-model", "sheaf-kernels", "sheaf-savings", "sheaf-sources", "sheaf-store",
                                 "sheaf-engine", "sheaf-db", "sheaf-metering"])),
    ("sheaf-metering",    Only(&["sheaf-model", "sheaf-savings", "sheaf-sources", "sheaf-store", "sheaf-engine", "sheaf-db"])),
    ("sheaf-distributed", Only(&["sheaf-model", "sheaf-kernels", "sheaf-store", "sheaf-engine"])),
    ("sheaf-db",          Only(&["sheaf-model", "sheaf-store"])),
    ("sheaf-engine",      Only(&["sheaf-model", "sheaf-kernels", "sheaf-sources", "sheaf-store"])),
    ("sheaf-store",       Only(&["sheaf-model", "sheaf-kernels"])),
    ("sheaf-sources",     Only(&["sheaf-model"])),
    ("sheaf-savings",     Only(&["sheaf-model", "sheaf-kernels"])),
    ("sheaf-kernels",     Only(&[])),
    ("sheaf-model",       Only(&[])),
];

/// The crates that compute and nothing else: no I/O, no async, no clock.
const PURE: &[&str] = &["sheaf-model", "sheaf-kernels", "sheaf-savings"];

/// What a pure crate has no use for.
const IMPURE: &[&str] = &["std::fs", "std::net", "std::time::SystemTime", "std::time::Instant", "tokio"];

/// Checks the edges and the pure crates; the message lists everything that is wrong.
pub(crate) fn check(workspace: &Workspace) -> Result<(), String> {
    let mut wrong = wrong_edges(&workspace.metadata);
    wrong.extend(impurities(&workspace.metadata, &workspace.root)?);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A message for each package that is not in the table, and for each edge that is not.
fn wrong_edges(metadata: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in packages(metadata) {
        let (name, manifest) = (text(package, "name"), text(package, "manifest_path"));
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            wrong.push(format!(
                "{manifest}: {name} is not in the table of crates. Say in xtask/src/edges.rs which of our crates it \
                 may depend on"
            ));
            continue;
        };
        let Only(allowed) = allowed else { continue };
        // What comes by path is ours.
        let ours = package["dependencies"].as_array().into_iter().flatten().filter(|d| d["path"].is_string());
        for dependency in ours {
            let (to, kind) = (text(dependency, "name"), dependency["kind"].as_str());
            let is_itself = to == name && kind == Some("dev");
            if is_itself || allowed.contains(&to) {
                continue;
            }
            let kind = kind.map(|kind| format!("{kind}-")).unwrap_or_default();
            let instead = if allowed.is_empty() { "none of ours".to_owned() } else { allowed.join(", ") };
            wrong.push(format!(
                "{manifest}: {name} must not have the {kind}dependency {to}; it may depend on {instead}. Take it out, \
                 or change the table in xtask/src/edges.rs and say why"
            ));
        }
    }
    wrong
}

/// A message for each line of a pure crate that names something impure.
fn impurities(metadata: &Value, root: &Path) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    for package in packages(metadata).filter(|package| PURE.contains(&text(package, "name"))) {
        let folder = Path::new(text(package, "manifest_path")).with_file_name("src");
        for path in rust_files(&folder)? {
            let source = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let path = path.strip_prefix(root).unwrap_or(&path);
            for (line, what) in impure_lines(&source) {
                wrong.push(format!(
                    "{}:{line}: {} is pure and must not use {what}. Do it in the crate that calls it",
                    path.display(),
                    text(package, "name")
                ));
            }
        }
    }
    Ok(wrong)
}

/// Line numbers from 1, with what is impure in each; comments don't count.
fn impure_lines(source: &str) -> Vec<(usize, &'static str)> {
    let code = source.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(|(index, line)| {
        IMPURE.iter().filter(move |what| line.contains(**what)).map(move |what| (index + 1, *what))
    })
    .collect()
}

/// All Rust files below a folder, in the order of their names.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let message = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(message)? {
        let path = entry.map_err(message)?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let dependencies: Vec<Value> = dependencies
            .iter()
            .map(|(name, kind)| json!({ "name": name, "kind": kind, "path": format!("/made/up/{name}") }))
            .collect();
        json!({ "name": name, "manifest_path": format!("{name}/Cargo.toml"), "dependencies": dependencies })
    }

    fn wrong(package: Value) -> Vec<String> {
        wrong_edges(&json!({ "packages": [package] }))
    }

    #[test]
    fn this_workspace_keeps_to_the_table() {
        check(&Workspace::find().unwrap()).unwrap();
    }

    #[test]
    fn arrows_go_down() {
        assert_eq!(wrong(package("sheaf-store", &[("sheaf-model", None), ("sheaf-kernels", None)])).len(), 0);
        assert_eq!(
            wrong(package("sheaf-store", &[("sheaf-engine", Some("dev"))])),
            [
                "sheaf-store/Cargo.toml: sheaf-store must not have the dev-dependency sheaf-engine; it may depend on \
              sheaf-model, sheaf-kernels. Take it out, or change the table in xtask/src/edges.rs and say why"
            ]
        );
        for kind in [None, Some("build"), Some("dev")] {
            assert_eq!(wrong(package("sheaf-kernels", &[("sheaf-model", kind)])).len(), 1, "{kind:?}");
        }
    }

    #[test]
    fn a_crate_may_test_itself() {
        assert_eq!(wrong(package("sheaf-kernels", &[("sheaf-kernels", Some("dev"))])).len(), 0);
    }

    #[test]
    fn benchmarks_may_use_anything() {
        assert_eq!(wrong(package("sheaf-bench", &[("sheaf-server", Some("dev"))])).len(), 0);
    }

    #[test]
    fn an_unknown_crate_is_named() {
        let messages = wrong(package("sheaf-utils", &[]));
        assert!(messages[0].starts_with("sheaf-utils/Cargo.toml: sheaf-utils is not in the table"));
    }

    #[test]
    fn crates_from_outside_are_none_of_this_table_s_business() {
        let mut package = package("sheaf-model", &[]);
        package["dependencies"] = json!([{ "name": "jiff", "kind": null, "req": "^0.2" }]);
        assert_eq!(wrong(package).len(), 0);
    }

    #[test]
    fn the_table_itself_has_no_arrow_up() {
        for (index, (name, edges)) in ALLOWED.iter().enumerate() {
            let Only(edges) = edges else { continue };
            for edge in *edges {
                assert!(ALLOWED[index + 1..].iter().any(|(below, _)| below == edge), "{name} to {edge}");
            }
        }
    }

    #[test]
    fn code_is_searched_and_comments_are_not() {
        let source = "// std::fs is not used\nuse std::fs;\nlet at = std::time::Instant::now();\n";
        assert_eq!(impure_lines(source), [(2, "std::fs"), (3, "std::time::Instant")]);
    }
}
