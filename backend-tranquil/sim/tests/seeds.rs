//! A few runs and a thin sweep of each sort, with every test run; `cargo sim` has many.

use tranquil_sim::runs::{STEPS, outcome, seeds};
use tranquil_sim::{Plan, sweep};

#[test]
fn random_runs_violate_nothing() {
    let total = seeds(1, 20, STEPS);
    assert!(total.failures.is_empty(), "{:#?}", total.failures);
    let sum = &total.sum;
    assert!(sum.taken > 500 && sum.crashes > 50 && sum.in_doubt.0 > 10, "the runs do too little: {sum:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [2, 3, 5, 8] {
        let traces = [outcome(&Plan::of(seed, STEPS)), outcome(&Plan::of(seed, STEPS))].map(|o| o.map(|r| r.trace));
        assert_eq!(traces[0], traces[1], "seed {seed}");
        let other = outcome(&Plan::of(seed + 1_000, STEPS)).map(|r| r.trace);
        assert_ne!(traces[0], other, "seed {seed} and another");
    }
}

#[test]
fn thin_sweeps_find_nothing() {
    for (name, density) in [("crash", 300), ("recovery", 140), ("fault", 400), ("rot", 997)] {
        let swept = sweep::sweep(name, density, None).expect("a sweep of that name");
        assert!(swept.failures.is_empty(), "{name}: {:#?}", swept.failures);
        assert!(swept.tried > 20, "{name}: only {} tried", swept.tried);
    }
}
