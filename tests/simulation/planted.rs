//! For each invariant a planted bug, and the words with which the simulation fails because of it.
//!
//! Owns: the table. Each bug has the seed that catches it, which is tried first; where that seed's life has become
//! another, the seeds are searched, and the first that fails with the bug has to fail in those words. Without the bug
//! the same seeds are well (`century`).

use crate::cores::on_every_core;
use crate::is_asked_for;
use crate::seed::{Wish, live};
use crate::sim::bug::Bug;

/// Bugs that hide from so many lives of ten days are not caught.
const SEEDS: u64 = 400;
const DAYS: u32 = 10;

/// | invariant | planted bug | how the simulation fails | with which seed |
const TABLE: [(&str, Bug, &str, u64); 27] = [
    (
        "one record for every due slot",
        Bug::NoRun,
        "I1: records of",
        0,
    ),
    ("what is not ours stays as it is", Bug::Meddle, "I2: ", 0),
    ("one snapshot for a slot", Bug::SecondName, "I3: ", 0),
    (
        "available means that AWS has it",
        Bug::EagerSuccess,
        "I6: ",
        0,
    ),
    ("min_good newer ones stay", Bug::KeepsOne, "I4: ", 2),
    ("removed only as planned", Bug::Unlogged, "I5: ", 2),
    ("every snapshot has a record", Bug::CallFirst, "I7: ", 0),
    (
        "terminal states absorb",
        Bug::AnotherEnd,
        "I8: an ended run changes",
        0,
    ),
    (
        "the watermark is monotone",
        Bug::WatermarkBack,
        "I9: the watermark",
        0,
    ),
    ("creates lie inside the window", Bug::LongWindow, "I10: ", 0),
    (
        "the rate is held",
        Bug::Greedy,
        "I11: the rate is not held",
        0,
    ),
    (
        "one slot for a listed time",
        Bug::WrongHour,
        "I12: a record",
        0,
    ),
    (
        "committed rows survive",
        Bug::LostRow,
        "I13: a committed row is lost",
        0,
    ),
    ("everything drains", Bug::ForgottenDoubt, "I14: ", 3),
    (
        "metrics are the fold of the history",
        Bug::CountedTwice,
        "I17: ",
        0,
    ),
    ("no secret in any output", Bug::Leak, "I18: ", 0),
    (
        "deleted by others, never made again",
        Bug::Remake,
        "I19: ",
        0,
    ),
    ("no edit makes earlier slots", Bug::BackFill, "I20: ", 0),
    ("nothing is removed in doubt", Bug::StaleListing, "I15: ", 2),
    ("no pair is left bare", Bug::NoGuard, "I21: ", 44),
    (
        "no verdict without a look",
        Bug::BlindVerdict,
        "a verdict without a look",
        85,
    ),
    (
        "no call again before its back-off",
        Bug::Impatient,
        "I22: ",
        299,
    ),
    (
        "a run is changed by what names it",
        Bug::CrossedAnswer,
        "I23: ",
        0,
    ),
    (
        "absence after patience only",
        Bug::EarlyAbsence,
        "I24: ",
        126,
    ),
    ("each account keeps its own", Bug::ShortKey, "I26: ", 204),
    (
        "skipped for its schedule only",
        Bug::BehindByHand,
        "is skipped, and none of its schedule",
        0,
    ),
    (
        "no slot is lost to an edit",
        Bug::ForgottenEdit,
        "has no record, and its schedule was edited",
        0,
    ),
];

fn failure(bug: Bug, seed: u64) -> Option<String> {
    let bug = Some(bug);
    live(Wish {
        bug,
        ..Wish::new(seed, DAYS)
    })
    .failure
}

fn first_failure(bug: Bug) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| Some((seed, failure(bug, seed)?)))
}

/// What is wrong with a row; a line for whoever reads the output where only its seed is.
fn missed((invariant, bug, words, seed): (&str, Bug, &str, u64)) -> Option<String> {
    let is_caught = |text: &String| text.contains(words);
    if failure(bug, seed).as_ref().is_some_and(is_caught) {
        return None;
    }
    let first = first_failure(bug);
    println!(
        "{invariant}: {bug:?}: seed {seed} does not catch it; the first that fails: {first:?}"
    );
    let caught = first.as_ref().is_some_and(|(_, text)| is_caught(text));
    (!caught).then(|| format!("{invariant}: {bug:?} gives {first:?}, wanted {words:?}"))
}

#[test]
fn every_planted_bug_is_caught_in_the_words_of_its_invariant() {
    if !is_asked_for() {
        return;
    }
    let missed = on_every_core(TABLE.len(), |row| missed(TABLE[row]));
    let missed: Vec<String> = missed.into_iter().flatten().collect();
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
