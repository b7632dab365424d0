//! The engine seen from outside: one binary, one module per promise.

#[cfg(test)]
mod integration {
    mod ingest;
    mod measure;
    mod rollups;
    mod stored;
}
