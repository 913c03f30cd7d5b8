//! Finds what of an input makes it fail.

use std::collections::BTreeSet;

/// A part of a failing input that fails as well and of which no single item can be left out, if the answers are true: ddmin
/// (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002). No question is asked twice, and the first
/// is about the empty input, which the paper takes to pass.
///
/// # Errors
/// What `still_fails` says.
pub(super) fn ddmin<T: Clone + Ord, E>(
    failing: Vec<T>,
    mut still_fails: impl FnMut(&[T]) -> Result<bool, E>,
) -> Result<Vec<T>, E> {
    let mut passing = BTreeSet::new();
    let mut still_fails = |part: &[T]| {
        let fails = !passing.contains(part) && still_fails(part)?;
        if !fails {
            passing.insert(part.to_vec());
        }
        Ok(fails)
    };
    if still_fails(&[])? {
        return Ok(Vec::new());
    }
    let mut smallest = failing;
    let mut parts = 2;
    while smallest.len() >= 2 {
        if let Some(part) = first(subsets(&smallest, parts), &mut still_fails)? {
            (smallest, parts) = (part, 2);
        } else if let Some(rest) = first(complements(&smallest, parts), &mut still_fails)? {
            (smallest, parts) = (rest, (parts - 1).max(2));
        } else if parts < smallest.len() {
            parts = (2 * parts).min(smallest.len());
        } else {
            break;
        }
    }
    Ok(smallest)
}

fn first<T, E>(
    candidates: impl Iterator<Item = Vec<T>>,
    still_fails: &mut impl FnMut(&[T]) -> Result<bool, E>,
) -> Result<Option<Vec<T>>, E> {
    for candidate in candidates {
        if still_fails(&candidate)? {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

/// Where the n-th of so many parts of about the same length begins.
fn start(items: usize, parts: usize, number: usize) -> usize {
    items * number / parts
}

fn subsets<T: Clone>(items: &[T], parts: usize) -> impl Iterator<Item = Vec<T>> {
    (0..parts)
        .map(move |number| items[start(items.len(), parts, number)..start(items.len(), parts, number + 1)].to_vec())
}

/// Each leaves out one part.
fn complements<T: Clone>(items: &[T], parts: usize) -> impl Iterator<Item = Vec<T>> {
    (0..parts).map(move |number| {
        let (before, after) = (start(items.len(), parts, number), start(items.len(), parts, number + 1));
        [&items[..before], &items[after..]].concat()
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// What is left of so many items, and what was asked.
    fn shrunk(items: usize, fails: impl Fn(&[usize]) -> bool) -> (Vec<usize>, Vec<Vec<usize>>) {
        let mut asked = Vec::new();
        let still_fails = |part: &[usize]| {
            asked.push(part.to_vec());
            Ok::<_, Infallible>(fails(part))
        };
        let Ok(left) = ddmin((0..items).collect(), still_fails);
        (left, asked)
    }

    fn has_all(part: &[usize], needed: &[usize]) -> bool {
        needed.iter().all(|item| part.contains(item))
    }

    #[test]
    fn exactly_what_is_needed_is_left() {
        for set in 0..1_u32 << 7 {
            let needed: Vec<usize> = (0..7).filter(|item| set >> item & 1 == 1).collect();
            let (left, _) = shrunk(7, |part| has_all(part, &needed));
            assert_eq!(left, needed);
        }
    }

    #[test]
    fn of_two_causes_one_is_left() {
        let cases: [(&[usize], &[usize]); 3] = [(&[0, 1], &[9]), (&[2, 7], &[3, 6]), (&[1, 2, 3], &[8, 9])];
        for (one, other) in cases {
            let (left, _) = shrunk(10, |part| has_all(part, one) || has_all(part, other));
            assert!(left == one || left == other, "{left:?} is left of {one:?} or {other:?}");
        }
    }

    #[test]
    fn no_single_item_can_be_left_out_even_where_less_does_not_fail_less() {
        let cases: [fn(&[usize]) -> bool; 3] = [
            |part| part.len() % 2 == 0 && part.contains(&3),
            |part| part.len() % 3 == 1 && part.contains(&0),
            |part| part.iter().sum::<usize>() % 5 == 1,
        ];
        for (case, fails) in cases.into_iter().enumerate() {
            let (left, _) = shrunk(16, |part| part.len() == 16 || fails(part));
            let less = (0..left.len()).map(|gone| [&left[..gone], &left[gone + 1..]].concat());
            let failing: Vec<_> = less.filter(|part| fails(part)).collect();
            assert_eq!(failing, Vec::<Vec<usize>>::new(), "less than {left:?} fails in case {case}");
        }
    }

    #[test]
    fn one_cause_among_many_items_is_found_in_few_questions() {
        for (items, most) in [(1, 1), (2, 3), (16, 9), (64, 13), (1024, 21)] {
            for needed in 0..items {
                let (left, asked) = shrunk(items, |part| part.contains(&needed));
                assert_eq!(left, [needed]);
                assert!(asked.len() <= most, "{} questions about {items} items", asked.len());
            }
        }
    }

    #[test]
    fn no_question_is_asked_twice() {
        for needed in [&[][..], &[3], &[2, 5], &[3, 10, 17], &[1, 2, 3, 12, 19]] {
            let (_, asked) = shrunk(20, |part| has_all(part, needed));
            let once: BTreeSet<_> = asked.iter().collect();
            assert_eq!(once.len(), asked.len(), "questions about {needed:?}");
        }
    }

    #[test]
    fn what_cannot_be_answered_ends_the_search() {
        let mut asked = 0;
        let left = ddmin((0..8).collect(), |_| {
            asked += 1;
            if asked < 4 { Ok(false) } else { Err("the machine is gone") }
        });
        assert_eq!((left, asked), (Err("the machine is gone"), 4));
    }
}
