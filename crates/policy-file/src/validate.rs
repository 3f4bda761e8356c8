//! From the file's texts to a [`Config`]: everything but the policies themselves.
//!
//! Owns: the one conversion from raw to valid, defaults of single settings included. It goes on after an
//! error, so that all are found. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::ambient::{self, Ambient};
use super::error::cleaned;
use super::kinds::Span;
use super::path::KeyPath;
use super::policies::{self, Declared};
use super::raw::{Raw, RawBlackout, RawList, RawLog};
use super::read::beside;
use super::report::Report;
use super::{
    Config, Endpoint, Log, LogFormat, LogLevel, MetricsLabels, PageAccess, Sources, accounts,
    database, expected, network, receivers, regions, values,
};
use redkeep_core::names::{Namespace, PolicyName, Region, Retention, Writer};
use redkeep_core::problem::Problem;
use redkeep_core::schedule::{Blackout, Schedule, Zone};
use redkeep_core::settings::{DEFAULT_ENDPOINT, DEFAULT_HISTORY_RETENTION, DEFAULT_LISTEN};
use redkeep_core::settings::{DEFAULT_NAMESPACE, DEFAULT_STATE_DIR};
use redkeep_core::suggest::suggestion;
use redkeep_core::tzdb;

/// The region of an endpoint that is not AWS's, and so may have none.
const ELSEWHERE: &str = "us-east-1";

/// Checks everything; `None` only where an error was reported.
pub(super) fn config(raw: Raw, sources: &Sources, report: &mut Report) -> Option<Config> {
    let Raw {
        top,
        log,
        database,
        defaults,
        accounts,
        policies,
        blackouts,
        receivers,
    } = raw;
    let base = beside(&sources.file);
    let named = top.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let namespace = parsed(&KeyPath::top("namespace"), named, Namespace::WANTED, report);
    let endpoint = endpoint(top.endpoint.as_deref(), report);
    network::check(endpoint.as_ref(), &sources.environment, report);
    let asks_environment = accounts.is_empty() || accounts.iter().any(|one| one.profile.is_none());
    ambient::check(
        endpoint.as_ref(),
        asks_environment,
        &sources.environment,
        report,
    );
    let kept = top.history_retention.as_deref();
    let kept = kept.unwrap_or(DEFAULT_HISTORY_RETENTION);
    let history_retention = parsed(
        &KeyPath::top("history_retention"),
        kept,
        Retention::WANTED,
        report,
    );
    let listen = listen(top.listen.as_deref(), report);
    let page = page(top.page.as_deref(), listen, report);
    let metrics_labels = metrics_labels(top.metrics_labels.as_deref(), report);
    let state_dir = state_dir(top.state_dir, sources, report);
    let writer = top
        .writer
        .and_then(|text| parsed::<Writer>(&KeyPath::top("writer"), &text, Writer::WANTED, report));
    let ambient = Ambient::of(sources, fallback_region(endpoint.as_ref()));
    regions::doubt(endpoint.as_ref(), &accounts, report);
    let mut declared = Declared::default();
    accounts::accounts(&accounts, &ambient, &mut declared, report);
    self::blackouts(&blackouts, &mut declared, report);
    let names: Vec<Option<String>> = policies.iter().map(|one| one.name.clone()).collect();
    let receivers = receivers::receivers(&receivers, &names, &declared, base, report);
    let policies = policies::policies(&defaults, &policies, &declared, report);
    let log = self::log(&log, report);
    let database = database::database(database.as_ref(), endpoint.as_ref(), base, report);
    Some(Config {
        namespace: namespace?,
        state_dir,
        history_retention: history_retention?,
        database,
        listen: listen?,
        page,
        metrics_labels,
        endpoint: endpoint?,
        writer,
        log,
        accounts: declared.accounts,
        policies,
        receivers,
        zone_data: report.zones.data().clone(),
        warnings: Vec::new(),
    })
}

/// A text as a value of its kind, or an error that says what is wanted.
pub(super) fn parsed<T: FromStr>(
    path: &KeyPath,
    text: &str,
    wanted: &str,
    report: &mut Report,
) -> Option<T> {
    let made = text.parse().ok();
    if made.is_none() {
        report.wrong(path, text, wanted);
    }
    made
}

