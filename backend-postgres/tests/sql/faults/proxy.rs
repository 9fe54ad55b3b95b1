//! Stands between a store and its server, and loses a connection at a chosen moment.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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

/// A connection is lost with what is said at some place of the conversation, whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Whether the client says it, or the server.
    pub of_client: bool,
    /// How much that side says before.
    pub after: u32,
    /// Whether the first half of it still comes through.
    pub half: bool,
}

/// A connection is lost with the first words that contain these.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub words: &'static [u8],
    pub moment: Moment,
    /// Whether the server can be reached again afterwards.
    pub comes_back: bool,
    /// What is said in place of the server's answer: severity and SQLSTATE. Without it the connection ends.
    pub says: Option<(&'static str, &'static str)>,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    cut: Option<Cut>,
    is_away: bool,
    /// Takes connections, and says nothing.
    is_silent: bool,
    /// Settings that a client asks for when it connects do not reach the server.
    drops_settings: bool,
    /// After so many bytes of one client nothing goes on for so long, once.
    pondering: Option<(usize, Duration)>,
    pause: Option<(usize, Duration)>,
    /// What was read from clients, in pieces.
    messages: u64,
    /// So many of the next connections are refused.
    refusals: u32,
    /// So many of the next connections lead to another server.
    led: Option<(u32, PathBuf)>,
    /// What came from the server.
    heard_bytes: u64,
    /// Transactions that clients began.
    begun: u64,
    /// Pieces in which clients name an account.
    naming: u64,
    /// Connections of a number below it say nothing any more.
    muted: u64,
    connections: u64,
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
            let mut kept = Vec::new();
            while let Ok((client, _)) = listener.accept().await {
                let number = {
                    let mut state = shared.lock().unwrap();
                    if state.is_away || state.refusals > 0 {
                        state.refusals = state.refusals.saturating_sub(1);
                        continue;
                    }
                    if state.is_silent {
                        kept.push(client);
                        continue;
                    }
                    state.connections += 1;
                    state.connections
                };
                let server = led(&shared).unwrap_or_else(|| server.clone());
                let server = UnixStream::connect(server.join(NAME)).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&shared), number));
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

    /// From now on counted.
    pub fn cut(&self, cut: Cut) {
        self.state.lock().unwrap().cut = Some(cut);
    }

    /// True if it has not come to that; then it does not any more.
    pub fn was_not_cut(&self) -> bool {
        self.state.lock().unwrap().cut.take().is_some()
    }

    /// True once the fault has happened.
    pub fn has_happened(&self) -> bool {
        self.state.lock().unwrap().fault.is_none()
    }

    /// From now on connections are taken, and nothing is said on them.
    pub fn be_silent(&self, is_silent: bool) {
        self.state.lock().unwrap().is_silent = is_silent;
    }

    /// From now on the settings of who connects are dropped.
    pub fn drop_settings(&self) {
        self.state.lock().unwrap().drops_settings = true;
    }

    /// After so many bytes of one client nothing goes on for so long, once.
    pub fn pause_after(&self, bytes: usize, time: Duration) {
        self.state.lock().unwrap().pause = Some((bytes, time));
    }

    /// After so many bytes for one client it is not heard for so long, once: it looks at them.
    pub fn ponder_after(&self, bytes: usize, time: Duration) {
        self.state.lock().unwrap().pondering = Some((bytes, time));
    }

    /// True once that was.
    pub fn has_pondered(&self) -> bool {
        self.state.lock().unwrap().pondering.is_none()
    }

    /// True once that was.
    pub fn has_paused(&self) -> bool {
        self.state.lock().unwrap().pause.is_none()
    }

    /// Pieces in which clients have said what they had to say.
    pub fn messages(&self) -> u64 {
        self.state.lock().unwrap().messages
    }

    /// So many of the next connections are refused.
    pub fn refuse(&self, count: u32) {
        self.state.lock().unwrap().refusals = count;
    }

    /// True once they were.
    pub fn has_refused(&self) -> bool {
        self.state.lock().unwrap().refusals == 0
    }

    /// So many of the next connections lead to another server.
    pub fn lead(&self, count: u32, server: PathBuf) {
        self.state.lock().unwrap().led = Some((count, server));
    }

    /// True once they did.
    pub fn has_led(&self) -> bool {
        self.state.lock().unwrap().led.is_none()
    }

    /// Bytes that came from the server.
    pub fn heard_bytes(&self) -> u64 {
        self.state.lock().unwrap().heard_bytes
    }

    /// Transactions that clients began.
    pub fn begun(&self) -> u64 {
        self.state.lock().unwrap().begun
    }

    /// Pieces in which clients have named an account.
    pub fn naming(&self) -> u64 {
        self.state.lock().unwrap().naming
    }

    /// All connections that are there stay, and nothing comes over them any more, either way, not even that they end.
    pub fn mute(&self) {
        let mut state = self.state.lock().unwrap();
        state.muted = state.connections;
    }

    /// From now on the server cannot be reached. Connections that are there stay.
    pub fn go_away(&self) {
        self.state.lock().unwrap().is_away = true;
    }

    /// The server can be reached again.
    pub fn come_back(&self) {
        self.state.lock().unwrap().is_away = false;
    }
}

