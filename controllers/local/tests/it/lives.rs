//! How the process of a session is stopped, watched and started again, and whose server it is that answers.

use std::{fs, net::TcpListener, time::Duration};

use controllers::{
    Driver,
    driver::{Goal, Observed},
};
use driver_local::{Config, Local, OwnUsers};
use streams::wire::SessionState;
use tokio::time::timeout;
use uuid::Uuid;

use crate::local::{delete, run};
use crate::world::{PYTHON, World, alive, desired, kill, processes, program, server, spec, template, until, with};

/// A server on its port, with a thread that does `more`.
fn serving(more: &str) -> String {
    format!(
        "import http.server, os, signal, subprocess, sys, threading, time\n\
         class Handler(http.server.BaseHTTPRequestHandler):\n    \
             def log_message(self, *_): pass\n    \
             def do_GET(self):\n        \
                 self.send_response(500 if os.path.exists('sick') else 200); self.end_headers()\n\
         {more}\n\
         http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()"
    )
}

/// Waits until the session was seen as `so`.
async fn seen(driver: &Local, id: Uuid, what: &str, so: impl Fn(&Observed) -> bool) -> Observed {
    let looking = async {
        loop {
            let observed = driver.observe(id).await.unwrap().unwrap();
            if so(&observed) {
                return observed;
            }
            let _ = timeout(Duration::from_millis(50), driver.changed()).await; // looks again either way
        }
    };
    match timeout(Duration::from_secs(20), looking).await {
        Ok(observed) => observed,
        Err(_) => panic!("never {what}: {:?}", driver.observe(id).await),
    }
}

#[tokio::test]
async fn a_wrapped_program_has_the_templates_grace_to_save() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = Local::open(Config { grace: Duration::from_millis(100), ..world.config() }).unwrap();
    let save = "def save(*_):\n    time.sleep(0.7); open('saved', 'w').write('all'); os._exit(0)\n\
                signal.signal(signal.SIGTERM, save)";
    // the shell ends at once when it is asked to; what it wraps does not
    let wrapper = ["/bin/sh", "-c", "\"$0\" -c \"$1\" & wait", PYTHON.as_str(), &serving(save)];
    let spec = with(spec(template(&wrapper, Some("{ path: /, timeout: 20s }"))), r#"{"stop": {"grace": "20s"}}"#);
    run(&driver, id, spec).await.unwrap();
    driver.ensure(&desired(id, Goal::Hibernated, 2, None)).await.unwrap();
    assert_eq!(fs::read_to_string(world.home(id).join("saved")).unwrap(), "all");
    assert!(processes(&id.to_string()).is_empty());
    delete(&driver, id).await;
}

#[tokio::test]
async fn a_wrapped_program_has_time_to_save_also_when_its_wrapper_ends_by_itself() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    let save = "def save(*_):\n    time.sleep(0.5); open('saved', 'w').write('all'); os._exit(0)\n\
                signal.signal(signal.SIGTERM, save)";
    let wrapper = ["/bin/sh", "-c", "\"$0\" -c \"$1\" & wait", PYTHON.as_str(), &serving(save)];
    let spec = with(spec(template(&wrapper, Some("{ path: /, timeout: 20s }"))), r#"{"stop": {"grace": "20s"}}"#);
    run(&driver, id, spec).await.unwrap();
    kill(world.pid(id));
    seen(&driver, id, "failed", |observed| observed.state == SessionState::Failed).await;
    assert_eq!(fs::read_to_string(world.home(id).join("saved")).unwrap(), "all");
    delete(&driver, id).await;
}

#[tokio::test]
async fn a_program_is_started_again_within_its_bound_and_that_is_said() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    run(&driver, id, with(server(), r#"{"restart": {"policy": "on-failure", "max": 1}}"#)).await.unwrap();
    let first = world.pid(id);
    kill(first);
    let said = |observed: &Observed| observed.message.as_deref().is_some_and(|m| m.contains("started again, 1 of 1"));
    let observed = seen(&driver, id, "started again", said).await;
    assert_eq!((observed.state, observed.generation), (SessionState::Running, 1));
    let runs = |observed: &Observed| observed.phase.as_deref() == Some("Running");
    seen(&driver, id, "ready again", runs).await;
    let second = world.pid(id);
    assert!(alive(second) && first != second);
    kill(second);
    let observed = seen(&driver, id, "given up", |observed| observed.state == SessionState::Failed).await;
    let failure = observed.failure.unwrap();
    assert!(failure.message.contains("after 1 restarts"), "{}", failure.message);
    delete(&driver, id).await;
}

#[tokio::test]
async fn a_delete_does_not_wait_for_a_program_that_is_started_again() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    let first_only = "flag = os.path.exists('second'); open('second', 'w').close()\nif flag: time.sleep(600)";
    let spec = with(program(&serving(first_only), "{ timeout: 60s }"), r#"{"restart": {"policy": "always"}}"#);
    run(&driver, id, spec).await.unwrap();
    let first = world.pid(id);
    kill(first);
    until("it is started again", || {
        world.state(id)["process"]["pid"].as_i64().is_some_and(|pid| pid != i64::from(first))
    })
    .await;
    timeout(Duration::from_secs(10), delete(&driver, id)).await.expect("a delete within seconds");
    assert!(processes(&id.to_string()).is_empty());
}

#[tokio::test]
async fn a_program_that_fails_its_liveness_checks_is_ended_and_reported() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    let liveness = r#"{"liveness": {"path": "/", "interval": "1s", "failures": 2}}"#;
    run(&driver, id, with(program(&serving(""), "{ timeout: 20s }"), liveness)).await.unwrap();
    fs::write(world.home(id).join("sick"), "").unwrap();
    let observed = seen(&driver, id, "failed", |observed| observed.state == SessionState::Failed).await;
    let failure = observed.failure.unwrap();
    assert!(failure.message.contains("failed 2 liveness checks: GET / answered"), "{}", failure.message);
    assert!(processes(&id.to_string()).is_empty());
    delete(&driver, id).await;
}

