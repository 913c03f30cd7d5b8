//! What all tests that drive the real binary share: its command, signals to it, and calls.

use std::process::{Child, Command};

use reqwest::{Body, Client, Method};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A command of the binary under test, without this machine's settings.
pub(crate) fn tollgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let ours = std::env::vars_os().map(|(name, _)| name);
    ours.filter(|name| name.to_string_lossy().starts_with("TOLLGATE")).for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// Sends a signal to a process that was started here and not waited for yet.
pub(crate) fn tell(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a child has a number");
    kill_process(pid, signal).expect("the node is there to be told");
}

/// An answer: its status and its body, `Null` where that is not JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// Sends a request and reads its answer.
pub(crate) async fn call(
    client: &Client,
    method: Method,
    url: String,
    body: impl Into<Body>,
) -> reqwest::Result<Answer> {
    let response = client.request(method, url).body(body).send().await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
}
