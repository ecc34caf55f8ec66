//! Finite automata over classes of UTF-16 code units: the unit in which the reference tool reads, so that characters
//! beyond the basic plane count as two.

use crate::pattern::{self, Set};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// No state, no rule.
pub const NONE: u16 = u16::MAX;

/// A nondeterministic automaton, piece by piece.
#[derive(Default)]
pub struct Builder {
    states: Vec<State>,
    /// Every set of characters that an edge carries.
    pub sets: Vec<Set>,
    known: HashMap<Set, usize>,
}

#[derive(Default)]
struct State {
    /// A set of characters and where it leads.
    edge: Option<(usize, usize)>,
    free: Vec<usize>,
    rule: Option<usize>,
}

/// Part of an automaton, from its first to its last state.
#[derive(Clone, Copy)]
pub struct Fragment {
    first: usize,
    last: usize,
}

impl Builder {
    fn state(&mut self) -> usize {
        self.states.push(State::default());
        self.states.len() - 1
    }

    fn link(&mut self, from: usize, to: usize) {
        self.states[from].free.push(to);
    }

    pub fn empty(&mut self) -> Fragment {
        let state = self.state();
        Fragment { first: state, last: state }
    }

    pub fn set(&mut self, set: Set) -> Fragment {
        let id = *self.known.entry(set.clone()).or_insert_with(|| {
            self.sets.push(set);
            self.sets.len() - 1
        });
        let (first, last) = (self.state(), self.state());
        self.states[first].edge = Some((id, last));
        Fragment { first, last }
    }

    pub fn then(&mut self, a: Fragment, b: Fragment) -> Fragment {
        self.link(a.last, b.first);
        Fragment { first: a.first, last: b.last }
    }

    pub fn alternation(&mut self, parts: &[Fragment]) -> Fragment {
        let (first, last) = (self.state(), self.state());
        for part in parts {
            self.link(first, part.first);
            self.link(part.last, last);
        }
        Fragment { first, last }
    }

    pub fn optional(&mut self, part: Fragment) -> Fragment {
        let nothing = self.empty();
        self.alternation(&[part, nothing])
    }

    pub fn repeated(&mut self, part: Fragment) -> Fragment {
        let (first, last) = (self.state(), self.state());
        self.link(first, part.first);
        self.link(part.last, part.first);
        self.link(part.last, last);
        Fragment { first, last }
    }

    /// A state from which each pattern leads to its number.
    pub fn union(&mut self, patterns: impl IntoIterator<Item = (String, usize)>) -> usize {
        let root = self.state();
        for (text, rule) in patterns {
            let (text, ast) = pattern::parse(&text);
            let fragment = pattern::compile(self, &text, &ast);
            self.link(root, fragment.first);
            self.states[fragment.last].rule = Some(rule);
        }
        root
    }

    /// The states that read a character or end a rule, of all that are reached from `state` for free.
    fn closure(&self, state: usize) -> Vec<usize> {
        let (mut seen, mut open) = (BTreeSet::from([state]), vec![state]);
        while let Some(state) = open.pop() {
            open.extend(self.states[state].free.iter().copied().filter(|&next| seen.insert(next)));
        }
        let matters = |s: &usize| self.states[*s].edge.is_some() || self.states[*s].rule.is_some();
        seen.into_iter().filter(matters).collect()
    }
}

/// Code units that no pattern tells apart are one class.
pub struct Alphabet {
    /// Number of classes.
    pub classes: usize,
    /// The class of each code unit.
    pub class_of: Vec<u8>,
    /// For each set of the builder its classes.
    of_sets: Vec<Vec<u8>>,
}

impl Alphabet {
    pub fn new(sets: &[Set]) -> Self {
        let starts = sets.iter().flatten().flat_map(|&(start, end)| [u32::from(start), u32::from(end) + 1]);
        let starts: BTreeSet<u32> = starts.chain([0]).filter(|&start| start <= 0xffff).collect();
        let ends = starts.iter().copied().skip(1).chain([0x10000]);
        let mut classes: BTreeMap<Vec<usize>, u8> = BTreeMap::new();
        let mut class_of = vec![0; 0x10000];
        let mut of_sets = vec![BTreeSet::new(); sets.len()];
        for (&start, end) in starts.iter().zip(ends) {
            let holds = |set: &Set| set.iter().any(|&(a, b)| (u32::from(a)..=u32::from(b)).contains(&start));
            let within: Vec<usize> = (0..sets.len()).filter(|&i| holds(&sets[i])).collect();
            let fresh = u8::try_from(classes.len()).expect("at most 256 classes of characters");
            let class = *classes.entry(within.clone()).or_insert(fresh);
            class_of[start as usize..end as usize].fill(class);
            within.iter().for_each(|&set| _ = of_sets[set].insert(class));
        }
        let of_sets = of_sets.into_iter().map(|classes| classes.into_iter().collect()).collect();
        Self { classes: classes.len(), class_of, of_sets }
    }
}

