//! The tasks of this repository. `cargo xtask --help` lists them.

use std::process::ExitCode;

mod bench;
mod clients;
mod edges;
mod environment;
mod run;
mod test;

const HELP: &str = "\
The tasks of this repository.

Usage: cargo xtask <command>

Commands:
  test              Everything that decides whether a change lands: formatting, lints, crate edges, tests, clients, docs
  clients [NAME…]   Only the clients of others against the server; with names, only those
  bench [NAME]      Measures against the peers, on the same data in the same run; without a name, all of them

Options:
  -h, --help        This text, or that of a command

Example: cargo xtask test
";

const TEST_HELP: &str = "\
Everything that decides whether a change lands: formatting, lints, crate edges, tests, clients, docs.
Stops at the first step that fails and says how to run that step alone.

Usage: cargo xtask test

Example: cargo xtask test
";

const CLIENTS_HELP: &str = "\
Programs of others against the server: released clients of Nexus, schemathesis, frictionless, an OpenID provider.
Part of `cargo xtask test`. Needs python3 with venv and Node.js 20 or newer with npm; on a Debian, as root, installs them.

Usage: cargo xtask clients [NAME...]

Names: nexus-1.0.6, nexus-2.0.0b55, nexus-2.0.0b60, outside, contract
What they do: crates/server/tests/clients/README.md

Example: cargo xtask clients nexus-2.0.0b60 contract
";

const BENCH_HELP: &str = "\
Measures against the peers, on the same data in the same run, and prints a table.
Fails where answers differ from the peer's; a speed target that is missed is only printed.

Usage: cargo xtask bench [NAME [CASE...]]

Names:
  kernels   Folding of samples, against NumPy. Needs python3 and about 5 GB of memory
  store     Writing, reading and size, against PyArrow and DuckDB. Needs python3, about 8 GB of memory and 12 GB of
            disk in the target folder. Its cases: write, size, year, many, commits, read
  engine    Reading at another period and writing tables, against DuckDB, Polars and NumPy. Needs python3, about 8 GB
            of memory and 20 GB of disk. Its cases: cold, kinds, i16, channels, hourly, warm, ingest; and curve, which
            runs only where it is named: up to a billion samples
  http      The server over loopback, against its targets and the command line. Needs python3, wrk, about 2 GB of memory
            and 1 GB of disk. Its cases: warm, raw, cold, slow
  savings   Models of meters and portfolios, against eemeter and opendsm. Needs python3, about 1 GB of memory and 2 GB
            of disk. Its cases: fit, portfolio, sum
  datastore Ten thousand meters: loading them from CSV, running all of them, sums and lists, against targets. Needs curl and 3 GB
            of disk. Its cases: daily, by-time, runs; and hourly, which runs only where it is named and needs 12 GB

Examples: cargo xtask bench
          cargo xtask bench store year commits
          cargo xtask bench engine cold warm
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["-h" | "--help" | "help"] => help(HELP),
        ["test", "-h" | "--help"] => help(TEST_HELP),
        ["bench", "-h" | "--help"] => help(BENCH_HELP),
        ["clients", "-h" | "--help"] => help(CLIENTS_HELP),
        ["test"] => test::run_all(),
        ["clients", ref names @ ..] => {
            let known = clients::names();
            match names.iter().find(|name| !known.contains(name)) {
                Some(name) => {
                    let known = known.join(", ");
                    return usage(&format!("no clients are called {name:?}; there are: {known}"));
                }
                None => clients::clients(names),
            }
        }
        ["bench"] => bench::kernels()
            .and_then(|()| bench::store(&[]))
            .and_then(|()| bench::engine(&[]))
            .and_then(|()| bench::savings(&[]))
            .and_then(|()| bench::http(&[]))
            .and_then(|()| bench::datastore(&[])),
        ["bench", "kernels"] => bench::kernels(),
        ["bench", name @ ("store" | "engine" | "savings" | "http" | "datastore"), ref cases @ ..] => {
            let (known, run): (&[&str], fn(&[&str]) -> _) = match name {
                "store" => (&bench::STORE_CASES, bench::store),
                "savings" => (&bench::SAVINGS_CASES, bench::savings),
                "http" => (&bench::HTTP_CASES, bench::http),
                "datastore" => (&bench::DATASTORE_CASES, bench::datastore),
                _ => (&bench::ENGINE_CASES, bench::engine),
            };
            match cases.iter().find(|case| !known.contains(case)) {
                Some(case) => {
                    let known = known.join(", ");
                    return usage(&format!("no case of `{name}` is called {case:?}; there are: {known}"));
                }
                None => run(cases),
            }
        }
        ["bench", name] => {
            return usage(&format!(
                "no benchmark is called {name:?}; there are: kernels, store, engine, savings, http, datastore"
            ));
        }
        ["test" | "bench", .., extra] => return usage(&format!("{extra:?} is one argument too many")),
        [command, ..] => {
            return usage(&format!("no command is called {command:?}; there are: test, clients, bench"));
        }
        [] => return usage("a command is missing; there are: test, clients, bench"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn help(text: &str) -> Result<(), String> {
    print!("{text}");
    Ok(())
}

/// What was typed can't be meant: exit code 2, as other command lines do.
fn usage(message: &str) -> ExitCode {
    eprintln!("{message}\nTry: cargo xtask --help");
    ExitCode::from(2)
}
