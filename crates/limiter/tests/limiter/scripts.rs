//! Golden scripts: each a behaviour, with what comes of every line.
//!
//! `UPDATE_SCRIPTS=1 cargo test -p tollgate-limiter` writes what comes into the scripts; read the difference before you keep it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use tollgate_limiter::{
    Algorithm, Ask, Budget, Calendar, Consistency, Decision, Key, LeaderOptions, LimitId, LimitName, Pace, Quota,
    Receipt, Settlement, SettlementId, ShardTime,
};

use crate::shard::Shard;

const SECOND: i64 = 1_000_000_000;

/// A line's verb, its first argument and its `name=value` arguments.
struct Line<'a> {
    verb: &'a str,
    subject: &'a str,
    arguments: BTreeMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Self {
        let (named, plain): (Vec<_>, Vec<_>) = text.split_whitespace().partition(|word| word.contains('='));
        let arguments = named.into_iter().filter_map(|word| word.split_once('=')).collect();
        Self { verb: plain.first().unwrap_or(&""), subject: plain.get(1).unwrap_or(&""), arguments }
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.arguments.get(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
    }

    fn span(&self, name: &str, default: i64) -> i64 {
        self.arguments.get(name).map_or(default, |text| nanos(text))
    }
}

/// Nanoseconds of `5s`, `120ms`, `1h30m` and the like.
fn nanos(text: &str) -> i64 {
    let mut rest = text;
    let mut total = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let unit = rest[digits..].find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len() - digits) + digits;
        let scale = match &rest[digits..unit] {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3_600 * SECOND,
            "d" => 86_400 * SECOND,
            other => panic!("{other:?} in {text:?} is no unit"),
        };
        total += rest[..digits].parse::<i64>().unwrap_or_else(|_| panic!("{text:?} is no span")) * scale;
        rest = &rest[unit..];
    }
    total
}

/// The shortest exact way to write a span.
fn span(ns: i64) -> String {
    match ns {
        0 => "0".to_owned(),
        _ if ns % SECOND == 0 => format!("{}s", ns / SECOND),
        _ if ns % 1_000_000 == 0 => format!("{}ms", ns / 1_000_000),
        _ if ns % 1_000 == 0 => format!("{}us", ns / 1_000),
        _ => format!("{ns}ns"),
    }
}

/// `2024-02-29T12:00:00` by counting days from 1970, or a span from 1970 on.
fn instant(text: &str) -> i64 {
    let Some((date, time)) = text.split_once('T') else { return nanos(text) };
    let numbers = |text: &str, by: char| -> Vec<i64> {
        text.split(by).map(|part| part.parse().unwrap_or_else(|_| panic!("{text:?}"))).collect()
    };
    let (date, time) = (numbers(date, '-'), numbers(time, ':'));
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let years: i64 = (1970..date[0]).map(|year| 365 + i64::from(is_leap(year))).sum();
    let lengths = [31, 28 + i64::from(is_leap(date[0])), 31, 30, 31, 30, 31, 31, 30, 31, 30];
    let months: i64 = lengths.iter().take(date[1] as usize - 1).sum();
    let days = years + months + date[2] - 1;
    ((days * 24 + time[0]) * 60 + time[1]) * 60 * SECOND + time[2] * SECOND
}

struct Player {
    shard: Shard,
    limits: BTreeMap<String, LimitId>,
    /// What was taken under a name, with its bucket's key.
    taken: BTreeMap<String, Receipt>,
}

impl Player {
    fn new() -> Self {
        let options =
            LeaderOptions { horizon_lead_ns: 2 * SECOND, commit_ns: 1_000_000, budget: Budget::new(u64::MAX) };
        Self { shard: Shard::new(options, ShardTime::from_nanos(0)), limits: BTreeMap::new(), taken: BTreeMap::new() }
    }

    /// Plays a line; what comes of it.
    fn play(&mut self, text: &str) -> String {
        let text = match text.strip_prefix("at ") {
            Some(timed) => {
                let (time, rest) = timed.split_once(' ').expect("a verb follows the time");
                self.shard.now = ShardTime::from_nanos(instant(time));
                rest
            }
            None => text,
        };
        let line = Line::parse(text);
        match line.verb {
            "limit" => self.limit(&line),
            "acquire" => self.acquire(&line),
            "peek" => self.ask(&line, 0),
            "settle" => self.settle(&line),
            "release" => self.release(&line),
            "reset" => self.reset(&line),
            "crash" => self.crash(),
            "handover" => self.hand_over(),
            "commit" => if self.shard.commit() { "committed" } else { "nothing is due" }.to_owned(),
            "forget" => self.forget(),
            other => panic!("{other:?} is no verb"),
        }
    }

    fn limit(&mut self, line: &Line<'_>) -> String {
        let next = LimitId(self.limits.len() as u32);
        let id = *self.limits.entry(line.subject.to_owned()).or_insert(next);
        self.shard.set_limit(id, algorithm(line));
        DONE.to_owned()
    }

    fn crash(&mut self) -> String {
        self.shard.crash();
        DONE.to_owned()
    }

    fn hand_over(&mut self) -> String {
        self.shard.hand_over();
        DONE.to_owned()
    }

    fn forget(&mut self) -> String {
        self.shard.leader.forget(&self.shard.state, self.shard.now, usize::MAX);
        DONE.to_owned()
    }

