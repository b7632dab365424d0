//! What a benchmark was asked for.

use std::path::PathBuf;

/// What `cargo xtask bench` hands over.
pub struct Asked {
    /// Where the data, the peer's answers and the report go.
    pub folder: PathBuf,
    /// A Python that has the peers.
    pub python: PathBuf,
    /// The cases to run; all if there is none.
    pub cases: Vec<String>,
}

impl Asked {
    /// From the variables that it is handed over in; `None` where somebody else started the benchmark.
    pub fn from_env() -> Option<Asked> {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let cases = std::env::var("SHEAF_BENCH_CASES").unwrap_or_default();
        Some(Asked {
            folder: path("SHEAF_BENCH_FOLDER")?,
            python: path("SHEAF_BENCH_PYTHON")?,
            cases: cases.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

/// Whether everything is to run once, as a test: cargo says `--bench` where it is to be measured.
pub fn is_test() -> bool {
    let args: Vec<String> = std::env::args().collect();
    args.iter().any(|arg| arg == "--test") || !args.iter().any(|arg| arg == "--bench")
}
