//! What a session's user wrote is there as long as it was promised.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use controllers::{
    Driver,
    driver::{Desired, Goal, Spec},
};
use uuid::Uuid;

use crate::local::{delete, run};
use crate::world::{World, desired, server, with};

fn scratch() -> Spec {
    Spec { persistent_home: false, ..server() }
}

fn of(user: &str, id: Uuid, spec: Spec) -> Desired {
    Desired { user_id: user.into(), ..desired(id, Goal::Running, 1, Some(spec)) }
}

#[tokio::test]
async fn a_scratch_home_outlives_hibernation_and_goes_with_its_session() {
    let (world, id) = (World::new(), Uuid::new_v4());
    let driver = world.open();
    let url = run(&driver, id, scratch()).await.unwrap().url;
    let note = world.home(id).join("note");
    fs::write(&note, "x").unwrap();
    driver.ensure(&desired(id, Goal::Hibernated, 2, None)).await.unwrap();
    let awake = driver.ensure(&desired(id, Goal::Running, 3, Some(scratch()))).await.unwrap();
    assert_eq!(awake.url, url);
    assert_eq!(fs::read_to_string(&note).unwrap(), "x");
    delete(&driver, id).await;
    assert!(!note.exists());
}

#[tokio::test]
async fn a_persistent_home_is_the_users_and_outlives_its_session() {
    let (world, one, two, other) = (World::new(), Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    let driver = world.open();
    driver.ensure(&of("ann", one, server())).await.unwrap();
    let home = world.home(one);
    fs::write(home.join("note"), "x").unwrap();
    delete(&driver, one).await;
    driver.ensure(&of("bob", other, server())).await.unwrap();
    assert!(!world.home(other).join("note").exists());
    driver.ensure(&of("ann", two, server())).await.unwrap();
    assert_eq!(fs::read_to_string(world.home(two).join("note")).unwrap(), "x");
    assert!(!home.to_string_lossy().contains("ann"), "{}", home.display());
    for id in [two, other] {
        delete(&driver, id).await;
    }
}

#[tokio::test]
async fn a_home_in_use_is_refused_with_the_reason_unless_the_templates_share_it() {
    let (world, one, two) = (World::new(), Uuid::new_v4(), Uuid::new_v4());
    let driver = world.open();
    run(&driver, one, server()).await.unwrap();
    let refused = run(&driver, two, server()).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable, refused.user_error), ("home_in_use", false, true));
    assert!(refused.message.contains(&one.to_string()), "{}", refused.message);
    driver.ensure(&desired(one, Goal::Hibernated, 2, None)).await.unwrap();
    run(&driver, two, server()).await.unwrap();
    let refused = driver.ensure(&desired(one, Goal::Running, 3, Some(server()))).await.unwrap_err();
    assert_eq!(refused.code, "home_in_use");
    for id in [one, two] {
        delete(&driver, id).await;
    }

    let shared = || with(server(), r#"{"home": {"shared": true}}"#);
    for id in [one, two] {
        run(&driver, id, shared()).await.unwrap();
    }
    assert_eq!(world.home(one), world.home(two));
    drop(driver);
    let driver = world.open();
    assert_eq!(run(&driver, Uuid::new_v4(), server()).await.unwrap_err().code, "home_in_use");
    for id in [one, two] {
        delete(&driver, id).await;
    }
}

#[tokio::test]
async fn a_home_of_a_version_before_stays_where_it_is_and_becomes_the_users() {
    let (world, id, next) = (World::new(), Uuid::new_v4(), Uuid::new_v4());
    let old = world.session_folder(id).join("home");
    fs::create_dir_all(&old).unwrap();
    fs::write(old.join("note"), "x").unwrap();
    let driver = world.open();
    run(&driver, id, server()).await.unwrap();
    assert_eq!(world.home(id), fs::canonicalize(&old).unwrap());
    delete(&driver, id).await;
    run(&driver, next, server()).await.unwrap();
    assert_eq!(fs::read_to_string(world.home(next).join("note")).unwrap(), "x");
    delete(&driver, next).await;
}

/// Everything below a folder that somebody else may look into, without what sessions made.
fn open_to_others(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode();
        if mode & 0o077 != 0 && !entry.file_type().unwrap().is_symlink() {
            found.push(format!("{} {mode:o}", entry.path().display()));
        }
        if entry.file_type().unwrap().is_dir() {
            open_to_others(&entry.path(), found);
        }
    }
}

#[tokio::test]
async fn nobody_else_may_look_into_what_the_driver_keeps() {
    let (world, id) = (World::new(), Uuid::new_v4());
    fs::set_permissions(world.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let driver = world.open();
    run(&driver, id, scratch()).await.unwrap();
    let mut found = Vec::new();
    open_to_others(world.folder.path(), &mut found);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(fs::metadata(world.folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
    delete(&driver, id).await;
}

#[tokio::test]
async fn homes_are_listed_with_their_users_and_deleted_only_where_no_session_has_them() {
    let (world, id, other) = (World::new(), Uuid::new_v4(), Uuid::new_v4());
    let driver = world.open();
    driver.ensure(&of("ann", id, server())).await.unwrap();
    fs::write(world.home(id).join("note"), "12345").unwrap();
    std::os::unix::fs::symlink("/", world.home(id).join("link")).unwrap();
    fs::create_dir(world.home(id).join("read-only")).unwrap();
    fs::write(world.home(id).join("read-only/note"), "").unwrap();
    fs::set_permissions(world.home(id).join("read-only"), fs::Permissions::from_mode(0o555)).unwrap();
    driver.ensure(&of("bob", other, server())).await.unwrap();
    assert_eq!(driver.homes(None).await.unwrap().len(), 2);
    let homes = driver.homes(Some("ann")).await.unwrap();
    let [home] = homes.as_slice() else { panic!("{homes:?}") };
    assert_eq!((home.user_id.as_deref(), home.sessions.as_slice()), (Some("ann"), [id].as_slice()));
    assert!(home.bytes.is_some_and(|bytes| (5..100_000).contains(&bytes)), "{home:?}");
    assert_eq!(driver.delete_home(&home.name).await.unwrap_err().code, "home_in_use");
    driver.ensure(&desired(id, Goal::Hibernated, 2, None)).await.unwrap();
    assert_eq!(driver.delete_home(&home.name).await.unwrap_err().code, "home_in_use");
    delete(&driver, id).await;
    driver.delete_home(&home.name).await.unwrap();
    assert!(driver.homes(Some("ann")).await.unwrap().is_empty());
    let long = "a".repeat(5_000);
    for name in [home.name.as_str(), "", ".", "..", "../sessions", "/etc", "a/../..", "\0", "*", &long] {
        assert_eq!(driver.delete_home(name).await.unwrap_err().code, "not_found", "{name}");
    }
    assert!(world.folder.path().join("sessions").exists());
    delete(&driver, other).await;
}
