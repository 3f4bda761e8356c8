//! What is for Kubernetes, as kubectl renders it and its schemas judge it.
//!
//! The judge is kubernetes-validate, installed by `tests/peers/install.sh`. kubectl is Debian's `kubernetes-client` from trixie
//! on; the one of bookworm is too old to know a directory among `resources`, and then these tests say that they are skipped.
//! Without either they do too; with `REDKEEP_REQUIRE_PEERS=1` their absence is a failure.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and one that is skipped says so"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use redkeep::config::{Config, Sources, load};
use serde_json::{Value, json};

use crate::support::process::finish_with;
use crate::support::{Dir, finish};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The schemas that judge.
const VERSION: &str = "1.37";

const OVERLAYS: [&str; 2] = ["single", "ha"];

/// The peers' Python; `None`, with the reason on stderr, where something is missing.
fn judge() -> Option<PathBuf> {
    let python = Path::new(ROOT).join("target/peers/bin/python");
    let has = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    let missing = if !has(&python, &["-c", "import kubernetes_validate"]) {
        "kubernetes-validate is not installed: run tests/peers/install.sh"
    } else if !has(Path::new("kubectl"), &["version", "--client"]) {
        "there is no kubectl (Debian: kubernetes-client)"
    } else if !has(Path::new("kubectl"), &["kustomize", &overlay("single")]) {
        eprintln!(
            "skipped, because this kubectl is older than 1.21 and cannot render packaging/kubernetes"
        );
        return None;
    } else {
        return Some(python);
    };
    let required = std::env::var_os("REDKEEP_REQUIRE_PEERS").is_some();
    assert!(!required, "{missing}");
    eprintln!("skipped, because {missing}");
    None
}

fn overlay(name: &str) -> String {
    format!("{ROOT}/packaging/kubernetes/{name}")
}

/// The manifests of an overlay, and what kubectl had to say about them.
fn rendered(name: &str) -> (String, String) {
    let output = finish(Command::new("kubectl").args(["kustomize", &overlay(name)]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{name}: {said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}

/// The manifests as they are, and what is wrong with them.
fn judged(python: &Path, manifests: &str) -> (Vec<Value>, Vec<String>) {
    let mut judge = Command::new(python);
    judge
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(Path::new(ROOT).join("tests/peers/kubernetes.py"))
        .arg(VERSION);
    let output = finish_with(&mut judge, manifests);
    assert!(output.status.success(), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    (
        serde_json::from_value(said["documents"].clone()).unwrap(),
        serde_json::from_value(said["faults"].clone()).unwrap(),
    )
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    let mut found = documents.iter().filter(|document| document["kind"] == kind);
    let one = found.next();
    assert!(found.next().is_none(), "two of {kind}");
    one.unwrap_or_else(|| panic!("no {kind}"))
}

/// The policy file of an overlay's ConfigMap, loaded as in the pod.
fn loaded(documents: &[Value], variables: &[(&str, &str)]) -> Config {
    let text = of_kind(documents, "ConfigMap")["data"]["redkeep.toml"].as_str();
    let dir = Dir::new();
    let given = variables.iter();
    load(&Sources {
        file: dir.write("redkeep.toml", text.unwrap()),
        environment: given
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        profiles: Default::default(),
    })
    .unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn kubernetes_knows_every_key_and_value_of_both_overlays() {
    let Some(python) = judge() else {
        return;
    };
    for name in OVERLAYS {
        let (manifests, said) = rendered(name);
        assert_eq!(said, "", "{name}");
        let (documents, faults) = judged(&python, &manifests);
        assert_eq!(faults, [""; 0], "{name}");
        assert_eq!(documents.len(), 5, "{name}");
        let planted = manifests.replace("replicas:", "replicaz:");
        let (_, faults) = judged(&python, &planted);
        assert!(
            faults.len() == 1 && faults[0].contains("replicaz"),
            "{faults:?}"
        );
    }
}

#[test]
fn both_overlays_confine_the_pod_and_let_a_rollout_finish() {
    let Some(python) = judge() else {
        return;
    };
    for name in OVERLAYS {
        let (documents, _) = judged(&python, &rendered(name).0);
        let service = &of_kind(&documents, "Service")["spec"];
        assert_eq!(service["clusterIP"], "None");
        assert_eq!(service["publishNotReadyAddresses"], true);
        let pod = &of_kind(&documents, "Deployment")["spec"]["template"]["spec"];
        let (whole, container) = (&pod["securityContext"], &pod["containers"][0]);
        assert_eq!(whole["runAsNonRoot"], true);
        assert_eq!(whole["runAsUser"], 65532);
        assert_eq!(whole["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(
            container["securityContext"],
            json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            })
        );
        // Stopping takes up to 35 s.
        assert!(pod["terminationGracePeriodSeconds"].as_u64() > Some(35));
        for (probe, path) in [
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ] {
            assert_eq!(container[probe]["httpGet"]["path"], path, "{name}: {probe}");
        }
    }
}

#[test]
fn the_state_of_one_instance_is_on_a_volume_and_that_of_two_in_the_database() {
    let Some(python) = judge() else {
        return;
    };
    let (single, _) = judged(&python, &rendered("single").0);
    let deployment = &of_kind(&single, "Deployment")["spec"];
    assert_eq!(deployment["replicas"], 1);
    assert_eq!(deployment["strategy"], json!({ "type": "Recreate" }));
    let claim = &of_kind(&single, "PersistentVolumeClaim")["spec"];
    assert_eq!(claim["accessModes"], json!(["ReadWriteOncePod"]));

    let (ha, _) = judged(&python, &rendered("ha").0);
    let deployment = &of_kind(&ha, "Deployment")["spec"];
    assert_eq!(deployment["replicas"], 2);
    let rolling = json!({ "maxUnavailable": 0, "maxSurge": 1 });
    assert_eq!(deployment["strategy"]["rollingUpdate"], rolling);
    let budget = &of_kind(&ha, "PodDisruptionBudget")["spec"];
    assert_eq!(
        budget["selector"]["matchLabels"],
        deployment["selector"]["matchLabels"]
    );
    let pod = &deployment["template"]["spec"];
    let mounted = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let password = mounted.iter().find(|mount| mount["name"] == "database");
    let password = password.unwrap()["mountPath"].as_str().unwrap();
    let config = loaded(&ha, &[("REDKEEP_DATABASE__INSTANCE", "redkeep-7f")]);
    let database = config.database.unwrap();
    assert_eq!(database.instance.as_deref(), Some("redkeep-7f"));
    assert!(database.password_file.unwrap().starts_with(password));
}

#[test]
fn the_policy_files_of_both_overlays_are_loaded_with_one_warning() {
    let Some(python) = judge() else {
        return;
    };
    for name in OVERLAYS {
        let (documents, _) = judged(&python, &rendered(name).0);
        let config = loaded(&documents, &[]);
        assert_eq!(config.listen.to_string(), "0.0.0.0:9835");
        assert_eq!(config.database.is_some(), name == "ha");
        let warned: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        assert!(
            warned.len() == 1 && warned[0].contains("other hosts can reach"),
            "{name}: {warned:?}"
        );
        let file = fs::read_to_string(format!("{}/redkeep.toml", overlay(name))).unwrap();
        assert_eq!(
            of_kind(&documents, "ConfigMap")["data"]["redkeep.toml"],
            file.as_str()
        );
    }
}
