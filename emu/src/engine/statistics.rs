//! [`Statistics`]: what an engine did, and what it spent its time on.

use std::fmt;
use std::time::{Duration, Instant};

use crate::enter::reason;

/// What an engine does besides running the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Reading and decoding guest code.
    Lift,
    /// The first tier.
    Translate,
    /// Placing code and linking it.
    Publish,
    /// Finding and checking what earlier runs kept.
    Look,
    /// Writing what later runs can use.
    Keep,
    /// Instructions that are interpreted.
    Interpret,
    /// The second tier, on its own thread or on the guest's.
    Optimise,
}

const PHASES: [(Phase, &str); 7] = [
    (Phase::Lift, "lifting"),
    (Phase::Translate, "translating"),
    (Phase::Publish, "publishing"),
    (Phase::Look, "looking for kept code"),
    (Phase::Keep, "keeping code"),
    (Phase::Interpret, "interpreting"),
    (Phase::Optimise, "optimising, mostly beside"),
];

const REASONS: [(u64, &str); 11] = [
    (reason::LINK, "exits not linked"),
    (reason::DISPATCH, "targets not in the table"),
    (reason::FUEL, "samples"),
    (reason::SYSCALL, "system calls"),
    (reason::INTERPRET, "instructions for the interpreter"),
    (reason::REPLAY, "replays"),
    (reason::REFUSED, "regions not entered"),
    (reason::FAULT, "faults"),
    (reason::INTERRUPTED, "interrupts"),
    (reason::BREAKPOINT, "breakpoints"),
    (reason::ILLEGAL, "illegal instructions"),
];

/// Counts and times since the engine was made. Times are measured only when
/// somebody wants them.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    began: Option<Instant>,
    /// Blocks that the first tier translated.
    pub blocks: usize,
    /// The guest instructions in them.
    pub instructions: usize,
    /// Their guest code.
    pub guest_bytes: usize,
    /// The host code made of it.
    pub host_bytes: usize,
    /// Regions that the second tier made.
    pub regions: usize,
    /// Those of them that were given up.
    pub given_up: usize,
    /// Guest files whose kept translations were looked for.
    pub looked: usize,
    /// Those that were found.
    pub found: usize,
    /// The blocks in them.
    pub kept_blocks: usize,
    /// Guest files whose translations were written.
    pub written: usize,
    /// Code spaces that were begun because one was full.
    pub renewed: usize,
    /// Blocks that are known now, and those of them that have code.
    pub known: (usize, usize),
    /// How often translated code came back, by reason.
    left: [u64; REASONS.len()],
    spent: [Duration; PHASES.len()],
}

impl Statistics {
    /// From now on times are measured.
    pub fn measure(&mut self) {
        self.began = Some(Instant::now());
    }

    /// When something begins; nothing when times are not measured.
    pub fn now(&self) -> Option<Instant> {
        self.began.map(|_| Instant::now())
    }

    /// Something that began then is done.
    pub fn spent(&mut self, phase: Phase, began: Option<Instant>) {
        if let Some(began) = began {
            self.add(phase, began.elapsed());
        }
    }

    /// Something took so long.
    pub fn add(&mut self, phase: Phase, time: Duration) {
        self.spent[phase as usize] += time;
    }

    /// Translated code came back.
    pub fn left(&mut self, reason: u64) {
        self.left[reason as usize] += 1;
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (known, with_code) = self.known;
        writeln!(f, "blocks: {known} known, {with_code} with code")?;
        writeln!(
            f,
            "translated: {} blocks of {} instructions, {} bytes into {}; {} regions, {} given up",
            self.blocks,
            self.instructions,
            self.guest_bytes,
            self.host_bytes,
            self.regions,
            self.given_up
        )?;
        writeln!(
            f,
            "kept: {} blocks of {} files, of {} looked for; {} files written",
            self.kept_blocks, self.found, self.looked, self.written
        )?;
        if self.renewed > 0 {
            writeln!(f, "code spaces: {} filled", self.renewed)?;
        }
        let left = REASONS
            .iter()
            .map(|&(reason, name)| (self.left[reason as usize], name));
        let left: Vec<String> = left
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        writeln!(f, "left translated code: {}", left.join(", "))?;
        let Some(began) = self.began else {
            return Ok(());
        };
        write!(f, "time: {:.1} ms", milliseconds(began.elapsed()))?;
        for (phase, name) in PHASES {
            write!(
                f,
                "; {:.1} {name}",
                milliseconds(self.spent[phase as usize])
            )?;
        }
        writeln!(f)
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
