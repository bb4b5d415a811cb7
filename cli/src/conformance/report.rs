//! What came of an examination, on the screen and in a file.

use std::path::Path;

use conformance::{Account, Level, Promise};
use serde_json::{Value, json};

use crate::failure::{Failure, Kind};
use crate::files;
use crate::output::{Column, Screen, line, printable};

/// The list of promises.
pub(super) fn promises(screen: &Screen) -> Result<(), Failure> {
    let from_outside = Promise::ALL.iter().filter(|promise| promise.level() != Level::Driver);
    let rows = from_outside.map(|promise| json!({ "name": promise.name(), "promise": promise.text() }));
    let columns = [Column::field("NAME", "name"), Column::field("PROMISE", "promise")];
    screen.list(&columns, &rows.collect::<Vec<_>>(), "there are no promises")
}

/// The accounts, for people or for programs.
pub(super) fn print(screen: &Screen, accounts: &[Account]) -> Result<(), Failure> {
    let values = accounts.iter().map(value).collect::<Vec<_>>();
    if screen.machine(&Value::Array(values))? {
        return Ok(());
    }
    for account in accounts {
        // what a controller wrote is in there
        account.text().lines().for_each(|text| line(printable(text)));
        line("");
    }
    Ok(())
}

fn value(account: &Account) -> Value {
    let lines = account.lines.iter().map(|one| {
        json!({ "name": one.promise.name(), "promise": one.promise.text(), "outcome": one.outcome.word().to_lowercase(),
            "why": one.outcome.why(), "seconds": one.took.as_secs_f64() })
    });
    json!({ "about": account.about, "kept": account.is_kept(), "seconds": account.took.as_secs_f64(),
        "promises": lines.collect::<Vec<_>>() })
}

/// Writes JUnit XML, a suite for each lane.
pub(super) fn junit(file: &Path, accounts: &[Account]) -> Result<(), Failure> {
    let suites = accounts.iter().map(Account::junit_suite).collect::<String>();
    let xml = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n{suites}</testsuites>\n");
    let what = format!("--junit {}", file.display());
    files::replace(file, xml.as_bytes()).map_err(|error| Failure::because(Kind::Usage, &what, &error))
}
