//! Removes from Oz's texts what must not be shown: our secrets, file names, control characters.
//!
//! It deliberately knows no JSON and no HTTP: it gets a text and secrets, and returns a text.

use secrecy::{ExposeSecret, SecretString};

/// The longest message that is passed on, in characters: enough for a sentence, too little for a
/// page.
const MESSAGE_CHARACTERS_MAX: usize = 300;

/// How much of a message is examined, in characters.
const EXAMINED_CHARACTERS_MAX: usize = 4096;

/// How many bytes of a secret give it away: a line that holds this many of them in a row is
/// withheld. A shorter secret counts as a whole.
const TELLING_BYTES: usize = 8;

/// Replaces a withheld line.
const WITHHELD: &str = "[withheld]";

/// Replaces the file name that we gave to the photo.
const OUR_FILE: &str = "[file]";

/// How that file name starts: a word that contains this is the name.
pub const OUR_FILE_PREFIX: &str = "facematch-";

/// The endings by which a line is known to name a picture or a video that is not ours. File names
/// that people choose hold blanks and personal names, and where such a name begins can't be told.
const FILE_ENDINGS: [&str; 8] = [".jpg", ".jpeg", ".png", ".heic", ".mp4", ".mov", ".webm", ".zip"];

/// The text without secrets, file names and control characters, and no longer than a sentence.
pub fn clean(text: &str, secrets: &[SecretString]) -> String {
    let end = text.char_indices().nth(EXAMINED_CHARACTERS_MAX).map_or(text.len(), |(at, _)| at);
    let lines = text[..end].split(['\n', '\r']);
    let words: Vec<&str> = lines.flat_map(|line| clean_line(line, secrets)).collect();
    let kept = words.join(" ");
    // Collapsed blanks may have completed a secret that contains blanks.
    if holds(&kept, secrets) {
        return WITHHELD.to_owned();
    }
    kept.chars().filter(|letter| !letter.is_control()).take(MESSAGE_CHARACTERS_MAX).collect()
}

fn clean_line<'a>(line: &'a str, secrets: &[SecretString]) -> Vec<&'a str> {
    let words = line.split(|letter: char| letter.is_whitespace() || letter.is_control());
    let words = words.filter(|word| !word.is_empty());
    let words: Vec<&str> =
        words.map(|word| if word.contains(OUR_FILE_PREFIX) { OUR_FILE } else { word }).collect();
    let withheld = holds(line, secrets) || words.iter().any(|word| names_file(word));
    if withheld { vec![WITHHELD] } else { words }
}

/// Whether the text holds one of the secrets, or enough of one.
pub fn holds(text: &str, secrets: &[SecretString]) -> bool {
    secrets.iter().any(|secret| tells(text, secret))
}

/// Whether the line holds the secret, or enough of it.
fn tells(line: &str, secret: &SecretString) -> bool {
    // Compared without regard to case: an e-mail address is the same in capitals.
    let line = line.to_lowercase();
    let secret = secret.expose_secret().to_lowercase();
    let length = secret.len().min(TELLING_BYTES);
    if length == 0 {
        return false;
    }
    let mut pieces = secret.as_bytes().windows(length);
    pieces.any(|piece| line.as_bytes().windows(length).any(|part| part == piece))
}

fn names_file(word: &str) -> bool {
    let word = word.to_lowercase();
    FILE_ENDINGS.iter().any(|ending| word.contains(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Vec<SecretString> {
        vec!["correct-horse-battery".into(), "robot@bank.example".into(), "k3y".into()]
    }

    #[test]
    fn a_text_without_secrets_passes() {
        assert_eq!(clean("Invalid param value", &secrets()), "Invalid param value");
        assert_eq!(clean("", &secrets()), "");
    }

    #[test]
    fn a_line_with_a_secret_or_a_piece_of_one_is_withheld() {
        for line in [
            "no user ROBOT@bank.example here",
            "password correct-horse-battery is wrong",
            "password correct-hor… is wrong",
            "…se-battery",
            "xk3yx",
        ] {
            let text = format!("first\n{line}\nlast");
            assert_eq!(clean(&text, &secrets()), "first [withheld] last", "{line}");
        }
    }

    #[test]
    fn a_secret_with_blanks_is_withheld_however_it_is_spaced() {
        let secrets = ["open sesame 42".into()];
        for text in ["open\tsesame\t42", "open\nsesame\n42", "is open  sesame  42 wrong"] {
            assert_eq!(clean(text, &secrets), "[withheld]", "{text:?}");
        }
    }

    #[test]
    fn file_names_and_control_characters_are_removed() {
        let text = "bad\tfile 'facematch-0190-7f.jpg'\u{1b}[31m or\u{0}\u{7}so";
        assert_eq!(clean(text, &[]), "bad file [file] [31m or so");
        let text = "bad file:\n'Jane Doe, Passport.JPG' is too large";
        assert_eq!(clean(text, &[]), "bad file: [withheld]");
    }

    #[test]
    fn a_message_is_cut_between_characters_and_never_within_a_secret() {
        assert_eq!(clean(&"é".repeat(9000), &[]).chars().count(), 300);
        let late = format!("{} correct-horse-battery", "a".repeat(290));
        assert_eq!(clean(&late, &secrets()), "[withheld]");
    }
}
