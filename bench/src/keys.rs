//! Which key comes next.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use flotilla_workload::Dice;

/// How often which key is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distribution {
    /// All alike.
    Uniform,
    /// A few often, most hardly ever: rank r as often as 1 / r^0.99, as in YCSB. Which keys are hot is drawn by a hash.
    Zipfian,
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "uniform" => Ok(Self::Uniform),
            "zipfian" => Ok(Self::Zipfian),
            _ => Err(format!("{text:?} is no distribution of keys: choose uniform or zipfian")),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Zipfian => "zipfian",
        })
    }
}

/// The keys of a run: a prefix and a number of ten digits, so that their order is that of the numbers.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
    count: u32,
    zipf: Option<Zipf>,
}

impl Keys {
    /// `count` keys, at least one.
    pub fn new(prefix: &str, count: u32, distribution: Distribution) -> Self {
        let zipf = (distribution == Distribution::Zipfian).then(|| Zipf::new(count.max(1)));
        Self { prefix: prefix.to_owned(), count: count.max(1), zipf }
    }

    /// How many.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The number of a key, drawn.
    pub fn draw(&self, dice: &mut Dice) -> u32 {
        let count = u64::from(self.count);
        let number = match &self.zipf {
            None => dice.below(count),
            // Without the hash, the hot keys would be neighbours, and in one shard if shards were ranges.
            Some(zipf) => Dice::new(u64::from(zipf.rank(unit(dice)))).next_u64() % count,
        };
        u32::try_from(number).expect("below a count that fits")
    }

    /// The name of a key.
    pub fn name(&self, number: u32) -> Bytes {
        format!("{}{number:010}", self.prefix).into()
    }

    /// The number in a name.
    pub fn number(&self, name: &[u8]) -> Option<u32> {
        let digits = name.strip_prefix(self.prefix.as_bytes())?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// The first name behind all of these. An earlier run with more keys may have left some there.
    pub fn end(&self) -> Bytes {
        self.name(self.count)
    }
}

/// A number from 0 up to but without 1.
fn unit(dice: &mut Dice) -> f64 {
    // 53 bits: what a double holds exactly.
    (dice.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Ranks by Zipf's law, drawn in constant time (Gray et al., "Quickly generating billion-record synthetic databases", 1994).
#[derive(Clone, Debug)]
struct Zipf {
    count: f64,
    alpha: f64,
    zeta: f64,
    eta: f64,
    second: f64,
}

/// How steep; YCSB's constant.
const THETA: f64 = 0.99;
/// So many terms of the sum are added up, the rest is the integral: the difference is far below one in a million.
const TERMS_MAX: u32 = 1_000_000;

impl Zipf {
    fn new(count: u32) -> Self {
        let zeta = zeta(count);
        let share = 2.0 / f64::from(count);
        let eta = (1.0 - share.powf(1.0 - THETA)) / (1.0 - zeta_exact(2) / zeta);
        Self {
            count: f64::from(count),
            alpha: 1.0 / (1.0 - THETA),
            zeta,
            eta,
            second: 1.0 + 0.5_f64.powf(THETA),
        }
    }

    /// The rank at this point of the cumulated distribution: 0 is the most frequent.
    fn rank(&self, unit: f64) -> u32 {
        let at = unit * self.zeta;
        if at < 1.0 || self.count < 2.0 {
            return 0;
        }
        if at < self.second || self.count < 3.0 {
            return 1;
        }
        let rank = self.count * (self.eta * unit - self.eta + 1.0).powf(self.alpha);
        // Truncation is meant: ranks are whole numbers.
        (rank as u32).min(self.count as u32 - 1)
    }
}

fn zeta_exact(count: u32) -> f64 {
    (1..=count).map(|rank| f64::from(rank).powf(-THETA)).sum()
}

fn zeta(count: u32) -> f64 {
    let known = zeta_exact(count.min(TERMS_MAX));
    if count <= TERMS_MAX {
        return known;
    }
    // The integral from the middle between two terms to the middle after the last one.
    let power = |x: f64| (x + 0.5).powf(1.0 - THETA) / (1.0 - THETA);
    known + power(f64::from(count)) - power(f64::from(TERMS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_numbers_and_read_back() {
        let keys = Keys::new("bench:", 1000, Distribution::Uniform);
        assert!(keys.name(9) < keys.name(10) && keys.name(999) < keys.end() && keys.end() < keys.name(1001));
        assert_eq!(keys.number(&keys.name(u32::MAX)), Some(u32::MAX));
        assert_eq!(keys.number(b"other:0000000001"), None);
    }

    #[test]
    fn uniform_draws_reach_every_key_about_as_often() {
        let keys = Keys::new("", 10, Distribution::Uniform);
        let (mut dice, mut counts) = (Dice::new(1), [0_u32; 10]);
        (0..10_000).for_each(|_| counts[keys.draw(&mut dice) as usize] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn zipfian_ranks_are_as_frequent_as_the_law_says() {
        let (zipf, mut dice, mut counts) = (Zipf::new(1000), Dice::new(1), vec![0_u32; 1000]);
        let draws = 1_000_000;
        (0..draws).for_each(|_| counts[zipf.rank(unit(&mut dice)) as usize] += 1);
        let zeta = zeta_exact(1000);
        // The first two are exact in this method; later ones approximate, better from some ranks on.
        for (rank, slack) in [(0, 0.02), (1, 0.03), (9, 0.25), (99, 0.25)] {
            let wanted = f64::from(draws) * f64::from(rank + 1_u32).powf(-THETA) / zeta;
            let found = f64::from(counts[rank as usize]);
            assert!((found / wanted - 1.0).abs() < slack, "rank {rank}: {found} instead of {wanted}");
        }
    }

    #[test]
    fn the_integral_continues_the_sum() {
        let exact = zeta_exact(TERMS_MAX + 100_000);
        assert!((zeta(TERMS_MAX + 100_000) - exact).abs() < 1e-6);
    }

    #[test]
    fn tiny_key_spaces_stay_in_their_bounds() {
        for count in 1..5 {
            let keys = Keys::new("", count, Distribution::Zipfian);
            let mut dice = Dice::new(7);
            assert!((0..1000).all(|_| keys.draw(&mut dice) < count), "{count}");
        }
    }
}
