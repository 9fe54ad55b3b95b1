//! Small worlds for the cases: names, contents, and repositories with real trees and commit blocks.

mod frames;
mod names;
mod repo;
mod rows;

pub use frames::{Frame, as_link};
pub use names::{Content, blob_cid, content, content_of_bytes, did, email, handle, link, nsid, path, rkey};
pub use repo::{Draft, SceneRepo, Write};
pub use rows::{delete_row, put_row, row, row_key};
