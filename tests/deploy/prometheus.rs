//! Prometheus and its tool, where they are installed.

use std::fs::File;
use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;

/// The first version that knows everything that the rules use: `keep_firing_for`.
const OLDEST: (u32, u32) = (2, 42);

/// The version of what is installed; `None`, with a note, where it is not or is too old.
fn version(program: &str) -> Option<(u32, u32)> {
    let Ok(output) = Command::new(program).arg("--version").output() else {
        eprintln!("SKIPPED: {program} is not installed (it is in Debian's package prometheus)");
        return None;
    };
    // Older ones say it on standard error.
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("it prints text");
    let (_, version) = text.split_once("version ").unwrap_or_else(|| panic!("it tells no version: {text}"));
    let mut numbers = version.split('.').map(|number| number.parse().expect("versions are numbers"));
    let version = (numbers.next().expect("major"), numbers.next().expect("minor"));
    if version < OLDEST {
        eprintln!("SKIPPED: {program} is of version {version:?}, and the rules need {OLDEST:?}");
        return None;
    }
    Some(version)
}

/// Has promtool look at a file, which must succeed; skipped, with a note, where it is not of one of these major versions.
pub(crate) fn promtool(majors: RangeInclusive<u32>, arguments: &[&str], file: &Path) {
    let Some((major, _)) = version("promtool") else { return };
    if !majors.contains(&major) {
        eprintln!("SKIPPED: this is not for promtool of version {major}");
        return;
    }
    let output = Command::new("promtool").args(arguments).arg(file).output().expect("promtool starts");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

/// A Prometheus of our own, which is killed when it is dropped.
pub(crate) struct Prometheus {
    child: Child,
    url: String,
    client: Client,
    folder: TempDir,
}

impl Prometheus {
    /// Starts one with this configuration; `None`, with a note, where none is installed.
    pub(crate) fn start(config: &Value) -> Option<Self> {
        version("prometheus")?;
        let folder = TempDir::new().expect("a temporary folder can be made");
        let file = folder.path().join("prometheus.yml");
        // What is JSON is YAML.
        std::fs::write(&file, config.to_string()).expect("the configuration can be written");
        let address = free_address();
        let log = File::create(folder.path().join("log")).expect("the log can be made");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.args(["--log.level=warn", &format!("--web.listen-address={address}")]);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("prometheus starts");
        Some(Self { child, url: format!("http://{address}"), client: Client::new(), folder })
    }

    /// The series that an expression gives now; an error where it is none.
    pub(crate) async fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let answer = self.get(&format!("/api/v1/query?query={}", encoded(expression))).await?;
        match answer["data"]["result"].as_array() {
            Some(series) if answer["status"] == "success" => Ok(series.clone()),
            _ => Err(answer.to_string()),
        }
    }

    /// All rules, and how their last evaluation went.
    pub(crate) async fn rules(&self) -> Result<Vec<Value>, String> {
        let answer = self.get("/api/v1/rules").await?;
        let groups = answer["data"]["groups"].as_array().ok_or_else(|| answer.to_string())?;
        Ok(groups.iter().flat_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        let request = self.client.get(format!("{}{path}", self.url)).timeout(Duration::from_secs(5));
        let answer = request.send().await.map_err(|error| error.to_string())?;
        answer.json().await.map_err(|error| error.to_string())
    }

    /// What it had to complain about.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An address that nobody listens at.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it has an address").to_string()
}

/// A text as part of a query, every byte of it in percent notation.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
