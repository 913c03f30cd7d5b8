//! A node in a process of its own, and calls to it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use reqwest::{Client, Method, Response};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use crate::harness::{Answer, tollgate};
use crate::harness::{call, tell};

/// A node that is killed when it is dropped.
pub(crate) struct Node {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// What was read of its log.
    log: String,
    pub(crate) url: String,
    /// What it printed when it started.
    pub(crate) greeting: String,
    client: Client,
    /// Where its data is; kept over restarts.
    pub(crate) home: Home,
}

/// A folder with a node's configuration, and where its data is.
pub(crate) struct Home {
    folder: TempDir,
    data: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let data = folder.path().join("data");
        Self { folder, data }
    }

    /// With its data somewhere else.
    pub(crate) fn with_data(data: PathBuf) -> Self {
        Self { data, ..Self::new() }
    }

    pub(crate) fn with_config(yaml: &str) -> Self {
        let home = Self::new();
        home.write_config(yaml);
        home
    }

    pub(crate) fn write_config(&self, yaml: &str) {
        std::fs::write(self.config(), yaml).expect("the configuration can be written");
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("tollgate.yaml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self) -> Command {
        let mut command = tollgate();
        command.args(["serve", "--http", "127.0.0.1:0", "--data"]).arg(self.data());
        if self.config().exists() {
            command.arg("--config").arg(self.config());
        }
        command
    }

    /// Starts a node that is expected to start.
    pub(crate) fn start(self) -> Node {
        let mut command = self.command();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut stderr = BufReader::new(child.stderr.take().expect("its errors are piped"));
        let mut greeting = String::new();
        // The greeting is five lines; a node that cannot start closes its output without them.
        for _ in 0..5 {
            output.read_line(&mut greeting).expect("its output is text");
        }
        let url = greeting.lines().next().and_then(|line| line.split_once("http://"));
        let Some((_, address)) = url else {
            let mut errors = String::new();
            stderr.read_to_string(&mut errors).expect("they are text");
            panic!("the node did not start: {greeting:?}, {errors}");
        };
        let (url, log) = (format!("http://{}", address.trim()), String::new());
        Node { child, stderr, log, url, greeting, client: Client::new(), home: self }
    }

    /// Starts a node that is expected to refuse, and returns what it printed.
    pub(crate) fn refused(&self) -> String {
        let Output { status, stderr, .. } = self.command().output().expect("the binary starts");
        let errors = String::from_utf8(stderr).expect("errors are text");
        assert_eq!(status.code(), Some(2), "{errors}");
        errors
    }
}

impl Node {
    /// Starts a node with defaults on a new folder.
    pub(crate) fn start() -> Self {
        Home::new().start()
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Response {
        let url = format!("{}{path}", self.url);
        self.client.request(method, url).body(body).send().await.expect("the node answers")
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.call_text(method, path, body).await
    }

    pub(crate) async fn call_text(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        call(&self.client, method, format!("{}{path}", self.url), body).await.expect("the node answers")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub(crate) async fn put_limit(&self, name: &str, document: Value) {
        let answer = self.call(Method::PUT, &format!("/v1/limits/{name}"), document).await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }

    /// Asks for one unit for a user of endpoint `e`.
    pub(crate) async fn acquire(&self, user: &str) -> Answer {
        self.post("/v1/acquire", json!({"endpoint": "e", "labels": {"user": user}})).await
    }

    /// How many requests of one unit pass until one is denied.
    pub(crate) async fn admitted(&self, user: &str) -> u64 {
        let mut admitted = 0;
        loop {
            match self.acquire(user).await.status {
                200 => admitted += 1,
                429 => return admitted,
                status => panic!("an answer of status {status}"),
            }
        }
    }

    pub(crate) async fn metrics(&self) -> String {
        self.send(Method::GET, "/metrics", "").await.text().await.expect("metrics are text")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        tell(&self.child, signal);
    }

    /// Waits until it logs a line with this in it.
    pub(crate) fn until_logged(&mut self, what: &str) {
        loop {
            let before = self.log.len();
            let read = self.stderr.read_line(&mut self.log).expect("its log is text");
            assert!(read > 0, "it never logged {what}: {}", self.log);
            if self.log[before..].contains(what) {
                return;
            }
        }
    }

    /// Kills it as a crash does, and starts it anew on the same data.
    pub(crate) fn kill_and_restart(mut self) -> Self {
        self.signal(Signal::KILL);
        self.child.wait().expect("it ends");
        self.into_home().start()
    }

    /// Kills it, and gives back where its data is.
    pub(crate) fn kill(mut self) -> Home {
        self.signal(Signal::KILL);
        self.child.wait().expect("it ends");
        self.into_home()
    }

    /// Tells it to stop, waits until it has, and returns its exit code, what it logged, and where its data is.
    pub(crate) fn stop(mut self) -> (Option<i32>, String, Home) {
        self.signal(Signal::TERM);
        let status = self.child.wait().expect("it ends");
        self.stderr.read_to_string(&mut self.log).expect("they are text");
        (status.code(), std::mem::take(&mut self.log), self.into_home())
    }

    fn into_home(mut self) -> Home {
        std::mem::replace(&mut self.home, Home::new())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
