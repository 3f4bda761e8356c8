//! STS AssumeRole.
//!
//! Checked: RoleArn (a role of this partition), RoleSessionName, ExternalId and DurationSeconds (900 to 43,200,
//! to 3,600 for a caller that acts as a role already), and what the control endpoint says about the role. Not
//! modelled: trust policies, session policies and tags, MFA, the role's own longest session.

use chrono::TimeDelta;

use super::{Outcome, Request};
use crate::cloud::Cloud;
use crate::error::{ApiError, Code};
use crate::query::Params;
use crate::role::{Caller, Role, RoleSession, is_word};
use crate::xml::Element;

const DURATION_SECONDS_DEFAULT: i64 = 3_600;
/// "Role chaining limits your session to a maximum of one hour."
const CHAINED_SECONDS_MAX: i64 = 3_600;

/// Gives temporary credentials in the account of a role.
///
/// Errors: ValidationError, AccessDenied.
pub fn run(cloud: &mut Cloud, caller: &Caller, request: &Request) -> Outcome {
    let params = &request.params;
    let role_arn = required(params, "RoleArn", 20..=2_048, |_| true)?;
    let symbols = |c: char| is_word(c) || "+=,.@-".contains(c);
    let session_name = required(params, "RoleSessionName", 2..=64, symbols)?;
    let external_id = match params.raw("ExternalId") {
        None => None,
        Some(_) => Some(required(params, "ExternalId", 2..=1_224, |c| {
            symbols(c) || ":/".contains(c)
        })?),
    };
    let duration_seconds = duration_seconds(params, caller)?;
    let role = Role::from_arn(role_arn, &request.region)
        .ok_or_else(|| invalid("Request ARN is invalid".to_owned()))?;
    if !cloud.roles.admit(role_arn, external_id) {
        let message = format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
            caller.arn(&request.region)
        );
        return Err(ApiError::new(Code::AccessDenied, message));
    }
    let mode = match cloud.roles.session_seconds {
        0 => TimeDelta::seconds(duration_seconds),
        seconds => TimeDelta::seconds(seconds.into()),
    };
    let session = RoleSession {
        account_id: role.account_id,
        role_name: role.name,
        session_name: session_name.to_owned(),
        expires_at: request.now + mode,
    };
    Ok(grant(cloud, session, request))
}

fn grant(cloud: &mut Cloud, session: RoleSession, request: &Request) -> Vec<Element> {
    let credentials = cloud.grant(session.clone(), request.now);
    vec![
        Element::group(
            "AssumedRoleUser",
            vec![
                Element::text("AssumedRoleId", session.id()),
                Element::text("Arn", session.arn(&request.region)),
            ],
        ),
        Element::group(
            "Credentials",
            vec![
                Element::text("AccessKeyId", credentials.access_key),
                Element::text("SecretAccessKey", credentials.secret_key),
                Element::text("SessionToken", credentials.session_token),
                Element::instant("Expiration", session.expires_at),
            ],
        ),
    ]
}

fn duration_seconds(params: &Params, caller: &Caller) -> Result<i64, ApiError> {
    let Some(text) = params.optional("DurationSeconds") else {
        return Ok(DURATION_SECONDS_DEFAULT);
    };
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (900..=43_200).contains(seconds))
        .ok_or_else(|| constraint("DurationSeconds", text, "have a value from 900 to 43200"))?;
    if matches!(caller, Caller::Role(_)) && seconds > CHAINED_SECONDS_MAX {
        let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
                       role chaining";
        return Err(invalid(message.to_owned()));
    }
    Ok(seconds)
}

/// A text of a documented length and alphabet.
fn required<'a>(
    params: &'a Params,
    name: &str,
    length: std::ops::RangeInclusive<usize>,
    allowed: impl Fn(char) -> bool,
) -> Result<&'a str, ApiError> {
    let Some(text) = params.raw(name) else {
        return Err(constraint(name, "null", "not be null"));
    };
    let (least, most) = (length.start(), length.end());
    if !length.contains(&text.chars().count()) {
        let wanted = format!("have length from {least} to {most}");
        return Err(constraint(name, text, &wanted));
    }
    if !text.chars().all(allowed) {
        return Err(constraint(
            name,
            text,
            "satisfy its regular expression pattern",
        ));
    }
    Ok(text)
}

