//! A lease that is held: what its holder asks the server, and what it makes of the answers.
//!
//! Owns: when the lease is renewed and when it is only looked at, until when its holder is trusted to be the only one, and
//! that it is lost. Never asks anything itself.

use std::time::Duration;

use super::{LOOK_EACH, RENEW_EACH, is_trusted};

/// What the holder asks the server, once each [`LOOK_EACH`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// To count one more sign of life.
    Renew,
    /// How the lease stands.
    Look,
}

/// What the holder hears of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// No answer, or a refusal.
    Nothing,
    /// Somebody else has it, or nobody.
    Another,
    /// It is this one's.
    Ours {
        /// How many changes the shared history has seen.
        changes: i64,
        /// Whether somebody wants another instance to work.
        is_wanted: bool,
    },
}

/// What the holder of a lease knows of it.
#[derive(Debug, Clone)]
pub struct Hold {
    /// When the question was sent by which the lease was renewed last.
    renewed: Option<Duration>,
    /// When it was last asked to be renewed.
    asked: Option<Duration>,
    is_lost: bool,
    is_reached: bool,
    changes: i64,
    is_wanted: bool,
}

impl Default for Hold {
    /// A lease that was just taken, and is not renewed yet.
    fn default() -> Self {
        Self {
            renewed: None,
            asked: None,
            is_lost: false,
            is_reached: true,
            changes: 0,
            is_wanted: false,
        }
    }
}

impl Hold {
    /// What is to be asked at `now`; a question that is asked late is a renewal.
    pub fn question(&mut self, now: Duration) -> Question {
        let since = |at: Option<Duration>| at.map(|at| now.saturating_sub(at));
        let is_due = since(self.asked).is_none_or(|since| since >= RENEW_EACH);
        let is_late = since(self.renewed).is_none_or(|since| since >= RENEW_EACH + LOOK_EACH);
        match is_due || is_late {
            true => {
                self.asked = Some(now);
                Question::Renew
            }
            false => Question::Look,
        }
    }

    /// Takes in what came of a question that was sent at `sent`.
    pub fn hear(&mut self, question: Question, sent: Duration, heard: Heard) {
        self.is_reached = heard != Heard::Nothing;
        match heard {
            Heard::Nothing => {}
            Heard::Another => self.is_lost = true,
            Heard::Ours { changes, is_wanted } => {
                if question == Question::Renew {
                    self.renewed = Some(sent);
                }
                (self.changes, self.is_wanted) = (changes, is_wanted);
            }
        }
    }

    /// The term is over, whoever has told.
    pub fn lose(&mut self) {
        self.is_lost = true;
    }

    /// Whether somebody else has the lease.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Whether nobody else can have taken the lease yet at `now`: only then anything is deleted, shortened or sent.
    pub fn is_trusted(&self, now: Duration) -> bool {
        let renewed = self.renewed.filter(|_| !self.is_lost);
        renewed.is_some_and(|renewed| is_trusted(renewed, now))
    }

    /// Whether the server answered when it was last asked; where it did not, nobody who works waits for it.
    pub fn is_reached(&self) -> bool {
        self.is_reached
    }

    /// Whether somebody has asked for the lease to be given up.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// How many changes the shared history had seen when the server answered last.
    pub fn changes(&self) -> i64 {
        self.changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Heard = Heard::Ours {
        changes: 3,
        is_wanted: false,
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_is_renewed_each_five_seconds_and_looked_at_between() {
        let mut hold = Hold::default();
        assert!(!hold.is_trusted(seconds(1)), "not before it is renewed");
        let asked = |hold: &mut Hold, second| {
            let question = hold.question(seconds(second));
            hold.hear(question, seconds(second), OURS);
            question == Question::Renew
        };
        let renewed: Vec<u64> = (0..12).filter(|second| asked(&mut hold, *second)).collect();
        assert_eq!(renewed, [0, 5, 10]);
        assert!(hold.is_trusted(seconds(29)) && !hold.is_trusted(seconds(30)));
    }

    #[test]
    fn a_question_without_an_answer_proves_nothing_and_is_soon_asked_again() {
        let mut hold = Hold::default();
        hold.hear(Question::Renew, seconds(0), OURS);
        hold.hear(Question::Renew, seconds(5), Heard::Nothing);
        hold.hear(Question::Look, seconds(6), OURS);
        assert!(hold.is_reached() && !hold.is_trusted(seconds(20)));
        assert_eq!(hold.question(seconds(7)), Question::Renew);
        assert_eq!(hold.question(seconds(8)), Question::Renew);
    }

    #[test]
    fn a_lease_that_another_one_has_is_lost_at_once_and_stays_lost() {
        let mut hold = Hold::default();
        hold.hear(Question::Renew, seconds(0), OURS);
        hold.hear(Question::Look, seconds(1), Heard::Another);
        hold.hear(Question::Renew, seconds(2), OURS);
        assert!(hold.is_lost() && !hold.is_trusted(seconds(3)));
    }
}
