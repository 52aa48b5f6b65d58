//! Which packets a link loses: each on its own, in bursts, or by a list.

use super::config::Probability;
use crate::random::Stream;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Which packets a link loses. Packets are numbered from 0 in the order in which they reach the link.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each packet on its own.
    Bernoulli(Probability),
    /// Bursts: a link that is good or bad for a while (E. N. Gilbert, Bell System Technical Journal 39, 1960; E. O.
    /// Elliott, ibid. 42, 1963). It starts good. Each packet is lost or not by the state it meets, and then the state
    /// may change, as in `netem`'s `gemodel`. With `loss_bad` 1 and `loss_good` 0, bursts are 1 / `recover` packets
    /// long on average.
    GilbertElliott {
        /// Chance per packet that a good link turns bad; "p".
        fail: Probability,
        /// Chance per packet that a bad link turns good; "r".
        recover: Probability,
        /// Chance that a packet is lost while the link is good; "1 - k".
        loss_good: Probability,
        /// Chance that a packet is lost while the link is bad; "1 - h".
        loss_bad: Probability,
    },
    /// Exactly these packets.
    Scripted(Script),
}

/// Numbers of packets, without gaps in memory and in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script(Arc<[u64]>);

impl Script {
    /// The packets with these numbers, in any order.
    pub fn new(mut numbers: Vec<u64>) -> Script {
        numbers.sort_unstable();
        numbers.dedup();
        Script(numbers.into())
    }

    /// The numbers, ascending.
    pub fn numbers(&self) -> &[u64] {
        &self.0
    }
}

impl Loss {
    /// Share of packets lost in the long run, in parts per billion; 0 for a script, which ends.
    pub fn mean_ppb(&self) -> u32 {
        match self {
            Loss::None | Loss::Scripted(_) => 0,
            Loss::Bernoulli(probability) => probability.ppb(),
            Loss::GilbertElliott { fail, recover, loss_good, loss_bad } => {
                let [p, r, good, bad] = [fail, recover, loss_good, loss_bad].map(|part| u64::from(part.ppb()));
                // The stationary share of the bad state is p / (p + r); a link that never changes stays good.
                (r * good + p * bad).checked_div(p + r).unwrap_or(good) as u32
            }
        }
    }

    /// How many thousandths bursts add to the variance of the number of lost packets in a long time; 0 where each packet
    /// is lost on its own.
    ///
    /// States of a two-state chain at distance k are correlated by l^k, l = 1 - p - r. So the covariance of two losses is
    /// (bad - good)^2 pi (1 - pi) l^k, and the sum over all distances adds 2 l / (1 - l) times that to m (1 - m) per packet.
    pub fn clumping_permille(&self) -> u32 {
        let Loss::GilbertElliott { fail, recover, loss_good, loss_bad } = self else { return 0 };
        let [p, r, good, bad] =
            [fail, recover, loss_good, loss_bad].map(|part| f64::from(part.ppb()) / f64::from(Probability::ONE.ppb()));
        let (stay, mean) = (1.0 - p - r, f64::from(self.mean_ppb()) / f64::from(Probability::ONE.ppb()));
        let share = p / (p + r);
        let own = mean * (1.0 - mean);
        // A link that never changes, or never loses, has no bursts; one that changes each time evens them out.
        if !(share > 0.0 && own > 0.0 && stay > 0.0) {
            return 0;
        }
        let shared = (bad - good) * (bad - good) * share * (1.0 - share);
        // The cast saturates.
        (shared / own * 2.0 * stay / (1.0 - stay) * 1000.0) as u32
    }
}

/// The part of loss that has a memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LossState {
    bad: bool,
}

impl LossState {
    /// Whether packet number `n` is lost. Must be asked for every packet once, in order.
    #[inline]
    pub(super) fn loses(&mut self, loss: &Loss, n: u64, fate: Stream, change: Stream) -> bool {
        match loss {
            Loss::None => false,
            Loss::Bernoulli(probability) => probability.hits(fate, n),
            Loss::GilbertElliott { fail, recover, loss_good, loss_bad } => {
                let (lost, turns) = if self.bad { (loss_bad, recover) } else { (loss_good, fail) };
                self.bad ^= turns.hits(change, n);
                lost.hits(fate, n)
            }
            Loss::Scripted(script) => script.0.binary_search(&n).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn bursts_make_the_number_of_losses_vary_more() {
        let ppb = |ppb| Probability::from_ppb(ppb).unwrap();
        let bursts = |fail, recover, loss_bad| Loss::GilbertElliott {
            fail: ppb(fail),
            recover: ppb(recover),
            loss_good: Probability::ZERO,
            loss_bad: ppb(loss_bad),
        };
        assert_eq!(Loss::Bernoulli(ppb(10_000_000)).clumping_permille(), 0);
        assert_eq!(bursts(0, 0, 0).clumping_permille(), 0);
        let rows = [(10_000_000, 200_000_000, 1_000_000_000), (5_000_000, 50_000_000, 500_000_000)];
        for (fail, recover, bad) in rows {
            // Against the variance of what the link does.
            const BLOCK: u64 = 10_000;
            const BLOCKS: u64 = 2_000;
            let loss = bursts(fail, recover, bad);
            let (fate, change) = (Stream::new(1, 0, Purpose::Loss), Stream::new(1, 0, Purpose::LossState));
            let mut state = LossState::default();
            let counts = (0..BLOCKS).map(|block| {
                let packets = block * BLOCK..(block + 1) * BLOCK;
                packets.filter(|n| state.loses(&loss, *n, fate, change)).count() as f64
            });
            let counts: Vec<f64> = counts.collect();
            let mean = f64::from(loss.mean_ppb()) / 1e9;
            let expect = BLOCK as f64 * mean;
            let variance = counts.iter().map(|count| (count - expect) * (count - expect)).sum::<f64>() / BLOCKS as f64;
            let got = variance / (expect * (1.0 - mean)) - 1.0;
            let foretold = f64::from(loss.clumping_permille()) / 1000.0;
            // The standard error of a variance of 2,000 counts is 3 %.
            assert!((got / foretold - 1.0).abs() < 0.15, "{got} {foretold}");
        }
    }
}
