//! What an unknown key or word is called in an error: by its name and the one probably meant.
//!
//! The parser lists all that it knows instead, in one line of a thousand letters.

/// Known names that an error still lists whole.
const LISTED_MAX: usize = 5;
/// How many letters of a name there have to be for each that may be wrong.
const LETTERS_A_SLIP: usize = 3;

/// Shortens a parser's message about an unknown name; any other stays as it is.
pub fn shortened(message: &str) -> String {
    match parts(message) {
        Some((what, name, known)) => told(what, name, &known),
        None => message.to_owned(),
    }
}

/// What is unknown, its name, and the known ones, of a message such as
/// "unknown field `a`, expected one of `b`, `c`".
fn parts(message: &str) -> Option<(&'static str, &str, Vec<&str>)> {
    let kinds = [("unknown field `", "key"), ("unknown variant `", "word")];
    let of_kind = |(start, what)| Some((message.strip_prefix(start)?, what));
    let (rest, what) = kinds.into_iter().find_map(of_kind)?;
    let (name, rest) = rest.split_once("`, expected ")?;
    Some((what, name, rest.split('`').skip(1).step_by(2).collect()))
}

fn told(what: &str, name: &str, known: &[&str]) -> String {
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
