//! What sessions use, measured from time to time: processor and memory by the engine's figures, connections by the kernel's
//! tables of the container's network, where the engine is on this machine.

use std::{fs, sync::Arc, time::Instant};

use bollard::{models::ContainerStatsResponse, query_parameters::StatsOptionsBuilder};
use futures::StreamExt as _;
use streams::wire::Resources;

use super::{Host, look::Found, plan, session::Session};

/// Containers that are measured at the same time.
const AT_ONCE: usize = 4;

/// One look at the time that a container had on processors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    at: Instant,
    nanoseconds: u64,
}

impl Host {
    /// Looks at every session that runs, again and again.
    pub(crate) async fn follow_usage(self: Arc<Self>) {
        while self.closed.run_until_cancelled(tokio::time::sleep(self.config.usage_interval)).await.is_some() {
            let mut running = self.sessions().values().cloned().collect::<Vec<_>>();
            running.retain(|session| session.now().ready.is_some());
            let looks = futures::stream::iter(running);
            looks.for_each_concurrent(AT_ONCE, |session| self.measure(session)).await;
        }
    }

    /// Measures one, and tells where that is worth a report.
    async fn measure(&self, session: Arc<Session>) {
        let Ok(Some(container)) = self.container(session.id).await else { return };
        let found = Found { container: Some(container), marks: Vec::new() };
        if session.now().ready != found.run() {
            return;
        }
        let name = self.names.container(session.id);
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let stats = std::pin::pin!(self.api.stats(&name, Some(options))).next().await;
        let Some(Ok(stats)) = stats else { return };
        let connections = self.connections(&found);
        let spec = found.spec().unwrap_or_default();
        let mut now = session.now();
        let usage = usage(&stats, &mut now.sample);
        let percent = spec.template.as_ref().and_then(|template| template.spec.use_cpu_percent);
        let counts = usage.as_ref().is_some_and(|usage| streams::usage::is_use(usage, &spec.resources, percent));
        let matters = counts || connections != now.connections || now.usage.is_none() && usage.is_some();
        if matters {
            (now.usage, now.connections) = (usage.or_else(|| now.usage.clone()), connections);
            drop(now);
            self.tell(session.id);
        }
    }

    /// Open connections to the main port; `None` where the container's network cannot be looked into.
    fn connections(&self, found: &Found) -> Option<u32> {
        let port = plan::main_port(&*found.spec()?)?;
        let pid = found.container.as_ref()?.state.as_ref()?.pid.filter(|pid| *pid > 0 && self.address.is_local())?;
        let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")));
        let tables = tables.into_iter().collect::<Result<Vec<_>, _>>().ok()?;
        Some(tables.iter().map(|table| established(table, port)).sum())
    }
}

/// Lines of a table of the kernel that are open connections to a port.
fn established(table: &str, port: u16) -> u32 {
    let end = format!(":{port:04X}");
    let open = |line: &&str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, _, state) = (fields.next(), fields.next(), fields.next());
        local.is_some_and(|local| local.ends_with(&end)) && state == Some("01")
    };
    table.lines().skip(1).filter(open).count() as u32
}

fn usage(stats: &ContainerStatsResponse, before: &mut Option<Sample>) -> Option<Resources> {
    let nanoseconds = stats.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage?;
    let sample = Sample { at: Instant::now(), nanoseconds };
    let last = before.replace(sample)?;
    let passed = sample.at.duration_since(last.at).as_nanos().max(1);
    let millicores = u128::from(nanoseconds.saturating_sub(last.nanoseconds)) * 1000 / passed;
    let memory = stats.memory_stats.as_ref();
    let cache = memory
        .and_then(|memory| memory.stats.as_ref())
        .and_then(|all| all.get("total_inactive_file").or_else(|| all.get("inactive_file")).copied());
    let memory = memory.and_then(|memory| memory.usage).map(|all| all.saturating_sub(cache.unwrap_or(0)));
    Some(Resources { cpu: Some(format!("{millicores}m")), memory: memory.map(|bytes| format!("{}Mi", bytes >> 20)) })
}

#[cfg(test)]
mod tests {
    use super::established;

    #[test]
    fn open_connections_to_the_port_are_counted_and_others_are_not() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
             0: 00000000:1F90 00000000:0000 0A 0\n\
             1: 020011AC:1F90 010011AC:C350 01 0\n\
             2: 020011AC:1F90 010011AC:C351 06 0\n\
             3: 020011AC:C352 010011AC:1F90 01 0\n";
        assert_eq!(established(table, 8080), 1);
    }
}
