//! The `[[notify]]` tables: who is told what, and where the addresses are kept.
//!
//! Owns: their checks. A URL that is itself a secret is refused here and never shown: it belongs into a file or into a
//! credential of systemd, which are read when a message is sent. Never reads either.

mod texts;

use std::collections::BTreeMap;
use std::path::Path;

use chrono::TimeDelta;

use self::texts::{is_address, is_credential, secret_in};
use super::error::quoted;
use super::expected;
use super::network::{host, is_clear, is_loopback};
use super::path::KeyPath;
use super::policies::{Declared, references};
use super::raw::RawReceiver;
use super::report::Report;
use super::validate::{choice, items, name, unique};
use redkeep_core::names::{PolicyName, ReceiverName};
use redkeep_core::outbox::{
    Event, MailSettings, Receiver, ReceiverKind, SecretPlace, Severity, Target,
};

/// Where PagerDuty takes events; its European service has another.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// Checks every receiver. `policies` are the names that the file has; files are relative to `base`.
pub(super) fn receivers(
    raw: &[RawReceiver],
    policies: &[Option<String>],
    declared: &Declared,
    base: &Path,
    report: &mut Report,
) -> Vec<Receiver> {
    let known = policies.iter().flatten().cloned().collect();
    let mut seen = BTreeMap::new();
    let mut receivers = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let path = KeyPath::top("notify").item(index);
        unique(&path, raw.name.as_deref(), &mut seen, report);
        let policies = raw.policies.as_ref().map(|list| {
            let names = references(&path.key("policies"), list, "policy", &known, report);
            names.iter().filter_map(|name| name.parse().ok()).collect()
        });
        let table = Table { path, raw, base };
        receivers.extend(table.receiver(policies, declared, report));
    }
    receivers
}

/// One table, and where it stands.
struct Table<'a> {
    path: KeyPath,
    raw: &'a RawReceiver,
    base: &'a Path,
}

