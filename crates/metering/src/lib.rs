//! Metered traces: their records in the store, and what becomes of them.
//!
//! A trace is a series of the catalog `/traces` ([`trace_name`] says how it is called there), so paths, charts and exports
//! work on it as on any other; weather is one of the catalog `/weather`.
//!
//! # In reading order
//!
//! | module | question |
//! |---|---|
//! | [`records`], [`trace_name`] | Where are the records of a trace? |
//! | [`weather`] | Where are temperatures, and which station's count for a place? |
//! | [`input`] | What is a meter run made from, as JSON? |
//! | [`classes`] | Which model is it, and what can be chosen? |
//! | [`request`] | What does a request ask for? |
//! | [`run`] | What does a claimed run yield? |
//! | [`render`] | What does a run show of its input and output, later? |
//! | [`aggregate`] | What do many derivatives say together? |
//! | [`times`] | When is that, in the database? |
//! | [`worker`] | Who does all that? |

pub mod aggregate;
pub mod classes;
pub mod input;
mod note;
pub mod records;
pub mod render;
pub mod request;
pub mod run;
pub mod times;
pub mod trace_name;
pub mod weather;
pub mod worker;
