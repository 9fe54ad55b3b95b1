//! What waits to be written, in two lanes, so that small mutations pass the large ones.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backend_api::{Checked, Did, Error, Op, Reason, Receipt, Result};
use tokio::sync::{Notify, oneshot};

use crate::clock::Stopwatch;

/// Above this a mutation waits in the lane of the large ones, of which each group takes one.
const SMALL_BYTES_MAX: usize = 256 * 1024;
/// A group takes no more small mutations, and no more bytes of them.
const GROUP_JOBS_MAX: usize = 512;
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// More than this does not wait in memory.
const WAITING_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What a mutation takes besides its bytes.
const JOB_BYTES: usize = 512;

/// A mutation, and who waits for its answer.
pub(crate) struct Job {
    pub checked: Checked,
    pub answer: oneshot::Sender<Result<Receipt>>,
    /// Since it was queued.
    pub queued: Stopwatch,
    /// Given together with others, whose order it keeps.
    is_of_many: bool,
}

impl Job {
    /// A mutation that is queued now, and where its answer comes.
    pub fn new(checked: Checked) -> (Self, oneshot::Receiver<Result<Receipt>>) {
        let (answer, answered) = oneshot::channel();
        (Self { checked, answer, queued: Stopwatch::start(), is_of_many: false }, answered)
    }
}

#[derive(Default)]
struct Lanes {
    small: VecDeque<(Job, usize)>,
    large: VecDeque<(Job, usize)>,
    bytes: usize,
    closed: Option<Error>,
    /// Who waits has nothing to do with fewer small mutations.
    small_min: usize,
}

#[derive(Default)]
pub(crate) struct Queue {
    lanes: Mutex<Lanes>,
    arrived: Notify,
}

impl Queue {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Nothing under this lock can leave it half done.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues mutations that keep their order.
    ///
    /// # Errors
    /// [`Reason::Overloaded`] if they do not fit any more, and what the queue was closed with: none of them is queued then.
    pub fn push(&self, mut jobs: Vec<Job>) -> Result<()> {
        let is_of_many = jobs.len() > 1;
        for job in &mut jobs {
            job.is_of_many = is_of_many;
        }
        let jobs: Vec<_> =
            jobs.into_iter().map(|job| (job.checked.bytes() + JOB_BYTES, job)).map(|(n, job)| (job, n)).collect();
        let bytes: usize = jobs.iter().map(|(_, bytes)| bytes).sum();
        let is_small = jobs.iter().all(|(_, bytes)| *bytes <= SMALL_BYTES_MAX);
        let mut lanes = self.lanes();
        if let Some(why) = &lanes.closed {
            return Err(why.clone());
        }
        // What is above the bound by itself is taken when nothing waits.
        if lanes.bytes > 0 && lanes.bytes + bytes > WAITING_BYTES_MAX {
            let detail =
                format!("{} bytes wait to be written, {WAITING_BYTES_MAX} may; nothing was written", lanes.bytes);
            return Err(Error::new(Reason::Overloaded, detail));
        }
        lanes.bytes += bytes;
        let lane = if is_small { &mut lanes.small } else { &mut lanes.large };
        lane.extend(jobs);
        let is_enough = !is_small || lanes.small.len() >= lanes.small_min;
        drop(lanes);
        if is_enough {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// The next group; `None` when the queue was closed and is empty.
    pub async fn take(&self) -> Option<Vec<Job>> {
        loop {
            {
                let mut lanes = self.lanes();
                let group = lanes.group();
                if !group.is_empty() {
                    return Some(group);
                }
                if lanes.closed.is_some() {
                    return None;
                }
                lanes.small_min = 1;
            }
            // A permit is kept for what arrives between the look and the wait.
            self.arrived.notified().await;
        }
    }

    /// Waits for a group that can be written beside one that is under way: so many small mutations at least wait, and the
    /// first of them are commits to other accounts, but for those that may be passed.
    pub async fn take_beside(&self, under_way: &HashSet<Did>, small_min: usize) -> Vec<Job> {
        loop {
            {
                let mut lanes = self.lanes();
                let group = lanes.group_beside(under_way, small_min);
                if !group.is_empty() {
                    return group;
                }
                lanes.small_min = small_min;
            }
            self.arrived.notified().await;
        }
    }

    /// Refuses what has waited for so long.
    pub fn refuse_older(&self, age: Duration, why: &Error) {
        let mut lanes = self.lanes();
        let lanes_of_it = &mut *lanes;
        let mut refused = Vec::new();
        for lane in [&mut lanes_of_it.small, &mut lanes_of_it.large] {
            while let Some((job, bytes)) = lane.pop_front_if(|(job, _)| job.queued.elapsed() >= age) {
                lanes_of_it.bytes -= bytes;
                refused.push(job);
            }
        }
        drop(lanes);
        for job in refused {
            // Who dropped the call does not want to know.
            let _ = job.answer.send(Err(why.clone()));
        }
    }

    /// Refuses what waits and what comes later: nobody takes it any more.
    pub fn abandon(&self, why: &Error) {
        let mut lanes = self.lanes();
        lanes.closed.get_or_insert_with(|| why.clone());
        lanes.bytes = 0;
        let left: Vec<_> =
            std::mem::take(&mut lanes.small).into_iter().chain(std::mem::take(&mut lanes.large)).collect();
        drop(lanes);
        for (job, _) in left {
            // Who dropped the call does not want to know.
            let _ = job.answer.send(Err(why.clone()));
        }
    }

    /// Refuses what comes later, with this error.
    pub fn close(&self, why: Error) {
        self.lanes().closed.get_or_insert(why);
        self.arrived.notify_one();
    }
}

/// True of what reads and changes nothing but its own account.
fn is_commit(job: &Job) -> bool {
    job.checked.mutation().ops.iter().all(|op| matches!(op, Op::Commit(_)))
}

impl Lanes {
    fn group_beside(&mut self, under_way: &HashSet<Did>, small_min: usize) -> Vec<Job> {
        let mut group = Vec::new();
        // What is large waits for a group of its own, and is not passed for ever.
        if self.small.len() < small_min || !self.large.is_empty() {
            return group;
        }
        let (mut group_bytes, mut passed) = (0, Vec::new());
        while group.len() + passed.len() < GROUP_JOBS_MAX
            && let Some((job, bytes)) = self.small.pop_front_if(|(_, bytes)| group_bytes + *bytes <= GROUP_BYTES_MAX)
        {
            let is_under_way = under_way.contains(&job.checked.mutation().did);
            if is_commit(&job) && !is_under_way {
                group_bytes += bytes;
                group.push(job);
                continue;
            }
            // The next group has the account's commit, and its first place. Nothing else is passed: what is no commit would
            // wait for ever, and mutations that were given together take effect in their order, whosever they are.
            let is_end = job.is_of_many || !is_commit(&job);
            passed.push((job, bytes));
            if is_end {
                break;
            }
        }
        for job in passed.into_iter().rev() {
            self.small.push_front(job);
        }
        self.bytes -= group_bytes;
        group
    }

    fn group(&mut self) -> Vec<Job> {
        let mut group = Vec::new();
        let mut group_bytes = 0;
        while let Some((_, bytes)) = self.small.front() {
            if group.len() >= GROUP_JOBS_MAX || (!group.is_empty() && group_bytes + bytes > GROUP_BYTES_MAX) {
                break;
            }
            group_bytes += bytes;
            group.extend(self.small.pop_front().map(|(job, _)| job));
        }
        if let Some((job, bytes)) = self.large.pop_front() {
            group_bytes += bytes;
            group.push(job);
        }
        self.bytes -= group_bytes;
        group
    }
}
