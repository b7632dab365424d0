//! The savings seen from outside: one binary, one module per promise.
