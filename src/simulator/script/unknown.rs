//! Errors about an unknown key or word: its name, and the known name that was probably meant.
//!
//! The parser's own message lists all known names, in one line of up to a thousand characters.

/// Up to this number of known names, an error lists them all.
const LISTED_MAX: usize = 5;
/// A name is taken for a misspelling if at most one in this number of its letters is wrong.
const LETTERS_A_SLIP: usize = 3;

/// Shortens a parser's message about an unknown name; leaves any other message as it is.
pub fn shortened(message: &str) -> String {
    match parts(message) {
        Some((what, name, known)) => suggestion(what, name, &known),
        None => message.to_owned(),
    }
}

/// The kind of name, the unknown name, and the known names, from a message such as
/// "unknown field `a`, expected one of `b`, `c`".
fn parts(message: &str) -> Option<(&'static str, &str, Vec<&str>)> {
    let kinds = [("unknown field `", "key"), ("unknown variant `", "word")];
    let of_kind = |(start, what)| Some((message.strip_prefix(start)?, what));
    let (rest, what) = kinds.into_iter().find_map(of_kind)?;
    let (name, rest) = rest.split_once("`, expected ")?;
    Some((what, name, rest.split('`').skip(1).step_by(2).collect()))
}

fn suggestion(what: &str, name: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|known| (strsim::levenshtein(name, known), known)).min();
    match nearest {
        Some((slips, nearest)) if slips <= name.chars().count() / LETTERS_A_SLIP => {
            format!("unknown {what} `{name}`; did you mean `{nearest}`?")
        }
        Some(_) if known.len() <= LISTED_MAX => {
            format!("unknown {what} `{name}`, expected one of `{}`", known.join("`, `"))
        }
        Some(_) | None => {
            let count = known.len();
            format!("unknown {what} `{name}`: none of the {count} in docs/simulator.md")
        }
    }
}
