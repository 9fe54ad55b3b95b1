use async_trait::async_trait;
use backend_api::{Checked, Error, Mutation, Reason, Receipt, Result, Writes};

use super::Postgres;
use crate::write::Job;

/// Above this the check is done by a thread for blocking work: hashing takes long enough to hold up others.
const CHECK_INLINE_BYTES: usize = 256 * 1024;

async fn check(mutation: Mutation) -> Result<Checked> {
    let bytes: usize = mutation.blocks.iter().map(|block| block.bytes().len()).sum();
    if bytes <= CHECK_INLINE_BYTES {
        return Checked::new(mutation);
    }
    let checked = tokio::task::spawn_blocking(move || Checked::new(mutation)).await;
    checked
        .unwrap_or_else(|e| Err(Error::new(Reason::Closed, format!("the check did not end: {e}; nothing was written"))))
}

/// A dropped answer: the writer ended under it.
fn lost() -> Error {
    Error::new(Reason::SyncFailed, "the writer ended before it answered; the same key will tell after a reopen")
}

#[async_trait]
impl Writes for Postgres {
    async fn apply(&self, mutation: Mutation) -> Result<Receipt> {
        let (job, answered) = Job::new(check(mutation).await?);
        self.shared.queue.push(vec![job])?;
        answered.await.unwrap_or_else(|_| Err(lost()))
    }

    async fn apply_many(&self, mutations: Vec<Mutation>) -> Vec<Result<Receipt>> {
        let mut jobs = Vec::with_capacity(mutations.len());
        let mut answers = Vec::with_capacity(mutations.len());
        for mutation in mutations {
            answers.push(match check(mutation).await {
                Ok(checked) => {
                    let (job, answered) = Job::new(checked);
                    jobs.push(job);
                    Ok(answered)
                }
                Err(e) => Err(e),
            });
        }
        if let Err(e) = self.shared.queue.push(jobs) {
            // What is malformed is told so all the same.
            return answers.into_iter().map(|answer| Err(answer.err().unwrap_or_else(|| e.clone()))).collect();
        }
        let mut out = Vec::with_capacity(answers.len());
        for answer in answers {
            out.push(match answer {
                Ok(answered) => answered.await.unwrap_or_else(|_| Err(lost())),
                Err(e) => Err(e),
            });
        }
        out
    }
}
