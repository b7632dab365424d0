//! Reading tables, seen from outside: one binary, one module per promise.

#[cfg(test)]
mod integration {
    mod arrow;
    mod common;
    mod databases;
    mod errors;
    mod exports;
    mod folders;
    mod json_lines;
    mod malformed;
    mod meters;
    mod nexus;
    mod parquet;
    mod properties;
    mod remote;
    mod samples;
    mod tables;
    mod times;
    mod weather;
}
