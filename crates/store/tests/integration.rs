//! The contract of the store, seen from outside: one binary, one module per promise.

#[cfg(test)]
mod integration {
    mod compaction;
    mod damage;
    mod faults;
    mod model;
    mod repair;
    mod rollups;
    mod streaming;
    mod world;
    mod writing;
}
