//! The page of an account in a region: its quota, and the forecast.

use maud::{Markup, html};

use super::{Instant, scope_address};
use crate::forecast::ScopeForecast;
use crate::told::picture::Frame;

/// The page's body.
pub(in crate::page) fn scope(
    forecast: &ScopeForecast,
    notes: &[String],
    listed: Option<usize>,
) -> Markup {
    let (quota, peak) = (forecast.quota, &forecast.peak);
    let picture = scope_address("/forecast.svg", &forecast.scope);
    let (wide, narrow) = (Frame::Wide.size(), Frame::Narrow.size());
    html! {
        h1 { (forecast.scope) }
        dl.fields {
            dt { "manual snapshots at AWS" }
            dd { @match listed { Some(held) => { (held) " of " (quota) }, None => { "not listed yet; quota " (quota) } } }
            dt { "of redkeep, now" } dd { (forecast.now.held) }
            dt { "most within a year" } dd { (peak.held) ", first at " (Instant(peak.at)) }
            dt { "once settled" }
            dd { @match &forecast.steady { Some(steady) => { (steady.held) }, None => "not settled within a year" } }
            dt { "over the quota" }
            dd { @match forecast.over_quota_at { Some(at) => { "from " (Instant(at)) " on" }, None => "not within a year" } }
        }
        @for note in notes { p { (note) "." } }
        h2 { "Number of snapshots over a year" }
        p {
            picture {
                source media="(max-width: 47rem)" srcset={ (picture) "&narrow=1" } width=(narrow.0) height=(narrow.1);
                img.forecast src=(picture) width=(wide.0) height=(wide.1)
                alt={ "The number of snapshots over a year: " (forecast.now.held) " now, at most " (peak.held) ", \
                    quota " (quota) "." };
            }
        }
        h2 { "By policy" }
        ul {
            @for (policy, held) in &forecast.now.by_policy {
                li { (policy) ": " (held) " now, " (peak.by_policy.get(policy).copied().unwrap_or_default()) " at the most" }
            }
        }
    }
}
