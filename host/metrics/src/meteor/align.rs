//! METEOR's alignment search: which matches to use, each word at most once.
//!
//! A beam search over the words of the reference, from left to right, as the reference implementation does it:
//! most words matched first, then fewest chunks, then least distance. Three of its ways are not what one would
//! write, and decide ties. Matches other than exact ones count half their words, rounded down at each step (so
//! one stem counts nothing). The distance of a match is added to the alignments that come after it from the
//! same ancestor, not to its own. Matches that compete with none are taken before the search.

use super::hypothesis::HypothesisIndex;
use super::matches::{Match, Matches};
use super::sentence::Sentence;
use super::statistics::MeteorStatistics;

/// Alignments that are followed side by side.
const BEAM: usize = 40;
const NONE: u32 = u32::MAX;

/// Which words of a hypothesis are taken: bits where they fit, a list of bits where not.
trait Taken: Clone {
    fn none(words: usize) -> Self;
    fn any(&self, start: u32, length: u32) -> bool;
    fn take(&mut self, start: u32, length: u32);
}

impl Taken for u64 {
    fn none(_: usize) -> Self {
        0
    }

    fn any(&self, start: u32, length: u32) -> bool {
        self & span(start, length) != 0
    }

    fn take(&mut self, start: u32, length: u32) {
        *self |= span(start, length);
    }
}

/// Bits `start..start + length`, within 64.
fn span(start: u32, length: u32) -> u64 {
    (u64::MAX >> (64 - length)) << start
}

impl Taken for Vec<bool> {
    fn none(words: usize) -> Self {
        vec![false; words]
    }

    fn any(&self, start: u32, length: u32) -> bool {
        self[start as usize..(start + length) as usize].contains(&true)
    }

    fn take(&mut self, start: u32, length: u32) {
        self[start as usize..(start + length) as usize].fill(true);
    }
}

/// What an alignment of the first words of the reference is worth.
#[derive(Debug, Clone, Copy)]
struct State {
    /// Words matched in hypothesis and reference, weighed and rounded down.
    matches: [u32; 2],
    chunks: u32,
    distance: u32,
    /// First word of the reference that is not decided.
    next: u32,
    /// Word of the hypothesis behind the last match; `NONE` if the word before `next` has no match.
    last_end: u32,
}

impl State {
    const START: Self = Self { matches: [0; 2], chunks: 0, distance: 0, next: 0, last_end: NONE };

    fn accept(&mut self, m: &Match) {
        let weighed = |length: u32| if m.module == 0 { length } else { length / 2 };
        self.matches[0] += weighed(m.match_length);
        self.matches[1] += weighed(m.length);
        if self.last_end != NONE && m.match_start != self.last_end {
            self.chunks += 1;
        }
        self.next = m.start + m.length;
        self.last_end = m.match_start + m.match_length;
    }

    fn end_chunk(&mut self) {
        if self.last_end != NONE {
            self.chunks += 1;
            self.last_end = NONE;
        }
    }

    /// Orders alignments from best to worst, equal ones by `place`.
    fn key(&self, place: usize) -> u128 {
        let worth = u128::from(u32::MAX - self.matches[0] - self.matches[1]);
        worth << 96 | u128::from(self.chunks) << 64 | u128::from(self.distance) << 32 | place as u128
    }
}

fn distance(m: &Match) -> u32 {
    m.start.abs_diff(m.match_start)
}

/// An alignment of the first words of the reference.
#[derive(Debug, Clone)]
struct Path<T> {
    state: State,
    taken: T,
    /// Its last match in `Search::links`, or `NONE`.
    last: u32,
}

/// An alignment that may be followed.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    state: State,
    /// Of which path it is the continuation.
    from: u32,
    /// By which match of the word at hand, or `NONE`.
    by: u32,
}

/// Room for searches, used again and again.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub index: HypothesisIndex,
    pub matches: Matches,
    candidates: Vec<Candidate>,
    keys: Vec<u128>,
    /// Matches of paths, each with the one before it.
    links: Vec<(Match, u32)>,
    /// The matches that compete with none, by first word in the reference.
    certain: Vec<Option<Match>>,
    chosen: Vec<Match>,
}

