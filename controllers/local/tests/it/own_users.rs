//! Sessions as users of the machine. All of it needs root.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use controllers::{
    Driver,
    driver::{Desired, Goal, Spec},
};
use uuid::Uuid;

use crate::local::{delete, run};
use crate::world::{World, desired, program, root, until};

/// It tries to read what is not its own, and says in its home how that went.
fn prying(paths: &[&std::path::Path]) -> Spec {
    let paths = serde_json::to_string(paths).unwrap();
    let code = format!(
        "import http.server, json, os\n\
         def tried(path):\n    \
             try: return str(os.listdir(path) if os.path.isdir(path) else open(path).read())\n    \
             except OSError as e: return type(e).__name__\n\
         found = {{path: tried(path) for path in {paths}}}\n\
         found['home'] = os.environ['HOME']; found['uid'] = os.getuid(); found['groups'] = os.getgroups()\n\
         json.dump(found, open(os.environ['HOME'] + '/found.new', 'w')); os.rename('found.new', 'found')\n\
         http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()"
    );
    program(&code, "{ path: /, timeout: 20s }")
}

fn uid(pid: i32) -> u32 {
    fs::metadata(format!("/proc/{pid}")).unwrap().uid()
}

#[tokio::test]
async fn a_session_is_its_user_and_sees_nothing_of_the_controllers() {
    if !root("a uid of one's own") {
        return;
    }
    // as `dev` has it: the state folder is in the folder that also holds the secrets
    let data = tempfile::tempdir().unwrap(); // outlives the world, which ends by its folder what a panic leaves running
    let (mut world, ann, bob) = (World::new(), Uuid::new_v4(), Uuid::new_v4());
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let secret = data.path().join("endpoints.json");
    fs::write(&secret, "secret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    world.folder = tempfile::tempdir_in(data.path()).unwrap();
    let driver = world.open();
    let of = |user: &str, id, spec| Desired { user_id: user.into(), ..desired(id, Goal::Running, 1, Some(spec)) };
    driver.ensure(&of("bob", bob, prying(&[]))).await.unwrap();
    let bobs = world.home(bob);
    let world_id = world.folder.path().join("world_id");
    driver.ensure(&of("ann", ann, prying(&[&secret, &world_id, &bobs, world.folder.path()]))).await.unwrap();

    let home = world.home(ann);
    until("it has looked around", || home.join("found").exists()).await;
    let found: serde_json::Value = serde_json::from_slice(&fs::read(home.join("found")).unwrap()).unwrap();
    for hidden in [&secret, &world_id, &bobs] {
        let tried = found[hidden.to_str().unwrap()].as_str().unwrap();
        assert!(tried == "FileNotFoundError" || tried == "PermissionError", "{}: {tried}", hidden.display());
    }
    assert_eq!(found["home"], home.to_str().unwrap());
    assert_eq!(found["groups"], serde_json::json!([]));
    let (anns_uid, bobs_uid) = (uid(world.pid(ann)), uid(world.pid(bob)));
    assert!(anns_uid != 0 && bobs_uid != 0 && anns_uid != bobs_uid);
    assert_eq!(fs::metadata(home.join("found")).unwrap().mode() & 0o777, 0o600);
    for id in [ann, bob] {
        delete(&driver, id).await;
    }
}

#[tokio::test]
async fn a_user_has_one_uid_over_sessions_and_controllers_and_a_bound_on_processes() {
    if !root("a uid of one's own") {
        return;
    }
    let (world, one, two) = (World::new(), Uuid::new_v4(), Uuid::new_v4());
    let driver = world.open();
    run(&driver, one, prying(&[])).await.unwrap();
    let first = uid(world.pid(one));
    let limits = fs::read_to_string(format!("/proc/{}/limits", world.pid(one))).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max processes")).unwrap();
    assert!(line.contains("1024"), "{line}");
    delete(&driver, one).await;
    drop(driver);
    let driver = world.open();
    run(&driver, two, prying(&[])).await.unwrap();
    assert_eq!(uid(world.pid(two)), first);
    delete(&driver, two).await;
}

#[tokio::test]
async fn a_home_that_was_roots_is_given_to_its_user() {
    if !root("a uid of one's own") {
        return;
    }
    let (world, id) = (World::new(), Uuid::new_v4());
    let old = world.session_folder(id).join("home");
    fs::create_dir_all(old.join("deep")).unwrap();
    fs::write(old.join("deep/note"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", old.join("link")).unwrap();
    let driver = world.open();
    run(&driver, id, prying(&[&old.join("deep/note")])).await.unwrap();
    let uid = uid(world.pid(id));
    assert_eq!(fs::metadata(old.join("deep/note")).unwrap().uid(), uid);
    assert_eq!(fs::metadata("/etc/passwd").unwrap().uid(), 0);
    delete(&driver, id).await;
}

#[tokio::test]
async fn what_the_controller_was_started_with_open_is_not_open_in_a_session() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let path = world.folder.path().join("inherited");
    let file = File::create(&path).unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap(); // as a shell leaves it
    let driver = world.open();
    run(&driver, id, prying(&[])).await.unwrap();
    let open = fs::read_dir(format!("/proc/{}/fd", world.pid(id))).unwrap().flatten();
    let open = open.filter_map(|entry| fs::read_link(entry.path()).ok()).collect::<Vec<_>>();
    assert!(!open.contains(&fs::canonicalize(&path).unwrap()), "{open:?}");
    delete(&driver, id).await;
}
