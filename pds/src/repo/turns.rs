//! Turns of the writers of one repo.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use backend_api::Did;
use tokio::sync::{Mutex, MutexGuard};

/// Repos share a lock if their DIDs fall on the same one, which costs a wait and nothing else.
const LOCKS: usize = 1024;

/// A fixed number of locks, one for each repo that is being written. The store decides who wins (compare-and-swap of the
/// head); these only keep writers of this process from building commits that are bound to lose.
pub struct Turns {
    locks: Box<[Mutex<()>]>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { locks: (0..LOCKS).map(|_| Mutex::new(())).collect(), hasher: BuildHasherDefault::new() }
    }
}

impl Turns {
    /// Waits for the turn of a writer, which lasts until the guard goes.
    pub async fn take(&self, did: &Did) -> MutexGuard<'_, ()> {
        let at = self.hasher.hash_one(did) as usize % LOCKS;
        self.locks[at].lock().await
    }
}
