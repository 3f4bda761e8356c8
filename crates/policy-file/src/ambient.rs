//! What the environment and AWS's own files say to the AWS SDK: values that cannot be right, and the region.
//!
//! Owns: the names of the variables that credentials come from, what is wrong with a value, and which region an account
//! has that names none. A value that may be a secret is never repeated. Never looks for credentials, and reads nothing:
//! both are handed in.

use std::collections::BTreeMap;

use super::error::{Location, quoted};
use super::network::{ENDPOINTS, variable};
use super::report::Report;
use super::{Endpoint, Sources};
use redkeep_core::names::Region;
use redkeep_core::problem::Problem;

const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// The variable that gives a key pair of its own: the public half.
pub const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";
/// The second is an old spelling that the SDK knows as well.
pub const SECRET_KEYS: [&str; 2] = ["AWS_SECRET_ACCESS_KEY", "SECRET_ACCESS_KEY"];
/// The profile that is meant where an account names none.
pub const PROFILE: &str = "AWS_PROFILE";

/// Variables of one word each, beside those of endpoints.
const WORDS: [&str; 9] = [
    ACCESS_KEY,
    SECRET_KEYS[0],
    SECRET_KEYS[1],
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
];
/// Names, paths and headers: blanks may be within.
const TEXTS: [&str; 6] = [
    PROFILE,
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];
/// What the SDK takes for `false`, whatever is there, unless it is `true`.
const SWITCHES: [&str; 4] = [
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_EC2_METADATA_DISABLED",
];

/// The profiles of AWS's own files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profiles {
    /// The region of each, where it has one by itself or from its source.
    pub regions: BTreeMap<String, Option<String>>,
    /// The file that cannot be read, and why.
    pub trouble: Option<(String, String)>,
}

/// What a value is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// One word.
    Word,
    /// Words, with blanks between them.
    Text,
}

/// What is wrong with a value, in words that do not repeat it.
pub fn flaw(value: &str, made: Made) -> Option<&'static str> {
    let first_and_last = (value.chars().next()?, value.chars().next_back()?);
    let is_break = |c: char| c == '\n' || c == '\r';
    match first_and_last {
        (_, last) if is_break(last) => Some("ends with a line break"),
        (first, _) if is_break(first) => Some("begins with a line break"),
        _ if value.contains(is_break) => Some("has a line break in it"),
        ('\u{feff}', _) => Some("begins with a byte order mark"),
        (_, last) if last.is_whitespace() => Some("ends with a blank"),
        (first, _) if first.is_whitespace() => Some("begins with a blank"),
        ('"' | '\'', _) | (_, '"' | '\'') => Some("has quotes around it"),
        _ if value.contains(char::is_control) => Some("has a control character in it"),
        _ if made == Made::Text => None,
        _ if value.contains(char::is_whitespace) => Some("has a blank in it"),
        _ if value.contains(['"', '\'']) => Some("has a quote in it"),
        _ if !value.is_ascii() => Some("has a character in it that is not ASCII"),
        _ => None,
    }
}

/// Refuses variables of credentials and endpoints that cannot be right, before anything is sent with them.
///
/// Where every account has a profile, no account `asks_environment` for credentials.
pub(super) fn check(
    endpoint: Option<&Endpoint>,
    asks_environment: bool,
    environment: &[(String, String)],
    report: &mut Report,
) {
    if endpoint == Some(&Endpoint::Sandbox) {
        return;
    }
    let of_endpoints: &[&str] = if endpoint == Some(&Endpoint::Aws) {
        &ENDPOINTS
    } else {
        &[]
    };
    let of_credentials: (&[&str], &[&str]) = if asks_environment {
        half_a_key(environment, report);
        (&WORDS, &TEXTS)
    } else {
        (&[], &[])
    };
    let words = of_endpoints.iter().chain(of_credentials.0);
    let words = words.map(|name| (*name, Made::Word));
    let texts = of_credentials.1.iter().map(|name| (*name, Made::Text));
    for (name, made) in words.chain(texts) {
        if let Some(flaw) = set(environment, name).and_then(|value| flaw(value, made)) {
            let problem =
                Problem::hinted(format!("its value {flaw}"), "set it without, or unset it");
            report.at(Location::variable(name), problem);
        }
    }
    for name in SWITCHES {
        let value = set(environment, name);
        let is_known = |value: &&str| {
            value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
        };
        if let Some(value) = value.filter(|value| !is_known(value)) {
            let text = format!("got {}, wanted true or false", quoted(value));
            report.at(Location::variable(name), text);
        }
    }
}

