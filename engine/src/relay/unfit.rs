//! What happens to a command that can never be sent: it fails with its reason, and no other waits for it.

use machine::session::FailedAttempt;
use streams::wire::{Failure, Scope};

use super::{Pending, Relay, Sent};
use crate::writer::{Commanded, Ended, LostAttempt};

/// Times that a command is tried which fails for an unknown reason while others are taken.
const UNSURE: u32 = 10;

impl Relay {
    /// What fails while others are taken is tried a bounded number of times.
    pub(super) fn weed_out(&self, sent: &mut Sent) {
        if sent.marks.is_empty() {
            return; // nothing in particular is to blame
        }
        for (row, why) in std::mem::take(&mut sent.unsure) {
            let about = format!("command:{}", row.event_id);
            if self.parts.stuck.failed(&about, &why) >= UNSURE {
                self.parts.stuck.done(|| about);
                sent.left.retain(|left| *left != row.event_id);
                sent.unfit.push((row, why));
            }
        }
    }

    /// Ends commands that can never be sent, with the reason; the others do not wait for them.
    pub(super) async fn end_unfit(&self, unfit: Vec<(Pending, String)>) {
        for (row, why) in unfit {
            let about = format!("command:{}", row.event_id);
            let Some(of) = Commanded::of(&row.entity) else { continue };
            let message = format!("the command cannot be sent: {why}");
            let scope = Some(Scope::Session);
            let error = Failure { code: "unsendable".into(), message, retryable: false, user_error: true, scope };
            let failed = FailedAttempt { command: Some(row.event_id), attempt: Some(row.attempt), error };
            let lost = LostAttempt { of, failed, by: None };
            match self.parts.writer.enqueue(lost, row.traceparent.clone()).await {
                Ok(Ended::Overtaken) => tracing::debug!(about, "it was overtaken"),
                Ok(Ended::Failed) => {
                    tracing::error!(event.id = %row.event_id, entity = row.entity, why, "a command can never be sent, and has failed")
                }
                Err(error) => _ = self.parts.stuck.failed(&about, error), // its claim passes, and it is tried again
            }
        }
    }
}
