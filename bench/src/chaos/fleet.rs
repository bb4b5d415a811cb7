//! Two servers, three controllers on two platforms, and a nats-server, on which a plan's faults are injected.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use migrations::connect::{self, Role};
use migrations::testing::{POSTGRES_URL, TestDatabase};
use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use streams::testing::Nats;
use streams::testing::disk::SmallDisk;
use streams::topology::{self, SS_COMMANDS};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::plan::{Action, Plan, Step};
use super::strangers::Strangers;
use crate::process::{Process, Signal, send};
use crate::stack::Stack;

/// Id and platform of each controller.
pub(super) const CONTROLLERS: [(&str, &str); 3] = [("host-1", "here"), ("host-2", "here"), ("host-3", "there")];
pub(super) const READY: Duration = Duration::from_secs(60);
/// Size of the small disk in megabytes: three streams of [`SMALL_STREAM`], and nats-server's own files.
const SMALL_DISK: u32 = 128;
/// Stream limit on the small disk; nats-server limits all streams together to three quarters of it.
const SMALL_STREAM: &str = "24Mi";
const LIMITS: [&str; 3] =
    ["STREAMSPACE_COMMANDS_MAX_BYTES", "STREAMSPACE_REPORTS_MAX_BYTES", "STREAMSPACE_DEAD_LETTERS_MAX_BYTES"];

/// All processes of a round.
pub(super) struct Fleet {
    /// Base URLs of the servers.
    pub(super) servers: Vec<String>,
    /// Database, folder and token.
    pub(super) stack: Mutex<Stack>,
    second: Mutex<Process>,
    controllers: Vec<Mutex<Process>>,
    folder: PathBuf,
    /// Foreign clients on the bus.
    pub(super) strangers: Strangers,
    /// The small disk for NATS's streams, if there is one. Dropped after the stack.
    disk: Option<SmallDisk>,
}

impl Fleet {
    /// Starts everything that a plan needs, and waits until both servers are ready and every controller is healthy.
    ///
    /// # Errors
    /// A process does not become ready.
    pub(super) async fn start(binary: &Path, plan: &Plan) -> Result<Self> {
        let disk = if plan.fills_disk() { SmallDisk::mount(SMALL_DISK)? } else { None };
        let nats = match &disk {
            Some(disk) => Nats::stored_in(disk.path().join("nats")).await?,
            None => streams::testing::nats().await,
        };
        // with strangers on the bus, new controllers have to be admitted
        let mut settings = vec![("STREAMSPACE_CONTROLLERS_ADMISSION", "operator".to_owned())];
        if disk.is_some() {
            settings.extend(LIMITS.map(|limit| (limit, SMALL_STREAM.to_owned())));
        }
        settings.extend(plan.settings.iter().cloned());
        let stack = Stack::with(TestDatabase::postgres().await?, nats, binary, &settings)?;
        let (http, second) = stack.serve_beside()?;
        let driven = |n: u64| {
            [("STREAMSPACE_DRIVER", "noop".to_owned()), ("STREAMSPACE_NOOP_DELAY_MS", (20 + 60 * n).to_string())]
        };
        let controllers =
            CONTROLLERS.iter().zip(0..).map(|((id, platform), n)| stack.controller(id, platform, &driven(n)));
        let controllers = controllers.map(|process| process.map(Mutex::new)).collect::<Result<Vec<_>>>()?;
        let servers = vec![stack.http.clone(), http];
        let folder = stack.folder.path().to_owned();
        let (stack, second) = (Mutex::new(stack), Mutex::new(second));
        let fleet = Self { servers, stack, second, controllers, folder, strangers: Strangers::default(), disk };
        fleet.ready(0).await?;
        fleet.ready(1).await?;
        let stack = fleet.stack.lock().await;
        admit(&stack).await.with_context(|| stack.logs())?;
        stack.ready(CONTROLLERS.len()).await.with_context(|| stack.logs())?;
        drop(stack);
        Ok(fleet)
    }

