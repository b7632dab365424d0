//! Arrow streams and files, wide or long.
//!
//! `message` takes messages out of the input and checks what they say of their size before anything is allocated for them,
//! `packed` takes their buffers out of compression, `column` turns columns into cells, `reader` makes rows of those.

mod column;
mod message;
mod packed;
mod reader;

pub(crate) use message::{CONTINUATION, FILE_MAGIC};
pub use reader::ArrowReader;
