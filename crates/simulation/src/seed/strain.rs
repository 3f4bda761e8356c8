//! What may weigh on a life beside faults, deaths, clocks and edits: each seed has some of it.
//!
//! Owns: the list, and the draw. It has dice of its own: a life that nothing of it weighs on is what it was before there
//! was any.

use crate::sim::dice::Dice;

/// Something that weighs on a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strain {
    /// Two accounts with clusters of the same names.
    Accounts,
    /// An account leaves the file, with what is open in it, and may come back.
    AccountLeaves,
    /// The credentials of an account lead to another one for a while.
    Misled,
    /// People hold, release and take over snapshots.
    Actions,
    /// People take snapshots, some of them just before a slot.
    Takes,
    /// Policies keep some snapshots for longer than the others.
    Tiers,
    /// Listings fail while single snapshots are told of.
    Blind,
    /// Listings begin long before they end.
    Slow,
    /// Listings have members that nobody expects.
    Odd,
    /// The machine is suspended, and the requests of its daemon are not.
    Suspended,
    /// The file is edited while the daemon is down.
    EditedWhileDown,
    /// The history is lost.
    LostHistory,
    /// People hold snapshots just before redkeep removes them or keeps them for longer.
    Hands,
    /// AWS refuses requests, with each of its codes.
    Refusals,
    /// Several instances share a history.
    Shared,
}

impl Strain {
    pub const ALL: [Self; 15] = [
        Self::Accounts,
        Self::AccountLeaves,
        Self::Misled,
        Self::Actions,
        Self::Takes,
        Self::Tiers,
        Self::Blind,
        Self::Slow,
        Self::Odd,
        Self::Suspended,
        Self::EditedWhileDown,
        Self::LostHistory,
        Self::Hands,
        Self::Refusals,
        Self::Shared,
    ];

    /// What may weigh on a life of several instances beside that.
    const BESIDE_SHARED: [Self; 8] = [
        Self::Accounts,
        Self::Takes,
        Self::Tiers,
        Self::Blind,
        Self::Slow,
        Self::Odd,
        Self::EditedWhileDown,
        Self::Hands,
    ];

    /// How many lives of a thousand it weighs on.
    const CHANCE: u64 = 120;

    /// What weighs on the life of a seed. Lives of several instances are asked for, since each of them takes its time.
    pub fn draw(seed: u64) -> Vec<Self> {
        let mut dice = Dice::new(seed ^ 0x0057_12a1);
        let all = Self::ALL.into_iter().filter(|one| *one != Self::Shared);
        all.filter(|_| dice.permille(Self::CHANCE)).collect()
    }

    /// What weighs on the life of a seed under this strain.
    pub fn under(self, seed: u64) -> Vec<Self> {
        let mut strains = vec![self];
        if self == Self::Shared {
            let drawn = Self::draw(seed).into_iter();
            strains.extend(drawn.filter(|one| Self::BESIDE_SHARED.contains(one)));
        }
        strains
    }
}
