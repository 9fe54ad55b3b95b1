//! From the list of all cases: the table, the tests, and how one is run.

use std::pin::Pin;
use std::sync::Arc;

use crate::context::Context;
use crate::fixture::Fixture;
use crate::outcome::Outcome;

/// One case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// The promises of the contract that it shows.
    pub promises: &'static [&'static str],
    /// Runs it.
    pub run: fn(Arc<Context>) -> Running,
}

/// A case that was started.
pub type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Every case. A static: as a constant, each crate that names it would compile all of them once more.
pub static CASES: &[Case] = crate::each_case!(table());

/// Makes one test per case, in a module `conformance_cases`. `$fixture` is evaluated for each of them and gives a new
/// [`Fixture`](crate::Fixture).
#[macro_export]
macro_rules! suite {
    ($fixture:expr) => {
        mod conformance_cases {
            #[allow(unused_imports, reason = "a fixture may be all in the expression")]
            use super::*;
            $crate::each_case!(tests($fixture));
        }
    };
}

/// Runs one case on a new store, with what holds after every case. Without what the store needs it is passed over.
///
/// # Panics
/// If the case fails, or there is none of that name.
pub fn run(name: &str, fixture: impl Fixture) {
    let case = CASES.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
    if !fixture.is_available() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = runtime.expect("a runtime").block_on(async {
        let cx = Context::open(fixture).await;
        (case.run)(cx.clone()).await?;
        cx.finish().await
    });
    if let Err(failure) = ended {
        panic!("{name}: {failure:?}");
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! expand_cases {
    (table () $($module:ident { $($case:ident [$($promise:ident)+])* })*) => {
        &[$($($crate::Case {
            name: stringify!($case),
            promises: &[$(stringify!($promise)),+],
            run: |cx| Box::pin($crate::cases::$module::$case(cx)),
        },)*)*]
    };
    (tests ($fixture:expr) $($module:ident { $($case:ident [$($promise:ident)+])* })*) => {
        $($(
            #[test]
            fn $case() {
                $crate::run(stringify!($case), $fixture);
            }
        )*)*
    };
}
