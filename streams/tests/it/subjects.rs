//! Subjects are built and parsed in one place, and the streams do not overlap.

use streams::ids::{ControllerId, Platform};
use streams::subject::{self, Report, Sender, Verb, family};

fn platform() -> Platform {
    Platform::try_new("docker").unwrap()
}

fn controller() -> ControllerId {
    ControllerId::try_new("Host-1").unwrap()
}

#[test]
fn commands_and_reports_are_read_as_they_were_built() {
    for verb in Verb::ALL {
        let built = subject::command(verb, &platform(), &controller());
        assert_eq!(subject::parse_command(&built), Some((verb, platform(), controller())));
        assert_eq!(
            subject::parse_command(&subject::core_command(verb, &platform())),
            None,
            "the core lane is in no stream"
        );
    }
    for report in Report::ALL {
        let built = subject::report(report, &platform(), &controller());
        assert_eq!(subject::parse_report(&built), Some((report, Sender::Durable(platform(), controller()))));
        assert_eq!(subject::parse_report(&subject::bare_report(report)), Some((report, Sender::Core)));
    }
}

#[test]
fn a_name_that_could_break_a_subject_is_refused() {
    for name in ["", "a.b", "a b", "*", ">", "Docker", "a_b", "ä", &"a".repeat(33)] {
        assert!(Platform::try_new(name).is_err(), "{name:?}");
    }
    for id in ["", "a.b", "a b", "*", ">", "a_b", "a/b", &"a".repeat(64)] {
        assert!(ControllerId::try_new(id).is_err(), "{id:?}");
    }
    for subject in [
        "streamspace.session.status.docker",
        "streamspace.session.status.docker.a.b",
        "session.status",
        "streamspace.x",
    ] {
        assert_eq!(subject::parse_report(subject), None, "{subject}");
    }
}

#[test]
fn metric_labels_do_not_name_platforms_or_controllers() {
    assert_eq!(family("streamspace.session.create.docker.host-1"), "streamspace.session.create");
    assert_eq!(family("streamspace.session.status"), "streamspace.session.status");
    assert_eq!(family("x"), "x");
}

#[test]
fn a_letter_is_parked_under_a_subject_that_fits_and_can_be_published_on() {
    use streams::subject::{LONGEST, dead_letter};
    let plain = "streamspace.session.status.docker.host-1";
    assert_eq!(dead_letter(plain), format!("streamspace.dlq.{plain}"));
    let long = |name: &str| format!("streamspace.session.status.{}.{name}", "a".repeat(4_045));
    let odd = ["a b", "a..b", "", ".", "streamspace.*.>", "x.\t", "é\u{85}"].map(str::to_owned);
    let cut: std::collections::HashSet<String> = [long("b"), long("c"), "z".repeat(5_000)]
        .into_iter()
        .chain(odd)
        .map(|original| dead_letter(&original))
        .collect();
    assert_eq!(cut.len(), 10, "each keeps its own: {cut:?}");
    for subject in &cut {
        assert!(subject.len() <= LONGEST && subject.starts_with("streamspace.dlq."), "{subject}");
        assert!(
            subject.split('.').all(|token| !token.is_empty() && !token.contains([' ', '*', '>', '\t'])),
            "{subject}"
        );
    }
    assert!(dead_letter(&long("b")).starts_with("streamspace.dlq.streamspace.session.status.cut-"));
}

#[test]
fn a_heartbeat_and_what_its_controller_parks_end_with_its_name_so_that_permissions_hold_them() {
    let built = subject::heartbeat(&platform(), &controller());
    assert_eq!(built, "streamspace.controller.heartbeat.docker.Host-1");
    assert_eq!(subject::parse_heartbeat(&built), Some(Some((platform(), controller()))));
    assert_eq!(subject::parse_heartbeat(subject::HEARTBEAT), Some(None));
    for other in
        ["streamspace.controller.heartbeats", "streamspace.controller.heartbeat.docker", "x", &format!("{built}.x")]
    {
        assert_eq!(subject::parse_heartbeat(other), None, "{other}");
    }
    for verb in Verb::ALL {
        let parked = subject::dead_letter(&subject::command(verb, &platform(), &controller()));
        let tokens: Vec<&str> = parked.split('.').collect();
        let [_, _, "streamspace", _, _, "docker", "Host-1"] = tokens[..] else { panic!("{parked}") };
    }
}

#[test]
fn every_subject_on_which_a_command_is_heard_is_known_as_one() {
    for verb in Verb::ALL {
        let bare = format!("streamspace.{}", verb.name());
        let core = subject::core_command(verb, &platform());
        for subject in [&bare, &core, &subject::command(verb, &platform(), &controller()), &format!("{core}.a.b")] {
            assert!(subject::is_command(subject), "{subject}");
        }
    }
    for report in Report::ALL {
        assert!(!subject::is_command(&subject::report(report, &platform(), &controller())));
    }
}
