//! Builds and parses every NATS subject of the contract.
//!
//! `streamspace.<domain>.<action>[.<platform>[.<controller_id>]]`: five tokens are the durable lane, four the
//! core lane, three the contract's bare subjects.

use sha2::{Digest, Sha256};

use crate::ids::{ControllerId, Platform, User};

/// The shared subject of heartbeats, which name their sender only in the payload (core NATS, no stream).
pub const HEARTBEAT: &str = "streamspace.controller.heartbeat";
/// Heartbeats on subjects that name their sender (core NATS, no stream).
pub const OWN_HEARTBEATS: &str = "streamspace.controller.heartbeat.*.*";
/// Prefix of parked messages; the original subject follows.
pub const DEAD_LETTER_PREFIX: &str = "streamspace.dlq.";
/// The longest subject that we publish on, in bytes. Those of the contract are far shorter. nats-server reads
/// lines of at most 4,096 bytes (`max_control_line`), and cuts the connection after a longer one; a line
/// contains the subject, the reply subject and two numbers.
pub const LONGEST: usize = 1_024;
/// Prefix of the token that replaces the rest of a subject that is too long or invalid to be parked under; a
/// digest follows.
pub const CUT: &str = "cut-";
/// Requests of clients over NATS (core NATS, no stream).
pub const INTAKE: &str = "streamspace.intake.>";

/// The longest token, in bytes, that is kept of a subject that is cut.
const LONGEST_KEPT: usize = 64;

/// A command from the engine to controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the contract's
pub enum Verb {
    SessionCreate,
    SessionDelete,
    SessionHibernate,
    SessionWake,
    AppInstall,
    AppUninstall,
    TemplateDelete,
    NodeCordon,
    NodeUncordon,
    NodeDrain,
}

impl Verb {
    /// All verbs, in the order of the contract.
    pub const ALL: [Self; 10] = [
        Self::SessionCreate,
        Self::SessionDelete,
        Self::SessionHibernate,
        Self::SessionWake,
        Self::AppInstall,
        Self::AppUninstall,
        Self::TemplateDelete,
        Self::NodeCordon,
        Self::NodeUncordon,
        Self::NodeDrain,
    ];

    /// `<domain>.<action>` as in the contract.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionCreate => "session.create",
            Self::SessionDelete => "session.delete",
            Self::SessionHibernate => "session.hibernate",
            Self::SessionWake => "session.wake",
            Self::AppInstall => "app.install",
            Self::AppUninstall => "app.uninstall",
            Self::TemplateDelete => "template.delete",
            Self::NodeCordon => "node.cordon",
            Self::NodeUncordon => "node.uncordon",
            Self::NodeDrain => "node.drain",
        }
    }

    /// Looks up the verb of a `<domain>.<action>`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }
}

/// A message from controllers to the engine through a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the contract's
pub enum Report {
    SessionStatus,
    AppStatus,
    NodeStatus,
    TemplateCreate,
    /// One page of a controller's inventory, its answer to `controller.sync`.
    ControllerWorld,
}

impl Report {
    /// All reports, in the order of the contract.
    pub const ALL: [Self; 5] =
        [Self::SessionStatus, Self::AppStatus, Self::NodeStatus, Self::TemplateCreate, Self::ControllerWorld];

    /// `<domain>.<action>` as in the contract.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionStatus => "session.status",
            Self::AppStatus => "app.status",
            Self::NodeStatus => "node.status",
            Self::TemplateCreate => "template.create",
            Self::ControllerWorld => "controller.world",
        }
    }

    /// Looks up the report of a `<domain>.<action>`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|report| report.name() == name)
    }
}

/// A command in the durable lane: `streamspace.session.create.docker.host-1`.
#[must_use]
pub fn command(verb: Verb, platform: &Platform, controller: &ControllerId) -> String {
    format!("streamspace.{}.{platform}.{controller}", verb.name())
}

/// A command in the core lane: `streamspace.session.create.docker`, in no stream.
#[must_use]
pub fn core_command(verb: Verb, platform: &Platform) -> String {
    format!("streamspace.{}.{platform}", verb.name())
}

/// A report in the durable lane: `streamspace.session.status.docker.host-1`.
#[must_use]
pub fn report(report: Report, platform: &Platform, controller: &ControllerId) -> String {
    format!("streamspace.{}.{platform}.{controller}", report.name())
}

/// A report of a core-lane controller: `streamspace.session.status`.
#[must_use]
pub fn bare_report(report: Report) -> String {
    format!("streamspace.{}", report.name())
}

/// The heartbeat of one controller, on a subject that permissions can restrict:
/// `streamspace.controller.heartbeat.docker.host-1`.
#[must_use]
pub fn heartbeat(platform: &Platform, controller: &ControllerId) -> String {
    format!("{HEARTBEAT}.{platform}.{controller}")
}

/// Parses the subject of a heartbeat; the inner `None` is the shared subject, without a sender.
#[must_use]
pub fn parse_heartbeat(subject: &str) -> Option<Option<(Platform, ControllerId)>> {
    let rest = subject.strip_prefix(HEARTBEAT)?;
    if rest.is_empty() {
        return Some(None);
    }
    let (platform, controller) = rest.strip_prefix('.')?.split_once('.')?;
    Some(Some((Platform::try_new(platform).ok()?, ControllerId::try_new(controller).ok()?)))
}

