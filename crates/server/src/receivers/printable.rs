//! Texts of others, made fit to be shown.

/// What stands where something was cut off.
const CUT: char = '…';

/// The text with a space for whatever is not shown or changes how its neighbours are: control characters, and marks that turn the
/// direction of writing, by which a text could seem to say something else. Nothing is taken out, so nothing comes together.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|character| if is_shown(character) { character } else { ' ' }).collect()
}

/// The same on one line with single spaces, and at most `most` characters.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let words: Vec<_> = printable(text).split_whitespace().map(str::to_owned).collect();
    cut(&words.join(" "), most)
}

/// At most `most` characters of the text; where it was longer, the last is an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain([CUT]).collect()
}

fn is_shown(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}');
    !(character.is_control() || turns || breaks)
}
