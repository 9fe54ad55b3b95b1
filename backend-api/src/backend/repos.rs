//! Reading heads and history.

use async_trait::async_trait;

use crate::account::AccountStatus;
use crate::error::Result;
use crate::ids::{Did, Tid};
use crate::repo::{At, CommitRow, Head, Page, RepoState};

/// A line of the listing of repos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoListing {
    /// Whose.
    pub did: Did,
    /// Its head.
    pub head: Head,
    /// The account's status.
    pub status: AccountStatus,
}

/// Repos.
#[async_trait]
pub trait Repos {
    /// A repo now, or as it was at a rev or a time of the history window.
    ///
    /// - **R1** The head is that of the last acknowledged commit (`repos_head_is_the_last_commit`).
    /// - **R2** Of commits on the same head one is taken, the others get `HeadMismatch` (`repos_head_race_has_one_winner`).
    /// - **R3** A rev in the window gives that commit, and its blocks are readable (`repos_past_rev_is_readable`).
    /// - **R4** A time gives the newest commit not after it (`repos_past_time_gives_newest_before`).
    /// - **R5** Revs increase strictly; an equal or lower one is refused (`repos_rev_must_increase`).
    /// - **R6** A commit that refers to a block that is neither supplied nor live is refused (`repos_dangling_commit_is_refused`).
    /// - **R7** Counters equal a recount (`repos_counters_equal_a_recount`).
    /// - **R11** A finished import is the repo (`imports_fill_an_empty_account`).
    /// - **R12** An import is invisible until it is finished; then the generation before is gone at once, and swept after
    ///   the window (`imports_are_invisible_until_finished`, `imports_replaced_generation_is_swept`).
    /// - **R13** An abandoned import, one that was begun again, and one whose account was deleted, leave nothing
    ///   (`imports_abandoned_are_swept`, `imports_begun_again_supersede`, `imports_deleted_with_their_account`).
    /// - **R14** An import that lacks blocks, records or its root is refused (`imports_incomplete_are_refused`,
    ///   `imports_need_their_blocks`).
    /// - **R15** A finished import leaves the blocks that its tree reaches and, after the next sweep, no others
    ///   (`imports_leave_what_the_tree_reaches`).
    async fn repo(&self, did: &Did, at: At) -> Result<Option<RepoState>>;

    /// Repos by DID, after one.
    ///
    /// - **R8** Every repo with a head once, in order of DID (`repos_are_listed_in_pages`).
    async fn repos(&self, after: Option<&Did>, limit: usize) -> Result<Page<RepoListing, Did>>;

    /// The commits that the history remembers of the served generation, newest first, before a rev.
    ///
    /// - **R9** Every commit of the window, newest first (`repos_history_lists_commits`).
    /// - **R10** Commits that were replaced longer ago than the window are forgotten by a sweep, their blocks with them;
    ///   the head never (`repos_history_ends_with_the_window`).
    async fn history(&self, did: &Did, before: Option<Tid>, limit: usize) -> Result<Page<(Tid, CommitRow), Tid>>;
}
