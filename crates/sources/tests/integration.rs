//! Reading tables, seen from outside: one binary, one module per promise.

#[cfg(test)]
mod integration {
    mod common;
    mod errors;
    mod folders;
    mod malformed;
    mod nexus;
    mod parquet;
    mod properties;
    mod tables;
    mod times;
}