impl Table<'_> {
    fn receiver(
        &self,
        policies: Option<Vec<PolicyName>>,
        declared: &Declared,
        report: &mut Report,
    ) -> Option<Receiver> {
        let raw = self.raw;
        let name = name::<ReceiverName>(
            &self.path,
            raw.name.as_deref(),
            ReceiverName::WANTED,
            report,
        );
        let allow_clear = raw.allow_clear.as_ref().is_some_and(|flag| flag.0);
        let kind = self.kind(report);
        if kind.is_none() {
            self.likely(allow_clear, declared, report);
        }
        let kind = kind?;
        let target = self.target(kind, allow_clear, report);
        let secret = self.secret(kind, report);
        let severities = Severity::ALL.map(|one| (one.as_str(), one));
        let severity = raw.severity.as_deref();
        let severity = choice(&self.path.key("severity"), severity, &severities, report);
        let events = self.events(kind, policies.is_some(), report);
        let repeat_after = self.repeat_after(&events, report);
        let quiet = self.quiet(kind, declared, report);
        let mail = self.mail(kind, report);
        Some(Receiver {
            name: name?,
            kind,
            target: target?,
            secret,
            allow_clear,
            policies,
            severity: severity.unwrap_or(Receiver::SEVERITY),
            events,
            repeat_after: repeat_after?,
            quiet,
            mail,
        })
    }

    /// What is wrong whatever the kind is meant to be, so that it is not told only once that is right. A webhook asks for the
    /// least; a mail server's address is right for one kind alone.
    fn likely(&self, allow_clear: bool, declared: &Declared, report: &mut Report) {
        let url = self.raw.url.as_deref().unwrap_or_default();
        let is_mail = url.starts_with("smtp://") || url.starts_with("smtps://");
        let kind = match is_mail {
            true => ReceiverKind::Email,
            false => ReceiverKind::Webhook,
        };
        self.target(kind, allow_clear, report);
        let severities = Severity::ALL.map(|one| (one.as_str(), one));
        let severity = self.raw.severity.as_deref();
        choice(&self.path.key("severity"), severity, &severities, report);
        self.quiet(kind, declared, report);
    }

    /// A sign of life is what goes on for as long as the daemon does.
    fn repeat_after(&self, events: &[Event], report: &mut Report) -> Option<TimeDelta> {
        let (bounds, usual) = match events {
            [Event::Heartbeat] => (["1s", "1d"], Receiver::BEAT_EACH),
            _ => (["10m", "366d"], Receiver::REPEAT_AFTER),
        };
        let path = self.path.key("repeat_after");
        let span = self.raw.repeat_after.as_ref();
        span.map_or(Some(usual), |span| span.within(bounds, &path, report))
    }

    fn kind(&self, report: &mut Report) -> Option<ReceiverKind> {
        let kinds = ReceiverKind::ALL.map(|kind| (kind.as_str(), kind));
        if self.raw.kind.is_none() {
            report.missing(&self.path, "kind", expected::RECEIVER_KIND);
        }
        choice(
            &self.path.key("kind"),
            self.raw.kind.as_deref(),
            &kinds,
            report,
        )
    }

    /// Where messages go: exactly one of three keys says so.
    fn target(&self, kind: ReceiverKind, allow_clear: bool, report: &mut Report) -> Option<Target> {
        let raw = self.raw;
        let keys = [
            ("url", &raw.url),
            ("url_credential", &raw.url_credential),
            ("url_file", &raw.url_file),
        ];
        let mut given = keys.iter().filter(|(_, value)| value.is_some());
        let (first, second) = (given.next(), given.next());
        if let Some((key, _)) = second {
            let text = "the URL is given twice, wanted one of url, url_credential and url_file";
            report.say(&self.path.key(key), text);
            return None;
        }
        match first {
            None if kind == ReceiverKind::Pagerduty => Some(Target::Url(PAGERDUTY.to_owned())),
            None => {
                report.missing(&self.path, "url", expected::RECEIVER_URL);
                None
            }
            Some(("url", Some(url))) => self.url(kind, url, allow_clear, report),
            Some(_) => {
                let place = (raw.url_credential.as_deref(), raw.url_file.as_deref());
                self.place("url", place, report).map(Target::Secret)
            }
        }
    }

    fn url(
        &self,
        kind: ReceiverKind,
        url: &str,
        allow_clear: bool,
        report: &mut Report,
    ) -> Option<Target> {
        let path = self.path.key("url");
        if let Some(why) = secret_in(kind, url) {
            // Not shown: it is a secret.
            let text = format!(
                "a URL with {why} does not belong here: put it into a file and name that with url_file, or into a \
                 credential of systemd and name that with url_credential"
            );
            report.say(&path, text);
            return None;
        }
        let (wanted, schemes): (_, [&str; 2]) = match kind {
            ReceiverKind::Email => (expected::MAIL_URL, ["smtps://", "smtp://"]),
            _ => (expected::RECEIVER_URL, ["https://", "http://"]),
        };
        let has_scheme = schemes.iter().any(|scheme| url.starts_with(scheme));
        let printable = url.bytes().all(|b| b.is_ascii_graphic());
        if !has_scheme || !printable || host(url).is_empty() {
            report.wrong(&path, url, wanted);
            return None;
        }
        if kind != ReceiverKind::Email && is_clear(url) && !is_loopback(host(url)) && !allow_clear {
            let text = format!(
                "got {}, wanted https: messages go over plain http to a loopback address only, or with allow_clear = true",
                quoted(url)
            );
            report.say(&path, text);
            return None;
        }
        Some(Target::Url(url.to_owned()))
    }

    /// Where a secret is read.
    fn place(
        &self,
        what: &str,
        (credential, file): (Option<&str>, Option<&str>),
        report: &mut Report,
    ) -> Option<SecretPlace> {
        let wrong = |suffix: &str, text: &str, wanted: &str, report: &mut Report| {
            report.wrong(&self.path.key(&format!("{what}_{suffix}")), text, wanted);
            None
        };
        match (credential, file) {
            (Some(text), _) if !is_credential(text) => {
                wrong("credential", text, expected::CREDENTIAL, report)
            }
            (Some(text), _) => Some(SecretPlace::Credential(text.to_owned())),
            (None, Some(text)) if text.is_empty() || text.contains('\0') => {
                wrong("file", text, "a file", report)
            }
            (None, Some(text)) => Some(SecretPlace::File(self.base.join(text))),
            (None, None) => None,
        }
    }

    fn secret(&self, kind: ReceiverKind, report: &mut Report) -> Option<SecretPlace> {
        let raw = self.raw;
        let (credential, file) = (raw.secret_credential.as_deref(), raw.secret_file.as_deref());
        if credential.is_some() && file.is_some() {
            let text = "the secret is given twice, wanted one of secret_credential and secret_file";
            report.say(&self.path.key("secret_file"), text);
        }
        let has_secret = credential.is_some() || file.is_some();
        let given = if credential.is_some() {
            "secret_credential"
        } else {
            "secret_file"
        };
        match kind {
            ReceiverKind::Pagerduty if !has_secret => {
                report.missing(&self.path, "secret_credential", expected::ROUTING_KEY);
            }
            ReceiverKind::Slack | ReceiverKind::Alertmanager | ReceiverKind::Healthchecks
                if has_secret =>
            {
                let text = format!(
                    "a receiver of the kind {} has no secret but its URL",
                    kind.as_str()
                );
                report.say(&self.path.key(given), text);
            }
            ReceiverKind::Email if has_secret != raw.user.is_some() => {
                let text = "a user and a password go together: wanted user, and secret_credential or secret_file";
                let key = if has_secret { given } else { "user" };
                report.say(&self.path.key(key), text);
            }
            _ => {}
        }
        self.place("secret", (credential, file), report)
    }

    fn events(&self, kind: ReceiverKind, has_policies: bool, report: &mut Report) -> Vec<Event> {
        let path = self.path.key("events");
        let all: Vec<Event> = match kind {
            ReceiverKind::Healthchecks => vec![Event::Run, Event::Heartbeat],
            _ => Event::TOLD.to_vec(),
        };
        let words: Vec<(&str, Event)> = all.iter().map(|one| (one.as_str(), *one)).collect();
        let events = match &self.raw.events {
            None if kind == ReceiverKind::Healthchecks => vec![Event::Run],
            None => all,
            Some(list) => {
                let wanted = words.iter().map(|(word, _)| *word).collect::<Vec<_>>();
                let texts = items(
                    &path,
                    list,
                    &format!("some of {}", wanted.join(", ")),
                    report,
                );
                let texts = texts.iter();
                texts
                    .filter_map(|(path, text)| choice(path, Some(text), &words, report))
                    .collect()
            }
        };
        if kind == ReceiverKind::Healthchecks && events.len() > 1 {
            let text = "one check watches one thing: wanted [\"run\"] or [\"heartbeat\"]";
            report.say(&path, text);
        }
        if events == [Event::Run] && !has_policies {
            report.missing(&self.path, "policies", expected::WATCHED_POLICIES);
        }
        events
    }

    fn quiet(
        &self,
        kind: ReceiverKind,
        declared: &Declared,
        report: &mut Report,
    ) -> Option<std::sync::Arc<redkeep_core::schedule::Blackout>> {
        let text = self.raw.quiet.as_ref()?;
        if kind == ReceiverKind::Healthchecks {
            let why =
                "a check gets its pings at once, at any hour: use the quiet hours of its service";
            report.say(&self.path.key("quiet"), why);
            return None;
        }
        let found = declared.blackouts.get(text).cloned();
        if found.is_none() && !declared.blackout_names.contains(text) && !report.incomplete {
            let known: Vec<&str> = declared.blackout_names.iter().map(String::as_str).collect();
            let text = super::policies::unknown_reference(text, "blackout", &known);
            report.say(&self.path.key("quiet"), text);
        }
        found
    }

    fn mail(&self, kind: ReceiverKind, report: &mut Report) -> Option<MailSettings> {
        let raw = self.raw;
        if kind != ReceiverKind::Email {
            let keys = [
                ("from", raw.from.is_some()),
                ("to", raw.to.is_some()),
                ("user", raw.user.is_some()),
            ];
            for (key, _) in keys.iter().filter(|(_, given)| *given) {
                report.say(
                    &self.path.key(key),
                    "only a receiver of the kind email has this",
                );
            }
            return None;
        }
        let from = raw.from.clone();
        match &from {
            None => report.missing(&self.path, "from", expected::MAIL_ADDRESS),
            Some(text) if !is_address(text) => {
                report.wrong(&self.path.key("from"), text, expected::MAIL_ADDRESS);
            }
            Some(_) => {}
        }
        let Some(list) = &raw.to else {
            report.missing(&self.path, "to", expected::MAIL_ADDRESSES);
            return None;
        };
        let to = items(&self.path.key("to"), list, expected::MAIL_ADDRESSES, report);
        for (path, text) in to.iter().filter(|(_, text)| !is_address(text)) {
            report.wrong(path, text, expected::MAIL_ADDRESS);
        }
        Some(MailSettings {
            from: from?,
            to: to.into_iter().map(|(_, text)| text).collect(),
            user: raw.user.clone(),
        })
    }
}
