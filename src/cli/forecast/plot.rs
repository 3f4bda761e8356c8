//! The forecast as a plot for a terminal.

use crate::cli::output::{Tone, View};
use crate::forecast::ScopeForecast;

/// How many lines the plot has above the axis.
const HEIGHT: usize = 10;
/// The plot is not wider than there are days, nor narrower than this.
const NARROWEST: usize = 20;

/// The number held over time, and the quota, in at most `width` characters a line.
pub(super) fn plot(scope: &ScopeForecast, view: &View) -> String {
    let quota = scope.quota as usize;
    let highest = scope.days.iter().map(|day| day.held).max();
    let step = highest
        .unwrap_or_default()
        .max(quota)
        .div_ceil(HEIGHT)
        .max(1);
    let margin = (step * HEIGHT).to_string().len();
    let room = view.width.saturating_sub(margin + 3).max(NARROWEST);
    let columns = columns(scope, room);
    let mut lines = vec![format!(
        "{}: number of snapshots, and the quota of {quota}",
        scope.scope
    )];
    for level in (0..=HEIGHT).rev() {
        let is_quota = level == nearest(quota, step);
        let cells: String = { columns.iter() }
            .enumerate()
            .map(
                |(at, held)| match (nearest(*held, step) == level, is_quota) {
                    (true, _) => '*',
                    (false, true) if at % 2 == 0 => '-',
                    _ => ' ',
                },
            )
            .collect();
        let label = if is_quota { quota } else { level * step };
        let tone = if is_quota { Tone::Warning } else { Tone::Plain };
        let cells = tone.paint(cells.trim_end(), view.is_coloured);
        lines.push(format!("{label:>margin$} | {cells}").trim_end().to_owned());
    }
    lines.push(format!(
        "{:>margin$} +{}",
        "",
        "-".repeat(columns.len() + 1)
    ));
    lines.push(format!("{:>margin$}   {}", "", dates(scope, columns.len())));
    lines.join("\n")
}

fn nearest(count: usize, step: usize) -> usize {
    (count + step / 2) / step
}

/// The most that is held in each of at most `room` parts of the time.
fn columns(scope: &ScopeForecast, room: usize) -> Vec<usize> {
    let days = &scope.days;
    let count = days.len().min(room);
    let part = |index: usize| {
        let (from, until) = (index * days.len() / count, (index + 1) * days.len() / count);
        let part = days.get(from..until.max(from + 1)).unwrap_or_default();
        part.iter().map(|day| day.held).max().unwrap_or_default()
    };
    (0..count).map(part).collect()
}

/// The first date, the last, and one between them where there is room.
fn dates(scope: &ScopeForecast, width: usize) -> String {
    let days = &scope.days;
    let date = |index: usize| days.get(index).map(|day| day.date.to_string());
    let [first, middle, last] = [0, days.len() / 2, days.len().saturating_sub(1)]
        .map(|index| date(index).unwrap_or_default());
    let used = first.len() + last.len();
    if days.len() < 2 || width < used + 1 {
        return format!("{first} to {last}");
    }
    let gap = width - used;
    match gap > middle.len() + 4 {
        true => {
            let before = (width / 2).saturating_sub(middle.len() / 2 + first.len());
            let after = gap.saturating_sub(before + middle.len());
            format!("{first}{:before$}{middle}{:after$}{last}", "", "")
        }
        false => format!("{first}{:gap$}{last}", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::view::Output;
    use crate::forecast::{Day, Sample};
    use chrono::{DateTime, TimeDelta};

    fn scope(held: impl Fn(usize) -> usize, days: usize, quota: u32) -> ScopeForecast {
        let at = DateTime::UNIX_EPOCH;
        let sample = Sample {
            at,
            held: 0,
            by_policy: Default::default(),
            stored_bytes: None,
        };
        let day = |index: usize| Day {
            date: (at + TimeDelta::days(index as i64)).date_naive(),
            held: held(index),
        };
        ScopeForecast {
            scope: crate::slot::Scope {
                account: "prod".parse().unwrap(),
                region: "us-east-1".parse().unwrap(),
            },
            quota,
            now: sample.clone(),
            peak: sample,
            steady: None,
            over_quota_at: None,
            days: (0..days).map(day).collect(),
            sizes_known: 0,
        }
    }

    #[test]
    fn a_plot_has_whole_numbers_the_quota_and_dates_at_any_width() {
        for (width, days, quota) in [
            (40, 365, 20),
            (72, 365, 7),
            (200, 365, 700),
            (100, 3, 20),
            (100, 1, 20),
        ] {
            let view = View {
                width,
                ..View::from(Output::Table)
            };
            let plot = plot(&scope(|day| day.min(36), days, quota), &view);
            assert!(
                plot.lines().skip(1).all(|line| line.len() <= width.max(26)),
                "{plot}"
            );
            assert!(
                plot.contains(&format!("{quota} | ")) && plot.contains("- -") || days < 5,
                "{plot}"
            );
            assert!(plot.contains("1970-01-01") && !plot.contains('.'), "{plot}");
            assert!(plot.contains('*'), "{plot}");
        }
    }
}
