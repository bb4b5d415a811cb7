//! What a session writes to its standard output and error: kept in files with a bound, by a process of its own.
//!
//! It lives as long as one of the session's processes can still write, and no longer; a controller that dies or is replaced
//! changes nothing. A disk that is full costs lines, never the session: they are counted, and that is said once there is room.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write, stdin},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    process::ExitCode,
};

/// The log of the present run, and what was written before it, in the session's folder.
pub(in super::super) const CURRENT: &str = "output.log";
pub(in super::super) const BEFORE: &str = "output.log.1";
/// Bytes of one file, unless the driver says otherwise. There are two of them for a session.
pub(in super::super) const FILE_MAX: u64 = 4 << 20;
const AT_ONCE: usize = 64 << 10;

/// Copies standard input to the log in the working folder, until there is nobody left to write.
pub(super) fn run(file_max: Option<u64>) -> ExitCode {
    let mut log = Log { file: None, max: file_max.unwrap_or(FILE_MAX), lost: 0 };
    let (mut input, mut buffer) = (stdin().lock(), vec![0; AT_ONCE]);
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return ExitCode::SUCCESS,
            Ok(length) => log.take(buffer.get(..length).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return ExitCode::FAILURE,
        }
    }
}

struct Log {
    file: Option<(File, u64)>,
    max: u64,
    lost: u64,
}

impl Log {
    fn take(&mut self, bytes: &[u8]) {
        let lost = self.lost;
        let noted = if lost == 0 { Ok(()) } else { self.write(format!("\n[{lost} bytes lost]\n").as_bytes()) };
        if noted.is_ok() {
            self.lost -= lost;
        }
        if noted.and_then(|()| self.write(bytes)).is_err() {
            self.lost += bytes.len() as u64;
            self.file = None; // opened again next time: the disk may have room, or the file may be another
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut file, size) = match self.file.take() {
            Some((file, size)) if size < self.max => (file, size),
            Some((file, _)) => (turn(&file)?, 0),
            None => open()?,
        };
        file.write_all(bytes)?;
        self.file = Some((file, size + bytes.len() as u64));
        Ok(())
    }
}

fn open() -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(CURRENT)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// Puts a full file aside. Where the name belongs to another file by now, a new run has its own log there, and what is left of this
/// one ends in its old file.
fn turn(full: &File) -> io::Result<File> {
    if fs::metadata(CURRENT).is_ok_and(|now| full.metadata().is_ok_and(|ours| ours.ino() == now.ino())) {
        fs::rename(CURRENT, BEFORE)?;
        return open().map(|(file, _)| file);
    }
    full.set_len(0)?;
    full.try_clone()
}

/// Puts the log of the run before aside and begins a new one.
pub(in super::super) fn begin(folder: &Path) -> io::Result<()> {
    match fs::rename(folder.join(CURRENT), folder.join(BEFORE)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(folder.join(CURRENT)).map(drop)
}
