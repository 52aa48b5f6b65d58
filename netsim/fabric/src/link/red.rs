//! RED: drops on arrival, the more likely the longer the queue has been on average (S. Floyd, V. Jacobson, "Random Early
//! Detection Gateways for Congestion Avoidance", IEEE/ACM Transactions on Networking 1(4), 1993).

use super::config::Probability;
use super::queue::Verdict;

/// RED's parameters. Above `max_bytes` it is "gentle" (Floyd, 2000): the probability rises on to one at twice that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedConfig {
    /// Average queue in bytes below which nothing is dropped.
    pub min_bytes: u64,
    /// Average queue in bytes at which `max_probability` is reached. More than `min_bytes`.
    pub max_bytes: u64,
    /// Probability at `max_bytes`.
    pub max_probability: Probability,
    /// The average follows the queue with weight 2^-this per packet; the paper's 0.002 is about 9. At most 31.
    pub weight_shift: u8,
}

/// Fraction bits of the average.
const FRACTION: u32 = 16;
const BILLION: u64 = 1_000_000_000;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Red {
    /// Average queue, in bytes with [`FRACTION`] fraction bits.
    average: u64,
    /// Packets since the last drop; `None` while the average is below the minimum ("count = -1").
    count: Option<u64>,
}

impl Red {
    /// Decides on a packet that meets `queued` bytes, or that comes after the line was idle for so many packets' time.
    pub(super) fn decide(
        &mut self,
        config: &RedConfig,
        queued: u64,
        idle_packets: u64,
        draw: u64,
        markable: bool,
    ) -> Verdict {
        self.follow(config, queued, idle_packets);
        let average = self.average >> FRACTION;
        if average < config.min_bytes {
            self.count = None;
            return Verdict::Pass;
        }
        let twice = config.max_bytes.saturating_mul(2);
        if average >= twice {
            // Marks have been ignored for too long (RFC 3168, section 7).
            self.count = Some(0);
            return Verdict::Drop;
        }
        let at_max = u64::from(config.max_probability.ppb());
        let share = |base: u64, rise: u64, above: u64, width: u64| {
            base + (u128::from(rise) * u128::from(above) / u128::from(width.max(1))) as u64
        };
        let base = if average < config.max_bytes {
            share(0, at_max, average - config.min_bytes, config.max_bytes - config.min_bytes)
        } else {
            share(at_max, BILLION - at_max, average - config.max_bytes, config.max_bytes)
        };
        let count = self.count.map_or(0, |count| count + 1);
        self.count = Some(count);
        // "p_a = p_b / (1 - count p_b)": drops come evenly spaced instead of in clusters.
        let rest = BILLION.saturating_sub(count.saturating_mul(base));
        let ppb = (base * BILLION).checked_div(rest).unwrap_or(BILLION).min(BILLION);
        if !Probability::from_ppb(ppb as u32).is_some_and(|probability| probability.contains(draw)) {
            return Verdict::Pass;
        }
        self.count = Some(0);
        Verdict::against(markable)
    }

    fn follow(&mut self, config: &RedConfig, queued: u64, idle_packets: u64) {
        let shift = u32::from(config.weight_shift.min(31));
        if queued == 0 {
            // As if so many packets had met an empty queue: multiply by (1 - weight) that often.
            let mut factor = (1_u64 << 32) - ((1_u64 << 32) >> shift);
            let mut left = idle_packets.min(1 << 20);
            let times = |a: u64, b: u64| ((u128::from(a) * u128::from(b)) >> 32) as u64;
            while left > 0 && self.average > 0 {
                if left & 1 == 1 {
                    self.average = times(self.average, factor);
                }
                factor = times(factor, factor);
                left >>= 1;
            }
            return;
        }
        let queued = queued << FRACTION;
        if queued >= self.average {
            self.average += (queued - self.average) >> shift;
        } else {
            self.average -= (self.average - queued) >> shift;
        }
    }

    /// The average queue in bytes.
    #[cfg(test)]
    fn average_bytes(&self) -> u64 {
        self.average >> FRACTION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: RedConfig =
        RedConfig { min_bytes: 30_000, max_bytes: 90_000, max_probability: Probability::ZERO, weight_shift: 9 };

    #[test]
    fn the_average_follows_as_the_paper_says() {
        // A queue that jumps from nothing to q: after n packets the average is q (1 - (1 - w)^n).
        let mut red = Red::default();
        for n in 1..=2000_i32 {
            red.decide(&CONFIG, 20_000, 0, 0, false);
            let expect = 20_000.0 * (1.0 - libm::pow(1.0 - 1.0 / 512.0, f64::from(n)));
            assert!((red.average_bytes() as f64 - expect).abs() < 60.0, "{n}: {} {expect}", red.average_bytes());
        }
        // Idle for 512 packets' time: (1 - w)^512 of it is left, about 1/e.
        let before = red.average_bytes() as f64;
        red.decide(&CONFIG, 0, 512, 0, false);
        let expect = before * libm::pow(1.0 - 1.0 / 512.0, 512.0);
        assert!((red.average_bytes() as f64 - expect).abs() < 2.0);
    }

    #[test]
    fn drops_come_by_average_and_evenly_spaced() {
        let settled = |bytes| Red { average: bytes << FRACTION, count: None };
        let config = RedConfig { max_probability: Probability::from_ppb(100_000_000).unwrap(), ..CONFIG };
        let spacing = |bytes: u64| {
            let (mut red, mut drops) = (settled(bytes), 0_u32);
            for n in 0..10_000 {
                let draw = crate::random::mix(n);
                drops += u32::from(red.decide(&config, bytes, 0, draw, false) == Verdict::Drop);
            }
            drops
        };
        // (average, expected drops of 10,000): with p_a the gap is uniform over 1..1/p_b, its mean 1/2p_b;
        // four standard deviations.
        for (bytes, low, high) in [(29_999, 0, 0), (60_000, 930, 1070), (89_999, 1900, 2100), (180_000, 10_000, 10_000)]
        {
            let drops = spacing(bytes);
            assert!((low..=high).contains(&drops), "{bytes}: {drops}");
        }
        let mut red = settled(60_000);
        assert_eq!(red.decide(&config, 60_000, 0, 0, true), Verdict::Mark);
        assert_eq!(settled(180_000).decide(&config, 180_000, 0, 0, true), Verdict::Drop, "marks were ignored");
    }
}
