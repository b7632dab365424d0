//! Passwords of users who are known here only: hashed with Argon2id, slowly and in much memory, as guesses have to be.

use std::sync::LazyLock;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

/// The shortest password, in characters.
const SHORTEST: usize = 10;

/// The longest password, in bytes.
const LONGEST: usize = 1024;

/// Passwords that are checked at the same time; each takes 19 MiB and a core for some hundredths of a second.
static TURNS: Semaphore = Semaphore::const_new(2);

/// How long to wait for a turn.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A hash of nothing, so that it takes as long to find out that there is no such user as that a password is wrong.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| hash_now(&super::secret::new_secret()).unwrap_or_default());

/// A password that is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("a password has {SHORTEST} characters or more; this one has {chars}")]
    TooShort { chars: usize },
    #[error("a password has {LONGEST} bytes at most; this one has {bytes}")]
    TooLong { bytes: usize },
    #[error("the password can't be hashed: {problem}")]
    Hash { problem: String },
}

/// The hash of a new password.
pub(crate) fn hash(password: &str) -> Result<String, PasswordError> {
    let chars = password.chars().count();
    if chars < SHORTEST {
        return Err(PasswordError::TooShort { chars });
    }
    if password.len() > LONGEST {
        return Err(PasswordError::TooLong { bytes: password.len() });
    }
    hash_now(password)
}

fn hash_now(password: &str) -> Result<String, PasswordError> {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    hashed.map(|hash| hash.to_string()).map_err(|error| PasswordError::Hash { problem: error.to_string() })
}

/// Whether a password is the one that was hashed. `None` if too many are being checked.
pub(crate) async fn is_right(password: String, hash: Option<String>) -> Option<bool> {
    let turn = tokio::time::timeout(PATIENCE, TURNS.acquire()).await.ok()?.ok()?;
    let checked = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let against = hash.as_deref().unwrap_or(&NOBODY);
        let is_right = password.len() <= LONGEST
            && PasswordVerifier::<str>::verify_password(&Argon2::default(), password.as_bytes(), against)
                .is_ok();
        is_right && hash.is_some()
    });
    Some(checked.await.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let kept = hash("correct horse").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(hash("correct horse").unwrap(), kept, "salted");
        let check = async |password: &str, hash: Option<&String>| {
            is_right(password.to_owned(), hash.cloned()).await.unwrap()
        };
        assert!(check("correct horse", Some(&kept)).await);
        assert!(!check("correct horse ", Some(&kept)).await);
        assert!(!check("", Some(&kept)).await);
        assert!(!check("correct horse", None).await);
        assert!(!check("correct horse", Some(&"no hash".to_owned())).await);
        assert_eq!(hash("123456789"), Err(PasswordError::TooShort { chars: 9 }));
        assert_eq!(hash(&"x".repeat(1025)), Err(PasswordError::TooLong { bytes: 1025 }));
    }
}
