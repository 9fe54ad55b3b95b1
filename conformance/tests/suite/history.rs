//! Random histories.

use conformance::history::{Difference, Step, differential, generate, run, shrink};
use conformance::{ModelFixture, Options};

const OPTIONS: Options =
    Options { history_window_micros: 72 * 3_600_000_000, event_retention_micros: 100 * 3_600_000_000 };

fn model() -> ModelFixture {
    ModelFixture::new(OPTIONS)
}

/// The model against itself: no difference, it finds itself sound throughout, and holds what people wrote.
#[test]
fn the_model_is_what_people_wrote() {
    for seed in 1..=30 {
        differential(model, model, seed, 300);
    }
}

#[test]
fn a_seed_is_a_history() {
    assert_eq!(generate(7, 500), generate(7, 500));
    assert_ne!(generate(7, 500), generate(8, 500));
    assert_eq!(generate(7, 100), generate(7, 500)[..100]);
}

/// A history that refuses nearly everything, or nothing, would compare little.
#[test]
fn much_of_a_history_is_taken() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut taken, mut sent) = (0, 0);
    for seed in 1..=10 {
        let summary = runtime.block_on(run(model(), model(), &generate(seed, 300), true)).unwrap();
        (taken, sent) = (taken + summary.taken, sent + summary.sent);
    }
    assert!(taken * 5 > sent * 2 && taken * 10 < sent * 9, "{taken} of {sent} were taken");
}

/// Two stores of which one forgets later are told apart, and the history that shows it is short.
#[test]
fn a_difference_is_found_and_shrunk() {
    struct Slow(ModelFixture);

    #[async_trait::async_trait]
    impl conformance::Fixture for Slow {
        fn options(&self) -> Options {
            OPTIONS
        }
        fn set_time(&self, now: backend_api::Micros) {
            self.0.set_time(backend_api::Micros(now.0 / 2));
        }
        async fn open(&self) -> std::sync::Arc<dyn backend_api::Backend> {
            self.0.open().await
        }
        async fn reopen(
            &self,
            backend: std::sync::Arc<dyn backend_api::Backend>,
        ) -> std::sync::Arc<dyn backend_api::Backend> {
            self.0.reopen(backend).await
        }
    }

    let found = std::panic::catch_unwind(|| differential(model, || Slow(model()), 1, 200)).unwrap_err();
    let message = found.downcast_ref::<String>().unwrap();
    assert!(message.contains("seed 1: after step") && message.contains("shrunk to 1 steps"), "{message}");
}

#[test]
fn what_does_not_matter_is_left_out() {
    let history: Vec<Step> = (0..100).map(Step::Advance).collect();
    let fails = |history: &[Step]| {
        let needed = [Step::Advance(13), Step::Advance(77)];
        let step = history.iter().position(|step| *step == needed[1])?;
        history[..step].contains(&needed[0]).then(|| Difference { step, what: String::new() })
    };
    let first = fails(&history).expect("it fails");
    let (shrunk, last) = shrink(history, first, fails);
    assert_eq!(shrunk, [Step::Advance(13), Step::Advance(77)]);
    assert_eq!(last.step, 1);
}
