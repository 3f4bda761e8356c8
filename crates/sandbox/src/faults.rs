//! The fault plan: which call goes wrong, and how.
//!
//! Owns: rules, matching and counting. Never carries a fault out (that is the server's part) and never
//! reads a clock: which call is struck depends only on the order of calls.

use serde::{Deserialize, Serialize};

use super::operations::Modifier;

/// A call as rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// The value of `Action`.
    pub operation: &'a str,
    /// The account that the caller acts in, if its key is known.
    pub account: Option<&'a str>,
    /// From the credential scope.
    pub region: &'a str,
    /// ClusterIdentifier, or SnapshotClusterIdentifier, if the request names one.
    pub cluster: Option<&'a str>,
}

/// One rule: whom it strikes, how often, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The value of `Action`, or `*` for every operation.
    pub operation: String,
    /// Only for callers who act in the account of this number.
    #[serde(default)]
    pub account: Option<String>,
    /// Only in this region.
    #[serde(default)]
    pub region: Option<String>,
    /// Only for requests that name this cluster.
    #[serde(default)]
    pub cluster: Option<String>,
    /// How many matching calls it strikes; absent for all.
    #[serde(default)]
    pub times: Option<u32>,
    /// How many matching calls it lets pass first.
    #[serde(default)]
    pub after: u32,
    /// What it does.
    pub fault: Fault,
}

/// What can go wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An AWS error; the operation is not carried out.
    Error {
        /// The code on the wire, any text.
        code: String,
        /// The HTTP status, 400 to 599.
        #[serde(default = "status_default")]
        status: u16,
        /// The text for people.
        #[serde(default = "message_default")]
        message: String,
    },
    /// The operation is carried out, then the connection closes without an answer.
    LostReply,
    /// The connection closes without an answer; the operation is not carried out.
    Reset,
    /// No answer and no end, until the client or the server's limit gives up; not carried out.
    Hang,
    /// The operation is carried out, and half of the answer arrives before the connection closes.
    Truncate,
    /// The operation is carried out; the answer is a 200 with nothing in it.
    Empty,
    /// A page of a proxy instead of an answer; the operation is not carried out.
    Html {
        /// The HTTP status.
        status: u16,
    },
    /// The call waits before anything is done; every matching rule of this kind adds to the wait, beside another fault.
    Latency {
        /// How long.
        milliseconds: u32,
    },
    /// A snapshot that this call begins fails when it would have completed.
    FailSnapshot {
        /// The reason that the event tells.
        #[serde(default = "message_default")]
        message: String,
    },
    /// A snapshot that this call begins stays `creating` for ever.
    StuckSnapshot,
    /// A snapshot that this call begins is seen by no Describe for a while; it holds its name and its
    /// place in the quota from the beginning.
    LateSnapshot {
        /// How long.
        seconds: u32,
    },
    /// A listing gives its first page and the same Marker again and again.
    LoopMarker,
}

fn status_default() -> u16 {
    400
}

fn message_default() -> String {
    "Injected by a fault rule of the sandbox.".to_owned()
}

impl Fault {
    /// The word for it in rules and in the request log.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Error { .. } => "error",
            Self::LostReply => "lost_reply",
            Self::Reset => "reset",
            Self::Hang => "hang",
            Self::Truncate => "truncate",
            Self::Empty => "empty",
            Self::Html { .. } => "html",
            Self::Latency { .. } => "latency",
            Self::FailSnapshot { .. } => "fail_snapshot",
            Self::StuckSnapshot => "stuck_snapshot",
            Self::LateSnapshot { .. } => "late_snapshot",
            Self::LoopMarker => "loop_marker",
        }
    }
}

/// What one call suffers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultEffect {
    /// How long the answer waits.
    pub latency_milliseconds: u64,
    /// Anything else, at most one.
    pub fault: Option<Fault>,
}

impl FaultEffect {
    /// How the operation is bent from the inside.
    pub fn twist(&self) -> Modifier {
        match &self.fault {
            Some(Fault::FailSnapshot { message }) => Modifier::FailSnapshot {
                reason: message.clone(),
            },
            Some(Fault::StuckSnapshot) => Modifier::StuckSnapshot,
            Some(Fault::LateSnapshot { seconds }) => Modifier::LateSnapshot { seconds: *seconds },
            Some(Fault::LoopMarker) => Modifier::LoopMarker,
            _ => Modifier::None,
        }
    }
}

/// The rules in the order they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultPlan {
    /// A rule that has struck its last time stays, with `times` at 0, to show that it did.
    pub rules: Vec<FaultRule>,
}

/// Why a fault plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaultPlanError {
    /// It is not JSON, or JSON of another shape.
    #[error(transparent)]
    Syntax(#[from] serde_json::Error),
    /// An answer with this status would be none that a client can understand.
    #[error("the status {0} is not from 400 to 599")]
    Status(u16),
}

