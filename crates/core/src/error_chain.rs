//! An error with its causes, as one text.
//!
//! Owns: the one way in which redkeep tells an error that another error caused. An error's own text never
//! repeats its source, so whoever shows it to people goes through here.

use std::error::Error;

/// The error and its causes, outermost first, on one line; a cause that repeats what was said is left out.
pub fn with_causes(error: &dyn Error) -> String {
    told_with_causes(error.to_string(), error)
}

/// As [`with_causes`], with `told` in the place of the error's own text.
pub fn told_with_causes(told: String, error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
    causes.fold(told, |told, cause| {
        let cause = cause.to_string();
        if told.contains(&cause) {
            told
        } else {
            format!("{told}: {cause}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Told>>,
    }

    #[test]
    fn causes_follow_in_order_and_repetitions_are_left_out() {
        let innermost = Told {
            text: "the disk is full",
            source: None,
        };
        let echo = Told {
            text: "cannot write",
            source: Some(Box::new(innermost)),
        };
        let outer = Told {
            text: "the history: cannot write",
            source: Some(Box::new(echo)),
        };
        assert_eq!(
            with_causes(&outer),
            "the history: cannot write: the disk is full"
        );
    }
}
