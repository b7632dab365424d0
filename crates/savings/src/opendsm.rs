//! Stored models of opendsm, evaluated.
