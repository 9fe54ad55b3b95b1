use async_trait::async_trait;
use backend_api::{Checked, Mutation, Receipt, Result, Writes};

use super::Tranquil;
use crate::core::Job;

/// Above this the check is done by a thread of the engine's own: hashing takes long enough to hold up others.
const CHECK_INLINE_BYTES: usize = 256 * 1024;

impl Tranquil {
    async fn check(&self, mutation: Mutation) -> Result<Box<Checked>> {
        let bytes: usize = mutation.blocks.iter().map(|b| b.bytes().len()).sum();
        if bytes <= CHECK_INLINE_BYTES {
            return Checked::new(mutation).map(Box::new);
        }
        self.pool.run(move || Checked::new(mutation).map(Box::new)).await
    }
}

#[async_trait]
impl Writes for Tranquil {
    async fn apply(&self, mutation: Mutation) -> Result<Receipt> {
        let checked = self.check(mutation).await?;
        self.runtime.submit(Job::Mutation(checked)).await
    }

    async fn apply_many(&self, mutations: Vec<Mutation>) -> Vec<Result<Receipt>> {
        let mut checked = Vec::with_capacity(mutations.len());
        for mutation in mutations {
            checked.push(self.check(mutation).await);
        }
        self.runtime.submit_many(checked).await
    }
}
