//! The ARNs of what a policy takes snapshots of.
//!
//! Owns: what a glob becomes in IAM, which knows only `*` and `?`, and that no pattern stands beside a wider one. Never
//! knows which actions are allowed on them.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::Region;
use crate::policy::{Account, Policy, Role, Selector};
use crate::settings::Config;

/// A glob of the policy file as IAM can say it, where `*` and `?` are all there is: `[a-z]` becomes `?`, and
/// `{a,b}` becomes `*`. It never matches less.
pub fn wildcard(glob: &str) -> String {
    let mut wildcard = String::new();
    let mut rest = glob.chars();
    while let Some(c) = rest.next() {
        let (made, end) = match c {
            '[' => ('?', Some(']')),
            '{' => ('*', Some('}')),
            c => (c, None),
        };
        if let Some(end) = end {
            skip(&mut rest, end);
        }
        if !(made == '*' && wildcard.ends_with('*')) {
            wildcard.push(made);
        }
    }
    wildcard
}

/// Goes behind the end of a class or of alternatives. A class has one character at least, so a `]` that comes
/// first (after `!` or `^`) belongs to it; alternatives may hold others, and classes.
fn skip(rest: &mut std::str::Chars<'_>, end: char) {
    if end == ']' {
        let inner = rest.as_str().trim_start_matches(['!', '^']);
        let first = inner.chars().next().map_or(0, char::len_utf8);
        let behind = inner[first..]
            .split_once(']')
            .map_or("", |(_, after)| after);
        *rest = behind.chars();
        return;
    }
    let mut depth = 1;
    while depth > 0 {
        match rest.next() {
            Some('{') => depth += 1,
            Some('}') => depth -= 1,
            Some('[') => skip(rest, ']'),
            Some(_) => {}
            None => return,
        }
    }
}

/// The ARNs of the snapshots that these policies make in these accounts: for each region the clusters that are
/// named there, without those that a wider pattern names already.
pub(super) fn snapshots(
    config: &Config,
    accounts: &[&Account],
    number: Option<&str>,
    which: fn(&Policy) -> bool,
) -> BTreeSet<String> {
    let mut clusters: BTreeMap<(&Region, &str), BTreeSet<String>> = BTreeMap::new();
    for policy in config.policies.iter().filter(|policy| which(policy)) {
        for scope in &policy.scopes {
            if let Some(account) = accounts
                .iter()
                .find(|account| account.name == scope.account)
            {
                let role = account.identity.role.as_ref();
                let own = role.and_then(Role::account_number);
                let number = number.or(own).unwrap_or("*");
                let place = clusters.entry((&scope.region, number)).or_default();
                place.extend(patterns(&policy.selector));
            }
        }
    }
    let arns = clusters.iter().flat_map(|((region, number), patterns)| {
        let partition = region.partition();
        let name = &config.namespace;
        widest(patterns).map(move |cluster| {
            format!("arn:{partition}:redshift:{region}:{number}:snapshot:{cluster}/{name}-*")
        })
    });
    arns.collect()
}

fn widest(patterns: &BTreeSet<String>) -> impl Iterator<Item = &String> {
    patterns.iter().filter(|pattern| {
        let mut others = patterns.iter().filter(|other| other != pattern);
        !others.any(|other| covers(other.as_bytes(), pattern.as_bytes()))
    })
}

fn patterns(selector: &Selector) -> impl Iterator<Item = String> {
    let literals = selector.unexcluded_literals().map(ToString::to_string);
    literals.chain(selector.globs.iter().map(|glob| wildcard(glob.pattern())))
}

/// Whether the first pattern matches all that the second one does.
fn covers(wide: &[u8], narrow: &[u8]) -> bool {
    match (wide, narrow) {
        ([], []) => true,
        ([b'*', after @ ..], _) => {
            covers(after, narrow) || matches!(narrow, [_, rest @ ..] if covers(wide, rest))
        }
        ([b'?', after @ ..], [c, rest @ ..]) if *c != b'*' => covers(after, rest),
        ([a, after @ ..], [b, rest @ ..]) if a == b => covers(after, rest),
        _ => false,
    }
}
