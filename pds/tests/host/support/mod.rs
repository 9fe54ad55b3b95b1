//! A host to talk to, and what it takes to understand its answers.

mod answer;
mod car;
mod commit;
mod firehose;
mod host;

pub use answer::Answer;
pub use car::Car;
pub use commit::{check_commit, public_key};
pub use firehose::{Frame, Subscription};
pub use host::{Host, Person};

pub const POST: &str = "app.bsky.feed.post";
