//! What becomes of one message: drawn from the weather of its link.

use std::time::Duration;

use crate::dice::Dice;

/// How the network behaves when nobody blocks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weather {
    /// The shortest latency of a frame, in microseconds.
    pub latency_us_min: u64,
    /// The longest ordinary one.
    pub latency_us_max: u64,
    /// How many frames in a thousand take much longer.
    pub tail_permille: u64,
    /// How long they may take, in milliseconds.
    pub tail_ms_max: u64,
    /// Unary requests lost, in a thousand.
    pub lose_request_permille: u64,
    /// Unary replies lost, in a thousand.
    pub lose_reply_permille: u64,
    /// Unary requests delivered twice, in a thousand.
    pub duplicate_permille: u64,
    /// Frames that break their stream, in ten thousand.
    pub reset_permyriad: u64,
}

impl Weather {
    /// A quiet local network.
    pub fn calm() -> Self {
        Self {
            latency_us_min: 100,
            latency_us_max: 1_000,
            tail_permille: 0,
            tail_ms_max: 0,
            lose_request_permille: 0,
            lose_reply_permille: 0,
            duplicate_permille: 0,
            reset_permyriad: 0,
        }
    }

    /// How long a frame takes.
    pub(super) fn latency(&self, dice: &Dice, slow: Duration) -> Duration {
        let usual = dice.micros(self.latency_us_min, self.latency_us_max.max(self.latency_us_min));
        let tail = match dice.permille(self.tail_permille) {
            // The square makes long waits rare and very long ones rarer.
            true => {
                Duration::from_millis(self.tail_ms_max * dice.range(1, 100) * dice.range(1, 100) / 10_000)
            }
            false => Duration::ZERO,
        };
        usual + tail + slow
    }
}
