//! Decoders of others are made for input that is as it should be, and panic at some that is not.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a decoder gives, or what it had to say when it panicked. It must not be used any more then.
pub(crate) fn caught<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decode)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        format!("the file is damaged ({})", text.unwrap_or_else(|| "no reason is known".to_owned()))
    })
}
