//! A store whose threads are taken step by step, over a key-value store that counts, keeps its tombstones, and lets a test
//! come between two of its reads.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use backend_api::Result;
use backend_tranquil::io::Env;
use backend_tranquil::stepped::{MetaKv, MetaSnapshot, Pairs, Part, Steps};
use backend_tranquil::{Options, Tranquil};
use bytes::Bytes;

type Map = BTreeMap<Vec<u8>, Option<Bytes>>;
type Hook = Box<dyn FnMut() + Send>;

/// What is asked of the key-value store.
#[derive(Default)]
pub struct Asked {
    /// Keys.
    pub gets: AtomicU64,
    /// Entries that ranges went over, deleted ones as well: a tree of sorted runs reads those, too.
    pub visited: AtomicU64,
    /// Runs taken in.
    pub runs: AtomicU64,
    between: Mutex<Option<Hook>>,
}

impl Asked {
    /// Comes before each `get` and `range` from now on, but not before those that it causes itself.
    pub fn between(&self, hook: impl FnMut() + Send + 'static) {
        *self.between.lock().unwrap() = Some(Box::new(hook));
    }

    pub fn alone(&self) {
        *self.between.lock().unwrap() = None;
    }

    pub fn visited(&self) -> u64 {
        self.visited.load(Ordering::SeqCst)
    }

    fn call(&self) {
        let hook = self.between.lock().unwrap().take();
        if let Some(mut hook) = hook {
            hook();
            self.between.lock().unwrap().get_or_insert(hook);
        }
    }
}

/// The key-value store.
#[derive(Clone, Default)]
pub struct CountingKv {
    map: Arc<Mutex<Arc<Map>>>,
    pub asked: Arc<Asked>,
}

struct State(Arc<Map>, Arc<Asked>);

impl MetaKv for CountingKv {
    fn ingest(&self, run: &mut dyn Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Result<()> {
        let mut state = self.map.lock().unwrap();
        let mut map = Map::clone(&state);
        map.extend(run.map(|(key, value)| (key, value.map(Bytes::from))));
        *state = Arc::new(map);
        self.asked.runs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn snapshot(&self) -> Arc<dyn MetaSnapshot> {
        Arc::new(State(Arc::clone(&self.map.lock().unwrap()), Arc::clone(&self.asked)))
    }
    fn disk_bytes(&self) -> u64 {
        0
    }
    fn close(&self) {}
}

impl MetaSnapshot for State {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.1.call();
        self.1.gets.fetch_add(1, Ordering::SeqCst);
        Ok(self.0.get(key).cloned().flatten())
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> Pairs<'_> {
        self.1.call();
        let range = self.0.range::<[u8], _>((from, to));
        let range: Box<dyn Iterator<Item = _> + Send> = if reverse { Box::new(range.rev()) } else { Box::new(range) };
        Box::new(range.filter_map(|(key, value)| {
            self.1.visited.fetch_add(1, Ordering::SeqCst);
            value.as_ref().map(|value| Ok((Bytes::copy_from_slice(key), value.clone())))
        }))
    }
}

/// The store.
#[derive(Clone)]
pub struct Stepped {
    pub store: Arc<Tranquil>,
    pub kv: CountingKv,
    pub steps: Arc<Steps>,
}

impl Stepped {
    pub fn open(options: Options) -> Self {
        Self::open_in(Env::real(), options)
    }

    pub fn open_in(env: Env, options: Options) -> Self {
        let kv = CountingKv::default();
        let opened = kv.clone();
        let open_kv = move |path: &Path| -> Result<Arc<dyn MetaKv>> {
            std::fs::create_dir_all(path).expect("a directory");
            Ok(Arc::new(opened.clone()))
        };
        let (store, steps) = Tranquil::open_stepped(env, options, open_kv).expect("the store opens");
        Self { store, kv, steps: Arc::new(steps) }
    }

    /// What a call answers at once, if it does.
    pub fn at_once<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    /// Takes steps until a call is answered.
    pub fn run<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        loop {
            if let Poll::Ready(answer) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return answer;
            }
            let moved = Part::ALL.into_iter().filter(|part| self.steps.step(*part)).count();
            assert!(moved > 0, "a call waits and there is nothing to do");
        }
    }
}