/// The refusal as STS words it, which spells parameters with a small letter at first.
fn constraint(name: &str, value: &str, wanted: &str) -> ApiError {
    let (first, rest) = name.split_at(1);
    let first = first.to_ascii_lowercase();
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{first}{rest}' failed to satisfy constraint: Member \
         must {wanted}"
    ))
}

fn invalid(message: String) -> ApiError {
    ApiError::new(Code::ValidationError, message)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{REGION, account, start};
    use super::*;
    use crate::operations::Modifier;

    const ROLE: &str = "arn:aws:iam::111122223333:role/redkeep";

    fn user() -> Caller {
        Caller::User {
            account_id: "123456789012".to_owned(),
        }
    }

    fn ask(cloud: &mut Cloud, caller: &Caller, form: &str) -> Result<Element, ApiError> {
        let request = Request {
            region: REGION.to_owned(),
            params: Params::parse(form.as_bytes()),
            now: start(),
            twist: Modifier::None,
        };
        run(cloud, caller, &request).map(|members| Element::group("Result", members))
    }

    fn form(more: &str) -> String {
        format!("RoleArn={ROLE}&RoleSessionName=night{more}")
    }

    #[test]
    fn the_credentials_act_as_the_role_in_its_account_and_end() {
        let mut cloud = Cloud::new(account());
        let given = ask(&mut cloud, &user(), &form("&DurationSeconds=900")).unwrap();
        let part = |name| given.find(&["Credentials", name]).unwrap();
        assert_eq!(part("Expiration"), "2026-11-24T00:15:00.000Z");
        let user_arn = given.find(&["AssumedRoleUser", "Arn"]);
        let wanted = "arn:aws:sts::111122223333:assumed-role/redkeep/night";
        assert_eq!(user_arn, Some(wanted));
        let (key, token) = (part("AccessKeyId"), Some(part("SessionToken")));
        let caller = cloud.caller(key, token, start()).unwrap();
        assert_eq!(caller.arn(REGION), wanted);
        let chained = ask(&mut cloud, &caller, &form("&DurationSeconds=3601"));
        assert_eq!(chained.unwrap_err().code, "ValidationError");
    }

    #[test]
    fn what_the_documentation_forbids_is_a_validation_error() {
        let mut cloud = Cloud::new(account());
        for form in [
            format!("RoleArn={ROLE}"),
            "RoleSessionName=night".to_owned(),
            format!("RoleArn={ROLE}&RoleSessionName=n"),
            format!("RoleArn={ROLE}&RoleSessionName=a+b"),
            "RoleArn=arn:aws:iam::1:role/redkeep&RoleSessionName=night".to_owned(),
            form("&DurationSeconds=899"),
            form("&DurationSeconds=43201"),
            form("&DurationSeconds=x"),
            form("&ExternalId=x"),
            form("&ExternalId=a*b"),
        ] {
            let error = ask(&mut cloud, &user(), &form).unwrap_err();
            assert_eq!(error.code, "ValidationError", "{form}");
        }
        assert_eq!(cloud.sessions().count(), 0);
    }

    #[test]
    fn a_denied_role_and_a_wrong_external_id_are_refused_and_a_short_life_can_be_set() {
        let mut cloud = Cloud::new(account());
        cloud.roles.session_seconds = 2;
        let wish = ("&ExternalId=sesame", "&ExternalId=other");
        let external_id = (ROLE.to_owned(), "sesame".to_owned());
        cloud.roles.external_ids.extend([external_id]);
        let given = ask(&mut cloud, &user(), &form(wish.0)).unwrap();
        let expiration = given.find(&["Credentials", "Expiration"]);
        assert_eq!(expiration, Some("2026-11-24T00:00:02.000Z"));
        let code = |cloud: &mut Cloud, more| ask(cloud, &user(), &form(more)).unwrap_err().code;
        assert_eq!(code(&mut cloud, wish.1), "AccessDenied");
        assert_eq!(code(&mut cloud, ""), "AccessDenied");
        cloud.roles.denied.insert(ROLE.to_owned());
        assert_eq!(code(&mut cloud, wish.0), "AccessDenied");
    }
}
