//! Open segments: few descriptors, however many segments there are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use backend_api::Result;

use crate::io::{Disk, File, failed};

/// Descriptors that are kept open at the most; beyond it the oldest segment's is closed. A reader that has it goes on.
const OPEN_SEGMENTS_MAX: usize = 64;

/// Descriptors by first event.
pub struct SegmentFiles {
    pub disk: Arc<dyn Disk>,
    open: Mutex<BTreeMap<u64, Arc<dyn File>>>,
}

impl SegmentFiles {
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, open: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<dyn File>>> {
        self.open.lock().expect("no panic under this lock")
    }

    /// The segment that starts with event `base`.
    pub fn get(&self, base: u64, path: &Path) -> Result<Arc<dyn File>> {
        if let Some(file) = self.lock().get(&base) {
            return Ok(Arc::clone(file));
        }
        let file = self.disk.open(path).map_err(|e| failed("open", path, &e))?;
        let mut open = self.lock();
        open.insert(base, Arc::clone(&file));
        if open.len() > OPEN_SEGMENTS_MAX
            && let Some(oldest) = open.keys().copied().find(|b| *b != base)
        {
            open.remove(&oldest);
        }
        Ok(file)
    }

    pub fn forget(&self, base: u64) {
        self.lock().remove(&base);
    }
}
