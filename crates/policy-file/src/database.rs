//! The table `[database]`: the server by which several instances share the history.
//!
//! Owns: what its keys may say, and the grammar of its URL. A password in it is refused, and never repeated in a message.

use std::path::Path;

use super::error::quoted;
use super::path::KeyPath;
use super::raw::RawDatabase;
use super::report::Report;
use super::validate::choice;
use super::{Endpoint, expected};
use redkeep_core::settings::{DEFAULT_SCHEMA, Database, DatabaseAuth};

const PORT: u16 = 5432;

/// Checks the table; `None` where there is none, or where an error was reported.
pub(super) fn database(
    raw: Option<&RawDatabase>,
    endpoint: Option<&Endpoint>,
    base: &Path,
    report: &mut Report,
) -> Option<Database> {
    let raw = raw?;
    let path = KeyPath::top("database");
    if endpoint == Some(&Endpoint::Sandbox) {
        let why = "each instance would have a sandbox of its own; wanted no [database] with endpoint = \"sandbox\"";
        report.say(&path, why.to_owned());
    }
    let words = DatabaseAuth::ALL.map(|auth| (auth.as_str(), auth));
    let auth = choice(&path.key("auth"), raw.auth.as_deref(), &words, report).unwrap_or_default();
    let schema = raw.schema.as_deref().unwrap_or(DEFAULT_SCHEMA);
    if !is_plain_name(schema) {
        report.wrong(&path.key("schema"), schema, expected::DATABASE_SCHEMA);
    }
    if auth == DatabaseAuth::Iam && raw.password_file.is_some() {
        let why = "auth = \"iam\" needs no password; wanted one of the two".to_owned();
        report.say(&path.key("password_file"), why);
    }
    let Some(url) = raw.url.as_deref() else {
        report.say(
            &path.key("url"),
            format!("missing, wanted {}", expected::DATABASE_URL),
        );
        return None;
    };
    let (user, hosts, name) = match read(url) {
        Ok(parts) => parts,
        Err(why) => {
            report.say(&path.key("url"), why);
            return None;
        }
    };
    Some(Database {
        hosts,
        user,
        name,
        schema: schema.to_owned(),
        auth,
        ca_file: raw.ca_file.as_deref().map(|file| base.join(file)),
        password_file: raw.password_file.as_deref().map(|file| base.join(file)),
        instance: raw.instance.clone().filter(|name| !name.is_empty()),
    })
}

type Parts = (String, Vec<(String, u16)>, String);

/// User, hosts and database of `postgres://user@host:port,host:port/name`; the error is the whole message.
fn read(url: &str) -> Result<Parts, String> {
    let wanted = || format!("wanted {}", expected::DATABASE_URL);
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or_else(wanted)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, name) = rest.split_once('/').ok_or_else(wanted)?;
    let (user, hosts) = authority.rsplit_once('@').ok_or_else(wanted)?;
    if user.contains(':') {
        return Err(
            "a URL with a password in it; set password_file, a credential of systemd or REDKEEP_DATABASE_PASSWORD"
                .to_owned(),
        );
    }
    let of_query = query.split('&').filter(|part| !part.is_empty());
    for part in of_query {
        if part != "sslmode=verify-full" {
            return Err(format!(
                "got {}: redkeep always verifies the server's certificate, and accepts no parameter but \
                 sslmode=verify-full",
                quoted(part)
            ));
        }
    }
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.$".contains(&b))
    };
    if !is_name(user) || !is_name(name) {
        return Err(wanted());
    }
    let hosts: Option<Vec<(String, u16)>> = hosts.split(',').map(host).collect();
    let hosts = hosts.ok_or_else(wanted)?;
    Ok((user.to_owned(), hosts, name.to_owned()))
}

/// `host`, `host:port`, `[v6]:port`, or a directory of sockets with each `/` as `%2F`.
fn host(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = host.replace("%2F", "/").replace("%2f", "/");
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:/".contains(&b);
    (!host.is_empty() && host.bytes().all(is_plain)).then_some((host, port))
}

fn is_plain_name(text: &str) -> bool {
    let mut letters = text.bytes();
    let begins = letters
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    begins
        && text.len() <= 63
        && letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_user_hosts_and_a_database() {
        let (user, hosts, name) = read("postgres://redkeep@db-a,db-b:5433/history").unwrap();
        assert_eq!((user.as_str(), name.as_str()), ("redkeep", "history"));
        assert_eq!(
            hosts,
            [("db-a".to_owned(), 5432), ("db-b".to_owned(), 5433)]
        );
        let (_, hosts, _) = read("postgresql://r@[::1]:6432/h?sslmode=verify-full").unwrap();
        assert_eq!(hosts, [("::1".to_owned(), 6432)]);
        let (_, hosts, _) = read("postgres://r@%2Fvar%2Frun%2Fpostgresql/h").unwrap();
        assert_eq!(hosts, [("/var/run/postgresql".to_owned(), 5432)]);
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let why = read("postgres://redkeep:hunter2@db/history").unwrap_err();
        assert!(
            why.contains("password_file") && !why.contains("hunter2"),
            "{why}"
        );
    }

    #[test]
    fn whoever_does_not_want_the_server_verified_is_told() {
        for query in [
            "sslmode=disable",
            "sslmode=require",
            "options=-csearch_path%3Dx",
        ] {
            let why = read(&format!("postgres://r@db/h?{query}")).unwrap_err();
            assert!(why.contains(query) || why.contains("verif"), "{why}");
        }
    }

    #[test]
    fn what_is_no_url_is_told_without_repeating_it() {
        for url in [
            "",
            "mysql://a@b/c",
            "postgres://b/c",
            "postgres://a@b",
            "postgres://a@/c",
            "postgres://a@b:x/c",
        ] {
            assert!(read(url).unwrap_err().starts_with("wanted "), "{url}");
        }
    }
}