/// With one half missing, the SDK would look for another identity, and find one on many machines.
fn half_a_key(environment: &[(String, String)], report: &mut Report) {
    let secret = SECRET_KEYS.iter().find_map(|name| {
        let value = set(environment, name)?;
        Some((*name, value))
    });
    match (set(environment, ACCESS_KEY), secret) {
        (Some(_), None) => {
            let text = format!(
                "it is set, and {} is not: set both, or none",
                SECRET_KEYS[0]
            );
            report.at(Location::variable(ACCESS_KEY), text);
        }
        (None, Some((name, _))) => {
            let text = format!("it is set, and {ACCESS_KEY} is not: set both, or none");
            report.at(Location::variable(name), text);
        }
        _ => {}
    }
}

/// A variable that has a value: an empty one is not set.
pub fn set<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = variable(environment, name)?;
    Some(value).filter(|value| !value.trim().is_empty())
}

/// Where an account without regions of its own works.
pub(super) struct Ambient<'a> {
    environment: &'a [(String, String)],
    profiles: &'a Profiles,
    otherwise: Option<Region>,
}

impl<'a> Ambient<'a> {
    /// `otherwise` is the region where none is named anywhere.
    pub(super) fn of(sources: &'a Sources, otherwise: Option<Region>) -> Self {
        Self {
            environment: &sources.environment,
            profiles: &sources.profiles,
            otherwise,
        }
    }

    /// The region of an account with this profile, in AWS's own order: the environment, then the profile. The error
    /// is where it stands and what is wrong with it.
    pub(super) fn region(
        &self,
        profile: Option<&str>,
    ) -> Result<Option<Region>, (Location, Problem)> {
        let variables = REGIONS.iter().find_map(|name| {
            let value = set(self.environment, name)?;
            Some((*name, value))
        });
        if let Some((name, value)) = variables {
            return region(value).map_err(|why| (Location::variable(name), why));
        }
        let named = profile.or_else(|| set(self.environment, PROFILE));
        let named = named.unwrap_or("default");
        match self.profiles.regions.get(named) {
            None if let Some((path, why)) = &self.profiles.trouble
                && self.otherwise.is_none() =>
            {
                Err((Location::variable(path), format!("it {why}").into()))
            }
            Some(Some(value)) => {
                let place = Location::variable(&format!("profile {}", quoted(named)));
                region(value).map_err(|why| (place, why.after("region: ")))
            }
            _ => Ok(self.otherwise.clone()),
        }
    }
}

