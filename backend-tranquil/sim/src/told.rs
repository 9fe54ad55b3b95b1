//! What is printed of runs.

use std::time::Duration;

use tranquil_sim::disk::Fault;
use tranquil_sim::ledger::commit;
use tranquil_sim::runs::Total;
use tranquil_sim::sweep::Swept;

/// Tells what runs did, and how long it took.
pub fn what_was_done(total: &Total, took: Duration) {
    let sum = &total.sum;
    println!("{} runs, {} mutations sent, {} taken, {} calls to the disk", total.runs, sum.sent, sum.taken, sum.calls);
    println!("{} crashes and restarts, {} opens, {} comparisons of everything", sum.crashes, sum.opens, sum.compared);
    println!(
        "{} unknown outcomes, of which {} had happened; {} events followed",
        sum.in_doubt.0, sum.in_doubt.1, sum.seen
    );
    println!("{} times files were restored, {} runs ended older by a lie", sum.healed, sum.older);
    println!("{} s, {} mutations taken a second", took.as_secs(), sum.taken * 1_000 / took.as_millis().max(1) as u64);
}

/// Tells of many runs, and how to see each failure again.
pub fn total(total: &Total, steps: usize, took: Duration) {
    what_was_done(total, took);
    let sum = &total.sum;
    for fault in Fault::ALL {
        println!("  {:>8}  {}", sum.fired.get(*fault as usize).copied().unwrap_or(0), fault.name());
    }
    for (seed, violation) in &total.failures {
        let text: String = violation.to_string().chars().take(600).collect();
        println!("seed {seed} FAILS: {text}");
        println!(
            "  replay and shrink: cargo sim{} --seed {seed} --steps {steps}   (commit {})",
            total.sort.words().1,
            commit()
        );
    }
    if total.lacks_faults() {
        println!("never fired: {:?}", total.unfired().iter().map(|f| f.name()).collect::<Vec<_>>());
    }
    println!("{} seeds: trace {:016x}", total.runs, sum.trace);
}

/// Tells which files a sweep damaged.
pub fn files(swept: &Swept) {
    let bytes: u64 = swept.files.iter().map(|(.., bytes)| bytes).sum();
    let sorts: Vec<String> = swept.files.iter().map(|(sort, n, bytes)| format!("{n} {sort} {bytes}")).collect();
    if !sorts.is_empty() {
        println!("  of {bytes} bytes in files: {}", sorts.join(", "));
    }
}