    /// The journal of each controller's platform.
    pub(super) fn journals(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        CONTROLLERS.iter().map(|(id, _)| (*id, self.folder.join(format!("state-{id}")).join("noop.journal")))
    }

    /// Carries out a plan, and leaves everything running.
    ///
    /// # Errors
    /// A process does not recover, or ended by itself.
    pub(super) async fn suffer(&self, plan: &Plan) -> Result<()> {
        tokio::try_join!(self.hand(&plan.above), self.hand(&plan.below), self.hand(&plan.beside))?;
        self.all_live().await
    }

    async fn hand(&self, steps: &[Step]) -> Result<()> {
        for (pause, action) in steps {
            sleep(*pause).await;
            self.act(*action).await.with_context(|| format!("{action:?}"))?;
        }
        Ok(())
    }

    async fn act(&self, action: Action) -> Result<()> {
        match action {
            Action::KillServer(which, long) => self.kill_server(which, long).await,
            Action::PauseServer(which, long) => {
                self.signal_server(which, Signal::STOP).await?;
                sleep(long).await;
                self.signal_server(which, Signal::CONT).await
            }
            Action::RollServers => {
                for which in 0..self.servers.len() {
                    self.roll(which).await?;
                }
                Ok(())
            }
            Action::CutDatabase => self.cut_database().await,
            Action::LoseDatabase(long) => self.lose_database(long).await,
            Action::KillController(which, long) => kill(&mut *self.controllers[which].lock().await, long).await,
            Action::PauseController(which, long) => {
                let process = self.controllers[which].lock().await;
                process.signal(Signal::STOP)?;
                sleep(long).await;
                process.signal(Signal::CONT)
            }
            Action::KillNats(long) => {
                self.stack.lock().await.nats.down().await?;
                sleep(long).await;
                Ok(self.stack.lock().await.nats.up().await?)
            }
            Action::PauseNats(long) => {
                let pid = self.stack.lock().await.nats.server().pid();
                send(pid, Signal::STOP)?;
                sleep(long).await;
                send(pid, Signal::CONT)
            }
            Action::LoseStore => Ok(self.stack.lock().await.nats.lose_store().await?),
            Action::BackUpStore => Ok(self.stack.lock().await.nats.back_up().await?),
            Action::RestoreStore => self.restore().await,
            Action::Crowd(long) => self.crowd(long).await,
            Action::Poison(count) => self.poison(count).await,
            Action::FillDisk(long) => self.fill_disk(long).await,
            Action::Strangers(long) => self.let_strangers_speak(long).await,
        }
    }

    async fn signal_server(&self, which: usize, signal: Signal) -> Result<()> {
        match which {
            0 => self.stack.lock().await.serve.signal(signal),
            _ => self.second.lock().await.signal(signal),
        }
    }

    async fn kill_server(&self, which: usize, long: Duration) -> Result<()> {
        if which > 0 {
            return kill(&mut *self.second.lock().await, long).await;
        }
        self.stack.lock().await.serve.kill().await?;
        sleep(long).await;
        self.stack.lock().await.serve.again()
    }

    /// A rolling restart: stop the old server, start a new one, and continue with the next only when it is ready.
    async fn roll(&self, which: usize) -> Result<()> {
        if which > 0 {
            self.second.lock().await.end().await?;
            self.second.lock().await.again()?;
        } else {
            // polled, so that the other injector can use the stack meanwhile
            self.signal_server(which, Signal::TERM).await?;
            let begun = Instant::now();
            while self.stack.lock().await.serve.ended()?.is_none() {
                ensure!(begun.elapsed() < READY, "it did not end within {READY:?} of SIGTERM");
                sleep(Duration::from_millis(20)).await;
            }
            self.stack.lock().await.serve.again()?;
        }
        self.ready(which).await
    }