impl FaultPlan {
    /// Reads a JSON array of rules.
    pub fn from_json(text: &[u8]) -> Result<Self, FaultPlanError> {
        let plan: Self = serde_json::from_slice(text)?;
        plan.rules.iter().try_for_each(FaultRule::check)?;
        Ok(plan)
    }

    /// What `call` suffers, and counts it.
    ///
    /// The first rule that is due decides; rules after it do not see the call. Latency is apart: every
    /// latency rule up to there that is due adds up.
    pub fn next(&mut self, call: Call<'_>) -> FaultEffect {
        let mut fault_effect = FaultEffect::default();
        for rule in self.rules.iter_mut().filter(|rule| rule.matches(call)) {
            if !rule.is_due() {
                continue;
            }
            if let Fault::Latency { milliseconds } = rule.fault {
                fault_effect.latency_milliseconds += u64::from(milliseconds);
            } else {
                fault_effect.fault = Some(rule.fault.clone());
                break;
            }
        }
        fault_effect
    }
}

impl FaultRule {
    /// Refuses a status outside the range of errors.
    pub fn check(&self) -> Result<(), FaultPlanError> {
        match self.fault {
            Fault::Error { status, .. } | Fault::Html { status }
                if !(400..=599).contains(&status) =>
            {
                Err(FaultPlanError::Status(status))
            }
            _ => Ok(()),
        }
    }

    fn matches(&self, call: Call<'_>) -> bool {
        let is = |wanted: &Option<String>, got: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == got)
        };
        (self.operation == "*" || self.operation == call.operation)
            && is(&self.account, call.account)
            && is(&self.region, Some(call.region))
            && is(&self.cluster, call.cluster)
    }

    /// Counts a matching call and says whether it is struck.
    fn is_due(&mut self) -> bool {
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        match &mut self.times {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> FaultPlan {
        serde_json::from_str(json).unwrap()
    }

    fn kinds(plan: &mut FaultPlan, call: Call<'_>, calls: usize) -> Vec<&'static str> {
        (0..calls)
            .map(|_| plan.next(call).fault.map_or("-", |fault| fault.kind()))
            .collect()
    }

    const CREATE: Call<'_> = Call {
        operation: "CreateClusterSnapshot",
        account: Some("123456789012"),
        region: "eu-central-1",
        cluster: Some("dw"),
    };

    #[test]
    fn a_rule_strikes_after_so_many_calls_and_so_many_times() {
        let mut plan = plan(
            r#"[{"operation":"CreateClusterSnapshot","after":1,"times":2,"fault":{"kind":"hang"}},
                {"operation":"*","times":1,"fault":{"kind":"reset"}}]"#,
        );
        assert_eq!(
            kinds(&mut plan, CREATE, 5),
            ["reset", "hang", "hang", "-", "-"]
        );
    }

    #[test]
    fn a_rule_for_another_account_region_or_cluster_strikes_nothing() {
        for narrow in [
            r#""account":"111122223333""#,
            r#""region":"us-east-1""#,
            r#""cluster":"other""#,
        ] {
            let mut plan = plan(&format!(
                r#"[{{"operation":"*",{narrow},"fault":{{"kind":"hang"}}}}]"#
            ));
            assert_eq!(kinds(&mut plan, CREATE, 1), ["-"], "{narrow}");
        }
    }

    #[test]
    fn latencies_add_up_beside_another_fault() {
        let mut plan = plan(
            r#"[{"operation":"*","fault":{"kind":"latency","milliseconds":50}},
                {"operation":"*","fault":{"kind":"latency","milliseconds":7}},
                {"operation":"*","fault":{"kind":"error","code":"Throttling"}}]"#,
        );
        let fault_effect = plan.next(CREATE);
        assert_eq!(fault_effect.latency_milliseconds, 57);
        assert_eq!(fault_effect.fault.map(|fault| fault.kind()), Some("error"));
    }

    #[test]
    fn the_plan_that_the_documentation_shows_can_be_used() {
        let page = include_str!("../../../docs/sandbox.md");
        let (_, rest) = page.split_once("```json\n").unwrap();
        let (plan, _) = rest.split_once("```").unwrap();
        assert_eq!(
            FaultPlan::from_json(plan.as_bytes()).unwrap().rules.len(),
            3
        );
    }

    #[test]
    fn a_misspelt_rule_is_refused() {
        for json in [
            r#"[{"operation":"*","fault":{"kind":"explode"}}]"#,
            r#"[{"operation":"*","tims":1,"fault":{"kind":"hang"}}]"#,
            r#"[{"operation":"*","fault":{"kind":"latency"}}]"#,
            r#"[{"operation":"*","fault":{"kind":"html","status":200}}]"#,
            r#"{"operation":"*","fault":{"kind":"hang"}}"#,
        ] {
            assert!(FaultPlan::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }
}
