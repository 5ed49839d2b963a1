//! `facematch completions` and `facematch man`: the files that packages install with the program.
//!
//! Both are generated from the command line's definition, so that they can't get out of date.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{
    cli::{
        Exit,
        args::{Cli, CompletionsArgs, ManArgs},
        stderr,
    },
    config,
};

const PROGRAM: &str = "facematch";

/// Prints the completions of a shell.
pub fn completions(args: &CompletionsArgs) -> Exit {
    match io::stdout().write_all(&script(args.shell)).and_then(|()| io::stdout().flush()) {
        Ok(()) => Exit::Success,
        Err(error) => stderr::unwritable(&error),
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut script);
    script
}

/// Writes the manual pages.
pub fn man(args: &ManArgs) -> Exit {
    match write_pages(&args.dir) {
        Ok(()) => Exit::Success,
        Err(error) => {
            let dir = config::one_line(&args.dir.display().to_string());
            stderr::people(&format!("can't write the manual pages into {dir}: {error}"));
            Exit::Unwritable
        }
    }
}

fn write_pages(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    write_tree(&program, dir)
}

/// Writes the page of a command, and those of the commands below it.
fn write_tree(command: &clap::Command, dir: &Path) -> io::Result<()> {
    write_page(command.clone(), dir)?;
    command.get_subcommands().try_for_each(|below| write_tree(below, dir))
}

fn write_page(command: clap::Command, dir: &Path) -> io::Result<()> {
    let man = Man::new(command);
    let mut page = Vec::new();
    man.render(&mut page)?;
    // Examples depend on their line breaks, so the section must not be filled.
    let page = String::from_utf8_lossy(&page).replace(".SH EXTRA\n", ".SH NOTES\n.nf\n");
    fs::write(dir.join(man.get_filename()), page)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn each_shell_completes_each_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).expect("text");
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell} {}", command.get_name());
            }
        }
    }

    /// The options of a command that its help shows.
    fn shown(command: &clap::Command) -> impl Iterator<Item = &str> {
        let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
        shown.filter_map(|argument| argument.get_long())
    }

    #[test]
    fn each_command_has_a_page_that_names_its_options() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let dir = folder.path().join("man/man1");
        write_pages(&dir).expect("pages");
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let page = fs::read_to_string(dir.join(format!("facematch-{name}.1"))).expect(name);
            for option in shown(command) {
                let escaped = format!("\\-\\-{}", option.replace('-', "\\-"));
                assert!(page.contains(&escaped), "{name} --{option}");
            }
        }
        let page = fs::read_to_string(dir.join("facematch-key-new.1")).expect("a nested page");
        assert!(page.contains("\\-\\-expires") && page.contains("key new kyc"), "{page}");
        let program = fs::read_to_string(dir.join("facematch.1")).expect("the program's page");
        assert!(program.contains("\n.SH NOTES\n.nf\nExit codes of match and watch:\n"));
    }
}
