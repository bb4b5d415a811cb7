//! The synthetic log for measuring scans is one that an engine could have written.

use migrations::testing::TestDatabase;

#[tokio::test]
#[allow(clippy::print_stdout)] // the figure, for whoever runs it with --nocapture
async fn a_made_up_log_is_scanned_whole_on_both_databases() -> anyhow::Result<()> {
    for owned in [TestDatabase::sqlite().await?, TestDatabase::postgres().await?] {
        let scanned = bench::verify::run(&owned.database, 20_000).await?;
        anyhow::ensure!(scanned.report.events == 20_000 && scanned.report.entities == 2_000, "{scanned:?}");
        println!("{:?}: {:.0} events/s", owned.database.backend, scanned.per_second);
    }
    Ok(())
}
