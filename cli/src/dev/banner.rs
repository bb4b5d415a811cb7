//! The start message of `streamspace dev`: address, token, and commands to try.

use std::path::Path;

use super::folder::Endpoints;
use crate::output;

/// Prints the message.
pub(super) fn show(endpoints: &Endpoints, login_code: &str, folder: &Path, default_folder: bool) {
    let me = std::env::args().next().unwrap_or_else(|| "streamspace".into());
    let at = if default_folder { String::new() } else { format!(" --data-dir {}", folder.display()) };
    let (http, token) = (&endpoints.http, &endpoints.admin_token);
    // sessions are on 127.0.0.1 and cookies ignore ports, so the UI is on another host
    let ui = http.replace("//127.0.0.1:", "//localhost:").replace("//[::1]:", "//localhost:");
    output::line(format!(
        "
  StreamSpace is running.

    web    {ui}/#login={login_code}   (logs in once, within five minutes)
    API    {http}/api/v1   (reference: {http}/docs)
    token  {token}
    data   {}

  Try, in another terminal:

    {me} session create scratchpad --wait{at}
    {me} session list{at}
    {me} controller list{at}

  Ctrl-C stops it; sessions and their state are kept.
",
        folder.display()
    ));
}
