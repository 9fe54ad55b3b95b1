//! Passwords, as argon2id hashes in their textual form.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Argon2, password_hash};
use tokio::sync::Semaphore;

use crate::env;
use crate::error::XrpcError;

/// Hashes at work at the same time. Each takes 19 MiB and a processor, and nobody is to fill both by guessing.
const AT_ONCE_MAX: usize = 4;

/// Hashes and checks passwords, off the async threads.
#[derive(Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(AT_ONCE_MAX)) }
    }
}

impl Passwords {
    /// The hash of a password, with a salt of its own.
    ///
    /// # Errors
    /// [`XrpcError`] if hashing fails.
    pub async fn hash(&self, password: String) -> Result<String, XrpcError> {
        self.work(move || hash(&password)).await
    }

    /// True if the password is the one of the hash. Without a hash it takes as long and is false, so that nobody learns
    /// from the time whether an account is there.
    ///
    /// # Errors
    /// [`XrpcError`] if the stored hash is not readable.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, XrpcError> {
        self.work(move || match stored {
            None => hash(&password).map(|_| false),
            Some(stored) => {
                let parsed = PasswordHash::new(&stored)?;
                match Argon2::default().verify_password(password.as_bytes(), &parsed) {
                    Ok(()) => Ok(true),
                    Err(password_hash::Error::Password) => Ok(false),
                    Err(e) => Err(e),
                }
            }
        })
        .await
    }

    async fn work<T, F>(&self, work: F) -> Result<T, XrpcError>
    where
        T: Send + 'static,
        F: FnOnce() -> password_hash::Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(XrpcError::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(XrpcError::internal)?.map_err(XrpcError::internal)
    }
}

fn hash(password: &str) -> password_hash::Result<String> {
    let salt = SaltString::encode_b64(&env::random::<16>())?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_its_own_and_no_other() {
        let passwords = Passwords::default();
        let stored = passwords.hash("correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$"), "{stored}");
        assert_ne!(stored, passwords.hash("correct horse".into()).await.unwrap(), "the salt must differ");
        assert!(passwords.verify("correct horse".into(), Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify("battery staple".into(), Some(stored)).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), None).await.unwrap());
        assert!(passwords.verify("correct horse".into(), Some("plain".into())).await.is_err());
    }
}
