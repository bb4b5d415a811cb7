//! What a session writes is kept, within a bound, with a controller or without one.

use std::{fs, time::Duration};

use controllers::{Driver, driver::Goal};
use driver_local::{Config, Local};
use uuid::Uuid;

use crate::local::{delete, run};
use crate::world::{World, desired, program, server, until};

const SERVE: &str = "http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), \
                     http.server.SimpleHTTPRequestHandler).serve_forever()";

#[tokio::test]
async fn a_gigabyte_that_was_written_while_no_controller_was_there_takes_no_more_room_than_the_log_may() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    let code = format!(
        "import http.server, os, threading, time\n\
         def write():\n    \
             while not os.path.exists('go'): time.sleep(0.01)\n    \
             line = b'x' * 99 + b'\\n'\n    \
             for _ in range(1000): os.write(1, b''.join([line] * 10000))\n    \
             os.write(1, b'the last line\\n'); open('done', 'w').close()\n\
         threading.Thread(target=write, daemon=True).start()\n{SERVE}"
    );
    run(&driver, id, program(&code, "{ timeout: 20s }")).await.unwrap();
    let (home, folder) = (world.home(id), world.session_folder(id));
    drop(driver);
    fs::write(home.join("go"), "").unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let size = || ["output.log", "output.log.1"].map(|name| fs::metadata(folder.join(name)).map_or(0, |m| m.len()));
    let mut most = 0;
    while !home.join("done").exists() {
        most = most.max(size().iter().sum::<u64>());
        assert!(tokio::time::Instant::now() < deadline, "it could not write");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let driver = world.open();
    let log = || fs::read(folder.join("output.log")).unwrap_or_default();
    until("the last line is there", || log().ends_with(b"the last line\n")).await;
    assert!(most <= 2 * ((4 << 20) + (64 << 10)), "{most}");
    assert!(size().iter().sum::<u64>() > 100, "{:?}", size());
    delete(&driver, id).await;
}

#[tokio::test]
async fn a_session_that_floods_its_log_stays_within_the_bound_and_keeps_running() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = Local::open(Config { log_bytes: 10_000, ..world.config() }).unwrap();
    let code = format!("import http.server, os\nfor n in range(20000): print('line', n, flush=n % 100 == 0)\n{SERVE}");
    run(&driver, id, program(&code, "{ timeout: 20s }")).await.unwrap();
    let folder = world.session_folder(id);
    let log = || fs::read_to_string(folder.join("output.log")).unwrap_or_default();
    let both = || format!("{}{}", fs::read_to_string(folder.join("output.log.1")).unwrap_or_default(), log());
    until("the last line is there", || both().contains("line 19900")).await;
    assert!(both().len() < 2 * (10_000 + (64 << 10)), "{}", both().len());
    delete(&driver, id).await;
}

#[tokio::test]
async fn the_log_of_the_run_before_is_kept_beside_the_present_one() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    let code = format!("import http.server, os; print('first of all', os.getpid(), flush=True); {SERVE}");
    run(&driver, id, program(&code, "{ timeout: 20s }")).await.unwrap();
    let first = world.pid(id);
    driver.ensure(&desired(id, Goal::Hibernated, 2, None)).await.unwrap();
    driver.ensure(&desired(id, Goal::Running, 3, Some(server()))).await.unwrap();
    let before = fs::read_to_string(world.session_folder(id).join("output.log.1")).unwrap();
    assert!(before.contains(&format!("first of all {first}")), "{before}");
    delete(&driver, id).await;
}

#[tokio::test]
async fn the_end_of_a_log_is_told_over_both_of_its_files() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    let code = format!("import http.server, os; print('one\\ntwo', flush=True)\n{SERVE}");
    run(&driver, id, program(&code, "{ timeout: 20s }")).await.unwrap();
    fs::write(world.session_folder(id).join("output.log.1"), "zero\n").unwrap();
    let log = driver.log(id, 1000).await.unwrap();
    assert_eq!((log.text.as_str(), log.kept_bytes), ("zero\none\ntwo\n", 13));
    assert_eq!(driver.log(id, 6).await.unwrap().text, "e\ntwo\n");
    assert_eq!(driver.log(id, 0).await.unwrap().text, "");
    assert_eq!(driver.log(Uuid::new_v4(), 6).await.unwrap_err().code, "not_found");
    let (secret, log) = (world.folder.path().join("secret"), world.session_folder(id).join("output.log.1"));
    fs::write(&secret, "hidden").unwrap();
    fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink(&secret, &log).unwrap();
    assert_eq!(driver.log(id, 1000).await.unwrap_err().code, "state_folder", "a link is not followed");
    delete(&driver, id).await;
}