fn region(value: &str) -> Result<Option<Region>, Problem> {
    value.parse().map(Some).map_err(|_| {
        let quote = |c: char| c.is_whitespace() || c == '"' || c == '\'';
        let plain = value.trim_matches(quote).to_lowercase();
        let hint = match plain.parse::<Region>() {
            Ok(_) => Some(format!("did you mean {plain:?}?")),
            Err(_) => None,
        };
        let flaw = flaw(value, Made::Word);
        let flaw = flaw.map_or_else(String::new, |flaw| format!(" (it {flaw})"));
        let text = format!("got {}{flaw}, wanted {}", quoted(value), Region::WANTED);
        Problem::from(text).and_hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zones::{Database, Place as Zones};

    fn told(variables: &[(&str, &str)]) -> Vec<String> {
        let environment: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut report = Report::new(Database::open(&Zones::nowhere()));
        check(Some(&Endpoint::Aws), true, &environment, &mut report);
        let errors = report.finish(None).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_flaw_of_a_value_is_named_and_the_value_is_not_shown() {
        let cases = [
            ("hunter2\n", "ends with a line break"),
            ("hunter2\r\n", "ends with a line break"),
            ("\nhunter2", "begins with a line break"),
            ("hun\nter2", "has a line break in it"),
            ("hunter2 ", "ends with a blank"),
            ("\thunter2", "begins with a blank"),
            ("hun ter2", "has a blank in it"),
            ("\"hunter2\"", "has quotes around it"),
            ("'hunter2'", "has quotes around it"),
            ("hun\u{1}ter2", "has a control character in it"),
            ("\u{feff}hunter2", "begins with a byte order mark"),
            ("huntér2", "not ASCII"),
        ];
        for name in WORDS.into_iter().chain(ENDPOINTS) {
            let (access, secret) = ((ACCESS_KEY, "AKID"), (SECRET_KEYS[0], "s"));
            for (value, flaw) in cases {
                let told = told(&[(name, value), access, secret]);
                assert_eq!(told.len(), 1, "{name}: {told:?}");
                assert!(told[0].starts_with(&format!("{name}: ")), "{told:?}");
                assert!(told[0].contains(flaw), "{flaw}: {told:?}");
                assert!(!told[0].contains("ter2"), "{told:?}");
            }
        }
        for name in TEXTS {
            assert_eq!(told(&[(name, "a\n")]).len(), 1, "{name}");
            assert!(told(&[(name, "Bearer a b")]).is_empty(), "{name}");
            assert!(told(&[(name, "")]).is_empty(), "{name}");
        }
    }

    #[test]
    fn half_a_key_and_a_switch_that_is_neither_true_nor_false_are_refused() {
        let lone = told(&[(ACCESS_KEY, "AKID"), (SECRET_KEYS[0], " ")]);
        assert!(lone[0].contains("AWS_SECRET_ACCESS_KEY is not"), "{lone:?}");
        let lone = told(&[(SECRET_KEYS[0], "s")]);
        assert!(lone[0].contains("AWS_ACCESS_KEY_ID is not"), "{lone:?}");
        for name in SWITCHES {
            assert_eq!(told(&[(name, "true\n")]).len(), 1, "{name}");
            assert_eq!(told(&[(name, "1")]).len(), 1, "{name}");
            assert!(told(&[(name, "True")]).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_region_is_the_environments_or_the_named_profiles_and_a_wrong_one_is_named() {
        let ambient = |variables: &[(&str, &str)], profile: Option<&str>| {
            let sources = Sources {
                file: "x".into(),
                environment: variables
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                profiles: Profiles {
                    regions: BTreeMap::from([
                        ("default".to_owned(), Some("us-east-1".to_owned())),
                        ("prod".to_owned(), Some("cn-northwest-1".to_owned())),
                        ("bare".to_owned(), None),
                        ("loud".to_owned(), Some("EU-WEST-1".to_owned())),
                    ]),
                    trouble: None,
                },
            };
            let region = Ambient::of(&sources, None).region(profile);
            match region {
                Ok(region) => region.map_or("none".to_owned(), |region| region.to_string()),
                Err((place, why)) => format!("{place}: {why}"),
            }
        };
        assert_eq!(ambient(&[], None), "us-east-1");
        assert_eq!(ambient(&[], Some("prod")), "cn-northwest-1");
        assert_eq!(ambient(&[], Some("bare")), "none");
        assert_eq!(ambient(&[("AWS_PROFILE", "prod")], None), "cn-northwest-1");
        assert_eq!(ambient(&[("AWS_PROFILE", "")], None), "us-east-1");
        let both = [("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "eu-west-3")];
        assert_eq!(ambient(&both, Some("prod")), "eu-west-3");
        for wrong in ["eu-west-1\n", "\"eu-west-1\"", "EU-WEST-1"] {
            let told = ambient(&[("AWS_REGION", wrong)], None);
            assert!(told.starts_with("AWS_REGION: got "), "{told}");
            assert!(told.ends_with("did you mean \"eu-west-1\"?"), "{told}");
        }
        let told = ambient(&[], Some("loud"));
        assert!(told.starts_with("profile \"loud\": region: got"), "{told}");
    }
}
