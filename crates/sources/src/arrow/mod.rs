//! Arrow streams and files, wide or long.
//!
//! `message` takes messages out of the input and checks what they say of their size before anything is allocated for them,
//! `column` turns columns into cells, `reader` makes rows of those.

mod column;
mod message;
mod reader;

pub(crate) use message::{CONTINUATION, FILE_MAGIC};
pub use reader::ArrowReader;
