//! Runs other programs and says which failed.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};

/// A cargo command, by the cargo that runs us.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Runs a command to its end.
pub(crate) fn run(mut command: impl AsMutCommand) -> Result<()> {
    let command = command.as_mut_command();
    println!("$ {}", shown(command));
    let status = command.status().with_context(|| cannot_start(command))?;
    ended(command, status)
}

/// Runs a command to its end and prints only those lines of its output that are of a table.
pub(crate) fn run_for_table(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| cannot_start(command))?;
    let output = child.stdout.take().context("its output is piped")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if line.starts_with('|') {
            println!("{line}");
        }
    }
    ended(command, child.wait()?)
}

fn cannot_start(command: &Command) -> String {
    format!("{} cannot be started", shown(command))
}

fn ended(command: &Command, status: ExitStatus) -> Result<()> {
    ensure!(status.success(), "{} failed: {status}", shown(command));
    Ok(())
}

/// A command, or one that builder methods returned.
pub(crate) trait AsMutCommand {
    fn as_mut_command(&mut self) -> &mut Command;
}

impl AsMutCommand for Command {
    fn as_mut_command(&mut self) -> &mut Command {
        self
    }
}

impl AsMutCommand for &mut Command {
    fn as_mut_command(&mut self) -> &mut Command {
        self
    }
}

fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
