//! `longhaul serve`: the dashboard.

use crate::args::{ServeArgs, SiteArgs};
use crate::error::CliError;
use crate::output;
use crate::run::runtime;
use crate::stop::Stop;
use longhaul_dashboard::Service;
use longhaul_record::{Exit, text};
use longhaul_store::Upkeep;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Serves recorded results until the user stops it.
pub(crate) fn command(args: &ServeArgs) -> Result<Exit, CliError> {
    let stop = Stop::on_signals()?;
    let runtime = runtime()?;
    let (store, service) = match args.accept {
        true => (runtime.block_on(args.db.open())?, Service::Accept),
        false => (runtime.block_on(args.db.open_read_only())?, Service::Show),
    };
    let listener = runtime.block_on(longhaul_dashboard::bind(args.listen))?;
    until_stopped(&runtime, listener, store, service, &stop)?;
    Ok(Exit::Pass)
}

/// Writes the dashboard as files.
pub(crate) fn site(args: &SiteArgs) -> Result<Exit, CliError> {
    let exported = runtime()?.block_on(async {
        let store = args.db.open_read_only().await?;
        let exported = longhaul_dashboard::export(store.clone(), &args.dir).await;
        store.close().await;
        Ok::<_, CliError>(exported?)
    })?;
    let size = text::bytes(exported.bytes as f64);
    output::line(format!("{}: {} files, {size}", args.dir.display(), text::count(exported.files as f64)))?;
    Ok(Exit::Pass)
}

/// Serves until Ctrl-C.
pub(crate) fn until_stopped(
    runtime: &Runtime,
    listener: TcpListener,
    store: Arc<dyn Upkeep>,
    service: Service,
    stop: &Stop,
) -> Result<(), CliError> {
    if let Ok(address) = listener.local_addr() {
        output::note(format!("dashboard: http://{address}/ (Ctrl-C ends it)"));
    }
    let stop = stop.clone();
    let wanted = async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        while !stop.wanted() {
            ticks.tick().await;
        }
    };
    runtime
        .block_on(longhaul_dashboard::serve(listener, store, service, wanted))
        .map_err(|source| CliError::Environment { what: "the dashboard stopped", source })
}
