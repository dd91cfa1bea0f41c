//! How much of something a client may do in a time.

use std::time::Instant;

/// This is a token bucket: `burst` at once, and `rate` more every second.
#[derive(Debug)]
pub(super) struct Budget {
    left: f32,
    at: Instant,
}

impl Budget {
    pub(super) fn new(burst: u32, now: Instant) -> Self {
        Self { left: burst as f32, at: now }
    }

    /// Spends `cost`; says whether there was as much.
    pub(super) fn spend(&mut self, cost: usize, rate: u32, burst: u32, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f32() * rate as f32;
        self.left = (self.left + earned).min(burst as f32) - cost as f32;
        self.at = now;
        self.left >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_budget_is_spent_at_once_and_earned_with_time() {
        let begin = Instant::now();
        let mut budget = Budget::new(20, begin);
        assert!((0..20).all(|_| budget.spend(1, 10, 20, begin)));
        assert!(!budget.spend(1, 10, 20, begin));
        assert!(budget.spend(1, 10, 20, begin + Duration::from_millis(300)));
        assert!(!budget.spend(30, 10, 20, begin + Duration::from_secs(100)), "no more is saved than the burst");
    }
}