/// A deterministic automaton with as many first states as it has languages.
pub struct Machine {
    pub roots: Vec<u16>,
    /// For each state where each class leads, or `NONE`.
    pub next: Vec<Vec<u16>>,
    /// For each state the first rule that ends there, or `NONE`.
    pub rule: Vec<u16>,
}

/// The subset construction.
pub fn determinize(builder: &Builder, alphabet: &Alphabet, roots: &[usize]) -> Machine {
    let closures: Vec<Vec<usize>> = (0..builder.states.len()).map(|state| builder.closure(state)).collect();
    let mut machine = Machine { roots: vec![], next: vec![], rule: vec![] };
    let mut known: HashMap<Vec<usize>, u16> = HashMap::new();
    let mut open: Vec<Vec<usize>> = vec![];
    let mut number = |subset: Vec<usize>, open: &mut Vec<Vec<usize>>| {
        let fresh = u16::try_from(known.len()).ok().filter(|&n| n < NONE).expect("fewer than 65,535 states");
        *known.entry(subset).or_insert_with_key(|subset| {
            open.push(subset.clone());
            fresh
        })
    };
    for &root in roots {
        machine.roots.push(number(closures[root].clone(), &mut open));
    }
    let mut done = 0;
    while done < open.len() {
        let subset = open[done].clone();
        done += 1;
        let mut targets: Vec<Vec<usize>> = vec![vec![]; alphabet.classes];
        for (set, to) in subset.iter().filter_map(|&state| builder.states[state].edge) {
            alphabet.of_sets[set].iter().for_each(|&class| targets[class as usize].extend(&closures[to]));
        }
        let row = targets.into_iter().map(|mut target| {
            target.sort_unstable();
            target.dedup();
            if target.is_empty() { NONE } else { number(target, &mut open) }
        });
        machine.next.push(row.collect());
        let rule = subset.iter().filter_map(|&state| builder.states[state].rule).min();
        machine.rule.push(rule.map_or(NONE, |rule| rule as u16));
    }
    machine
}

/// Merges states that no input tells apart (Moore 1956).
pub fn minimize(machine: &Machine, classes: usize) -> Machine {
    let mut blocks: Vec<u16> = number_by(machine.rule.iter().map(|&rule| vec![rule]));
    loop {
        let of = |state: &u16| if *state == NONE { NONE } else { blocks[*state as usize] };
        let keys = (0..blocks.len()).map(|state| {
            let mut key = Vec::with_capacity(classes + 1);
            key.push(blocks[state]);
            key.extend(machine.next[state].iter().map(of));
            key
        });
        let finer = number_by(keys);
        if finer.iter().max() == blocks.iter().max() {
            break;
        }
        blocks = finer;
    }
    let count = blocks.iter().max().map_or(0, |&last| last as usize + 1);
    let first_of: Vec<usize> = (0..count)
        .map(|block| blocks.iter().position(|&b| b as usize == block).expect("no block is empty"))
        .collect();
    let of = |state: &u16| if *state == NONE { NONE } else { blocks[*state as usize] };
    Machine {
        roots: machine.roots.iter().map(of).collect(),
        next: first_of.iter().map(|&state| machine.next[state].iter().map(of).collect()).collect(),
        rule: first_of.iter().map(|&state| machine.rule[state]).collect(),
    }
}

/// Equal keys get equal numbers, in order of first appearance.
fn number_by(keys: impl Iterator<Item = Vec<u16>>) -> Vec<u16> {
    let mut known: HashMap<Vec<u16>, u16> = HashMap::new();
    let mut number = |key| {
        let fresh = known.len() as u16;
        *known.entry(key).or_insert(fresh)
    };
    keys.map(&mut number).collect()
}