/// Passes bytes on, both ways, until the fault.
async fn pass(mut client: UnixStream, mut server: UnixStream, state: Arc<Mutex<State>>, number: u64) {
    let is_muted = || number <= state.lock().unwrap().muted;
    let (mut from_client, mut from_server) = ([0; 1 << 16], [0; 1 << 16]);
    let mut drops_settings = state.lock().unwrap().drops_settings;
    let (mut said, mut heard) = (0, 0);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(len @ 1..) = read else { return };
                if is_muted() {
                    continue;
                }
                if let Some(half) = cut(&state, true) {
                    let _ = server.write_all(&from_client[..half * len / 2]).await;
                    return;
                }
                said += len;
                let pondering = state.lock().unwrap().pondering.take_if(|(bytes, _)| heard > *bytes);
                for time in counted(&state, said).into_iter().chain(pondering.map(|(_, time)| time)) {
                    tokio::time::sleep(time).await;
                }
                // Before it a client may ask for TLS.
                let is_startup = drops_settings && from_client[4..8] == PROTOCOL;
                let without = is_startup.then(|| without_settings(&from_client[..len]));
                drops_settings &= !is_startup;
                let words = without.as_deref().unwrap_or(&from_client[..len]);
                if words.windows(BEGIN.len()).any(|window| window == BEGIN) {
                    state.lock().unwrap().begun += 1;
                }
                if words.windows(NAME.len()).any(|window| window == NAME) {
                    state.lock().unwrap().naming += 1;
                }
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
                    if let Some(error) = fault.and_then(|fault| fault.says).map(error) {
                        let _ = client.write_all(&error).await;
                    }
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(len @ 1..) = read else {
                    if is_muted() {
                        std::future::pending::<()>().await;
                    }
                    return;
                };
                if is_muted() {
                    continue;
                }
                if let Some(half) = cut(&state, false) {
                    let _ = client.write_all(&from_server[..half * len / 2]).await;
                    return;
                }
                state.lock().unwrap().heard_bytes += len as u64;
                heard += len;
                if client.write_all(&from_server[..len]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// How many halves still come through, if the connection is lost with what is said now.
fn cut(state: &Mutex<State>, of_client: bool) -> Option<usize> {
    let mut state = state.lock().unwrap();
    let cut = state.cut.as_mut().filter(|cut| cut.of_client == of_client)?;
    if cut.after > 0 {
        cut.after -= 1;
        return None;
    }
    state.cut.take().map(|cut| usize::from(cut.half))
}

/// The first words of a transaction.
const BEGIN: &[u8] = b"BEGIN";
/// What names of accounts begin with.
const NAME: &[u8] = b"did:";

/// Version 3.0, in a `StartupMessage`.
const PROTOCOL: [u8; 4] = [0, 3, 0, 0];

/// A `StartupMessage` (protocol 3.0, 55.7) without its `options`.
fn without_settings(message: &[u8]) -> Vec<u8> {
    let mut words = message[8..].split(|byte| *byte == 0);
    let mut kept = message[4..8].to_vec();
    while let (Some(name), Some(value)) = (words.next().filter(|name| !name.is_empty()), words.next()) {
        if name != b"options" {
            kept.extend([name, b"\0", value, b"\0"].concat());
        }
    }
    kept.push(0);
    let len = u32::try_from(kept.len() + 4).unwrap();
    [len.to_be_bytes().as_slice(), &kept].concat()
}

/// An `ErrorResponse` (protocol 3.0, 55.7).
fn error((severity, code): (&str, &str)) -> Vec<u8> {
    let fields = format!("S{severity}\0V{severity}\0C{code}\0Mon purpose, as if by NOTIFY\0\0");
    let len = u32::try_from(fields.len() + 4).unwrap();
    [b"E".as_slice(), &len.to_be_bytes(), fields.as_bytes()].concat()
}

/// Counts what a client has said, and gives the pause that comes after so much.
fn counted(state: &Mutex<State>, said: usize) -> Option<Duration> {
    let mut state = state.lock().unwrap();
    state.messages += 1;
    state.pause.take_if(|(bytes, _)| said > *bytes).map(|(_, time)| time)
}

/// Where the next connection leads, if it is not to the server.
fn led(state: &Mutex<State>) -> Option<PathBuf> {
    let mut state = state.lock().unwrap();
    let (left, server) = state.led.take()?;
    if left > 1 {
        state.led = Some((left - 1, server.clone()));
    }
    Some(server)
}

/// The fault, if these are its words.
fn taken(state: &Mutex<State>, words: &[u8]) -> Option<Fault> {
    let mut state = state.lock().unwrap();
    let fault = state.fault.take_if(|fault| words.windows(fault.words.len()).any(|window| window == fault.words))?;
    state.is_away = !fault.comes_back;
    Some(fault)
}
