//! The engine seen from outside: one binary, one module per promise.

#[cfg(test)]
mod integration {
    mod ingest;
    mod resolve;
    mod rollups;
    mod source_rollups;
    mod spread;
    mod stored;
    mod warm;
}