    /// Waits until a server is ready. One that exited during its start, as it does without its database, is
    /// restarted, as its supervisor would do.
    async fn ready(&self, which: usize) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < READY {
            let asked = reqwest::Client::new().get(format!("{}/readyz", self.servers[which]));
            if asked.timeout(Duration::from_secs(2)).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            match which {
                0 => revive(&mut self.stack.lock().await.serve)?,
                _ => revive(&mut *self.second.lock().await)?,
            }
            sleep(Duration::from_millis(100)).await;
        }
        bail!("server {which} is not ready after {READY:?}")
    }

    async fn lose_database(&self, long: Duration) -> Result<()> {
        let database = self.stack.lock().await.database.clone();
        let asked = Statement::from_string(database.backend, "SELECT current_database()::text AS name");
        let row = database.reader.query_one_raw(asked).await?.context("a row")?;
        let name: String = row.try_get("", "name")?;
        let server = connect::open(&std::env::var(POSTGRES_URL)?, Role::Service { connections: 1 }).await?;
        let say = async |sql: String| server.writer.execute_unprepared(&sql).await;
        say(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await?;
        let cut = say(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).await;
        sleep(long).await;
        say(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await?;
        cut?;
        Ok(server.close().await?)
    }

    /// Uses up all space where NATS stores its streams, frees it after so long, and restarts NATS: a stream
    /// that failed to write once refuses everything until then, without an answer. Does nothing if small disks
    /// are excluded.
    async fn fill_disk(&self, long: Duration) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        disk.fill()?;
        sleep(long).await;
        disk.free()?;
        Ok(self.stack.lock().await.nats.restart().await?)
    }

    /// Restores the copy of the store, and waits until the streams were rebuilt.
    async fn restore(&self) -> Result<()> {
        self.stack.lock().await.nats.restore().await?;
        let link = self.stack.lock().await.nats.link().await?;
        let (begun, mut before) = (Instant::now(), None);
        while begun.elapsed() < READY {
            let states = topology::inspect(&link.jetstream).await?;
            let now = states.into_iter().flatten().find(|state| state.name == SS_COMMANDS).map(|state| state.epoch);
            before = before.or(now);
            if now.is_some() && now != before {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        bail!("no engine noticed within {READY:?} that the streams were restored to an older state")
    }

    async fn cut_database(&self) -> Result<()> {
        let database = self.stack.lock().await.database.clone();
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.reader.query_all_raw(Statement::from_string(database.backend, sql)).await?;
        Ok(())
    }

    /// Keeps logs and platform states for the investigation of a failure; returns where they are.
    pub(super) async fn keep(&self) -> String {
        let mut stack = self.stack.lock().await;
        stack.folder.disable_cleanup(true);
        format!(
            "logs and worlds are in {}, those of nats-server were in {}",
            self.folder.display(),
            stack.nats.folder().display()
        )
    }

    async fn all_live(&self) -> Result<()> {
        for (process, (id, _)) in self.controllers.iter().zip(CONTROLLERS) {
            ensure!(process.lock().await.ended()?.is_none(), "{id} ended by itself");
        }
        self.ready(0).await?;
        self.ready(1).await?;
        for (path, text) in self.logs()? {
            ensure!(!text.contains("panicked"), "{} contains a panic", path.display());
        }
        Ok(())
    }

    fn logs(&self) -> Result<Vec<(PathBuf, String)>> {
        let files = std::fs::read_dir(&self.folder)?.flatten().map(|file| file.path());
        let logs = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
        logs.map(|path| Ok((path.clone(), std::fs::read_to_string(path)?))).collect()
    }
}

/// Admits our controllers: only the first one of a platform is admitted by itself.
async fn admit(stack: &Stack) -> Result<()> {
    for (id, _) in CONTROLLERS {
        let (path, reason) = (format!("/admin/controllers/{id}/admit"), json!({ "reason": "it is ours" }));
        let begun = Instant::now();
        loop {
            match stack.request(Method::POST, &path, Some(&reason)).await? {
                (200, _) => break,
                (status, answer) => ensure!(begun.elapsed() < READY, "{id} is not admitted: {status} {answer}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

async fn kill(process: &mut Process, long: Duration) -> Result<()> {
    process.kill().await?;
    sleep(long).await;
    process.again()
}

fn revive(process: &mut Process) -> Result<()> {
    if process.ended()?.is_some() { process.again() } else { Ok(()) }
}
