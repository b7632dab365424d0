//! Running commands, and where things are.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The workspace as `cargo metadata` describes it. Found from the current folder, so any subfolder will do.
pub(crate) struct Workspace {
    /// The folder of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    /// Where builds go: `CARGO_TARGET_DIR`, or `target`.
    pub(crate) target: PathBuf,
    /// All of it.
    pub(crate) metadata: Value,
}

impl Workspace {
    /// Asks cargo. Outside crates are left out, so nothing is downloaded.
    pub(crate) fn find() -> Result<Workspace, String> {
        let text = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
        let metadata: Value = serde_json::from_str(&text)
            .map_err(|error| format!("`cargo metadata` printed no JSON: {error}"))?;
        let path = |key: &str| {
            let path = metadata[key].as_str().ok_or(format!("`cargo metadata` names no {key}"))?;
            Ok::<_, String>(PathBuf::from(path))
        };
        Ok(Workspace { root: path("workspace_root")?, target: path("target_directory")?, metadata })
    }

    /// Cargo, in the root of the workspace.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = cargo();
        command.args(args).current_dir(&self.root);
        command
    }
}

/// The cargo that runs this task. Without what it says of this package: build scripts of others look at that, so they and
/// all that depends on them would be built anew whenever cargo is called from here after it was called by hand.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command and shows what it prints.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", shown(command))) }
}

/// Runs a command and returns what it prints; its error messages are shown.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| not_started(command, &error))?;
    if !output.status.success() {
        return Err(format!("`{}` failed: {}", shown(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{}` printed no UTF-8", shown(command)))
}

/// Whether a command runs and succeeds; nothing of it is shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("`{}` could not be started: {error}", shown(command))
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    command.get_args().fold(name, |shown, arg| {
        let arg = arg.to_string_lossy();
        if arg.contains(' ') { format!("{shown} '{arg}'") } else { format!("{shown} {arg}") }
    })
}
