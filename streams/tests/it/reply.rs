//! What a requester cannot have a process of ours publish.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use streams::reply::{self, Error};
use streams::subject::LONGEST;
use streams::testing::nats;
use tokio::time::timeout;

#[tokio::test]
async fn a_reply_goes_to_an_inbox_and_to_no_subject_of_the_contract() {
    let nats = nats().await;
    let client = nats.link().await.unwrap().client;
    let mut everything = client.subscribe(">").await.unwrap();
    let inbox = client.new_inbox();
    for subject in ["streamspace.session.create.noop", "streamspace", "$JS.API.STREAM.DELETE.SS_COMMANDS", "$JS.ACK.a"]
    {
        let sent = reply::send(&client, subject.into(), None, Bytes::from_static(b"{}")).await;
        assert!(matches!(sent, Err(Error::NotAnInbox(_))), "{subject}: {sent:?}");
    }
    let long = format!("_INBOX.{}", "a".repeat(LONGEST));
    let sent = reply::send(&client, long.into(), None, Bytes::from_static(b"{}")).await;
    assert!(matches!(sent, Err(Error::TooLong(_))), "{sent:?}");
    for subject in [inbox.as_str(), "streamspaces.inbox"] {
        reply::send(&client, subject.into(), None, Bytes::from_static(b"yes")).await.unwrap();
        let first = timeout(Duration::from_secs(10), everything.next()).await.unwrap().unwrap();
        assert_eq!((first.subject.as_str(), first.payload.as_ref()), (subject, b"yes".as_slice()));
    }
}
