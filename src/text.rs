//! Text from outside, in the form in which messages show it.

/// The text with line breaks and other control characters escaped, as in source code, so that a
/// message stays one line even if a file's name holds a line break.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}
