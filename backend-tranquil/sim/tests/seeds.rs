//! A few runs and a thin sweep of each sort, with every test run; `cargo sim` has many.

use tranquil_sim::runs::{Sort, outcome, seeds};
use tranquil_sim::sweep;

#[test]
fn random_runs_violate_nothing() {
    let total = seeds(Sort::Mixed, 1, 20, Sort::Mixed.steps());
    assert!(total.failures.is_empty(), "{:#?}", total.failures);
    let sum = &total.sum;
    assert!(sum.taken > 500 && sum.crashes > 50 && sum.in_doubt.0 > 10, "the runs do too little: {sum:?}");
}

#[test]
fn busy_runs_violate_nothing() {
    let total = seeds(Sort::Busy, 1, 4, 100);
    assert!(total.failures.is_empty(), "{:#?}", total.failures);
    assert!(total.sum.taken > 4 * 800, "the runs do too little: {:?}", total.sum);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [2, 3, 5, 8] {
        let trace = |seed| outcome(&Sort::Mixed.plan(seed, Sort::Mixed.steps())).map(|report| report.trace);
        let traces = [trace(seed), trace(seed)];
        assert_eq!(traces[0], traces[1], "seed {seed}");
        let other = trace(seed + 1_000);
        assert_ne!(traces[0], other, "seed {seed} and another");
    }
}

#[test]
fn thin_sweeps_find_nothing() {
    for (name, density) in [("crash", 300), ("recovery", 140), ("fault", 400), ("rot", 4_999)] {
        let swept = sweep::sweep(name, density, None).expect("a sweep of that name");
        assert!(swept.failures.is_empty(), "{name}: {:#?}", swept.failures);
        assert!(swept.tried > 20, "{name}: only {} tried", swept.tried);
    }
}
