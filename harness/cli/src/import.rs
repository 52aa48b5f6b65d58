//! `longhaul import …`: what other tools have written, as files of ours.

use crate::args::ImportCommand;
use crate::catalog;
use crate::error::CliError;
use crate::output;
use longhaul_record::Exit;
use longhaul_scenarios::from_patchbay;

/// Prints the imported file; notes go to standard error.
pub(crate) fn command(command: &ImportCommand) -> Result<Exit, CliError> {
    let ImportCommand::Patchbay { file, name } = command;
    let text = catalog::read(file)?;
    let stem = || file.file_stem().map_or_else(|| "imported".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let imported = from_patchbay(&file.to_string_lossy(), &text, &name.clone().unwrap_or_else(stem))?;
    for note in &imported.notes {
        output::note(note);
    }
    output::line(imported.text.trim_end())?;
    Ok(Exit::Pass)
}
