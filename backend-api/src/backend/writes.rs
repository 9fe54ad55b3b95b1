//! The only way to write.

use async_trait::async_trait;

use crate::error::Result;
use crate::mutation::Mutation;
use crate::repo::Receipt;

/// Writes.
#[async_trait]
pub trait Writes {
    /// Applies a mutation: all of it or nothing, durable when this returns.
    ///
    /// - **W1** An acknowledged mutation is there after a reopen (`writes_survive_reopen`).
    /// - **W2** A refused mutation leaves no trace: no position, no sequence number, no row (`writes_refused_leave_no_trace`).
    /// - **W3** The same key with the same mutation returns the first receipt again, before and after a reopen
    ///   (`writes_same_key_returns_first_receipt`).
    /// - **W4** The same key with another mutation is refused with `KeyReused` (`writes_key_reuse_is_refused`).
    /// - **W5** Positions are 1, 2, 3, ... in the order in which mutations took effect (`writes_positions_are_contiguous`).
    /// - **W6** Of calls that wait for each other, the effects are in that order; calls at the same time have none
    ///   (`writes_of_one_caller_keep_their_order`).
    /// - **W7** Operations of one mutation see what those before them did (`writes_operations_see_earlier_ones`).
    /// - **W10** At a bound of [`limits`](crate::limits) a request is taken, above it refused with `TooLarge`
    ///   (`limits_of_operations`, `limits_of_supplied_bytes`, `limits_of_announced_bytes`, `limits_of_a_record`,
    ///   `limits_of_a_row`).
    /// - **W11** What contradicts itself, names what is not there, or does not fit the state, is refused with the reason
    ///   that says so (`refusals_cover_every_reason`, `refusals_of_malformed_mutations`, `refusals_of_malformed_commits`).
    ///
    /// # Errors
    /// The refusal of the planner; [`Kind::OutcomeUnknown`](crate::Kind) if it was written but not known to be durable:
    /// the same key will tell after a reopen.
    async fn apply(&self, mutation: Mutation) -> Result<Receipt>;

    /// Applies many mutations, each by itself, in order, with one answer each.
    ///
    /// - **W8** A refused one does not touch the others (`writes_many_refusals_are_isolated`).
    /// - **W9** Later ones see earlier ones (`writes_many_are_in_order`).
    async fn apply_many(&self, mutations: Vec<Mutation>) -> Vec<Result<Receipt>>;
}
