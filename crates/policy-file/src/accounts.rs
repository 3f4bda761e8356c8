//! The `[[account]]` tables: regions, quota, and whose credentials are used.
//!
//! Owns: their checks. Never looks for credentials: the SDK finds them when the first call is made.

use std::collections::BTreeMap;

use super::ambient::Ambient;
use super::error::quoted;
use super::expected;
use super::path::KeyPath;
use super::policies::Declared;
use super::raw::{RawAccount, RawList};
use super::report::Report;
use super::validate::{items, name, parsed, unique};
use redkeep_core::names::{AccountName, Region};
use redkeep_core::policy::{Account, CredentialSource, Role};
use redkeep_core::problem::Problem;
use redkeep_core::settings::{DEFAULT_MAX_REQUESTS_PER_SECOND, DEFAULT_SNAPSHOT_QUOTA};

const DEFAULT_ACCOUNT: &str = "default";

/// Reads the accounts into `declared`; with none in the file there is one, of ambient credentials.
pub(super) fn accounts(
    raw: &[RawAccount],
    ambient: &Ambient<'_>,
    declared: &mut Declared,
    report: &mut Report,
) {
    if raw.is_empty() && !report.is_spoilt(&KeyPath::top("account")) && !report.incomplete {
        let account = RawAccount {
            name: Some(DEFAULT_ACCOUNT.to_owned()),
            ..RawAccount::default()
        };
        declared
            .accounts
            .extend(self::account(&KeyPath::root(), &account, ambient, report));
    }
    let (mut seen, mut paths) = (BTreeMap::new(), Vec::new());
    for (index, raw) in raw.iter().enumerate() {
        let path = KeyPath::top("account").item(index);
        unique(&path, raw.name.as_deref(), &mut seen, report);
        let account = account(&path, raw, ambient, report);
        paths.extend(account.is_some().then_some(path));
        declared.accounts.extend(account);
        // What is declared wrongly was still meant: no policy that names it is told off as well.
        declared.account_names.extend(raw.name.clone());
        declared
            .region_names
            .extend(raw.regions.iter().flatten().flatten().cloned());
    }
    if !paths.is_empty() {
        refuse_shared_scopes(&declared.accounts, &paths, report);
    }
    declared.account_names.extend(
        declared
            .accounts
            .iter()
            .map(|account| account.name.to_string()),
    );
    let regions = declared
        .accounts
        .iter()
        .flat_map(|account| &account.regions);
    declared.region_names.extend(regions.map(Region::to_string));
}

fn account(
    path: &KeyPath,
    raw: &RawAccount,
    ambient: &Ambient<'_>,
    report: &mut Report,
) -> Option<Account> {
    let name = name::<AccountName>(path, raw.name.as_deref(), AccountName::WANTED, report);
    let regions = match &raw.regions {
        Some(regions) => declared_regions(&path.key("regions"), regions, report),
        None => ambient_region(path, raw.profile.as_deref(), ambient, report),
    };
    let snapshot_quota = raw.snapshot_quota.as_ref();
    let snapshot_quota = snapshot_quota.map_or(DEFAULT_SNAPSHOT_QUOTA, |count| count.0);
    if snapshot_quota == 0 {
        report.say(
            &path.key("snapshot_quota"),
            "got 0, wanted a whole number from 1",
        );
    }
    let pace = raw.max_requests_per_second.as_ref();
    let max_requests_per_second = pace.map_or(DEFAULT_MAX_REQUESTS_PER_SECOND, |count| count.0);
    if !(1..=100).contains(&max_requests_per_second) {
        report.say(
            &path.key("max_requests_per_second"),
            format!("got {max_requests_per_second}, wanted a whole number from 1 to 100"),
        );
    }
    let identity = identity(path, raw, report);
    if let Some(identity) = &identity {
        refuse_other_partitions(path, &regions, identity, report);
    }
    Some(Account {
        name: name?,
        regions,
        snapshot_quota,
        max_requests_per_second,
        identity: identity?,
    })
}

fn identity(path: &KeyPath, raw: &RawAccount, report: &mut Report) -> Option<CredentialSource> {
    if raw.profile.as_deref() == Some("") {
        report.say(
            &path.key("profile"),
            "got \"\", wanted the name of a profile",
        );
    }
    let role = match &raw.role_arn {
        Some(arn) => Some(role(path, arn, raw, report)?),
        None => {
            let of_a_role = [
                ("external_id", &raw.external_id),
                ("session_name", &raw.session_name),
            ];
            for (key, _) in of_a_role.iter().filter(|(_, value)| value.is_some()) {
                report.say(&path.key(key), "has no effect without role_arn");
            }
            None
        }
    };
    let profile = raw.profile.clone();
    Some(CredentialSource { profile, role })
}

