//! Sweeping the store: what is past its window goes, a little at a time.

use std::sync::Arc;
use std::time::Duration;

use backend_api::{Backend, Micros};

use crate::closing::Closing;

/// Entries of one step, so that no step holds up anybody's writes.
const STEP_ENTRIES: usize = 1_000;

/// What the time may run ahead of the seconds that passed.
const AHEAD_US: u64 = 3_600_000_000;

/// For so long after a machine began to run its clock may be set: many begin with a time of before, and ask for the right one
/// when they have a network. What is believed then would be believed by a host that starts a moment later.
const SETTLED: Duration = Duration::from_secs(3_600);

/// The time, and how long the machine runs.
pub(super) type Moment = (Micros, Duration);

/// Sweeps until the host ends.
pub(super) async fn run(backend: Arc<dyn Backend>, now: impl Fn() -> Moment + Send, pause: Duration, closing: Closing) {
    let mut watch = Watch::new(now());
    loop {
        if tokio::time::timeout(pause, closing.clone().begun()).await.is_ok() {
            return;
        }
        if watch.allows(now()) {
            sweep(&*backend, &closing).await;
        }
    }
}

async fn sweep(backend: &dyn Backend, closing: &Closing) {
    loop {
        match backend.sweep(STEP_ENTRIES).await {
            Ok(report) if !report.done && !closing.has_begun() => tokio::task::yield_now().await,
            Ok(_) => return,
            Err(e) => return tracing::warn!("sweeping the store: {e}"),
        }
    }
}

/// Keeps a sweep from forgetting by a time that is wrong: what it forgets does not come back when the clock does.
struct Watch {
    last: Moment,
    /// Once it jumped the store's time may be that of a commit from then, and stays there when the clock is set right.
    jumped: bool,
}

impl Watch {
    const fn new(now: Moment) -> Self {
        Self { last: now, jumped: false }
    }

    /// True if at no time the clock ran ahead of the seconds that the machine ran since the sweep before.
    fn allows(&mut self, now: Moment) -> bool {
        if self.jumped {
            return false;
        }
        let ((time, ran), (last_time, last_ran)) = (now, self.last);
        let passed_us = time.0.saturating_sub(last_time.0);
        let ran_us = u64::try_from(ran.saturating_sub(last_ran).as_micros()).unwrap_or(u64::MAX);
        self.jumped = last_ran > SETTLED && passed_us > ran_us.saturating_add(AHEAD_US);
        self.last = now;
        if self.jumped {
            let hours = (passed_us - ran_us) / AHEAD_US;
            tracing::error!(
                hours,
                "the clock jumped ahead, so nothing is swept any more: what is not due yet would be forgotten. Set the \
                 clock, then restart; see `A clock that jumped` in docs/operate.md"
            );
        }
        !self.jumped
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use backend_api::mutation::{Announce, NewAccount};
    use backend_api::{AccountStatus, Did, Firehose, IdempotencyKey, Mutation, Op, Writes};
    use conformance::{ManualClock, Model, Options};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const START: Micros = Micros(1_700_000_000_000_000);

    /// On a machine that has been running for a day.
    fn after(time: Duration, ran: Duration) -> Moment {
        (Micros(START.0 + time.as_micros() as u64), HOUR * 24 + ran)
    }

    #[test]
    fn time_that_the_machine_did_not_run_is_not_believed() {
        let mut watch = Watch::new(after(Duration::ZERO, Duration::ZERO));
        let minute = Duration::from_secs(60);
        assert!(watch.allows(after(minute, minute)));
        // A machine that slept ran, by this clock.
        assert!(watch.allows(after(HOUR * 9, HOUR * 9)));
        assert!(watch.allows(after(HOUR * 2, HOUR * 10)), "one that goes back harms nothing");
        assert!(!watch.allows(after(HOUR * 4, HOUR * 10 + minute)));
        assert!(!watch.allows(after(HOUR * 3, HOUR * 11)), "it was set back, but what was written meanwhile was not");
    }

    #[test]
    fn a_clock_that_is_set_when_the_machine_has_just_begun_is_believed() {
        let minute = Duration::from_secs(60);
        let mut watch = Watch::new((Micros(0), minute));
        assert!(watch.allows((Micros(0), minute * 2)), "it begins in 1970");
        assert!(watch.allows((START, minute * 3)), "it was set");
        assert!(watch.allows((Micros(START.0 + AHEAD_US), HOUR + minute * 3)));
        assert!(!watch.allows((Micros(START.0 + AHEAD_US * 4), HOUR + minute * 4)), "it jumped");
    }

    async fn announce(model: &Model, n: u8, op: Option<Op>) {
        let did: Did = "did:web:a.example.com".parse().unwrap();
        let ops = op.into_iter().chain([Op::Emit(Announce::Account)]).collect();
        model.apply(Mutation { did, key: IdempotencyKey([n; 16]), ops, blocks: vec![] }).await.unwrap();
    }

    /// A store whose first of two events is due by its clock.
    async fn store() -> Arc<Model> {
        let clock = Arc::new(ManualClock::new(START));
        let window = HOUR.as_micros() as u64;
        let options = Options { history_window_micros: window, event_retention_micros: window };
        let model = Model::new(options, Arc::<ManualClock>::clone(&clock));
        let account = NewAccount { handle: None, email: None, password_hash: None, status: AccountStatus::Active };
        announce(&model, 1, Some(Op::CreateAccount(account))).await;
        clock.set(after(HOUR * 3, HOUR).0);
        announce(&model, 2, None).await;
        Arc::new(model)
    }

    /// The oldest event that is left when the host was there for three hours by the clock.
    async fn oldest_after_three_hours(ran: Duration) -> u64 {
        let (model, asked) = (store().await, AtomicUsize::new(0));
        let now = || match asked.fetch_add(1, Ordering::SeqCst) {
            0 => after(Duration::ZERO, Duration::ZERO),
            _ => after(HOUR * 3, ran),
        };
        let (end, closing) = Closing::new();
        let upkeep = run(Arc::clone(&model) as _, now, Duration::from_millis(2), closing);
        let test = async {
            while asked.load(Ordering::SeqCst) < 5 {
                tokio::task::yield_now().await;
            }
            end.send(true).unwrap();
        };
        tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(upkeep, test) }).await.unwrap();
        model.event_window().await.unwrap().oldest.get()
    }

    #[tokio::test]
    async fn nothing_is_swept_after_a_jump_of_the_clock() {
        assert_eq!(oldest_after_three_hours(HOUR * 3).await, 2, "three hours have passed");
        assert_eq!(oldest_after_three_hours(Duration::from_secs(60)).await, 1, "the event is there");
    }
}
