//! A simulation that a test writes: a shell script.

use std::time::Duration;

use tempfile::TempDir;

use super::program::Program;

/// Reads the words as the simulation does, and gives the test's part of the script words to use.
const PRELUDE: &str = r#"
seed=0 without= planted= plan= list=
while [ $# -gt 0 ]; do
    case $1 in
        --seed) seed=$2; shift 2;;
        --without) without=$2; shift 2;;
        --planted) planted=$2; shift 2;;
        --plan) plan=yes; shift;;
        --list-planted) list=yes; shift;;
        *) exit 2;;
    esac
done

# Whether all these faults are there.
has() {
    for fault in "$@"; do
        case ,$without, in *,$fault,*) return 1;; esac
    done
}

summary() {
    echo '{"seed":'"$seed"',"trace":"ab","requests":10,"admitted":6,"takeovers":2,"simulated_ms":30000,"faults":{"kill":1,"pause":2},"planned":[],"violations":['"$1"']}'
}

clean() { summary; exit 0; }
violated() { summary "\"$1\""; exit 1; }

plan() {
    echo 'Scenario {'
    echo '    nodes: 3,'
    echo '}'
    fault=0
    while [ $fault -lt "$1" ]; do
        if has $fault; then echo "$fault: at $fault.000 for 10 ms: Kill(Node(1))"; fi
        fault=$((fault + 1))
    done
    exit 0
}
"#;

/// A simulation in a folder of its own.
pub(super) struct Fake {
    pub(super) program: Program,
    _folder: TempDir,
}

impl Fake {
    /// One that does this for each run: shell commands that use what the prelude gives.
    pub(super) fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("simulate");
        std::fs::write(&path, format!("{PRELUDE}\n{script}\n")).expect("a script can be written");
        // By the shell: a script that was just written is busy while another test's process starts.
        let program = Program { start: vec!["/bin/sh".into(), path.into()], limit: Duration::from_secs(60) };
        Self { program, _folder: folder }
    }

    /// The same, whose runs are killed after this time.
    pub(super) fn limited_to(mut self, limit: Duration) -> Self {
        self.program.limit = limit;
        self
    }
}
