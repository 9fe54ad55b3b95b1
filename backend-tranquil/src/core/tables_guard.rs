//! A look at the tables, and the check that no thread has two at a time.

use std::ops::Deref;
use std::sync::{RwLock, RwLockReadGuard};

use super::shared::Tables;

/// A look at the tables. A thread has one at a time: a second one waits behind a writer that waits for the first, and
/// nobody goes on. Builds with debug assertions, as tests are, find it also where no writer waits.
pub struct TablesGuard<'a>(RwLockReadGuard<'a, Tables>);

#[cfg(debug_assertions)]
thread_local! {
    static READS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl<'a> TablesGuard<'a> {
    pub fn of(tables: &'a RwLock<Tables>) -> Self {
        #[cfg(debug_assertions)]
        assert!(!READS.replace(true), "this thread looks at the tables already");
        Self(tables.read().expect("no panic under this lock"))
    }
}

impl Deref for TablesGuard<'_> {
    type Target = Tables;

    fn deref(&self) -> &Tables {
        &self.0
    }
}

impl Drop for TablesGuard<'_> {
    fn drop(&mut self) {
        #[cfg(debug_assertions)]
        READS.set(false);
    }
}
