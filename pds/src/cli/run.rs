//! From the command line to the exit code.

use std::fs::File;
use std::path::Path;

use backend_api::{Error, Reason, Result};

use super::output::{self, Output};
use super::session::Session;
use super::work::{Outcome, Request};
use super::{Command, Exit, Export, Import, screen};
use crate::Failure;
use crate::config::Config;

/// Runs a command, and says how it ended.
///
/// # Errors
/// If there is no runtime to run it on. What the work says is printed, and is in the exit code.
pub fn run(config: Config, command: Command) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        match command {
            Command::Bench(bench) => bench.run(&config).await.map(|()| Exit::Done),
            Command::DevWriter(writer) => writer.run().await.map(|()| Exit::Done),
            command => operate(config, command).await,
        }
    });
    Ok(exit.unwrap_or_else(|error| {
        say(&error);
        Exit::from(&error)
    }))
}

async fn operate(config: Config, command: Command) -> Result<Exit> {
    let repair = matches!(&command, Command::Verify(verify) if verify.repair);
    let session = Session::open(config, repair).await?;
    session.end_on_interrupt();
    let done = match command {
        Command::Import(import) => import_all(&session, import).await,
        Command::Export(export) => export_one(&session, export).await,
        Command::Verify(verify) => {
            let request = Request::Verify { deep: verify.deep, repair: verify.repair };
            plain(&session, "verify", request, verify.json).await
        }
        Command::Stats(args) => plain(&session, "stats", Request::Stats, args.json).await,
        Command::Checkpoint(args) => plain(&session, "checkpoint", Request::Checkpoint, args.json).await,
        Command::Sweep(args) => plain(&session, "sweep", Request::Sweep, args.json).await,
        // These have stores of their own.
        Command::Bench(_) | Command::DevWriter(_) => Ok(Exit::Done),
    };
    let closed = session.close().await;
    let exit = done?;
    closed?;
    Ok(exit)
}

/// Imports every file, also after one was refused, until the user wants no more; the exit code is that of the first refusal.
async fn import_all(session: &Session, import: Import) -> Result<Exit> {
    let mut exit = Exit::Done;
    for (done, path) in import.files.iter().enumerate() {
        if session.is_cancelled() {
            let (files, left) = (import.files.len(), import.files.len() - done);
            output::say(&format!("pds: given up: {left} of {files} files were not looked at, from {}", path.display()));
            return Ok(if exit == Exit::Done { Exit::Unavailable } else { exit });
        }
        let imported = import_one(session, path).await;
        if let Err(error) = imported.and_then(|outcome| output::print(&shown(&outcome, import.json))) {
            say(&error);
            if exit == Exit::Done {
                exit = Exit::from(&error);
            }
        }
    }
    Ok(exit)
}

async fn import_one(session: &Session, path: &Path) -> Result<Outcome> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|e| {
        let reason = if e.kind() == std::io::ErrorKind::NotFound { Reason::BadRequest } else { Reason::ReadFailed };
        Error::new(reason, format!("{name}: {e}"))
    })?;
    session.run(&name, Request::Import { name: name.clone() }, Some(file), None).await
}

async fn export_one(session: &Session, export: Export) -> Result<Exit> {
    let output = Output::create(export.output.as_deref())?;
    let request = Request::Export { did: export.did, since: export.since };
    let outcome = session.run("export", request, None, Some(output)).await?;
    // Standard output may be the CAR itself.
    output::say(&shown(&outcome, export.json));
    Ok(Exit::Done)
}

async fn plain(session: &Session, what: &str, request: Request, json: bool) -> Result<Exit> {
    let outcome = session.run(what, request, None, None).await?;
    output::print(&shown(&outcome, json))?;
    Ok(match outcome {
        Outcome::Verified(verified) if !verified.problems.is_empty() => Exit::Problems,
        _ => Exit::Done,
    })
}

fn shown(outcome: &Outcome, json: bool) -> String {
    if !json {
        return screen::words(outcome);
    }
    match outcome {
        Outcome::Imported(o) => serde_json::to_string(o),
        Outcome::Exported(o) => serde_json::to_string(o),
        Outcome::Verified(o) => serde_json::to_string(o),
        Outcome::Figures(o) => serde_json::to_string(o),
        Outcome::Checkpointed(o) => serde_json::to_string(o),
        Outcome::Swept(o) => serde_json::to_string(o),
    }
    .unwrap_or_else(|e| format!("{{\"error\":{:?}}}", e.to_string()))
}

fn say(error: &Error) {
    output::say(&format!("pds: {error}"));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use conformance::{ManualClock, Model, Options};

    use super::*;

    #[tokio::test]
    async fn no_file_is_begun_once_the_user_wants_no_more() {
        let options = Options { history_window_micros: 1, event_retention_micros: 1 };
        let session = Session::over(Arc::new(Model::new(options, Arc::new(ManualClock::default()))));
        // A name that nothing has is refused when it is looked at.
        let import = || Import { files: vec!["/nothing/is/here.car".into(); 3], json: false };
        assert_eq!(import_all(&session, import()).await.unwrap(), Exit::Refused);
        session.cancel();
        assert_eq!(import_all(&session, import()).await.unwrap(), Exit::Unavailable);
    }
}
