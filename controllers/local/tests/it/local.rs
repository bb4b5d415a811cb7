//! The local driver: real processes, killed and adopted.

use std::{fs, net::TcpStream, time::Duration};

use controllers::{
    Driver,
    driver::{Goal, Observed, Spec},
};
use driver_local::{Config, Error, Local};
use streams::wire::{Failure, Resources, Scope, SessionState};
use tokio::time::timeout;
use uuid::Uuid;

use crate::world::{World, alive, desired, kill, processes, program, server, spec, template, until};

pub(crate) async fn run(driver: &Local, id: Uuid, spec: Spec) -> Result<Observed, Failure> {
    driver.ensure(&desired(id, Goal::Running, 1, Some(spec))).await
}

pub(crate) async fn delete(driver: &Local, id: Uuid) {
    driver.ensure(&desired(id, Goal::Deleted, i64::MAX, None)).await.unwrap();
}

#[tokio::test]
async fn a_new_controller_adopts_the_same_process() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    run(&driver, id, server()).await.unwrap();
    let pid = world.pid(id);
    drop(driver);
    let driver = world.open();
    assert!(alive(pid));
    assert_eq!(driver.observe(id).await.unwrap().unwrap().state, SessionState::Running);
    run(&driver, id, server()).await.unwrap();
    assert_eq!(world.pid(id), pid);
    delete(&driver, id).await;
    assert!(!alive(pid));
}

#[tokio::test]
async fn the_end_of_an_adopted_process_is_noticed() {
    let (world, id) = (World::new(), Uuid::new_v4());
    run(&world.open(), id, server()).await.unwrap();
    let driver = world.open();
    kill(world.pid(id));
    assert_eq!(timeout(Duration::from_secs(10), driver.changed()).await.unwrap(), id);
    let failure = driver.observe(id).await.unwrap().unwrap().failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.retryable), ("process_exited", true));
    assert_eq!(failure.scope, Some(Scope::Session));
}

#[tokio::test]
async fn a_process_that_ended_while_nobody_watched_is_reported_and_can_be_started_again() {
    let (world, id) = (World::new(), Uuid::new_v4());
    run(&world.open(), id, server()).await.unwrap();
    let pid = world.pid(id);
    kill(pid);
    until("the process is gone", || !alive(pid)).await;
    let driver = world.open();
    assert_eq!(timeout(Duration::from_secs(10), driver.changed()).await.unwrap(), id);
    assert_eq!(driver.list().await.unwrap()[0].state, SessionState::Failed);
    assert_eq!(run(&driver, id, server()).await.unwrap().state, SessionState::Running);
    delete(&driver, id).await;
}

#[tokio::test]
async fn a_process_that_its_world_does_not_know_is_ended() {
    let (world, id) = (World::new(), Uuid::new_v4());
    run(&world.open(), id, server()).await.unwrap();
    let pid = world.pid(id);
    fs::remove_dir_all(world.session_folder(id)).unwrap();
    let driver = world.open();
    until("the stray is gone", || !alive(pid)).await;
    assert!(driver.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_process_of_another_world_is_left_alone() {
    let (one, other, id) = (World::new(), World::new(), Uuid::new_v4());
    let driver = one.open();
    run(&driver, id, server()).await.unwrap();
    drop(other.open());
    assert!(alive(one.pid(id)));
    delete(&driver, id).await;
}

#[tokio::test]
async fn a_deletion_that_was_cut_short_is_finished_at_the_next_start() {
    let (world, id) = (World::new(), Uuid::new_v4());
    run(&world.open(), id, server()).await.unwrap();
    let mut state = world.state(id);
    state["phase"] = "deleting".into();
    fs::write(world.session_folder(id).join("state.json"), state.to_string()).unwrap();
    let driver = world.open();
    assert!(driver.list().await.unwrap().is_empty());
    assert!(!world.session_folder(id).exists());
    until("its process is gone", || processes(&id.to_string()).is_empty()).await;
}

#[tokio::test]
async fn two_controllers_never_share_a_state_folder() {
    let world = World::new();
    let _first = world.open();
    assert!(matches!(Local::open(world.config()), Err(Error::InUse(_))));
}

#[tokio::test]
async fn the_memory_limit_is_on_the_process() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    run(&driver, id, server()).await.unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", world.pid(id))).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max address space")).unwrap();
    assert!(line.contains("2147483648"), "{line}");
    assert!(limits.lines().any(|line| line.starts_with("Max core file size        0")), "{limits}");
    delete(&driver, id).await;
}

#[tokio::test]
async fn a_process_sees_its_own_environment_and_nothing_of_the_controllers() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    let mut spec = server();
    let (name, value) = ("discovery.type".to_owned(), "single-node".to_owned());
    spec.template.as_mut().unwrap().spec.env.push(streams::wire::EnvVar { name, value });
    run(&driver, id, spec).await.unwrap();
    let environ = String::from_utf8(fs::read(format!("/proc/{}/environ", world.pid(id))).unwrap()).unwrap();
    let mut names = environ.split('\0').filter_map(|e| Some(e.split_once('=')?.0)).collect::<Vec<_>>();
    names.sort_unstable();
    let expected = [
        "GREETING",
        "HOME",
        "LANG",
        "PATH",
        "PORT",
        "STREAMSPACE_SESSION_ID",
        "STREAMSPACE_USER_ID",
        "STREAMSPACE_WORLD_ID",
        "discovery.type", // a shell between the controller and the program would drop it
    ];
    assert_eq!(names, expected);
    delete(&driver, id).await;
}

