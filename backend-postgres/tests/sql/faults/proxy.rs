//! Stands between a store and its server, and loses a connection at a chosen moment.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// When the connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The words do not reach the server.
    Before,
    /// The server has done what they say, and its answer is lost.
    After,
}

/// A connection is lost with the first words that contain these.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub words: &'static [u8],
    pub moment: Moment,
    /// Whether the server can be reached again afterwards.
    pub comes_back: bool,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    is_away: bool,
}

/// The proxy.
pub struct Proxy {
    directory: tempfile::TempDir,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// Before the server whose socket is in a folder.
    pub fn start(server: PathBuf) -> Self {
        const NAME: &str = ".s.PGSQL.5432";
        let directory = tempfile::tempdir().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let listener = UnixListener::bind(directory.path().join(NAME)).unwrap();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.lock().unwrap().is_away {
                    continue;
                }
                let server = UnixStream::connect(server.join(NAME)).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&shared)));
            }
        });
        Self { directory, state }
    }

    pub fn url(&self, database: &str) -> String {
        let socket = self.directory.path().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{socket}/{database}")
    }

    pub fn set(&self, fault: Fault) {
        self.state.lock().unwrap().fault = Some(fault);
    }

    /// True once the fault has happened.
    pub fn has_happened(&self) -> bool {
        self.state.lock().unwrap().fault.is_none()
    }

    /// The server can be reached again.
    pub fn come_back(&self) {
        self.state.lock().unwrap().is_away = false;
    }
}

/// Passes bytes on, both ways, until the fault.
async fn pass(mut client: UnixStream, mut server: UnixStream, state: Arc<Mutex<State>>) {
    let (mut from_client, mut from_server) = ([0; 1 << 16], [0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(len @ 1..) = read else { return };
                let words = &from_client[..len];
                let fault = taken(&state, words);
                if fault.is_some_and(|fault| fault.moment == Moment::Before) {
                    return;
                }
                if server.write_all(words).await.is_err() {
                    return;
                }
                if fault.is_some() {
                    // The end of the answer is lost.
                    let _ = server.read(&mut from_server).await;
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(len @ 1..) = read else { return };
                if client.write_all(&from_server[..len]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The fault, if these are its words.
fn taken(state: &Mutex<State>, words: &[u8]) -> Option<Fault> {
    let mut state = state.lock().unwrap();
    let fault = state.fault.take_if(|fault| words.windows(fault.words.len()).any(|window| window == fault.words))?;
    state.is_away = !fault.comes_back;
    Some(fault)
}
