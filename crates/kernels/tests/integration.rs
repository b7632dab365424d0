//! The contract of the kernels, seen from outside: one binary, one module per promise.

#[cfg(test)]
mod integration {
    mod codec;
    mod edge_cases;
    mod edges;
    mod gate;
    mod golden;
    mod laws;
    mod levels;
    mod reference;
    mod resample;
    mod series;
    mod threads;
}
