//! Secrets: how they are made, and what is kept of them.
//!
//! A secret is 256 random bits, so nothing is gained by hashing it slowly: its SHA-256 is as hard to turn around as the
//! secret is to guess. Passwords are another matter, see `passwords.rs`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use sha2::{Digest, Sha256};
use sheaf_db::SecretDigest;

/// How tokens begin, so that scanners find those that went astray.
const PREFIX: &str = "sheaf_";

/// 256 random bits, as text of letters, digits, `-` and `_`.
pub(crate) fn new_secret() -> String {
    let mut bits = [0; 32];
    rand::rng().fill_bytes(&mut bits);
    URL_SAFE_NO_PAD.encode(bits)
}

/// The secret of a new token.
pub(crate) fn new_token() -> String {
    format!("{PREFIX}{}", new_secret())
}

/// What is kept of a secret, or of a text.
pub(crate) fn digest(secret: &str) -> SecretDigest {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_plain_and_never_the_same() {
        let (one, other) = (new_token(), new_token());
        assert_ne!(one, other);
        assert_eq!(one.len(), PREFIX.len() + 43);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(one.starts_with(PREFIX) && one.chars().all(is_plain), "{one}");
        // As `printf abc | sha256sum` says.
        assert_eq!(digest("abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
