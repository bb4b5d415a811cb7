//! When usage counts as use.

use streams::usage::is_use;
use streams::wire::Resources;

fn cpu(text: &str) -> Resources {
    Resources { cpu: Some(text.into()), memory: Some("4Gi".into()) }
}

#[test]
fn cpu_counts_from_a_share_of_what_may_be_used() {
    for (used, may_use, percent, counts) in [
        ("100m", "2", None, true),
        ("99m", "2", None, false),
        ("0.5", "1000m", Some(50), true),
        ("499m", "1", Some(50), false),
        ("2", "1", Some(0), false),
        ("0m", "1", None, false),
        ("much", "1", None, false),
    ] {
        assert_eq!(is_use(&cpu(used), &cpu(may_use), percent), counts, "{used} of {may_use}, {percent:?} %");
    }
    assert!(is_use(&cpu("50m"), &Resources::default(), None), "one core where there is no limit");
    let memory = Resources { cpu: None, memory: Some("2Gi".into()) };
    assert!(!is_use(&memory, &cpu("1"), None), "memory alone is no use");
}
