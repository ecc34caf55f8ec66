//! Ctrl-C: the first asks for a stop that saves, the second ends the process.

use crate::{
    error::{CliError, Result},
    screen::Screen,
};
use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tokio::signal::unix::{SignalKind, signal};

/// A flag that the first SIGINT or SIGTERM sets. The second one ends the process with code 130.
pub fn stop_flag(screen: &Screen) -> Result<Arc<AtomicBool>> {
    let failed = |e: std::io::Error| CliError::Message(format!("listen for signals: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    // From here on signals do nothing by themselves.
    let (mut interrupt, mut terminate) = runtime
        .block_on(async { Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)) })
        .map_err(failed)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, screen) = (stop.clone(), screen.clone());
    let listen = move || {
        runtime.block_on(async {
            loop {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                if flag.swap(true, Ordering::Relaxed) {
                    process::exit(130);
                }
                screen.say("stopping at the next checkpoint; once more (Ctrl-C) to end at once");
            }
        })
    };
    thread::Builder::new().name("signals".into()).spawn(listen).map_err(failed)?;
    Ok(stop)
}
