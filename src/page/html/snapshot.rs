//! The page of a snapshot: what `show` says.

use maud::{Markup, html};

use super::{Safe, cluster_address, snapshot_address};
use crate::run::Run;
use crate::told::run::{restore_command, shown};

/// The page's body.
pub(in crate::page) fn snapshot(run: &Run) -> Markup {
    let told = shown(run);
    let pair = &run.slot.pair;
    html! {
        h1 { "Snapshot " (run.request.snapshot_id) }
        p { "Of the cluster " a href=(cluster_address(Some(&pair.scope), &pair.cluster)) { (pair.cluster) } "." }
        @if let Some(gone) = &run.gone {
            p.gone { strong { "It no longer exists" } " (" (gone.reason.as_str()) ")." }
        }
        dl.fields {
            @for (field, text) in &told.fields { dt { (field) } dd { (Safe(text)) } }
        }
        @if !told.described.is_empty() {
            h2 { "As AWS described it last" }
            dl.fields {
                @for (member, text) in &told.described { dt { (Safe(member)) } dd { (Safe(text)) } }
            }
        }
        @if let Some(command) = restore_command(run) {
            h2 { "To restore it into a new cluster" }
            p { code { (Safe(command)) } }
        }
    }
}

/// The body where accounts and regions have one each: whoever asks is to choose.
pub(in crate::page) fn several(runs: &[Run]) -> Markup {
    html! {
        h1 { "Snapshots of one name" }
        ul {
            @for run in runs {
                li {
                    a href=(snapshot_address(&run.slot.pair.scope, &run.request.snapshot_id)) {
                        (run.request.snapshot_id) " in " (run.slot.pair.scope)
                    }
                }
            }
        }
    }
}
