//! What people see: the binary in a pseudo-terminal, read through a terminal emulator.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context, ensure};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::dev::Dev;
use crate::program::{program, until};

const ROWS: u16 = 30;

/// The raw output and the screen.
struct Seen {
    bytes: Vec<u8>,
    screen: vt100::Parser,
}

/// A terminal that runs the binary.
struct Terminal {
    seen: Arc<Mutex<Seen>>,
    /// Ends when the program does.
    reader: JoinHandle<()>,
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    // Kept open, because closing it hangs up the program.
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    fn open(dev: &Dev, columns: u16, environment: &[(&str, &str)], arguments: &[&str]) -> anyhow::Result<Self> {
        let size = PtySize { rows: ROWS, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size)?;
        let plain = program(dev.folder.path(), arguments);
        let mut command = CommandBuilder::new(plain.get_program());
        command.args(plain.get_args());
        command.cwd(dev.folder.path());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            }
        }
        command.env("TERM", "xterm-256color");
        environment.iter().for_each(|(name, value)| command.env(name, value));
        let child = pair.slave.spawn_command(command)?;
        let seen = Arc::new(Mutex::new(Seen { bytes: Vec::new(), screen: vt100::Parser::new(ROWS, columns, 0) }));
        let (shared, mut reader) = (seen.clone(), pair.master.try_clone_reader()?);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut chunk) {
                let mut seen = shared.lock().unwrap();
                seen.bytes.extend_from_slice(&chunk[..n]);
                seen.screen.process(&chunk[..n]);
            }
        });
        let keyboard = pair.master.take_writer()?;
        Ok(Self { seen, reader, child, keyboard, _master: pair.master })
    }

    /// The lines on the screen.
    fn lines(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let columns = seen.screen.screen().size().1;
        seen.screen.screen().rows(0, columns).map(|line| line.trim_end().to_owned()).filter(|l| !l.is_empty()).collect()
    }

    fn shows(&self, text: &str) -> bool {
        self.lines().iter().any(|line| line.contains(text))
    }

    /// Everything that was written so far.
    fn written(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().bytes).into_owned()
    }

    /// Whether any line wrapped.
    fn wrapped(&self) -> bool {
        let seen = self.seen.lock().unwrap();
        (0..ROWS).any(|row| seen.screen.screen().row_wrapped(row))
    }

    /// The colour of the first occurrence of a text.
    fn colour(&self, text: &str) -> Option<vt100::Color> {
        let seen = self.seen.lock().unwrap();
        let screen = seen.screen.screen();
        let rows: Vec<String> = screen.rows(0, screen.size().1).collect();
        let row = rows.iter().position(|line| line.contains(text))?;
        let column = rows[row].split(text).next()?.chars().count();
        Some(screen.cell(row as u16, column as u16)?.fgcolor())
    }

    /// Waits for the end, and returns the exit code.
    fn end(&mut self) -> anyhow::Result<u32> {
        let code = self.child.wait()?.exit_code();
        until("its last words are read", || Ok(self.reader.is_finished()))?;
        Ok(code)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it has ended already
        let _ = self.child.wait();
    }
}

/// A `dev` with one running session, and the session's id.
fn running() -> anyhow::Result<(Dev, String)> {
    let mut dev = Dev::new()?;
    dev.start()?;
    dev.ask(&["session", "create", "scratchpad", "--user", "somebody-with-a-long-name", "--wait"])?;
    let id = dev.sessions()?[0]["session_id"].as_str().context("an id")?.to_owned();
    Ok((dev, id))
}

#[test]
fn a_table_fits_the_terminal_and_shows_states_in_colour() -> anyhow::Result<()> {
    let (dev, id) = running()?;
    for columns in [40, 80, 200] {
        let mut terminal = Terminal::open(&dev, columns, &[], &["session", "list"])?;
        ensure!(terminal.end()? == 0, "{:?}", terminal.lines());
        let lines = terminal.lines();
        ensure!(lines.len() == 2 && !terminal.wrapped(), "{columns}: {lines:#?}");
        ensure!(
            terminal.colour("running") == Some(vt100::Color::Idx(2)),
            "{columns}: {:?}",
            terminal.colour("running")
        );
        ensure!(lines[1].contains(&id) == (columns > 40), "{columns}: {lines:#?}");
        ensure!(lines[1].contains('…') == (columns < 200), "{columns}: {lines:#?}");
        ensure!(lines[0].contains("URL") == (columns > 40), "{columns}: {lines:#?}");
    }
    let mut plain = Terminal::open(&dev, 80, &[("NO_COLOR", "1")], &["session", "list"])?;
    ensure!(plain.end()? == 0 && plain.colour("running") == Some(vt100::Color::Default), "{:?}", plain.written());
    Ok(())
}

#[test]
fn a_wait_turns_a_spinner_and_leaves_the_answer_alone() -> anyhow::Result<()> {
    let mut dev = Dev::new()?;
    dev.start()?;
    let create = ["session", "create", "scratchpad", "--wait"];
    let mut terminal = Terminal::open(&dev, 80, &[], &create)?;
    ensure!(terminal.end()? == 0, "{:?}", terminal.lines());
    let written = terminal.written();
    ensure!(written.contains('⠁') && written.contains("session "), "no spinner in {written:?}");
    let lines = terminal.lines();
    ensure!(lines.len() == 1 && lines[0].starts_with("http://127.0.0.1:"), "{lines:#?}");
    Ok(())
}

#[test]
fn a_watch_goes_on_under_its_story_until_ctrl_c() -> anyhow::Result<()> {
    let (dev, id) = running()?;
    let mut terminal = Terminal::open(&dev, 100, &[], &["session", "watch", &id, "--follow"])?;
    until("it shows the story and a spinner", || Ok(terminal.shows("now running") && terminal.shows("running, on")))?;
    dev.ask(&["session", "hibernate", &id])?;
    until("it shows what happens", || Ok(terminal.shows("now hibernated") && terminal.shows("hibernated, on")))?;
    terminal.keyboard.write_all(b"\x03")?;
    ensure!(terminal.end()? == 130, "{:#?}", terminal.lines());
    let lines = terminal.lines();
    let last = lines.iter().rposition(|line| line.contains("stopped:")).context("it says so")?;
    ensure!(lines[last..].concat().contains(&format!("session watch {id}")), "{lines:#?}");
    ensure!(!terminal.seen.lock().unwrap().screen.screen().hide_cursor(), "the cursor is gone");
    Ok(())
}
