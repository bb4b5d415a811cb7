//! Homes as people leave them. The thread of each test has no capabilities, so that being root does not help.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, fs::symlink, net::UnixListener},
    path::Path,
    process::Command,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, mkdirat, mknodat, openat},
    thread::{CapabilitySet, CapabilitySets, set_capabilities},
};
use streams::wire::Scope;

use super::all;

fn without_capabilities(work: impl FnOnce(&Path) + Send + 'static) {
    let tested = std::thread::spawn(move || {
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
        let outer = tempfile::tempdir().unwrap();
        work(outer.path());
    });
    tested.join().unwrap();
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn write(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "x").unwrap();
}

#[test]
fn folders_that_cannot_be_written_are_removed() {
    without_capabilities(|outer| {
        let home = outer.join("home");
        for (folder, bits) in [("go/pkg/mod", 0o555), ("secret", 0o000), ("blind", 0o300), ("listed", 0o400)] {
            write(&home.join(folder).join("inside/file"));
            mode(&home.join(folder).join("inside/file"), 0o000);
            mode(&home.join(folder).join("inside"), bits);
            mode(&home.join(folder), bits);
        }
        mode(&home, 0o555);
        all(&home).unwrap();
        assert!(!home.exists());
        all(&home).unwrap();
        all(&outer.join("never/was")).unwrap();
    });
}

#[test]
fn a_home_in_a_folder_that_cannot_be_written_is_removed() {
    without_capabilities(|outer| {
        write(&outer.join("session/home/file"));
        mode(&outer.join("session"), 0o555);
        all(&outer.join("session/home")).unwrap();
        write(&outer.join("session/home/file"));
        mode(&outer.join("session"), 0o000);
        all(&outer.join("session/home")).unwrap();
        mode(&outer.join("session"), 0o700);
        assert!(!outer.join("session/home").exists());
    });
}

#[test]
fn links_are_removed_and_never_followed() {
    without_capabilities(|outer| {
        write(&outer.join("other/precious"));
        mode(&outer.join("other"), 0o500);
        let home = outer.join("home");
        write(&home.join("folder/file"));
        symlink(outer.join("other"), home.join("folder/link")).unwrap();
        symlink("..", home.join("up")).unwrap();
        symlink("loop", home.join("loop")).unwrap();
        fs::hard_link(outer.join("other/precious"), home.join("hard")).unwrap();
        mode(&home.join("folder"), 0o555);
        all(&home).unwrap();
        symlink(outer.join("other"), &home).unwrap();
        all(&home).unwrap();
        assert!(fs::symlink_metadata(&home).is_err(), "a home that is a link itself");
        assert_eq!(fs::read_to_string(outer.join("other/precious")).unwrap(), "x");
        assert_eq!(fs::metadata(outer.join("other")).unwrap().permissions().mode() & 0o777, 0o500);
        mode(&outer.join("other"), 0o700);
    });
}

#[test]
fn whatever_kind_and_name_an_entry_has_it_is_removed() {
    without_capabilities(|outer| {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let home = outer.join("home");
        fs::create_dir(&home).unwrap();
        for name in [b"\xff\xfe\x80".as_slice(), b"a\nb", b" ", b"-rf", &[b'n'; 255]] {
            write(&home.join(OsStr::from_bytes(name)).join(OsStr::from_bytes(name)));
        }
        let _listens = UnixListener::bind(home.join("socket")).unwrap();
        mknodat(CWD, home.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let _open = fs::File::create(home.join("open")).unwrap();
        fs::copy("/bin/sleep", home.join("busy")).unwrap();
        mode(&home.join("busy"), 0o755);
        let mut busy = Command::new(home.join("busy")).arg("30").current_dir(&home).spawn().unwrap();
        let removed = all(&home);
        busy.kill().unwrap();
        busy.wait().unwrap();
        removed.unwrap();
        assert!(!home.exists());
    });
}

#[test]
fn a_tree_deeper_than_any_path_is_removed() {
    without_capabilities(|outer| {
        let home = outer.join("home");
        fs::create_dir(&home).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut folder = openat(CWD, &home, flags, Mode::empty()).unwrap();
        for _ in 0..3_000 {
            mkdirat(&folder, "deep-folder", Mode::RWXU).unwrap();
            folder = openat(&folder, "deep-folder", flags, Mode::empty()).unwrap();
        }
        all(&home).unwrap();
        assert!(!home.exists());
    });
}

#[test]
fn many_files_are_removed() {
    without_capabilities(|outer| {
        let home = outer.join("home");
        (0..5_000).for_each(|i| write(&home.join(format!("{}/{i}", i % 3))));
        all(&home).unwrap();
        assert!(!home.exists());
    });
}

/// The part that runs in a mount namespace of its own, where this is the folder.
const INNER: &str = "STREAMSPACE_TEST_REMOVE";

#[test]
fn another_file_system_is_left_alone_and_is_the_sessions_failure_with_its_path() {
    if let Some(home) = std::env::var_os(INNER) {
        let failure = all(Path::new(&home)).unwrap_err();
        assert_eq!(failure.scope, Some(Scope::Session));
        assert!(failure.retryable && failure.message.contains("home/folder/mount"), "{failure:?}");
        return;
    }
    let outer = tempfile::tempdir().unwrap();
    let home = outer.path().join("home");
    write(&outer.path().join("other/precious"));
    write(&home.join("folder/mount/below"));
    write(&home.join("folder/file"));
    let isolated = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-ec", script]).arg(std::env::current_exe().unwrap());
        command.args([outer.path().join("other"), home.join("folder/mount")]).env(INNER, &home);
        command.output().unwrap()
    };
    if !isolated("true").status.success() {
        return; // this machine gives nobody a namespace
    }
    let name = "remove::tests::another_file_system_is_left_alone_and_is_the_sessions_failure_with_its_path";
    let out = isolated(&format!("mount --bind \"$1\" \"$2\"; exec \"$0\" --exact {name}"));
    assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("1 passed"), "{out:?}");
    assert_eq!(fs::read_to_string(outer.path().join("other/precious")).unwrap(), "x");
    assert!(!home.join("folder/file").exists(), "what can be removed is");
    all(&home).unwrap();
}
