//! A policy file out of what people have now: a crontab, EventBridge's schedules, Redshift's own snapshot schedules.
//!
//! Owns: what is carried over, the remarks on what cannot be, and the text of the file, which `redkeep check` accepts. Pure:
//! texts in, text out. In doubt a policy is written as a comment: nothing is made active that was not understood.

mod aws;
mod crontab;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::names::{ClusterId, PolicyName, Region};
use crate::schedule::{Schedule, ScheduleError};
use crate::tzdb;

pub use aws::{eventbridge, native};
pub use crontab::crontab;

/// A policy that something was made into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// What the job was called, or a word for it.
    pub name: String,
    /// The schedule as it was written there.
    pub schedule: String,
    /// The time zone, where one was named.
    pub timezone: Option<String>,
    /// The clusters, as far as they were named.
    pub clusters: Vec<String>,
    /// The period of the snapshots, where one was named: days, or −1 for ever.
    pub retention_days: Option<i64>,
    /// The region, where one was named.
    pub region: Option<String>,
    /// The most by which its start was delayed, in minutes.
    pub jitter_minutes: u64,
    /// Whether the job was switched off.
    pub is_off: bool,
    /// What is to be known of it.
    pub remarks: Vec<String>,
}

/// Why nothing can be read out of a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The text is no JSON.
    #[error(
        "this is not JSON, line {line}: {reason}; export it with the AWS CLI and `--output json`"
    )]
    NotJson {
        /// Where.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// The text is another document.
    #[error("the file has no {wanted}; {advice}")]
    NothingThere {
        /// What is looked for.
        wanted: &'static str,
        /// Which command writes it.
        advice: &'static str,
    },
}

/// What was found, and what of it is no snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Import {
    /// The policies to be.
    pub drafts: Vec<Draft>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

/// A name that policies may have, out of any text.
fn name_of(text: &str, taken: &BTreeSet<String>) -> String {
    let words: Vec<String> = text
        .to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let mut name: String = words.join("-").chars().take(50).collect();
    while name.ends_with('-') {
        name.pop();
    }
    if name.parse::<PolicyName>().is_err() {
        name = format!("p-{name}");
        if name.parse::<PolicyName>().is_err() {
            "imported".clone_into(&mut name);
        }
    }
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or(name)
}

/// The schedule as redkeep writes it, or why there is none.
fn schedule_of(text: &str) -> Result<String, String> {
    let zone = tzdb::bundled("UTC").ok_or("there are no time zones")?;
    match Schedule::parse(text, zone) {
        Ok(_) => Ok(text.to_owned()),
        Err(ScheduleError::EventBridge {
            equivalent: Some(equivalent),
            ..
        }) => Ok(equivalent),
        Err(error) => Err(error.to_string()),
    }
}

/// The policy file.
pub fn policy_file(import: &Import, from: &str) -> String {
    let mut text = format!(
        "# Written by `redkeep import {from}`. Read every remark, try the file with `redkeep check FILE` and \
         `redkeep plan`,\n\
         # and switch off the old schedule when redkeep has taken its first snapshot: until then both take snapshots.\n\n"
    );
    let regions: BTreeSet<&str> = { import.drafts.iter() }
        .filter_map(|draft| draft.region.as_deref())
        .filter(|region| region.parse::<Region>().is_ok())
        .collect();
    text.push_str("[[account]]\nname = \"default\"\n");
    match regions.is_empty() {
        true => text.push_str(
            "# CHANGE THIS: the input names no region. Without an [[account]] it comes from the \
             environment.\nregions = \
             [\"us-east-1\"]\n",
        ),
        false => {
            let regions: Vec<String> = regions.iter().map(|region| format!("{region:?}")).collect();
            let _ = writeln!(text, "regions = [{}]", regions.join(", "));
        }
    }
    let mut taken = BTreeSet::new();
    let several = regions.len() > 1;
    for draft in &import.drafts {
        let name = name_of(&draft.name, &taken);
        taken.insert(name.clone());
        text.push('\n');
        text.push_str(&policy(draft, &name, several));
    }
    if !import.left_out.is_empty() {
        text.push_str("\n# Left out:\n");
        for remark in &import.left_out {
            push_remark(&mut text, remark);
        }
    }
    text
}

/// The table of one policy; where its schedule was not understood, all of it is a comment.
fn policy(draft: &Draft, name: &str, several_regions: bool) -> String {
    let mut text = String::new();
    for remark in &draft.remarks {
        push_remark(&mut text, remark);
    }
    let schedule = schedule_of(&draft.schedule);
    if let Err(why) = &schedule {
        push_remark(&mut text, &format!("NOT CARRIED OVER: {why}"));
    }
    let clusters: Vec<String> = { draft.clusters.iter() }
        .filter(|cluster| cluster.parse::<ClusterId>().is_ok())
        .map(|cluster| format!("{cluster:?}"))
        .collect();
    let mut keys: BTreeMap<usize, String> = BTreeMap::new();
    keys.insert(0, "[[policy]]".to_owned());
    keys.insert(1, format!("name = {name:?}"));
    let expression = schedule.as_ref().unwrap_or(&draft.schedule);
    keys.insert(2, format!("schedule = {expression:?}"));
    let zone = draft
        .timezone
        .as_deref()
        .filter(|zone| tzdb::bundled(zone).is_some());
    match (zone, &draft.timezone) {
        (Some(zone), _) => drop(keys.insert(3, format!("timezone = {zone:?}"))),
        (None, Some(zone)) => push_remark(
            &mut text,
            &format!("CHANGE THIS: no time zone is named {zone:?}"),
        ),
        (None, None) => {}
    }
    if clusters.is_empty() {
        push_remark(
            &mut text,
            "CHANGE THIS: the input does not say which clusters it is for",
        );
    }
    let named = match clusters.is_empty() {
        true => "\"change-me\"".to_owned(),
        false => clusters.join(", "),
    };
    keys.insert(4, format!("clusters = [{named}]"));
    let region = draft
        .region
        .as_deref()
        .filter(|region| region.parse::<Region>().is_ok());
    if let (Some(region), true) = (region, several_regions) {
        keys.insert(5, format!("regions = [{region:?}]"));
    }
    keys.insert(6, format!("retention = {:?}", retention(draft, &mut text)));
    if draft.jitter_minutes > 0 {
        keys.insert(
            7,
            format!("jitter = \"{}m\"", draft.jitter_minutes.min(24 * 60)),
        );
    }
    if draft.is_off {
        keys.insert(8, "enabled = false".to_owned());
    }
    for line in keys.values() {
        let comment = if schedule.is_err() { "# " } else { "" };
        let _ = writeln!(text, "{comment}{line}");
    }
    text
}

/// AWS keeps a snapshot for ever whose request names no period; redkeep always names one.
fn retention(draft: &Draft, text: &mut String) -> String {
    match draft.retention_days {
        Some(-1) => "forever".to_owned(),
        Some(days @ 1..=3653) => format!("{days}d"),
        Some(days) => {
            push_remark(
                text,
                &format!("CHANGE THIS: AWS does not accept a period of {days} days"),
            );
            "35d".to_owned()
        }
        None => {
            push_remark(
                text,
                "CHANGE THIS: the input has no retention; AWS keeps such snapshots forever, and bills them",
            );
            "35d".to_owned()
        }
    }
}

/// A remark as comments: other people's text, which may not become a key.
fn push_remark(text: &mut String, remark: &str) {
    let clean: String = { remark.chars() }
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(500)
        .collect();
    let _ = writeln!(text, "# {clean}");
}

#[cfg(test)]
mod tests;
