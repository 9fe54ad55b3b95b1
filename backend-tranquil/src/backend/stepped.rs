//! For the simulator only: the engine without threads, over a disk and key-value store of the caller's.

use std::path::Path;
use std::sync::{Arc, Mutex};

use backend_api::Result;

use super::Tranquil;
use crate::core::open;
use crate::io::{Env, failed};
use crate::options::Options;
use crate::runtime::Runtime;
use crate::tend::Tender;

pub use crate::meta::{MetaKv, MetaSnapshot, Pairs};
pub use crate::runtime::{Part, Steps};

impl Tranquil {
    /// For the simulator: opens without threads, without the lock, and over a key-value store of the caller's.
    ///
    /// # Errors
    /// As [`Tranquil::open`].
    #[doc(hidden)]
    pub fn open_stepped(
        env: Env,
        options: Options,
        open_kv: impl Fn(&Path) -> Result<Arc<dyn MetaKv>> + 'static,
    ) -> Result<(Arc<Self>, Steps)> {
        let directory = options.directory.clone();
        env.disk.create_directory(&directory).map_err(|e| failed("create", &directory, &e))?;
        let opened = open(env, options, &open_kv)?;
        let shared = Arc::clone(&opened.shared);
        let (runtime, pool, steps) = Runtime::stepped(opened);
        let (runtime, pool, tender) = (Arc::new(runtime), Arc::new(pool), Arc::new(Tender::default()));
        let (checks, lock) = (Arc::default(), Arc::new(Mutex::new(None)));
        Ok((Arc::new(Self { shared, runtime, pool, tender, checks, lock }), steps))
    }
}
