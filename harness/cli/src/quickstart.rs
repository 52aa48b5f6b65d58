//! `longhaul quickstart`: from nothing to results in the browser.

use crate::args::QuickstartArgs;
use crate::catalog;
use crate::doctor;
use crate::error::CliError;
use crate::output;
use crate::run;
use crate::serve;
use crate::stop::Stop;
use longhaul_dashboard::Service;
use longhaul_record::Exit;

/// Checks the machine, runs the quick suite, records and shows it.
pub(crate) fn quickstart(args: &QuickstartArgs) -> Result<Exit, CliError> {
    let scenarios = catalog::select(&["quick".to_owned()])?;
    let asked = run::asked(&args.measure, &scenarios)?;
    let sandbox = netsim_lab::enter()?;
    let stop = Stop::on_signals()?;
    doctor::require()?;
    let runtime = run::runtime()?;
    let store = runtime.block_on(args.measure.db.open())?;
    // Before the minutes of measuring: nobody wants to learn at their end that the port is taken.
    let listener = match args.no_serve {
        true => None,
        false => Some(runtime.block_on(longhaul_dashboard::bind(args.listen))?),
    };
    let records = run::measure(&run::How::of(&args.measure), &scenarios, &asked, &sandbox, &runtime, &*store, &stop)?;
    let exit = run::report(&args.measure, &scenarios, &records)?;
    output::note(format!("recorded in {}", *args.measure.db));
    // Folds the write-ahead log into the file: from here on it is complete, however the serving ends.
    runtime.block_on(store.close());
    if let Some(listener) = listener {
        let store = runtime.block_on(args.measure.db.open_read_only())?;
        serve::until_stopped(&runtime, listener, store, Service::Show, &stop)?;
    }
    Ok(exit)
}
