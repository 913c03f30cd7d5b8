//! Data directories that cannot be used, or are damaged.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::node::{Home, Node};

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found.sort();
    found
}

/// A node's data after limits were put and a bucket was spent.
async fn used() -> Home {
    let node = Node::start();
    node.put_limit("mine", json!({"by": ["user"], "rate": 5, "per": "1h"})).await;
    assert_eq!(node.admitted("a").await, 5);
    node.kill()
}

#[tokio::test]
async fn a_directory_in_use_is_refused_by_name() {
    let node = Node::start();
    let data = node.home.data();
    let second = crate::node::tollgate().args(["serve", "--http", "127.0.0.1:0", "--data"]).arg(&data).output();
    let errors = String::from_utf8(second.expect("it starts").stderr).expect("text");
    assert!(errors.contains(&data.display().to_string()) && errors.contains("process"), "{errors}");
    assert_eq!(node.acquire("a").await.status, 200, "the first one goes on");
}

#[tokio::test]
async fn a_path_that_is_no_directory_of_ours_is_refused_by_name() {
    let home = Home::new();
    fs::write(home.data(), "a file").expect("it is written");
    let errors = home.refused();
    assert!(errors.contains(&home.data().display().to_string()), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert_eq!(fs::read(home.data()).expect("it is still there"), b"a file");

    let home = Home::new();
    fs::create_dir(home.data()).expect("it is made");
    fs::write(home.data().join("somebody's.txt"), "precious").expect("it is written");
    let errors = home.refused();
    assert!(errors.contains(&home.data().display().to_string()), "{errors}");
    assert_eq!(files(&home.data()), [home.data().join("somebody's.txt")], "nothing was added");
}

#[tokio::test]
async fn a_flipped_byte_in_the_log_is_refused_or_costs_nothing() {
    let home = used().await;
    let log = files(&home.data().join("raft-log"));
    let largest = log.iter().max_by_key(|file| used_length(file)).expect("there is a log").clone();
    let whole = fs::read(&largest).expect("the log can be read");
    let length = used_length(&largest);
    let mut refused = 0;
    for offset in (0..length).step_by((length / 12).max(1)) {
        let mut damaged = whole.clone();
        damaged[offset] ^= 0x10;
        fs::write(&largest, &damaged).expect("it is written");
        match probe(&home) {
            Err(errors) => {
                refused += 1;
                assert!(errors.lines().count() == 1 && errors.contains("raft-log"), "offset {offset}: {errors}");
            }
            Ok(()) => {
                let node = copy_of(&home).start();
                assert_eq!(node.get("/v1/limits/mine").await.status, 200, "offset {offset}: a limit is lost");
                assert_eq!(node.acquire("a").await.status, 429, "offset {offset}: a spent bucket is whole again");
            }
        }
    }
    assert!(refused > 0, "no damage was noticed");
    fs::write(&largest, &whole).expect("it is written");
    let node = home.start();
    assert_eq!(node.get("/v1/limits/mine").await.status, 200, "the log as it was serves again");
}

fn copy_of(home: &Home) -> Home {
    let copy = Home::new();
    copy_folder(&home.data(), &copy.data());
    copy
}

/// Whether a node starts on a copy of this data, or what it says.
fn probe(home: &Home) -> Result<(), String> {
    let copy = copy_of(home);
    let mut command = crate::node::tollgate();
    let child = command.args(["serve", "--http", "127.0.0.1:0", "--data"]).arg(copy.data());
    let mut child =
        child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("starts");
    let mut first = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut output, &mut first).expect("text");
    if first.contains("http://") {
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        return Ok(());
    }
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{errors}");
    Err(errors.lines().filter(|line| line.starts_with("tollgate:")).collect::<Vec<_>>().join("\n"))
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it is made");
    for entry in fs::read_dir(from).expect("it can be read").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("it is copied");
        }
    }
}

/// How much of a log file is written; the rest is zeros, made in advance.
fn used_length(file: &Path) -> usize {
    let bytes = fs::read(file).expect("it can be read");
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[tokio::test]
async fn a_log_whose_last_write_is_torn_serves_all_that_was_promised() {
    let home = used().await;
    let log = files(&home.data().join("raft-log"));
    let newest = log.iter().rfind(|file| file.extension().is_some_and(|kind| kind == "raftlog"));
    let newest = newest.expect("there is a log").clone();
    let mut bytes = fs::read(&newest).expect("it can be read");
    let end = used_length(&newest);
    // A record that was begun when the power went: a head without the rest.
    let torn = [0x40, 0, 0, 0, 0, 0, 0, 0x01, 0x30];
    bytes.splice(end..(end + torn.len()).min(bytes.len()), torn);
    fs::write(&newest, &bytes).expect("it is written");
    match probe(&home) {
        Ok(()) => {
            let node = home.start();
            assert_eq!(node.get("/v1/limits/mine").await.status, 200);
            assert_eq!(node.acquire("a").await.status, 429);
        }
        Err(errors) => assert!(errors.contains("raft-log"), "{errors}"),
    }
}

#[tokio::test]
async fn a_state_that_does_not_open_is_moved_aside_and_made_anew_from_the_log() {
    let home = used().await;
    for file in files(&home.data().join("state")) {
        let length = fs::metadata(&file).expect("it is there").len() as usize;
        fs::write(&file, vec![0xa5; length.max(64)]).expect("it is written");
    }
    let node = home.start();
    assert_eq!(node.get("/v1/limits/mine").await.status, 200);
    assert_eq!(node.acquire("a").await.status, 429);
    let aside = fs::read_dir(node.home.data()).expect("it can be read").flatten();
    assert!(aside.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("state.damaged")));
}