    fn bucket(&self, line: &Line<'_>) -> (LimitId, Key) {
        let (limit, bucket) = line.subject.split_once('/').expect("limit/bucket");
        let name = LimitName::new(limit).expect("a valid name");
        (self.limits[limit], Key::of_bucket("app", &name, [Some(bucket)]))
    }

    fn acquire(&mut self, line: &Line<'_>) -> String {
        let cost = line.number("cost", 1);
        (1..line.number("times", 1)).for_each(|_| drop(self.ask(line, cost)));
        self.ask(line, cost)
    }

    fn ask(&mut self, line: &Line<'_>, cost: u64) -> String {
        let (limit, key) = self.bucket(line);
        let eventual = line.arguments.get("consistency") == Some(&"eventual");
        let consistency = if eventual { Consistency::Eventual } else { Consistency::Exact };
        let ask = Ask { limit, key, cost, consistency, ahead: line.number("ahead", 0), permit: None };
        let (decision, commits) = self.shard.decide(ask);
        let (word, standing) = match decision {
            Decision::Admitted(standing, receipt) => {
                if let Some(name) = line.arguments.get("as") {
                    self.taken.insert((*name).to_owned(), receipt);
                }
                ("allowed", standing)
            }
            Decision::Denied(standing) => ("denied", standing),
            Decision::Refused(refusal) => return format!("refused: {refusal}"),
            Decision::Wait(_) => unreachable!("it was decided"),
        };
        let mut answer = format!("{word} remaining={} retry={}", standing.remaining, span(standing.retry_after_ns));
        write!(answer, " reset={}", span(standing.reset_after_ns)).expect("a string takes all");
        if commits > 0 {
            write!(answer, " commits={commits}").expect("a string takes all");
        }
        answer
    }

    fn settle(&mut self, line: &Line<'_>) -> String {
        let receipt = self.taken[line.subject];
        let number = line.subject.bytes().fold(0, |number, byte| (number << 8) | u128::from(byte));
        let settlement = Settlement {
            id: SettlementId::new(number, receipt.key),
            receipt,
            actual: line.number("actual", 0),
            expires: ShardTime::from_nanos(line.span("expires", i64::MAX)),
        };
        let settled = self.shard.leader.settle(&self.shard.state, self.shard.now, &settlement);
        self.shard.commit();
        settled.map_or_else(|error| error.to_string(), |returned| format!("{returned} back"))
    }

    fn release(&mut self, line: &Line<'_>) -> String {
        let receipt = self.taken[line.subject];
        let units = line.number("units", u64::MAX);
        self.shard.leader.give_back(&self.shard.state, self.shard.now, &receipt, units);
        self.shard.commit();
        DONE.to_owned()
    }

    fn reset(&mut self, line: &Line<'_>) -> String {
        let (limit, key) = self.bucket(line);
        self.shard.leader.reset(limit, key, self.shard.now);
        self.shard.commit();
        DONE.to_owned()
    }
}

/// What comes of a line that answers nothing.
const DONE: &str = "done";

fn algorithm(line: &Line<'_>) -> Algorithm {
    let pace = || Pace::new(line.number("rate", 1), line.span("per", SECOND), line.number("burst", 1)).expect("legal");
    let quota = || Quota::new(line.number("rate", 1), line.span("per", SECOND)).expect("legal");
    let calendar = |name: &&str| match *name {
        "day" => Calendar::Day,
        "week" => Calendar::Week,
        "month" => Calendar::Month,
        other => panic!("{other:?} is no calendar window"),
    };
    match line.arguments["algorithm"] {
        "token_bucket" => Algorithm::TokenBucket(pace()),
        "leaky_bucket" => Algorithm::LeakyBucket(pace()),
        "sliding_window" => Algorithm::SlidingWindow(quota()),
        "fixed_window" => Algorithm::FixedWindow(quota(), line.arguments.get("calendar").map(calendar)),
        "concurrency" => {
            Algorithm::Concurrency { permits: line.number("permits", 1), ttl_ns: line.span("ttl", SECOND) }
        }
        other => panic!("{other:?} is no algorithm"),
    }
}

/// The script with what comes of each line behind its arrow.
fn played(script: &str) -> String {
    let mut player = Player::new();
    let mut out = String::new();
    for line in script.lines() {
        let command = line.split("->").next().unwrap_or("").trim();
        if command.is_empty() || command.starts_with('#') {
            writeln!(out, "{line}").expect("a string takes all");
        } else {
            let answer = player.play(command);
            let separator = if answer == DONE { String::new() } else { format!(" -> {answer}") };
            writeln!(out, "{command}{separator}").expect("a string takes all");
        }
    }
    out
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/limiter/scripts");
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file can be listed").path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_script_comes_out_as_it_says() {
    let update = std::env::var_os("UPDATE_SCRIPTS").is_some();
    let scripts = scripts();
    assert!(scripts.len() >= 10, "the scripts are gone");
    for path in scripts {
        let script = std::fs::read_to_string(&path).expect("a script can be read");
        let played = played(&script);
        if update {
            std::fs::write(&path, &played).expect("a script can be written");
        } else {
            assert_eq!(played, script, "{}", path.display());
        }
    }
}
