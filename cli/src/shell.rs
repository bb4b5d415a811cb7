//! Shell completions and man pages, generated from the arguments so that they cannot differ.

use std::path::PathBuf;

use clap_complete::Shell;

use crate::failure::{Failure, Kind};
use crate::output;

const COMPLETIONS: &str = "\
Examples:
  streamspace completions bash > ~/.local/share/bash-completion/completions/streamspace
  streamspace completions zsh > \"${fpath[1]}/_streamspace\"
  streamspace completions fish > ~/.config/fish/completions/streamspace.fish";

const MAN: &str = "\
Examples:
  streamspace man | man -l -
  streamspace man --dir ~/.local/share/man/man1";

/// Arguments of `streamspace completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS)]
pub(crate) struct Completions {
    /// Shell to generate completions for
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::command(), "streamspace", &mut script);
        output::raw(&script);
        Ok(())
    }
}

/// Arguments of `streamspace man`.
#[derive(Debug, clap::Args)]
#[command(after_help = MAN)]
pub(crate) struct Man {
    /// Write a page for each command into this folder instead of printing one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let Some(dir) = &self.dir else {
            let mut page = Vec::new();
            clap_mangen::Man::new(crate::command()).render(&mut page)?;
            output::raw(&page);
            return Ok(());
        };
        let written = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(crate::command(), dir));
        written.map_err(|e| {
            Failure::because(Kind::Usage, &dir.display().to_string(), &e).hint("choose a writable folder with --dir")
        })
    }
}
