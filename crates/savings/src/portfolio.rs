//! Figures of a portfolio.
