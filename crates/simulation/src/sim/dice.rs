//! Dice that fall the same way for the same seed (SplitMix64).

use chrono::TimeDelta;

#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.roll() % (most - least + 1)
    }

    /// A minute within so many days.
    pub fn minutes_of(&mut self, days: u64) -> i64 {
        i64::try_from(self.between(0, days * 1440)).unwrap()
    }

    /// A number of milliseconds, drawn between these.
    pub fn milliseconds(&mut self, (least, most): (u64, u64)) -> TimeDelta {
        TimeDelta::milliseconds(i64::try_from(self.between(least, most)).unwrap())
    }

    /// True so many times out of a thousand.
    pub fn permille(&mut self, chance: u64) -> bool {
        self.roll() % 1000 < chance
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = self.roll() % from.len() as u64;
        &from[usize::try_from(index).unwrap()]
    }
}
