//! Whose credentials are used: every source that docs/accounts.md names, against a fake of its server on loopback,
//! healthy, slow, broken, mended later and with a misspelt name.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

mod broken;
mod healthy;
mod mended;
mod named;

use std::process::{Command, Output};

use crate::support::sources::Fake;
use crate::support::{Dir, REDKEEP, Sandbox, credentials, finish, often};
use serde_json::Value;

const OF_INSTANCE: &str = "111111111111";
const OF_CONTAINER: &str = "222222222222";
const OF_TOKEN: &str = "333333333333";
const OF_PROFILE: &str = "444444444444";
const OF_PROCESS: &str = "555555555555";
const OF_ROLE: &str = "666666666666";
const ROLE: &str = "arn:aws:iam::666666666666:role/redkeep";

fn sandbox() -> Sandbox {
    let accounts = [
        OF_INSTANCE,
        OF_CONTAINER,
        OF_TOKEN,
        OF_PROFILE,
        OF_PROCESS,
        OF_ROLE,
    ];
    let accounts: Vec<&str> = { accounts.iter() }
        .flat_map(|number| ["--account", number])
        .collect();
    Sandbox::taking("1", &["dw"], &accounts)
}

/// All sources at once, each of another account.
struct Sources {
    dir: Dir,
    sandbox: Sandbox,
    front: Fake,
    instance: Fake,
    container: Fake,
}

/// A source, and what leads to it: an account's keys and the environment.
struct Way {
    name: &'static str,
    account: String,
    environment: Vec<(&'static str, String)>,
    number: &'static str,
}

impl Sources {
    fn start() -> Self {
        let (dir, sandbox) = (Dir::new(), sandbox());
        Self {
            front: Fake::front(sandbox.address(), OF_TOKEN),
            instance: Fake::instance(OF_INSTANCE),
            container: Fake::container(OF_CONTAINER, "Bearer pod"),
            dir,
            sandbox,
        }
    }

    /// The profiles, with a process that prints what the script does.
    fn profiles(&self, script: &str) -> String {
        let process = self.dir.write("process.sh", script);
        let token = self.dir.write("token", "a.jwt.token\n");
        format!(
            "[profile plain]\naws_access_key_id = {OF_PROFILE}\naws_secret_access_key = s\n\
             [profile process]\ncredential_process = sh {}\n\
             [profile chained]\nrole_arn = {ROLE}\nsource_profile = plain\n\
             [profile instance]\nrole_arn = {ROLE}\ncredential_source = Ec2InstanceMetadata\n\
             [profile container]\nrole_arn = arn:aws:iam::{OF_CONTAINER}:role/redkeep\ncredential_source = EcsContainer\n\
             [profile environment]\nrole_arn = {ROLE}\ncredential_source = Environment\n\
             [profile token]\nrole_arn = {ROLE}\nweb_identity_token_file = {}\n",
            process.display(),
            token.display()
        )
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let config = self.dir.write("aws-config", &self.profiles(PRINTS));
        let pod = self.dir.write("pod-token", "Bearer pod");
        vec![
            ("AWS_CONFIG_FILE", config.display().to_string()),
            ("AWS_EC2_METADATA_DISABLED", "false".to_owned()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.instance.url()),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                pod.display().to_string(),
            ),
        ]
    }

    fn ways(&self) -> Vec<Way> {
        let container = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.container.url());
        let keys = [
            ("AWS_ACCESS_KEY_ID", OF_PROFILE.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "s".to_owned()),
        ];
        let token = self.dir.write("token", "a.jwt.token\n");
        let token = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.display().to_string()),
            ("AWS_ROLE_ARN", ROLE.to_owned()),
        ];
        let profile = |name: &str| format!("profile = \"{name}\"\n");
        let ambient: [(&str, Vec<_>, &str); 6] = [
            ("instance", vec![], OF_INSTANCE),
            ("container", vec![container.clone()], OF_CONTAINER),
            ("environment", keys.to_vec(), OF_PROFILE),
            ("token", token.to_vec(), OF_TOKEN),
            (
                "named profile",
                vec![("AWS_PROFILE", "plain".to_owned())],
                OF_PROFILE,
            ),
            (
                "named role",
                vec![("AWS_PROFILE", "chained".to_owned())],
                OF_ROLE,
            ),
        ];
        let profiles: [(&str, Vec<_>, &str); 7] = [
            ("plain", vec![], OF_PROFILE),
            ("process", vec![], OF_PROCESS),
            ("chained", vec![], OF_ROLE),
            ("instance", vec![], OF_ROLE),
            ("container", vec![container], OF_CONTAINER),
            ("environment", keys.to_vec(), OF_ROLE),
            ("token", vec![], OF_TOKEN),
        ];
        let way =
            |account: String, (name, more, number): (&'static str, Vec<_>, &'static str)| Way {
                name,
                account,
                environment: [self.environment(), more].concat(),
                number,
            };
        let ambient = ambient.into_iter().map(|one| way(String::new(), one));
        let profiles = profiles.into_iter().map(|one| way(profile(one.0), one));
        ambient.chain(profiles).collect()
    }

    /// What `doctor` says of the identity that a way leads to.
    fn identity(&self, way: &Way) -> (String, String) {
        let environment: Vec<(&str, &str)> = way
            .environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let output = doctor(&self.dir, &self.front.url(), &way.account, &environment);
        identity(&output)
    }
}

const PRINTS: &str =
    "echo '{\"Version\":1,\"AccessKeyId\":\"555555555555\",\"SecretAccessKey\":\"s\"}'\n";

/// A command without any credentials but those of `environment`.
fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(REDKEEP);
    credentials(&mut command)
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("HOME", "/nonexistent")
        .envs(environment.iter().copied())
        .args(arguments);
    command
}

fn file(dir: &Dir, endpoint: &str, account: &str) -> String {
    let policy = often("@daily", "dw");
    let text = format!(
        "state_dir = \"state\"\nendpoint = \"{endpoint}\"\n[[account]]\nname = \"one\"\nregions = [\"us-east-1\"]\n\
         {account}\n{policy}"
    );
    dir.write("redkeep.toml", &text).display().to_string()
}

fn doctor(dir: &Dir, endpoint: &str, account: &str, environment: &[(&str, &str)]) -> Output {
    let file = file(dir, endpoint, account);
    let arguments = ["doctor", "--output", "json", "--config", &file];
    finish(&mut command(&arguments, environment))
}

/// The verdict on the identity, and what was found.
fn identity(output: &Output) -> (String, String) {
    let rows: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let rows = rows.as_array().unwrap();
    let row = rows.iter().find(|row| row["check"] == "identity");
    let row = row.unwrap_or_else(|| panic!("{rows:#?}"));
    let text = |member: &str| row[member].as_str().unwrap_or_default().to_owned();
    assert_plain(&text("found"));
    (text("result"), text("found"))
}

/// Nothing of the SDK's insides, on one line.
fn assert_plain(told: &str) {
    for dump in [
        "SdkBody",
        "ProviderError",
        "Error {",
        "Some(",
        "StatusCode",
        "\\n",
        "\n",
    ] {
        assert!(!told.contains(dump), "{dump:?} in {told}");
    }
}
