//! What people see of a command: progress on a terminal, then what came of it.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;

use super::work::{Figures, Outcome, Phase, Progress, Verified};

/// Standard error as a terminal; quiet if it is none.
pub struct Screen {
    /// What the progress line says.
    painted: Option<Mutex<String>>,
}

impl Screen {
    /// The screen of this process.
    #[must_use]
    pub fn new() -> Self {
        Self { painted: std::io::stderr().is_terminal().then(Mutex::default) }
    }

    /// Repaints the progress line, if it has something else to say.
    pub fn progress(&self, what: &str, progress: Progress) {
        let Some(Ok(mut painted)) = self.painted.as_ref().map(Mutex::lock) else { return };
        let line = format!("{what}: {}", line(progress));
        if *painted != line {
            // A terminal that cannot be written to shows nothing; the work goes on.
            let _ = write!(std::io::stderr(), "\r{line:width$}", width = painted.chars().count());
            *painted = line;
        }
    }

    /// Takes the progress line away.
    pub fn clear(&self) {
        let Some(Ok(mut painted)) = self.painted.as_ref().map(Mutex::lock) else { return };
        if !painted.is_empty() {
            let _ = write!(std::io::stderr(), "\r{:width$}\r", "", width = painted.chars().count());
            painted.clear();
        }
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

fn line(Progress { phase, done, total }: Progress) -> String {
    let (verb, unit) = match phase {
        Phase::Read => ("reading", "bytes"),
        Phase::Check => ("checking", "blocks"),
        Phase::Write => ("writing", "blocks"),
        Phase::Send => ("sent", "bytes"),
        Phase::Sweep => ("forgotten", "entries"),
    };
    let amount = |n: u64| if unit == "bytes" { bytes(n) } else { format!("{n} {unit}") };
    match total {
        Some(total) if total > 0 => {
            let percent = (u128::from(done) * 100 / u128::from(total)).min(100);
            format!("{verb} {percent} % of {}", amount(total))
        }
        _ => format!("{verb} {}", amount(done)),
    }
}

/// A number of bytes for people.
#[must_use]
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// What came of a command, in words.
#[must_use]
pub fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Imported(i) => {
            let left_out = match i.left_out {
                0 => String::new(),
                n => format!("; {n} blocks of the file that its tree does not need were left out"),
            };
            let (file, did, rev) = (&i.file, &i.did, i.rev);
            let size = bytes(i.bytes);
            format!("{file}: {did} at rev {rev}: {} records, {} blocks, {size}{left_out}", i.records, i.blocks)
        }
        Outcome::Exported(e) => format!("{} at rev {}: {} blocks, {}", e.did, e.rev, e.blocks, bytes(e.bytes)),
        Outcome::Verified(v) => verified(v),
        Outcome::Figures(f) => figures(f),
        Outcome::Checkpointed(c) => format!("everything up to mutation {} needs no replay", c.position),
        Outcome::Swept(s) => {
            let (blocks, entries, rows, events) = (s.blocks, s.entries, s.rows, s.events);
            let held = s.held.iter().map(|why| format!("\n  {why}")).collect::<String>();
            format!("forgotten: {blocks} blocks, {entries} entries, {rows} rows, {events} events{held}")
        }
    }
}

fn verified(v: &Verified) -> String {
    let mut out = v.healed.iter().map(|what| format!("healed: {what}\n")).collect::<String>();
    if v.healed_more > 0 {
        out.push_str(&format!("healed: {} more\n", v.healed_more));
    }
    out.push_str(&format!(
        "looked at {} repos, {} records, {} blocks, {} of blocks, {} events: ",
        v.repos,
        v.records,
        v.blocks,
        bytes(v.bytes),
        v.events
    ));
    match v.problems.len() as u64 + v.problems_more {
        0 => out.push_str("everything is in order"),
        n => {
            out.push_str(&format!("{n} problems"));
            for problem in &v.problems {
                out.push_str("\n  ");
                out.push_str(problem);
            }
            if v.problems_more > 0 {
                out.push_str(&format!("\n  and {} more", v.problems_more));
            }
        }
    }
    out
}

fn figures(f: &Figures) -> String {
    let mut lines = vec![
        format!("backend     {}", f.backend),
        format!("mutations   {}", f.position),
        format!("events      {}", f.head_seq),
        format!("accounts    {}", f.accounts),
        format!("repos       {}", f.repos),
        format!("records     {}", f.records),
        format!("references  {} to {} of blocks", f.refs, bytes(f.bytes)),
    ];
    lines.extend(f.space_bytes.iter().map(|(part, n)| format!("on disk     {part}: {}", bytes(*n))));
    lines.extend(f.counters.iter().map(|(name, n)| format!("counter     {name}: {n}")));
    lines.extend(f.stopped.iter().map(|why| format!("WRITING HAS STOPPED: {why}")));
    lines.join("\n")
}