fn role(path: &KeyPath, arn: &str, raw: &RawAccount, report: &mut Report) -> Option<Role> {
    type Rule = fn(&str) -> bool;
    let (id, name) = (raw.external_id.as_deref(), raw.session_name.as_deref());
    let texts: [(&str, Option<&str>, Rule, &str); 3] = [
        ("role_arn", Some(arn), is_role_arn, expected::ROLE_ARN),
        ("external_id", id, is_external_id, expected::EXTERNAL_ID),
        (
            "session_name",
            name,
            is_session_name,
            expected::SESSION_NAME,
        ),
    ];
    let mut valid = true;
    for (key, text, rule, wanted) in texts {
        if let Some(text) = text.filter(|text| !rule(text)) {
            report.wrong(&path.key(key), text, wanted);
            valid = false;
        }
    }
    valid.then(|| Role {
        arn: arn.to_owned(),
        external_id: raw.external_id.clone(),
        session_name: raw.session_name.clone(),
    })
}

fn is_role_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts.as_slice() else {
        return false;
    };
    text.len() <= 2048
        && *arn == "arn"
        && partition.starts_with("aws")
        && *service == "iam"
        && region.is_empty()
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && resource
            .strip_prefix("role/")
            .is_some_and(|name| !name.is_empty())
        && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_external_id(text: &str) -> bool {
    (2..=1224).contains(&text.len()) && made_of(text, b"_+=,.@:/-")
}

fn is_session_name(text: &str) -> bool {
    (2..=64).contains(&text.len()) && made_of(text, b"_+=,.@-")
}

fn made_of(text: &str, also: &[u8]) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
}

/// Two accounts with the same credentials are one AWS account: a region that both name would be listed twice,
/// and every snapshot in it recorded twice.
fn refuse_shared_scopes(accounts: &[Account], paths: &[KeyPath], report: &mut Report) {
    let mut seen: BTreeMap<(&CredentialSource, &Region), &Account> = BTreeMap::new();
    for (account, path) in accounts.iter().zip(paths) {
        for region in &account.regions {
            if let Some(first) = seen.get(&(&account.identity, region)) {
                let text = format!(
                    "account {:?} has the region {region} with the same credentials",
                    first.name.as_str()
                );
                let hint = "give this one a profile or a role_arn of its own, or take the region from one of them";
                report.say(&path.key("regions"), Problem::hinted(text, hint));
                break;
            }
            seen.insert((&account.identity, region), account);
        }
    }
}

/// The region of an account that names none; none where that was reported.
fn ambient_region(
    path: &KeyPath,
    profile: Option<&str>,
    ambient: &Ambient<'_>,
    report: &mut Report,
) -> Vec<Region> {
    match ambient.region(profile) {
        Ok(Some(region)) => return vec![region],
        Ok(None) => report.missing(path, "regions", expected::REGIONS),
        Err((place, why)) => report.at(place, why),
    }
    Vec::new()
}

/// An account, its credentials and its roles are of one partition of AWS, and so are the regions that it can work in.
fn refuse_other_partitions(
    path: &KeyPath,
    regions: &[Region],
    identity: &CredentialSource,
    report: &mut Report,
) {
    let role = identity.role.as_ref().and_then(|role| {
        let partition = role.arn.split(':').nth(1)?;
        Some((path.key("role_arn"), "the role".to_owned(), partition))
    });
    let of_regions = regions.iter().enumerate().map(|(index, region)| {
        let place = path.key("regions").item(index);
        (place, region.to_string(), region.partition())
    });
    let mut all = of_regions.chain(role);
    let Some((_, first, wanted)) = all.next() else {
        return;
    };
    if let Some((place, other, got)) = all.find(|(_, _, got)| *got != wanted) {
        let text = format!("{other} is in the partition {got} and {first} in {wanted}");
        let hint = "an AWS account is in one partition only: make two [[account]] tables";
        report.say(&place, Problem::hinted(text, hint));
    }
}

fn declared_regions(path: &KeyPath, raw: &RawList, report: &mut Report) -> Vec<Region> {
    let mut regions = Vec::new();
    for (path, text) in items(path, raw, "one AWS region at least", report) {
        if let Some(region) = parsed::<Region>(&path, &text, Region::WANTED, report) {
            if regions.contains(&region) {
                report.say(&path, format!("{} is listed twice", quoted(&text)));
            } else {
                regions.push(region);
            }
        }
    }
    regions
}
