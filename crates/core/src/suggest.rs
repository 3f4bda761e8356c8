//! "did you mean": the word that a misspelt one most likely stands for.
//!
//! Owns: how near is near enough. Never changes what was written.

/// Words longer than this are no slip of the pen, and comparing them takes long.
const LONGEST: usize = 64;

/// `; did you mean "…"?`, or nothing when no known word is near.
pub fn did_you_mean<'a>(got: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    suggestion(got, known).map_or_else(String::new, |hint| format!("; {hint}"))
}

/// `did you mean "…"?`, when a known word is near.
pub fn suggestion<'a>(got: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(got, known).map(|word| format!("did you mean {word:?}?"))
}

/// The known word nearest to `got`, if it is near at all.
pub fn nearest<'a>(got: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if got.is_empty() || got.len() > LONGEST {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let got = plain(got);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&got, &plain(word)), word))
        .filter(|(distance, word)| {
            *distance <= got.chars().count().max(word.chars().count()) / 3
                || strsim::jaro_winkler(&got, &plain(word)) > 0.88
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_understood_and_another_word_is_not_forced() {
        let known = [
            "start_window",
            "policy",
            "retention",
            "name",
            "log",
            "clusters",
        ];
        for (got, wanted) in [
            ("start_windw", Some("start_window")),
            ("Start-Window", Some("start_window")),
            ("policies", Some("policy")),
            ("cluster", Some("clusters")),
            ("rpo", None),
            ("guard", None),
            ("notify", None),
            ("role_arn", None),
            ("", None),
        ] {
            assert_eq!(nearest(got, known), wanted, "{got}");
        }
    }
}
