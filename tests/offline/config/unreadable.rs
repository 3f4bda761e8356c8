//! What cannot be read, and what is wrong all over.

use redkeep::config::load;

use super::{errors_of, sources};

#[test]
fn what_cannot_be_read_is_said_with_its_path() {
    let missing = load(&sources("tests/config/no-such.toml"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        missing,
        "tests/config/no-such.toml: there is no such file; name the policy file with --config or REDKEEP_CONFIG"
    );
    let directory = load(&sources("tests/config")).unwrap_err().to_string();
    assert_eq!(
        directory,
        "tests/config: this is a directory, wanted a TOML file"
    );
    let latin1 = errors_of("latin1", b"namespace = \"\xe4\"\n");
    assert!(
        latin1.starts_with("DIR/redkeep.toml: not UTF-8: "),
        "{latin1}"
    );
    let endless = load(&sources("/dev/zero")).unwrap_err().to_string();
    assert_eq!(
        endless,
        "/dev/zero: more than 4 MiB, which is too large for a policy file"
    );
}

#[test]
fn no_text_overflows_the_stack_or_breaks_a_line() {
    let deep = [
        "[".repeat(1 << 20),
        format!("namespace = {}", "[".repeat(1 << 20)),
        format!("namespace = {}", "{a=".repeat(1 << 18)),
        format!("{}a = 1", "a.".repeat(1 << 19)),
        format!("[{}a]\nb = 1\n", "a.".repeat(70)),
        format!("namespace = \"{}\"\n", "x\u{202e}".repeat(1 << 18)),
        "namespace = \"\\n\\u0000\\u001b[31m\"\n".to_owned(),
        format!("\"{}\" = 1\n", "k".repeat(1 << 20)),
    ];
    for (index, text) in deep.iter().enumerate() {
        let errors = errors_of(&format!("deep-{index}"), text.as_bytes());
        assert!(errors.len() < 1_000, "{index}: {} bytes", errors.len());
        assert!(
            errors.lines().all(|line| line.starts_with("DIR/")),
            "{index}: {errors}"
        );
        assert!(
            !errors.contains(['\u{1b}', '\u{202e}', '\0']),
            "{index}: {errors:?}"
        );
    }
}

#[test]
fn a_thousand_mistakes_are_all_told() {
    let policy = |index: usize| {
        format!(
            "[[policy]]\nname = \"p{index}\"\nschedule = \"@daily\"\nclusters = [1, 2, \"*\"]\nretention = 5\nextra = 1\n"
        )
    };
    let text: String = (0..500).map(policy).collect();
    let errors = errors_of(
        "thousand",
        format!("endpoint = \"sandbox\"\n{text}").as_bytes(),
    );
    assert_eq!(errors.lines().count(), 2_000);
}
