//! Latencies of many calls.

use std::time::Duration;

use serde::Serialize;

/// Latencies, gathered as nanoseconds.
#[derive(Default)]
pub struct Latencies(Vec<u64>);

/// What there is to say of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean_us: f64,
    /// Half of them are at most this.
    pub p50_us: f64,
    /// 99 of 100 of them are at most this.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Latencies {
    /// Room for `count`.
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// Adds one.
    pub fn push(&mut self, latency: Duration) {
        self.0.push(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds those of another.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// Sums them up.
    pub fn summary(mut self) -> Summary {
        self.0.sort_unstable();
        let count = self.0.len();
        let us = |ns: u64| (ns as f64 / 1e3 * 100.0).round() / 100.0;
        // The least value that at least `percent` of all are not above.
        let at =
            |percent: usize| self.0.get((count * percent).div_ceil(100).saturating_sub(1)).copied().map_or(0.0, us);
        let sum: u128 = self.0.iter().map(|ns| u128::from(*ns)).sum();
        let mean = sum.checked_div(count as u128).unwrap_or(0);
        Summary { count: count as u64, mean_us: us(mean as u64), p50_us: at(50), p99_us: at(99), max_us: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut latencies = Latencies::default();
        for us in (1..=100).rev() {
            latencies.push(Duration::from_micros(us));
        }
        let summary = latencies.summary();
        let found = (summary.count, summary.mean_us, summary.p50_us, summary.p99_us, summary.max_us);
        assert_eq!(found, (100, 50.5, 50.0, 99.0, 100.0));
        assert_eq!(Latencies::default().summary().max_us, 0.0);
    }
}