#[tokio::test]
async fn a_readiness_failure_tells_why() {
    let (world, driver_world) = (World::new(), World::new());
    let driver = driver_world.open();
    let code = "import sys; print('no display found'); sys.exit(3)";
    let failure = run(&driver, Uuid::new_v4(), program(code, "{ timeout: 20s }")).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable, failure.user_error), ("process_exited", true, true));
    assert_eq!(failure.scope, Some(Scope::Session));
    assert!(failure.message.contains("code 3") && failure.message.contains("no display found"), "{}", failure.message);

    let driver = world.open();
    let code = "import time; print('still thinking', flush=True); time.sleep(600)";
    let id = Uuid::new_v4();
    let failure = run(&driver, id, program(code, "{ timeout: 1s }")).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable, failure.user_error), ("not_ready", true, false));
    assert_eq!(failure.scope, Some(Scope::Session));
    assert!(failure.message.contains("still thinking"), "{}", failure.message);
    assert!(processes(&id.to_string()).is_empty());
}

#[tokio::test]
async fn what_only_the_template_can_mend_is_said_at_once_and_leaves_nothing() {
    let world = World::new();
    let driver = world.open();
    let mut no_block = template(&["true"], None);
    no_block.spec.local = None;
    let bad_memory = Spec { resources: Resources { memory: Some("lots".into()), cpu: None }, ..server() };
    let cases = [
        (spec(no_block), "template_not_for_local", "spec.local"),
        (Spec { template: None, ..server() }, "template_not_for_local", "manifest"),
        (spec(template(&["no-such-program"], None)), "program_not_found", "no-such-program"),
        (spec(template(&["/no/such/program"], None)), "program_not_found", "/no/such/program"),
        (bad_memory, "bad_resources", "lots"),
    ];
    for (spec, code, word) in cases {
        let failure = run(&driver, Uuid::new_v4(), spec).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable, failure.user_error), (code, false, true));
        let about = if code == "bad_resources" { Scope::Session } else { Scope::Template };
        assert_eq!(failure.scope, Some(about), "{failure:?}");
        assert!(failure.message.contains(word), "{}", failure.message);
    }
    assert!(driver.list().await.unwrap().is_empty());
    assert_eq!(fs::read_dir(world.folder.path().join("sessions")).unwrap().count(), 0);
}

#[tokio::test]
async fn children_outside_of_the_group_end_with_their_session() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    let code = "import os, subprocess, sys\n\
        subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n\
        os.execv(sys.executable, [sys.executable, '-m', 'http.server', os.environ['PORT'], '--bind', '127.0.0.1'])";
    run(&driver, id, program(code, "{ path: /, timeout: 20s }")).await.unwrap();
    assert_eq!(processes(&id.to_string()).len(), 2);
    delete(&driver, id).await;
    until("both are gone", || processes(&id.to_string()).is_empty()).await;
}

#[tokio::test]
async fn a_process_that_ignores_the_polite_signal_is_ended_anyway() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = Local::open(Config { grace: Duration::from_millis(200), ..world.config() }).unwrap();
    let code = "import os, signal, runpy, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
        sys.argv = ['http.server', os.environ['PORT'], '--bind', '127.0.0.1']; runpy.run_module('http.server', run_name='__main__')";
    run(&driver, id, program(code, "{ path: /, timeout: 20s }")).await.unwrap();
    let pid = world.pid(id);
    let asleep = driver.ensure(&desired(id, Goal::Hibernated, 2, None)).await.unwrap();
    assert_eq!(asleep.state, SessionState::Hibernated);
    assert!(!alive(pid));
    delete(&driver, id).await;
}

#[tokio::test]
async fn connections_are_reported_when_they_change() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    let code = "import os, socket, time; s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n\
        held = []\n\
        while True: held.append(s.accept()[0])";
    run(&driver, id, program(code, "{ timeout: 20s }")).await.unwrap();
    let port = world.state(id)["port"].as_u64().unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port.try_into().unwrap()));
    let open = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
    let count = async |expected: u32| {
        while driver.observe(id).await.unwrap().unwrap().connections != Some(expected) {
            assert_eq!(timeout(Duration::from_secs(10), driver.changed()).await.expect("a change"), id);
        }
    };
    count(2).await;
    drop(open);
    delete(&driver, id).await;
}

#[tokio::test]
async fn usage_is_told_and_told_again_while_it_counts_as_use() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let usage_interval = Duration::from_millis(200);
    let driver = Local::open(Config { usage_interval, ..world.config() }).unwrap();
    let code = "import os, socket, subprocess, sys\n\
        s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n\
        subprocess.run([sys.executable, '-c', 'while True: pass'])";
    run(&driver, id, program(code, "{ timeout: 20s }")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(timeout(Duration::from_secs(20), driver.changed()).await.expect("a change"), id);
    }
    let usage = driver.observe(id).await.unwrap().unwrap().resource_usage.expect("usage");
    let cpu = streams::quantity::millicores(usage.cpu.as_deref().unwrap()).unwrap();
    assert!((50..=2_000).contains(&cpu), "{usage:?}");
    assert!(streams::quantity::bytes(usage.memory.as_deref().unwrap()).unwrap() > 1 << 20, "{usage:?}");
    delete(&driver, id).await;
}
