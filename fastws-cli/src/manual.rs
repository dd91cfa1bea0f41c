//! The command about itself: completions and manual pages.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::Stop;
use crate::arguments::Arguments;

/// Prints a shell's completions.
pub(crate) fn completions(shell: Shell) -> Result<(), Stop> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "fastws", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}

/// Prints a manual page.
pub(crate) fn man(command: Option<&str>) -> Result<(), Stop> {
    let mut root = Arguments::command();
    root.build();
    let names = || root.get_subcommands().map(|command| command.get_name().to_owned()).collect::<Vec<_>>().join(", ");
    let shown = match command {
        None => root.clone(),
        Some(name) => root
            .find_subcommand(name)
            .map(|found| found.clone().display_name(format!("fastws-{name}")))
            .ok_or_else(|| Stop::because(format!("there is no command `{name}`; there are {}", names())))?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(shown).render(&mut page)?;
    Ok(std::io::stdout().write_all(&page)?)
}
