//! Every decoder of what comes from outside, on inputs of `tests/corpus/` and mutations of them: none panics, none takes long,
//! and what was read can be written and read again.

use std::path::Path;

use streams::limits::{self, Payload};
use streams::testing::fuzz::fuzz;
use streams::wire::{AppStatus, Heartbeat, Manifest, NodeStatus, SessionStatus, TemplateCreate, World};
use streams::{duration, moment, parking, quantity, subject};

fn run(name: &str, target: impl Fn(&[u8]) -> String) {
    fuzz(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name), target);
}

/// The text of an input; what is not UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn payload<T: Payload + serde::Serialize>(bytes: &[u8]) -> String {
    match limits::read::<T>(bytes) {
        Err(error) => error.to_string(),
        Ok((_, read)) => {
            let written = serde_json::to_vec(&read).unwrap();
            let (_, again) =
                limits::read::<T>(&written).expect("what was accepted is accepted when it is written again");
            assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&read).unwrap());
            "read".into()
        }
    }
}

#[test]
fn no_payload_of_the_wire_can_hurt_its_reader() {
    run("wire", |bytes| {
        [
            payload::<SessionStatus>(bytes),
            payload::<AppStatus>(bytes),
            payload::<NodeStatus>(bytes),
            payload::<TemplateCreate>(bytes),
            payload::<World>(bytes),
            payload::<Heartbeat>(bytes),
        ]
        .concat()
    });
}

#[test]
fn no_manifest_can_hurt_its_reader() {
    run("manifests", |bytes| match Manifest::read_all(&text(bytes)) {
        Err(error) => error.to_string(),
        Ok(all) => {
            let said = all.iter().map(|one| one.check().err().map_or_else(String::new, |error| error.to_string()));
            said.chain(all.iter().flat_map(|one| one.unknown_fields(&[])).take(1)).collect()
        }
    });
}

#[test]
fn no_quantity_can_hurt_its_reader() {
    run("quantities", |bytes| {
        let text = text(bytes);
        format!("{:?} {:?}", quantity::bytes(&text).map(drop), quantity::millicores(&text).map(drop))
    });
}

#[test]
fn a_duration_is_refused_or_means_the_same_when_it_is_written() {
    run("durations", |bytes| match duration::parse(&text(bytes)) {
        Err(error) => error.to_string(),
        Ok(read) => {
            assert_eq!(duration::parse(&duration::format(read)), Ok(read));
            "read".into()
        }
    });
}

#[test]
fn no_moment_can_hurt_its_reader() {
    run("moments", |bytes| match moment::parse(&text(bytes)) {
        Err(error) => error.to_string(),
        Ok(moment) => {
            let _ = moment.ms(chrono::Utc::now());
            "read".into()
        }
    });
}

#[test]
fn every_subject_can_be_parked_and_none_is_two_things() {
    run("subjects", |bytes| {
        let subject = text(bytes);
        let letter = subject::dead_letter(&subject);
        assert!(letter.len() <= subject::LONGEST && letter.starts_with(subject::DEAD_LETTER_PREFIX), "{letter:?}");
        assert!(!letter.contains(|c: char| c.is_whitespace() || c.is_control()), "{letter:?}");
        assert!(letter.split('.').all(|token| !token.is_empty() && token != "*" && token != ">"), "{letter:?}");
        let kinds = [
            subject::parse_command(&subject).is_some(),
            subject::parse_report(&subject).is_some(),
            subject::parse_heartbeat(&subject).flatten().is_some(),
            subject::parse_intake(&subject).is_some(),
        ];
        assert!(kinds.iter().filter(|is| **is).count() <= 1, "{subject:?}: {kinds:?}");
        format!("{kinds:?}")
    });
}

#[test]
fn no_history_of_a_dead_letter_can_hurt_its_reader() {
    run("attempts", |bytes| {
        let attempts = parking::attempts(&text(bytes));
        assert!(attempts.len() <= 20 && attempts.iter().all(|attempt| attempt.error.len() <= 210));
        attempts.len().min(3).to_string()
    });
}