impl Search {
    /// The statistics of the best alignment by the matches that were found.
    pub(super) fn align(&mut self, hypothesis: &Sentence, reference: &Sentence) -> MeteorStatistics {
        let (n, m) = (reference.len(), hypothesis.len());
        self.take_certain(n);
        if m <= 64 {
            self.search::<u64>(n, m)
        } else {
            self.search::<Vec<bool>>(n, m)
        }
        let certain = self.certain.iter().flatten();
        self.chosen.extend(certain);
        self.chosen.sort_unstable_by_key(|m| m.start);
        MeteorStatistics::new(hypothesis, reference, &self.chosen)
    }

    /// Matches that compete with none.
    fn take_certain(&mut self, words: usize) {
        let [hypothesis, reference] = &self.matches.coverage;
        let once = |coverage: &[u32], start: u32, length: u32| {
            coverage[start as usize..(start + length) as usize].iter().all(|c| *c == 1)
        };
        let certain = |matches: &Vec<Match>| match matches[..] {
            [m] if once(reference, m.start, m.length) && once(hypothesis, m.match_start, m.match_length) => {
                Some(m)
            }
            _ => None,
        };
        self.certain.clear();
        self.certain.extend(self.matches.by_start[..words].iter().map(certain));
    }

    /// Leaves the best alignment's other matches in `chosen`.
    fn search<T: Taken>(&mut self, words: usize, hypothesis: usize) {
        self.links.clear();
        self.chosen.clear();
        let mut paths = vec![Path { state: State::START, taken: T::none(hypothesis), last: NONE }];
        let mut next = Vec::new();
        for i in 0..words as u32 {
            let matches = &self.matches.by_start[i as usize];
            if let Some(m) = &self.certain[i as usize] {
                for path in paths.iter_mut().filter(|p| p.state.next == i) {
                    path.state.accept(m);
                    path.state.distance += distance(m);
                }
            } else if matches.is_empty() {
                for path in paths.iter_mut().filter(|p| p.state.next == i) {
                    path.state.end_chunk();
                    path.state.next = i + 1;
                }
            } else {
                self.candidates.clear();
                for (from, path) in paths.iter().enumerate() {
                    let from = from as u32;
                    let mut state = path.state;
                    if state.next > i {
                        self.candidates.push(Candidate { state, from, by: NONE });
                        continue;
                    }
                    for (by, m) in matches.iter().enumerate() {
                        if path.taken.any(m.match_start, m.match_length) {
                            continue;
                        }
                        let mut taking = state;
                        taking.accept(m);
                        self.candidates.push(Candidate { state: taking, from, by: by as u32 });
                        state.distance += distance(m);
                    }
                    state.end_chunk();
                    state.next = i + 1;
                    self.candidates.push(Candidate { state, from, by: NONE });
                }
                best(&self.candidates, &mut self.keys);
                next.clear();
                for key in &self.keys {
                    let candidate = self.candidates[*key as u32 as usize];
                    let path: &Path<T> = &paths[candidate.from as usize];
                    let (mut taken, mut last) = (path.taken.clone(), path.last);
                    if candidate.by != NONE {
                        let m = matches[candidate.by as usize];
                        taken.take(m.match_start, m.match_length);
                        self.links.push((m, last));
                        last = self.links.len() as u32 - 1;
                    }
                    next.push(Path { state: candidate.state, taken, last });
                }
                std::mem::swap(&mut paths, &mut next);
                continue;
            }
            // The beam is in order at each word.
            if paths.len() > 1 {
                paths.sort_by_key(|p| p.state.key(0));
            }
        }
        for path in &mut paths {
            path.state.end_chunk();
        }
        let mut last = paths.iter().min_by_key(|p| p.state.key(0)).map_or(NONE, |p| p.last);
        while let Some(&(m, before)) = self.links.get(last as usize) {
            self.chosen.push(m);
            last = before;
        }
    }
}

/// The keys of the best candidates, from best to worst.
fn best(candidates: &[Candidate], keys: &mut Vec<u128>) {
    keys.clear();
    keys.extend(candidates.iter().enumerate().map(|(place, c)| c.state.key(place)));
    if keys.len() > BEAM {
        keys.select_nth_unstable(BEAM);
        keys.truncate(BEAM);
    }
    keys.sort_unstable();
}
