//! Subjects are built and read in one place, and the streams do not overlap.

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
