//! How long to wait between attempts.

use std::time::Duration;

/// Pauses that double from a first one up to a longest one.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `first`; no pause is longer than `longest`.
    pub fn new(first: Duration, longest: Duration) -> Backoff {
        let first = first.min(longest);
        Backoff { first, longest, next: first }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        pause
    }

    /// Starts again at the first pause.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        let milliseconds: Vec<u128> = (0..9).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(milliseconds, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        backoff.reset();
        assert_eq!(backoff.pause().as_millis(), 500);
        let mut odd = Backoff::new(Duration::MAX, Duration::from_secs(1));
        assert_eq!([odd.pause(), odd.pause()], [Duration::from_secs(1); 2]);
    }
}
