//! A bound for what all subscribers together hold who do not take it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

/// The subscribers for which something waits that they do not take.
pub struct Standing {
    state: Mutex<State>,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    bytes: usize,
    /// What each holds, those first that have been standing for longest.
    places: BTreeMap<u64, (usize, Arc<Notify>)>,
    next: u64,
}

impl State {
    fn remove(&mut self, number: u64) -> Option<Arc<Notify>> {
        let (bytes, overtaken) = self.places.remove(&number)?;
        self.bytes -= bytes;
        Some(overtaken)
    }
}

impl Standing {
    /// For so many bytes at the most.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), bytes_max }
    }

    /// Counts one that holds so many bytes, for as long as the place is kept. If that is too much, those that have been
    /// standing for longest have to go.
    #[must_use]
    pub fn enter(&self, bytes: usize) -> Place<'_> {
        let overtaken = Arc::new(Notify::new());
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.bytes += bytes;
        state.places.insert(number, (bytes, Arc::clone(&overtaken)));
        while state.bytes > self.bytes_max
            && let Some(first) = state.places.keys().next().copied()
        {
            state.remove(first).inspect(|slowest| slowest.notify_one());
        }
        drop(state);
        Place { standing: self, number, overtaken }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }
}

/// One that stands.
pub struct Place<'a> {
    standing: &'a Standing,
    number: u64,
    overtaken: Arc<Notify>,
}

impl Place<'_> {
    /// Waits until it has to go.
    pub async fn overtaken(&self) {
        self.overtaken.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.standing.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn must_go(place: &Place<'_>) -> bool {
        place.overtaken().now_or_never().is_some()
    }

    #[test]
    fn those_that_stand_for_longest_go_when_all_together_hold_too_much() {
        let standing = Standing::new(100);
        let first = standing.enter(40);
        let gone = standing.enter(40);
        let second = standing.enter(20);
        drop(gone);
        let third = standing.enter(40);
        assert!(![&first, &second, &third].into_iter().any(must_go), "a hundred bytes are held");
        let last = standing.enter(40);
        assert!(must_go(&first), "it stands for longest");
        assert!(![&second, &third, &last].into_iter().any(must_go));
        drop(first);
        assert_eq!(standing.lock().bytes, 100);
        drop((second, third, last));
        assert_eq!(standing.lock().bytes, 0);
    }
}