/// The engine's request for one controller's inventory (core NATS, no stream).
#[must_use]
pub fn sync(platform: &Platform, controller: &ControllerId) -> String {
    format!("streamspace.controller.sync.{platform}.{controller}")
}

/// A question to one controller through the engine (core NATS request-reply, no stream).
#[must_use]
pub fn question(platform: &Platform, controller: &ControllerId) -> String {
    format!("streamspace.controller.ask.{platform}.{controller}")
}

/// A user's request: `streamspace.intake.ada.session.create`.
#[must_use]
pub fn intake(user: &User, operation: &str) -> String {
    format!("streamspace.intake.{user}.{operation}")
}

/// Parses a request's subject into the user and the `<domain>.<action>`.
#[must_use]
pub fn parse_intake(subject: &str) -> Option<(User, &str)> {
    let (user, operation) = subject.strip_prefix("streamspace.intake.")?.split_once('.')?;
    let user = User::try_new(user).ok()?;
    (operation.matches('.').count() == 1).then_some((user, operation))
}

/// A subject without its recipient: its first three tokens, such as `streamspace.session.create`.
#[must_use]
pub fn family(subject: &str) -> &str {
    subject.match_indices('.').nth(2).map_or(subject, |(end, _)| &subject[..end])
}

/// The family without its prefix: `session.create`.
#[must_use]
pub fn action(subject: &str) -> &str {
    family(subject).split_once('.').map_or("", |(_, rest)| rest)
}

/// The subject for parking a message: the whole original subject, or, if that is too long or invalid, its
/// beginning and a digest of the whole, `streamspace.dlq.streamspace.session.status.cut-0f3a...`. It always
/// fits.
#[must_use]
pub fn dead_letter(original: &str) -> String {
    let whole = format!("{DEAD_LETTER_PREFIX}{original}");
    if whole.len() <= LONGEST && original.split('.').all(is_token) {
        return whole;
    }
    let mut cut = DEAD_LETTER_PREFIX.to_owned();
    for token in original.split('.').take(3).take_while(|token| is_token(token) && token.len() <= LONGEST_KEPT) {
        cut.push_str(token);
        cut.push('.');
    }
    cut.push_str(CUT);
    cut.extend(Sha256::digest(original).iter().take(8).map(|byte| format!("{byte:02x}")));
    cut
}

/// Whether a token can be published on: no wildcard, no separator, no line break.
fn is_token(token: &str) -> bool {
    !token.is_empty() && token != "*" && token != ">" && !token.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The durable pull consumer of one controller on the command stream.
#[must_use]
pub fn consumer_name(platform: &Platform, controller: &ControllerId) -> String {
    format!("{platform}_{controller}")
}

/// The filter of that consumer.
#[must_use]
pub fn consumer_filter(platform: &Platform, controller: &ControllerId) -> String {
    format!("streamspace.*.*.{platform}.{controller}")
}

/// The subjects of the command stream: each verb in the durable lane.
#[must_use]
pub fn command_stream_subjects() -> Vec<String> {
    Verb::ALL.iter().map(|verb| format!("streamspace.{}.*.*", verb.name())).collect()
}

/// The subjects of the report stream: each report, bare and in the durable lane.
#[must_use]
pub fn report_stream_subjects() -> Vec<String> {
    Report::ALL
        .iter()
        .flat_map(|report| [format!("streamspace.{}", report.name()), format!("streamspace.{}.*.*", report.name())])
        .collect()
}

/// The sender of a report, from its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// The durable lane: the subject names the controller, so that permissions can be set on it.
    Durable(Platform, ControllerId),
    /// A bare subject: a core-lane controller.
    Core,
}

/// Parses a report's subject; `None` if it is not one of the contract's.
#[must_use]
pub fn parse_report(subject: &str) -> Option<(Report, Sender)> {
    let (name, rest) = named(subject)?;
    let report = Report::from_name(name)?;
    let Some(rest) = rest else { return Some((report, Sender::Core)) };
    let (platform, controller) = rest.split_once('.')?;
    Some((report, Sender::Durable(Platform::try_new(platform).ok()?, ControllerId::try_new(controller).ok()?)))
}

/// Whether a subject is a command's, in either lane or bare: subscribers there carry it out.
#[must_use]
pub fn is_command(subject: &str) -> bool {
    named(subject).is_some_and(|(name, _)| Verb::from_name(name).is_some())
}

/// Parses a command's subject in the durable lane.
#[must_use]
pub fn parse_command(subject: &str) -> Option<(Verb, Platform, ControllerId)> {
    let (name, rest) = named(subject)?;
    let verb = Verb::from_name(name)?;
    let (platform, controller) = rest?.split_once('.')?;
    Some((verb, Platform::try_new(platform).ok()?, ControllerId::try_new(controller).ok()?))
}

/// The `<domain>.<action>` of a subject, and the rest.
fn named(subject: &str) -> Option<(&str, Option<&str>)> {
    let said = subject.strip_prefix("streamspace.")?;
    let end = said.match_indices('.').nth(1).map(|(end, _)| end);
    Some(end.map_or((said, None), |end| (&said[..end], Some(&said[end + 1..]))))
}