fn endpoint(text: Option<&str>, report: &mut Report) -> Option<Endpoint> {
    values::endpoint(text.unwrap_or(DEFAULT_ENDPOINT))
        .map_err(|why| report.say(&KeyPath::top("endpoint"), why))
        .ok()
}

fn listen(text: Option<&str>, report: &mut Report) -> Option<SocketAddr> {
    let path = KeyPath::top("listen");
    let address: SocketAddr = parsed(
        &path,
        text.unwrap_or(DEFAULT_LISTEN),
        expected::LISTEN,
        report,
    )?;
    if !address.ip().is_loopback() {
        report.warn(
            &path,
            format!("other hosts can reach {address}, and there is no log-in"),
        );
    }
    Some(address)
}

fn page(text: Option<&str>, listen: Option<SocketAddr>, report: &mut Report) -> PageAccess {
    let path = KeyPath::top("page");
    let words = PageAccess::ALL.map(|access| (access.as_str(), access));
    let access = choice(&path, text, &words, report).unwrap_or_default();
    if access == PageAccess::Open
        && let Some(address) = listen.filter(|address| !address.ip().is_loopback())
    {
        let said = format!(
            "every host that can reach {address} sees all clusters and snapshots, and what AWS said about them"
        );
        report.warn(&path, said);
    }
    access
}

fn metrics_labels(text: Option<&str>, report: &mut Report) -> MetricsLabels {
    let words = MetricsLabels::ALL.map(|labels| (labels.as_str(), labels));
    choice(&KeyPath::top("metrics_labels"), text, &words, report).unwrap_or_default()
}

/// Relative to the policy file, so that it does not depend on where the program was started.
fn state_dir(text: Option<String>, sources: &Sources, report: &mut Report) -> PathBuf {
    let path = KeyPath::top("state_dir");
    if let Some(text) = text
        .as_deref()
        .filter(|text| text.is_empty() || text.contains('\0'))
    {
        report.wrong(&path, text, expected::STATE_DIR);
    }
    // systemd separates several directories with colons; ours is the first.
    let systemd = || {
        let variables = &mut sources.environment.iter();
        let (_, directories) = variables.find(|(name, _)| name == "STATE_DIRECTORY")?;
        let first = directories.split(':').next()?;
        (!first.is_empty()).then(|| first.to_owned())
    };
    let directory = text
        .or_else(systemd)
        .unwrap_or_else(|| DEFAULT_STATE_DIR.to_owned());
    beside(&sources.file).join(directory)
}

fn log(raw: &RawLog, report: &mut Report) -> Log {
    let path = KeyPath::top("log");
    let usual = Log::default();
    let formats = LogFormat::ALL.map(|format| (format.as_str(), format));
    let levels = LogLevel::ALL.map(|level| (level.as_str(), level));
    Log {
        format: choice(&path.key("format"), raw.format.as_deref(), &formats, report)
            .unwrap_or(usual.format),
        level: choice(&path.key("level"), raw.level.as_deref(), &levels, report)
            .unwrap_or(usual.level),
    }
}

pub(super) fn choice<T: Copy>(
    path: &KeyPath,
    text: Option<&str>,
    choices: &[(&str, T)],
    report: &mut Report,
) -> Option<T> {
    let text = text?;
    let found = choices.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let wanted = Problem::from(format!("one of {}", words.join(", ")));
        let hint = suggestion(text, words.iter().copied());
        report.wrong(path, text, wanted.and_hint(hint));
    }
    found.map(|(_, value)| *value)
}

/// AWS's own endpoints have no region that is meant where none is named.
fn fallback_region(endpoint: Option<&Endpoint>) -> Option<Region> {
    match endpoint {
        Some(Endpoint::Aws) => None,
        _ => ELSEWHERE.parse().ok(),
    }
}

