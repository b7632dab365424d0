//! Metering seen from outside: one binary, one module per promise.

#[cfg(test)]
mod integration {
    mod records;
    mod runs;
}
