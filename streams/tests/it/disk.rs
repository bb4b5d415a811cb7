//! A nats-server with a full disk: acknowledged messages are stored, others are known not to be, and after a
//! restart with free space it accepts messages again.

use streams::metrics::Metrics;
use streams::publisher::{Outgoing, Publisher};
use streams::testing::{Nats, disk::SmallDisk};
use streams::topology::{self, Limits, SS_REPORTS, Settings};

fn report(n: usize) -> Outgoing {
    Outgoing {
        subject: "streamspace.session.status".into(),
        message_id: format!("report-{n}"),
        payload: vec![b'x'; 60_000].into(),
        ..Outgoing::default()
    }
}

#[tokio::test]
async fn what_is_acknowledged_before_the_disk_is_full_is_kept_and_a_restart_with_room_goes_on()
-> Result<(), Box<dyn std::error::Error>> {
    let Some(disk) = SmallDisk::mount(64)? else { return Ok(()) };
    let mut nats = Nats::stored_in(disk.path().join("nats")).await?;
    let link = nats.link().await?;
    let small = |limits: Limits| Limits { bytes: 8 << 20, ..limits };
    let settings = Settings {
        commands: small(Limits::COMMANDS),
        reports: small(Limits::REPORTS),
        dead_letters: small(Limits::DEAD_LETTERS),
        ..Settings::default()
    };
    topology::declare(&link.jetstream, &settings, 1).await?;
    let publisher = Publisher::new(link.clone(), Metrics::default());
    let mut acknowledged = 0;
    for n in 0..20 {
        publisher.publish(report(n)).await?;
        acknowledged += 1;
    }
    disk.fill()?;
    let refused = publisher.publish(report(20)).await;
    assert!(refused.is_err(), "it was acknowledged on a full disk");
    disk.free()?;
    nats.restart().await?;
    let link = nats.link().await?;
    let mut stream = link.jetstream.get_stream(SS_REPORTS).await?;
    assert!(stream.info().await?.state.messages >= acknowledged, "an acknowledged report is gone");
    Publisher::new(link, Metrics::default()).publish(report(20)).await?;
    Ok(())
}
