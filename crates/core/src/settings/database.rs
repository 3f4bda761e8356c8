//! The server by which several instances share the history.
//!
//! Owns: what says which server that is, and how to get in. Never a password.

use std::net::IpAddr;
use std::path::PathBuf;

/// The PostgreSQL server by which several instances share the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its hosts with their ports, in the order in which they are tried; the one that takes writes counts.
    pub hosts: Vec<(String, u16)>,
    /// The role to connect as.
    pub user: String,
    /// The database's name.
    pub name: String,
    /// The schema in which everything of redkeep's is.
    pub schema: String,
    /// How the role proves who it is.
    pub auth: DatabaseAuth,
    /// The certificates of the authorities that are believed; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// Where the password is; `None`: systemd's credential `database-password`, or the environment.
    pub password_file: Option<PathBuf>,
    /// What people call this instance; `None`: the host's name.
    pub instance: Option<String>,
}

/// How a role proves to the database who it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DatabaseAuth {
    /// By a password, or by none where the server wants none.
    #[default]
    Password,
    /// By a token that AWS IAM has signed (Amazon RDS, "IAM database authentication").
    Iam,
}

impl DatabaseAuth {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Password, Self::Iam];

    /// Its word in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Iam => "iam",
        }
    }
}

impl Database {
    /// What it is called in messages.
    pub fn place(&self) -> String {
        let host = |(host, port): &(String, u16)| format!("{host}:{port}");
        let hosts: Vec<String> = self.hosts.iter().map(host).collect();
        format!("{}/{}, schema {}", hosts.join(","), self.name, self.schema)
    }

    /// Whether all of its hosts are this machine: then nothing is encrypted.
    pub fn is_here(&self) -> bool {
        let is_here = |host: &str| {
            let address = host.parse::<IpAddr>();
            host.starts_with('/')
                || host == "localhost"
                || address.is_ok_and(|address| address.is_loopback())
        };
        self.hosts.iter().all(|(host, _)| is_here(host))
    }
}
