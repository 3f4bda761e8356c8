//! The pages as HTML.
//!
//! Owns: markup. Every text goes through maud, which escapes it where the template is compiled; what could turn the reading
//! direction or hide in a control character is made visible besides. No page has a script, a style of its own or anything
//! from another server: the policy that goes with each allows none of them. Never decides what is told.

pub(super) mod cluster;
pub(super) mod fleet;
pub(super) mod scope;
pub(super) mod snapshot;

use chrono::{DateTime, TimeDelta, Utc};
use maud::{DOCTYPE, Markup, Render, html};

use super::filter::address;
use super::wrong::{Finding, Group};
use crate::explain::span;
use crate::logging::one_line;
use crate::names::ClusterId;
use crate::schedule::Zone;
use crate::slot::{Scope, rfc3339};
use crate::snapshot::SnapshotId;
use crate::told::command::whole_with;

/// What every page has around what it is about.
pub(super) struct Frame<'a> {
    /// Of the window.
    pub(super) title: &'a str,
    /// Where the style is.
    pub(super) style: &'a str,
    /// Whether the snapshots are only the sandbox's.
    pub(super) sandbox: bool,
    /// Since when the daemon does nothing, where that is so.
    pub(super) dead: Option<&'a str>,
    /// The command that prints the same.
    pub(super) command: &'a str,
    /// The present.
    pub(super) now: DateTime<Utc>,
}

/// A whole page.
pub(super) fn page(frame: &Frame<'_>, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex, nofollow";
                title { (frame.title) }
                link rel="stylesheet" href=(frame.style);
            }
            body {
                header {
                    p.name { a href="/" { "redkeep" } }
                    @if frame.sandbox {
                        p.sandbox { strong { "Sandbox." } " This is not AWS: nothing is really backed up." }
                    }
                    @if let Some(dead) = frame.dead {
                        p.dead {
                            strong { "The daemon does not work." } " " (Safe(dead))
                            ": no snapshot starts, and the page below may be old. Restart it: "
                            code { "systemctl restart redkeep" }
                        }
                    }
                }
                main { (body) }
                footer {
                    p { "The same on a terminal: " code { (Safe(frame.command)) } }
                    p { "Made at " (Instant(frame.now)) " by redkeep " (env!("CARGO_PKG_VERSION")) "." }
                }
            }
        }
    }
}

/// The body of a page with nothing but a few words.
pub(super) fn words(heading: &str, text: &str) -> Markup {
    html! {
        h1 { (heading) }
        p { (Safe(text)) }
        p { a href="/" { "All policies and clusters" } }
    }
}

/// A text that a stranger may have written: what hides or turns the line is shown as an escape.
pub(super) struct Safe<T: AsRef<str>>(pub(super) T);

impl<T: AsRef<str>> Render for Safe<T> {
    fn render_to(&self, buffer: &mut String) {
        one_line(self.0.as_ref()).render_to(buffer);
    }
}

/// An instant, in UTC.
pub(super) struct Instant(pub(super) DateTime<Utc>);

impl Render for Instant {
    fn render_to(&self, buffer: &mut String) {
        let text = rfc3339(self.0);
        html! { time datetime=(text) { (text) } }.render_to(buffer);
    }
}

/// An instant by the clocks of a zone, and in UTC.
pub(super) fn in_zone(at: DateTime<Utc>, zone: &Zone) -> Markup {
    let utc = rfc3339(at);
    if zone.name() == "UTC" {
        return html! { (Instant(at)) };
    }
    html! {
        time datetime=(utc) { (zone.local(at).format("%Y-%m-%d %H:%M:%S %:z")) } " (" (zone.name()) "), " (utc)
    }
}

/// How long ago something was, or that it is to come.
pub(super) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match now - at {
        passed if passed >= TimeDelta::zero() => format!("{} ago", span(passed)),
        left => format!("in {}", span(-left)),
    }
}

/// The findings of a page, each with the command that helps; `options` are those by which it reads the same policy file.
pub(super) fn groups(kind: &str, groups: &[Group], options: &str, now: DateTime<Utc>) -> Markup {
    html! {
        ul class={ "findings " (kind) } {
            @for group in groups {
                @for finding in &group.told { li { (one(finding, options, now)) } }
                @if group.more > 0 {
                    li.more {
                        "And " (group.more) " more like these"
                        @if let Some(list) = &group.list { ": " a href=(list) { "show all of them" } }
                        "."
                    }
                }
            }
        }
    }
}

fn one(finding: &Finding, options: &str, now: DateTime<Utc>) -> Markup {
    html! {
        p { strong { (Safe(&finding.what)) } }
        p {
            @if let Some(since) = finding.since { "Since " (Instant(since)) " (" (ago(since, now)) "). " }
            (finding.meaning)
        }
        p { code { (Safe(whole_with(&finding.command, options))) } }
    }
}

/// The address of the page of a cluster.
pub(super) fn cluster_address(scope: Option<&Scope>, cluster: &ClusterId) -> String {
    let mut parameters = vec![("name", cluster.as_str())];
    if let Some(scope) = scope {
        parameters.extend([
            ("account", scope.account.as_str()),
            ("region", scope.region.as_str()),
        ]);
    }
    address("/cluster", &parameters)
}

/// The address of the page of a snapshot.
pub(super) fn snapshot_address(scope: &Scope, id: &SnapshotId) -> String {
    address(
        "/snapshot",
        &[
            ("id", id.as_str()),
            ("account", scope.account.as_str()),
            ("region", scope.region.as_str()),
        ],
    )
}

/// The address of something of an account in a region.
pub(super) fn scope_address(path: &str, scope: &Scope) -> String {
    address(
        path,
        &[
            ("account", scope.account.as_str()),
            ("region", scope.region.as_str()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_stays_text_on_one_line() {
        let text = "<script>alert(1)</script>\u{202e}\"'&\n\u{1b}[31m";
        let shown = html! { p title=(Safe(text)) { (Safe(text)) } }.into_string();
        assert_eq!(shown.matches('<').count(), 2, "{shown}");
        assert!(shown.contains("&lt;script&gt;"), "{shown}");
        for hostile in ['\u{202e}', '\n', '\u{1b}'] {
            assert!(!shown.contains(hostile), "{shown:?}");
        }
        assert!(
            shown.contains("\\u{202e}") && shown.contains("&quot;"),
            "{shown}"
        );
    }

    #[test]
    fn an_instant_is_told_by_the_zone_and_in_utc() {
        let at = DateTime::from_timestamp(1_795_483_800, 0).unwrap();
        let berlin = crate::tzdb::bundled("Europe/Berlin").unwrap();
        let shown = in_zone(at, &berlin).into_string();
        assert!(
            shown.contains("2026-11-24 02:30:00 +01:00") && shown.contains("2026-11-24T01:30:00Z"),
            "{shown}"
        );
        assert_eq!(
            in_zone(at, &Zone::utc())
                .into_string()
                .matches("2026")
                .count(),
            2
        );
    }
}
