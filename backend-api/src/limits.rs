//! Every limit of the contract, in one room, with where it comes from.
//!
//! A request over a limit is refused with [`Reason::TooLarge`](crate::Reason::TooLarge), whole, before anything is
//! logged. "At the limit" is accepted.

/// Operations in one announced commit (Sync 1.1, `com.atproto.sync.subscribeRepos#commit`).
pub const COMMIT_OPS_MAX: usize = 200;
/// Bytes of the CAR in one `#commit` event (Sync 1.1).
pub const COMMIT_BLOCKS_BYTES_MAX: usize = 2_000_000;
/// Bytes of one record block (Sync 1.1).
pub const RECORD_BYTES_MAX: usize = 1_000_000;
/// Bytes of one firehose frame (Sync 1.1).
pub const FRAME_BYTES_MAX: usize = 5_000_000;
/// Bytes of the CAR in one `#sync` event (Sync 1.1).
pub const SYNC_BLOCKS_BYTES_MAX: usize = 10_000;
/// The greatest sequence number: integers above 2^53 - 1 are not exact in JSON.
pub const SEQ_MAX: u64 = (1 << 53) - 1;

/// Bytes of one supplied block of any sort. Larger than a record, because a tree node of long keys may be.
pub const BLOCK_BYTES_MAX: usize = 2_097_152;
/// Blocks supplied with one mutation.
pub const MUTATION_BLOCKS_MAX: usize = 20_000;
/// Bytes of all blocks supplied with one mutation, so that one caller cannot hold up everybody's cycle.
pub const MUTATION_BLOCK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a mutation's operations in their encoded form, and of the rows that it takes: bodies, names, links and all.
pub const MUTATION_OPS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Operations in one mutation.
pub const MUTATION_OPS_MAX: usize = 1_000;
/// Record operations of one commit that is not announced, or of one import step.
pub const RECORD_OPS_MAX: usize = 20_000;
/// Nodes that one commit or import step may add or remove.
pub const NODES_MAX: usize = 20_000;
/// Blob references of one record.
pub const RECORD_BLOBS_MAX: usize = 1_000;
/// Backlinks of one record.
pub const RECORD_LINKS_MAX: usize = 100;
/// Bytes of a backlink's target.
pub const LINK_TARGET_BYTES_MAX: usize = 8_192;

/// Bytes of a row's primary key and of an index value.
pub const ROW_KEY_BYTES_MAX: usize = 1_024;
/// Bytes of a row's body.
pub const ROW_BODY_BYTES_MAX: usize = 1_048_576;
/// Unique values, and look-up values, of one row.
pub const ROW_INDEXES_MAX: usize = 4;
/// Rows that one account owns at the most when it is deleted in one mutation.
pub const ROWS_OWNED_MAX: usize = 100_000;

/// Bytes of an e-mail address (RFC 5321, 4.5.3.1.3: a path of 256 octets with its brackets).
pub const EMAIL_BYTES_MAX: usize = 254;
/// Bytes of a stored password hash.
pub const PASSWORD_HASH_BYTES_MAX: usize = 1_024;
/// Bytes of a blob's MIME type.
pub const MIME_BYTES_MAX: usize = 255;

/// Bytes that a blob's metadata may say it has: integers above 2^53 - 1 are not exact in JSON.
pub const BLOB_BYTES_MAX: u64 = (1 << 53) - 1;
/// The latest time that a row or an account may name: SQL's integers are signed.
pub const TIME_MICROS_MAX: u64 = i64::MAX as u64;

/// Items of one page of any listing. A greater limit is lowered to it; 0 is refused.
pub const PAGE_ITEMS_MAX: usize = 10_000;
/// Blocks of one `blocks` call.
pub const BLOCKS_ASKED_MAX: usize = 10_000;

const _: () = {
    assert!(RECORD_BYTES_MAX < COMMIT_BLOCKS_BYTES_MAX);
    assert!(COMMIT_BLOCKS_BYTES_MAX < FRAME_BYTES_MAX);
    assert!(RECORD_BYTES_MAX < BLOCK_BYTES_MAX);
    assert!(BLOCK_BYTES_MAX < MUTATION_BLOCK_BYTES_MAX);
    assert!(COMMIT_BLOCKS_BYTES_MAX < MUTATION_BLOCK_BYTES_MAX);
    assert!(COMMIT_OPS_MAX < RECORD_OPS_MAX);
};
