//! For each invariant a planted bug, and the words with which the simulation fails because of it.
//!
//! Owns: the table. A bug counts as caught when the first seed that fails with it fails in those words; without it
//! the same seeds are well (`century`).

use crate::seed::{Wish, live};
use crate::sim::bug::Bug;

/// Bugs that hide from so many lives of ten days are not caught.
const SEEDS: u64 = 400;
const DAYS: u32 = 10;

/// | invariant | planted bug | how the simulation fails |
const TABLE: [(&str, Bug, &str); 21] = [
    (
        "one record for every due slot",
        Bug::NoRun,
        "I1: records of",
    ),
    ("what is not ours stays as it is", Bug::Meddle, "I2: "),
    ("one snapshot for a slot", Bug::SecondName, "I3: "),
    ("available means that AWS has it", Bug::EagerSuccess, "I6: "),
    ("min_good newer ones stay", Bug::KeepsOne, "I4: "),
    ("removed only as planned", Bug::Unlogged, "I5: "),
    ("every snapshot has a record", Bug::CallFirst, "I7: "),
    (
        "terminal states absorb",
        Bug::AnotherEnd,
        "I8: an ended run changes",
    ),
    (
        "the watermark is monotone",
        Bug::WatermarkBack,
        "I9: the watermark",
    ),
    ("creates lie inside the window", Bug::LongWindow, "I10: "),
    ("the rate is held", Bug::Greedy, "I11: the rate is not held"),
    (
        "one slot for a listed time",
        Bug::WrongHour,
        "I12: a record",
    ),
    (
        "committed rows survive",
        Bug::LostRow,
        "I13: a committed row is lost",
    ),
    ("everything drains", Bug::ForgottenDoubt, "I14: "),
    (
        "metrics are the fold of the history",
        Bug::CountedTwice,
        "I17: ",
    ),
    ("no secret in any output", Bug::Leak, "I18: "),
    ("deleted by others, never made again", Bug::Remake, "I19: "),
    ("no edit makes earlier slots", Bug::BackFill, "I20: "),
    ("nothing is removed in doubt", Bug::StaleListing, "I15: "),
    ("no pair is left bare", Bug::NoGuard, "I21: "),
    (
        "no verdict without a look",
        Bug::BlindVerdict,
        "a verdict without a look",
    ),
];

fn first_failure(bug: Bug) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| {
        let past = live(Wish {
            bug: Some(bug),
            ..Wish::new(seed, DAYS)
        });
        past.failure.map(|failure| (seed, failure))
    })
}

#[test]
fn every_planted_bug_is_caught_in_the_words_of_its_invariant() {
    let missed = TABLE.into_iter().filter_map(|(invariant, bug, words)| {
        let failure = first_failure(bug);
        println!("{invariant}: {bug:?}: {failure:?}");
        let caught = failure
            .as_ref()
            .is_some_and(|(_, text)| text.contains(words));
        (!caught).then(|| format!("{invariant}: {bug:?} gives {failure:?}, wanted {words:?}"))
    });
    let missed: Vec<String> = missed.collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// I16: something else than the seed has a say.
#[test]
fn a_life_that_is_not_drawn_from_its_seed_alone_has_another_hash() {
    let hash = || {
        let bug = Some(Bug::Entropy);
        live(Wish {
            bug,
            ..Wish::new(1, DAYS)
        })
        .hash
    };
    assert_ne!(hash(), hash());
}