#[tokio::test]
async fn the_health_check_of_a_web_application_decides_when_it_is_ready() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    let mut spec = program(&serving("open('sick', 'w').close()"), "{ timeout: 1s }");
    let webapp = serde_json::json!({"enabled": true, "healthCheck": "/"});
    spec.template.as_mut().unwrap().spec.webapp = Some(serde_json::from_value(webapp).unwrap());
    let failure = run(&driver, id, spec).await.unwrap_err();
    assert!(failure.code == "not_ready" && failure.message.contains("GET / answered"), "{failure:?}");
    delete(&driver, id).await;
}

#[tokio::test]
async fn somebody_elses_server_on_the_port_is_not_the_session() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    let spec = program("import time; time.sleep(600)", "{ timeout: 20s }");
    let starts = desired(id, Goal::Running, 1, Some(spec));
    let (started, _stranger) = tokio::join!(driver.ensure(&starts), async {
        until("a port", || world.session_folder(id).join("state.json").exists()).await;
        let port = world.state(id)["port"].as_u64().unwrap();
        TcpListener::bind(("127.0.0.1", port.try_into().unwrap())).unwrap()
    });
    let failure = started.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("port_taken", true));
    assert_eq!(driver.observe(id).await.unwrap().unwrap().url, None);
    delete(&driver, id).await;
}

#[tokio::test]
async fn a_state_that_cannot_be_read_ends_nothing() {
    let (world, id) = (World::new(), Uuid::new_v4());
    run(&world.open(), id, server()).await.unwrap();
    let (pid, state) = (world.pid(id), world.session_folder(id).join("state.json"));
    for damage in ["{\"session_id\":", ""] {
        fs::write(&state, damage).unwrap();
        let driver = world.open();
        assert!(alive(pid));
        let listed = driver.list().await.unwrap();
        assert_eq!((listed.len(), listed[0].state, listed[0].session_id), (1, SessionState::Running, id));
    }
    let driver = world.open();
    let again = driver.ensure(&desired(id, Goal::Running, 4, Some(server()))).await.unwrap();
    assert_eq!((again.state, again.generation, world.pid(id)), (SessionState::Running, 4, pid));
    delete(&driver, id).await;
    assert!(!alive(pid));
}

#[tokio::test]
async fn a_session_with_too_many_processes_is_ended_with_the_reason() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let (processes_max, processes_interval) = (10, Duration::from_millis(100));
    let own_users = OwnUsers::Never;
    let driver = Local::open(Config { processes_max, processes_interval, own_users, ..world.config() }).unwrap();
    let more = "for _ in range(15): subprocess.Popen(['/bin/sleep', '600'], start_new_session=True)";
    let started = run(&driver, id, program(&serving(more), "{ timeout: 20s }")).await;
    drop(started); // it is ended while it starts, or after
    let observed = seen(&driver, id, "failed", |observed| observed.state == SessionState::Failed).await;
    let failure = observed.failure.unwrap();
    assert!(failure.message.contains("may have 10") || failure.code == "process_exited", "{failure:?}");
    assert!(processes(&id.to_string()).is_empty());
    delete(&driver, id).await;
}

#[tokio::test]
async fn a_build_of_short_processes_counts_as_use() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = Local::open(Config { usage_interval: Duration::from_secs(1), ..world.config() }).unwrap();
    let build = "def build():\n    while True: subprocess.run(['/bin/sh', '-c', 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'])\n\
                 threading.Thread(target=build, daemon=True).start()";
    run(&driver, id, program(&serving(build), "{ timeout: 20s }")).await.unwrap();
    let busy = |observed: &Observed| {
        let cpu = observed.resource_usage.as_ref().and_then(|usage| usage.cpu.as_deref());
        cpu.is_some_and(|cpu| streams::quantity::millicores(cpu).is_ok_and(|cpu| cpu >= 100))
    };
    seen(&driver, id, "busy", busy).await;
    delete(&driver, id).await;
}

#[tokio::test]
async fn short_connections_are_counted_and_the_drivers_own_are_not() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = Local::open(Config { connections_interval: Duration::from_millis(400), ..world.config() }).unwrap();
    let liveness = r#"{"liveness": {"path": "/", "interval": "1s"}}"#;
    run(&driver, id, with(program(&serving(""), "{ timeout: 20s }"), liveness)).await.unwrap();
    let port = world.state(id)["port"].as_u64().unwrap().try_into().unwrap();
    assert!(timeout(Duration::from_secs(3), driver.changed()).await.is_err(), "checks are no use");
    for _ in 0..2 {
        // as curl does: open, ask, read to the end, close
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        std::io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").unwrap();
        std::io::Read::read_to_end(&mut stream, &mut Vec::new()).unwrap();
        drop(stream);
        seen(&driver, id, "used", |observed| observed.connections.is_some_and(|count| count > 0)).await;
        seen(&driver, id, "left", |observed| observed.connections == Some(0)).await;
    }
    delete(&driver, id).await;
}
