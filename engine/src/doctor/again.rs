//! What happens again and again: connections that are cut, messages that are delivered again, and work that fails. Each names its cause.

use std::time::Duration;

use streams::metrics::Redelivered;

use super::{Check, Doctor, Unread};
use crate::stuck::Item;

pub(super) const NAME: &str = "repeats";
/// Over which time reconnects are counted.
const RECENT: Duration = Duration::from_secs(600);
/// Reconnects in that time that a server may need for its own maintenance.
const USUAL: usize = 3;
/// Deliveries of one message that a crash or two explain.
const DELIVERIES: i64 = 5;

/// What is known of it.
struct Facts {
    reconnects: usize,
    said: Option<String>,
    redelivered: Vec<Redelivered>,
    stuck: Vec<Item>,
}

#[allow(clippy::unused_async)] // a check like the others
pub(super) async fn check(doctor: &Doctor) -> Result<Check, Unread> {
    let (reconnects, said) = doctor.parts.link.reconnects.within(RECENT);
    let redelivered = doctor.parts.metrics.nats.redelivered_now();
    Ok(judge(Facts { reconnects, said, redelivered, stuck: doctor.parts.stuck.all() }))
}

fn judge(facts: Facts) -> Check {
    let mut check = Check::new(NAME, "the connection to NATS holds, and nothing is delivered or tried again and again");
    check.count("reconnects", facts.reconnects);
    check.count("redelivered", facts.redelivered.len());
    check.count("passed_over", facts.stuck.iter().filter(|item| item.until_ms > 0).count());
    if facts.reconnects > USUAL {
        let said = facts.said.map(|said| format!("; the server's last word was: {said}")).unwrap_or_default();
        let sentence = format!("the connection to NATS was made anew {} times in ten minutes{said}", facts.reconnects);
        check.wrong("nats", sentence, "see nats-server's log for why it closes the connection named streamspace");
    }
    for item in facts.stuck {
        let what =
            if item.until_ms > 0 { "failed and is passed over for a while" } else { "failed and is tried again" };
        let sentence = format!("{what} ({} times so far): {}", item.tries, item.why);
        let way_out = "nothing waits for it; the engine's log has the whole error. What cannot be stored stays so until it is changed, or \
                       a version that can is run";
        check.wrong(item.about, sentence, way_out);
    }
    for message in facts.redelivered.into_iter().filter(|message| message.delivered >= DELIVERIES) {
        let Redelivered { consumer, sequence, subject, delivered } = message;
        let sentence = format!("message {sequence} on {subject} was delivered {delivered} times and is not done with");
        let way_out =
            format!("`nats stream get {consumer} {sequence}` shows it; the engine's log says what is done with it");
        check.warn(format!("stream:{consumer}/{sequence}"), sentence, way_out);
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_cut_connection_and_what_comes_again_are_named_with_their_cause() {
        let well = Facts { reconnects: USUAL, said: None, redelivered: Vec::new(), stuck: Vec::new() };
        assert_eq!(judge(well).verdict(), Verdict::Ok);
        let (consumer, subject) = ("SS_REPORTS".to_owned(), "streamspace.session.status".to_owned());
        let message = Redelivered { consumer, sequence: 17, subject, delivered: 9 };
        let said = Some("maximum control line exceeded".to_owned());
        let check = judge(Facts { reconnects: 4, said, redelivered: vec![message], stuck: Vec::new() });
        assert_eq!((check.verdict(), check.total), (Verdict::Wrong, 2));
        assert!(check.sentence().contains("maximum control line exceeded"), "{}", check.sentence());
        assert!(check.findings[1].about.ends_with("SS_REPORTS/17"));
    }
}
