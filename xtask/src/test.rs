//! `cargo xtask test`: one step after the other, until one fails.

use std::time::Instant;

use crate::clients;
use crate::edges;
use crate::run::{Workspace, run, succeeds};

struct Step {
    name: &'static str,
    /// What to type to run this step alone.
    alone: &'static str,
    run: fn(&Workspace) -> Result<(), String>,
}

const FMT: &[&str] = &["fmt", "--all", "--check"];
const CLIPPY: &[&str] = &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
// Not `--all-targets`: that would run each benchmark once, unoptimised.
const TEST: &[&str] = &["test", "--workspace", "--lib", "--bins", "--tests", "--examples"];
const DOC_TEST: &[&str] = &["test", "--workspace", "--doc"];
const DOC: &[&str] = &["doc", "--workspace", "--no-deps"];

/// The quick ones first.
const STEPS: &[Step] = &[
    Step {
        name: "formatting",
        alone: "cargo fmt --all --check   (and `cargo fmt --all` to repair it)",
        run: |workspace| {
            needs_component(workspace, "fmt", "rustfmt")?;
            run(&mut workspace.cargo(FMT))
        },
    },
    Step { name: "crate edges", alone: "cargo test -p xtask edges", run: edges::check },
    Step {
        name: "clippy",
        alone: "cargo clippy --workspace --all-targets --all-features -- -D warnings",
        run: |workspace| {
            needs_component(workspace, "clippy", "clippy")?;
            run(&mut workspace.cargo(CLIPPY))
        },
    },
    Step {
        name: "tests",
        alone: "cargo test --workspace --lib --bins --tests --examples",
        run: |workspace| run(&mut workspace.cargo(TEST)),
    },
    Step { name: "clients", alone: "cargo xtask clients", run: |workspace| clients::run_in(workspace, &[]) },
    Step {
        name: "doc tests",
        alone: "cargo test --workspace --doc",
        run: |workspace| run(&mut workspace.cargo(DOC_TEST)),
    },
    Step {
        name: "docs",
        alone: "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps",
        run: |workspace| run(workspace.cargo(DOC).env("RUSTDOCFLAGS", "-D warnings")),
    },
];

/// Runs all steps.
pub(crate) fn run_all() -> Result<(), String> {
    let workspace = Workspace::find()?;
    let mut times = Vec::new();
    for Step { name, alone, run } in STEPS {
        println!("==> {name}");
        let begin = Instant::now();
        run(&workspace).map_err(|message| format!("{message}\nFailed: {name}. To run it alone: {alone}"))?;
        times.push(format!("{name} {:.1} s", begin.elapsed().as_secs_f64()));
    }
    println!("All passed: {}", times.join(", "));
    Ok(())
}

/// Installs a part of the toolchain where it is missing.
fn needs_component(workspace: &Workspace, subcommand: &str, component: &str) -> Result<(), String> {
    if succeeds(&mut workspace.cargo(&[subcommand, "--version"])) {
        return Ok(());
    }
    println!("{component} is missing; installing it");
    run(std::process::Command::new("rustup").args(["component", "add", component])).map_err(|message| {
        format!("{message}\n{component} is needed: install it as your Rust toolchain was installed")
    })
}