/// The items of a list that were not reported yet, each with its path; an empty list is an error.
pub(super) fn items(
    path: &KeyPath,
    list: &RawList,
    wanted: &str,
    report: &mut Report,
) -> Vec<(KeyPath, String)> {
    if list.is_empty() {
        report.say(path, format!("got an empty list, wanted {wanted}"));
    }
    let items = list.iter().enumerate();
    items
        .filter_map(|(index, text)| Some((path.item(index), text.clone()?)))
        .collect()
}

/// The `name` of a table, which it must have.
pub(super) fn name<T: FromStr>(
    table: &KeyPath,
    text: Option<&str>,
    wanted: &str,
    report: &mut Report,
) -> Option<T> {
    match text {
        Some(text) => parsed(&table.key("name"), text, wanted, report),
        None => {
            report.missing(table, "name", wanted);
            None
        }
    }
}

/// Reports a name that an earlier table of the same kind has.
pub(super) fn unique<'a>(
    table: &KeyPath,
    name: Option<&'a str>,
    seen: &mut BTreeMap<&'a str, KeyPath>,
    report: &mut Report,
) {
    let Some(name) = name else { return };
    let path = table.key("name");
    match seen.get(name) {
        Some(first) => {
            let first = report.places.value(first);
            report.say(&path, format!("the name is taken at {first}"));
        }
        None => {
            seen.insert(name, path);
        }
    }
}

fn blackouts(raw: &[RawBlackout], declared: &mut Declared, report: &mut Report) {
    let mut seen = BTreeMap::new();
    for (index, raw) in raw.iter().enumerate() {
        let path = KeyPath::top("blackout").item(index);
        unique(&path, raw.name.as_deref(), &mut seen, report);
        declared.blackout_names.extend(raw.name.clone());
        if let Some(blackout) = blackout(&path, raw, report) {
            declared
                .blackouts
                .insert(blackout.name.clone(), Arc::new(blackout));
        }
    }
}

fn blackout(path: &KeyPath, raw: &RawBlackout, report: &mut Report) -> Option<Blackout> {
    // The grammar of a policy's name, which has nothing that can be mistaken for another.
    let name = name::<PolicyName>(path, raw.name.as_deref(), expected::BLACKOUT, report);
    let schedule = schedule(
        path,
        raw.schedule.as_deref(),
        raw.timezone.as_deref(),
        report,
    );
    let duration = match &raw.duration {
        Some(span) => span.within(["1m", "31d"], &path.key("duration"), report),
        None => {
            report.missing(path, "duration", expected::DURATION);
            None
        }
    };
    let blackout = Blackout {
        name: name?.to_string(),
        schedule: schedule?,
        duration: duration?,
    };
    if blackout.is_endless() {
        let got = raw.duration.as_ref().map_or("", |Span(text)| text);
        report.wrong(&path.key("duration"), got, expected::BLACKOUT_THAT_ENDS);
        return None;
    }
    Some(blackout)
}

/// The `schedule` of a table, which it must have, in its `timezone` or UTC.
pub(super) fn schedule(
    table: &KeyPath,
    expression: Option<&str>,
    timezone: Option<&str>,
    report: &mut Report,
) -> Option<Schedule> {
    let zone = timezone.map_or(Some(Zone::utc()), |text| {
        zone(&table.key("timezone"), text, report)
    });
    let Some(expression) = expression else {
        report.missing(table, "schedule", expected::SCHEDULE);
        return None;
    };
    // A wrong zone is no reason to be silent about a wrong schedule.
    let is_known = zone.is_some();
    let schedule = Schedule::parse(expression, zone.unwrap_or_else(Zone::utc))
        .map_err(|error| report.say(&table.key("schedule"), cleaned(error.problem())))
        .ok()
        .filter(|_| is_known);
    if let Some(caution) = schedule.as_ref().and_then(Schedule::caution) {
        report.warn(&table.key("schedule"), caution);
    }
    schedule
}

fn zone(path: &KeyPath, text: &str, report: &mut Report) -> Option<Zone> {
    let Some(found) = report.zones.zone(text) else {
        let wanted = Problem::from(expected::TIMEZONE);
        report.wrong(path, text, wanted.and_hint(suggestion(text, tzdb::names())));
        return None;
    };
    if let Some(trouble) = found.trouble {
        report.warn(path, trouble);
    }
    Some(found.zone)
}
