//! `cargo xtask clients`: programs of others against the real one. What they do: `crates/server/tests/clients/README.md`.

use std::process::Command;

use crate::environment;
use crate::run::{Workspace, run};

/// The folder with the tests.
const FOLDER: &str = "crates/server/tests/clients";

/// Tests that run in an environment of their own.
struct Suite {
    name: &'static str,
    /// The folder with its tests.
    tests: &'static str,
    requirements: &'static str,
}

const SUITES: &[Suite] = &[
    Suite { name: "nexus-1.0.6", tests: "nexus", requirements: "nexus/requirements-1.0.6.txt" },
    Suite { name: "nexus-2.0.0b55", tests: "nexus", requirements: "nexus/requirements-2.0.0b55.txt" },
    Suite { name: "nexus-2.0.0b60", tests: "nexus", requirements: "nexus/requirements-2.0.0b60.txt" },
    Suite { name: "outside", tests: "outside", requirements: "outside/requirements.txt" },
    Suite { name: "datastore", tests: "datastore", requirements: "datastore/requirements.txt" },
    Suite { name: "contract", tests: "contract", requirements: "contract/requirements.txt" },
];

/// The names of all suites.
pub(crate) fn names() -> Vec<&'static str> {
    SUITES.iter().map(|suite| suite.name).collect()
}

/// Runs those suites, or all of them.
pub(crate) fn clients(wanted: &[&str]) -> Result<(), String> {
    run_in(&Workspace::find()?, wanted)
}

/// Runs those suites, or all of them, in that workspace.
pub(crate) fn run_in(workspace: &Workspace, wanted: &[&str]) -> Result<(), String> {
    // The program as the tests have built it: alone, what it depends on would have other features, and all be built once more.
    run(&mut workspace.cargo(&["test", "--workspace", "--test", "integration", "--no-run"]))?;
    let program = workspace.target.join("debug").join("sheaf");
    let provider = environment::node(workspace, "clients/provider", &format!("{FOLDER}/outside/provider"))?;
    let suites = SUITES.iter().filter(|suite| wanted.is_empty() || wanted.contains(&suite.name));
    for Suite { name, tests, requirements } in suites {
        println!("==> clients: {name}");
        let requirements = format!("{FOLDER}/{requirements}");
        let python = environment::python(workspace, &format!("clients/{name}"), &requirements)?;
        run(Command::new(python)
            .args(["-B", "-m", "pytest", "-q", tests])
            .current_dir(workspace.root.join(FOLDER))
            .env("SHEAF_PROGRAM", &program)
            .env("SHEAF_PROVIDER", provider.join("provider.mjs")))
        .map_err(|message| format!("{message}\nTo run it alone: cargo xtask clients {name}"))?;
    }
    Ok(())
}
