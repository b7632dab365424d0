//! The savings seen from outside: one binary, one module per promise.

#[cfg(test)]
mod integration {
    mod hourly;
    mod opendsm;
    mod portfolio;
}
