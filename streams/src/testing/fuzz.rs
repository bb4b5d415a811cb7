//! Fuzzing on stable Rust, inside the test binaries: a kept corpus, and mutations of it.
//!
//! A target says what it did with an input, as one short text. An input that is answered in a new way joins the pool from
//! which the next ones are made, which stands in for the coverage that stable Rust does not measure. An input that makes a
//! target panic, or takes too long, is written into the corpus, where the next run finds it first.
//!
//! `STREAMSPACE_FUZZ_SECONDS` is the time of one target (0.5), `STREAMSPACE_FUZZ_SEED` repeats a run,
//! `STREAMSPACE_FUZZ_KEEP=1` adds the inputs that were answered in a new way to the corpus.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest, Sha256};

/// Time of one target, in seconds.
const SECONDS: f64 = 0.5;
/// An input that takes longer is a finding: decoders work on what strangers send.
const TOO_LONG: Duration = Duration::from_secs(5);
/// Longest input that is made, in bytes.
const LONGEST: usize = 1 << 16;
/// Inputs in the pool.
const POOL: usize = 2_048;
/// Changes of one input.
const CHANGES: usize = 6;
/// Pieces that decoders treat specially.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "-",
    "- ",
    "\n",
    "---\n",
    "&a ",
    "*a",
    "<<: ",
    "!!",
    "|\n",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "\u{1b}[31m",
    "\u{202e}",
    "é",
    "\u{10ffff}",
    "0",
    "-1",
    "1e400",
    "18446744073709551616",
    "9223372036854775807",
    "0.1",
    "NaN",
    "Ki",
    "m",
    "h",
    "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:60Z",
    ".",
    ">",
    "  ",
];

/// Runs one target: first the corpus, then mutations until its time is over.
///
/// # Panics
/// On an input that makes `target` panic or takes too long, which is then in the corpus; or if the corpus is empty.
#[allow(clippy::panic, clippy::print_stdout)] // a finding fails the test, and the harness captures what is printed
pub fn fuzz(corpus: &Path, target: impl Fn(&[u8]) -> String) {
    let seeds = read(corpus);
    assert!(!seeds.is_empty(), "{} holds no inputs", corpus.display());
    let seed = setting("STREAMSPACE_FUZZ_SEED").unwrap_or_else(rand::random);
    let mut run = Run { corpus, seed, target, seen: HashSet::new(), pool: Vec::new() };
    for input in seeds {
        run.try_one(&input, false);
        run.pool.push(input); // also one that is answered like another
    }
    let mut random = StdRng::seed_from_u64(seed);
    let seconds = setting("STREAMSPACE_FUZZ_SECONDS").unwrap_or(SECONDS);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut tried = 0_u64;
    while Instant::now() < end {
        for _ in 0..64 {
            let input = mutated(&run.pool, &mut random);
            run.try_one(&input, true);
            tried += 1;
        }
    }
    println!("{}: {tried} inputs, {} answers, seed {seed}", corpus.display(), run.seen.len());
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// The corpus, in the order of its names.
fn read(corpus: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(corpus).into_iter().flatten().flatten();
    let mut files = files.map(|entry| entry.path()).filter(|path| path.is_file()).collect::<Vec<_>>();
    files.sort();
    files.iter().filter_map(|path| std::fs::read(path).ok()).collect()
}

struct Run<'a, F> {
    corpus: &'a Path,
    seed: u64,
    target: F,
    /// Digests of the answers.
    seen: HashSet<u64>,
    pool: Vec<Vec<u8>>,
}

impl<F: Fn(&[u8]) -> String> Run<'_, F> {
    #[allow(clippy::panic)] // a finding fails the test
    fn try_one(&mut self, input: &[u8], made: bool) {
        let begun = Instant::now();
        let answer = catch_unwind(AssertUnwindSafe(|| (self.target)(input)));
        let took = begun.elapsed();
        let Ok(answer) = answer else { panic!("panics on {} (seed {})", self.keep(input).display(), self.seed) };
        if took > TOO_LONG {
            panic!("takes {took:?} for {} (seed {})", self.keep(input).display(), self.seed);
        }
        let new = self.seen.insert(kind(&answer));
        if new && made && self.pool.len() < POOL {
            self.pool.push(input.to_vec());
            if std::env::var_os("STREAMSPACE_FUZZ_KEEP").is_some() {
                self.keep(input);
            }
        }
    }

    /// Writes an input into the corpus.
    #[allow(clippy::print_stdout)] // the harness captures it
    fn keep(&self, input: &[u8]) -> PathBuf {
        let name = Sha256::digest(input).iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>();
        let path = self.corpus.join(name);
        if let Err(error) = std::fs::write(&path, input) {
            println!("{} cannot be written ({error}): {}", path.display(), input.escape_ascii());
        }
        path
    }
}

/// The digest of an answer without the numbers and quotations in it, which differ from input to input.
fn kind(answer: &str) -> u64 {
    let mut quoted = false;
    let plain = answer.chars().filter(|c| {
        quoted ^= *c == '"' || *c == '`';
        !quoted && !c.is_ascii_digit()
    });
    let digest = Sha256::digest(plain.take(200).collect::<String>());
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// A new input from one or two of the pool.
fn mutated(pool: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut input = pool[random.random_range(0..pool.len())].clone();
    for _ in 0..random.random_range(1..=CHANGES) {
        change(&mut input, pool, random);
    }
    input.truncate(LONGEST);
    input
}

fn change(input: &mut Vec<u8>, pool: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    let end = (at + random.random_range(0..=32)).min(input.len());
    match random.random_range(0..8) {
        0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
        1 if at < input.len() => input[at] = random.random(),
        2 => drop(input.drain(at..end)),
        3 => {
            let copy = input[at..end].repeat(random.random_range(1..=4));
            input.splice(at..at, copy);
        }
        4 => {
            let piece = PIECES[random.random_range(0..PIECES.len())].as_bytes();
            input.splice(at..end, piece.iter().copied());
        }
        5 => {
            let piece = PIECES[random.random_range(0..PIECES.len())].as_bytes();
            input.splice(at..at, piece.repeat(1 << random.random_range(0..12))); // depth, aliases, length
        }
        6 => {
            let other = &pool[random.random_range(0..pool.len())];
            let from = random.random_range(0..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => {
            let piece = PIECES[random.random_range(0..PIECES.len())].as_bytes();
            input.splice(at..at, piece.iter().copied());
        }
    }
}
