//! The canary: a planted bug that shows at every hundredth seed. A sweep that cannot report it can report nothing.

use anyhow::{Result, ensure};

use super::ended::Ended;
use super::program::Program;
use super::run::Run;

/// By which name it is planted.
pub(super) const NAME: &str = "canary";

/// It shows at seeds that are divisible by this.
pub(super) const EVERY: u64 = 100;

/// Runs one seed at which it shows and one at which it does not.
///
/// # Errors
/// Either ends as it must not.
pub(super) fn check(program: &Program) -> Result<()> {
    let shows = program.run(&Run::with_planted(EVERY, NAME))?;
    let is_reported = matches!(shows, Ended::Violated(_));
    ensure!(is_reported, "the pipeline is broken: the canary shows at seed {EVERY}, and what is reported is: {shows}");
    let hides = program.run(&Run::with_planted(EVERY + 1, NAME))?;
    let is_clean = !hides.has_failed();
    ensure!(
        is_clean,
        "the pipeline is broken: the canary does not show at seed {}, and what is reported is: {hides}",
        EVERY + 1
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::fake::Fake;

    #[test]
    fn a_pipeline_is_sound_only_if_the_canary_shows_where_it_must_and_nowhere_else() {
        let cases = [
            ("[ $planted$seed = canary100 ] && violated 'canary: it sings'; clean", Ok(())),
            ("clean", Err("the pipeline is broken: the canary shows at seed 100, and what is reported is: clean")),
            ("exit 2", Err("the pipeline is broken: the canary shows at seed 100, and what is reported is: a crash")),
            (
                "violated 'a: b'",
                Err("the pipeline is broken: the canary does not show at seed 101, and what is reported is: a: b"),
            ),
        ];
        for (script, expected) in cases {
            let checked = check(&Fake::new(script).program).map_err(|error| error.to_string());
            match (&checked, expected) {
                (Ok(()), Ok(())) => {}
                (Err(error), Err(start)) if error.starts_with(start) => {}
                _ => panic!("{checked:?} of {script}"),
            }
        }
    }
}
