//! One node of a cluster: a process, how it is started, and what it logs.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{tell, tollgate};
use crate::wait::until;

/// How a node is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    /// What the command line begins with: programs that set something up and become the node, so that signals reach it.
    pub(crate) prefix: Vec<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

/// A node that is killed when it is dropped.
pub(crate) struct Member {
    /// Host and port of its HTTP API.
    pub(crate) http: String,
    launch: Launch,
    log: PathBuf,
    child: Option<Child>,
}

impl Member {
    /// A node that is not started yet.
    pub(crate) fn new(http: String, launch: Launch, log: PathBuf) -> Self {
        Self { http, launch, log, child: None }
    }

    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("a log can be written");
        let mut command = self.command();
        command.args(&self.launch.arguments).envs(self.launch.environment.iter().cloned());
        command.stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("the binary starts"));
    }

    fn command(&self) -> Command {
        let binary = tollgate();
        let Some((first, others)) = self.launch.prefix.split_first() else { return binary };
        let mut command = Command::new(first);
        command.args(others).arg(binary.get_program());
        binary.get_envs().filter(|(_, value)| value.is_none()).for_each(|(name, _)| {
            command.env_remove(name);
        });
        command
    }

    pub(crate) fn is_started(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) fn tell(&self, signal: Signal) {
        tell(self.child.as_ref().expect("it runs"), signal);
    }

    /// Kills it as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is there to be killed");
            child.wait().expect("it ends");
        }
    }

    /// Waits until it has ended by itself, at most for `deadline`, and returns its exit code.
    pub(crate) async fn ended(&mut self, deadline: Duration) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let mut code = None;
        let has_ended = async || {
            let status = child.try_wait().expect("it can be asked");
            code = status.map(|status| status.code());
            status.is_some()
        };
        // Whatever comes of waiting, the process is still this one's to end.
        let waited = tokio::time::timeout(deadline, until("the node ends", deadline * 2, has_ended)).await;
        if waited.is_err() {
            drop(child.kill());
            drop(child.wait());
            panic!("{} has not ended within {deadline:?}\n{}", self.http, self.log_tail());
        }
        code.expect("it has ended")
    }

    pub(crate) fn log_text(&self) -> String {
        read(&self.log)
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}
