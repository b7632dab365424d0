//! What other programs need: virtual environments of Python and folders of Node packages, made where builds go.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Workspace, output, run, succeeds};

/// A Python with some requirements, in a virtual environment of its own in the target folder; made anew when they change.
pub(crate) fn python(workspace: &Workspace, venv: &str, requirements: &str) -> Result<PathBuf, String> {
    let venv = workspace.target.join(venv);
    let python = venv.join("bin").join("python");
    let requirements = workspace.root.join(requirements);
    let wanted = read(&requirements)?;
    let stamp = venv.join("installed-requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted)
        && succeeds(Command::new(&python).arg("--version"))
    {
        return Ok(python);
    }
    println!("==> setting up {}", venv.display());
    if !succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        install("python3 with venv and pip", &["python3", "python3-venv"])?;
    }
    if let Some(parent) = venv.parent() {
        fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(&requirements))?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}

/// A copy of a folder with a `package-lock.json`, and its packages; made anew when the lock changes.
pub(crate) fn node(workspace: &Workspace, copy: &str, folder: &str) -> Result<PathBuf, String> {
    let (copy, folder) = (workspace.target.join(copy), workspace.root.join(folder));
    fs::create_dir_all(&copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    let wanted = read(&folder.join("package-lock.json"))?;
    let stamp = copy.join("installed-lock.json");
    let files = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for file in files.map_while(Result::ok).filter(|file| file.path().is_file()) {
        let to = copy.join(file.file_name());
        fs::copy(file.path(), &to).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("==> setting up {}", copy.display());
        if !succeeds(Command::new("npm").arg("--version")) {
            install("Node.js 20 or newer with npm", &["nodejs", "npm"])?;
        }
        run(Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&copy))?;
        fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    }
    Ok(copy)
}

/// Looks for the program `wrk`, which loads servers.
pub(crate) fn wrk() -> Result<(), String> {
    // It has no option that does nothing; asked for its version, it answers and fails.
    if Command::new("wrk").arg("--version").output().is_ok() {
        return Ok(());
    }
    install("wrk", &["wrk"])
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Installs packages where that can be done without asking: on a Debian, as root.
fn install(what: &str, packages: &[&str]) -> Result<(), String> {
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || !succeeds(Command::new("apt-get").arg("--version")) {
        let packages = packages.join(" ");
        return Err(format!("{what} is needed. On Debian or Ubuntu: apt-get install {packages}"));
    }
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    // A machine that never looked at its package lists has to do so first.
    run(&mut install).or_else(|_| {
        run(Command::new("apt-get").arg("update"))?;
        run(&mut install)
    })
}
