//! Lua's patterns (reference manual, 6.4.1) with a clock: the library's own matcher can run for years on
//! a short pattern without ever coming back to where a limit could stop it.

use crate::{Fault, host::Clock};

/// As many captures as the reference implementation allows.
const MOST_CAPTURES: usize = 32;
/// Nesting of one match before it is refused.
const MOST_DEPTH: usize = 200;

type Found<T> = Result<T, Fault>;

/// A capture: text from and to, or a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    Open(usize),
    Text(usize, usize),
    Position(usize),
}

/// One subject and pattern.
pub(crate) struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    clock: &'a Clock,
    captures: Vec<Capture>,
    depth: usize,
    steps: u32,
}

impl<'a> Matcher<'a> {
    pub fn new(text: &'a [u8], pattern: &'a [u8], clock: &'a Clock) -> Self {
        Self { text, pattern, clock, captures: vec![], depth: 0, steps: 0 }
    }

    /// Matches the pattern at `at`: where the match ends.
    pub fn match_at(&mut self, at: usize) -> Found<Option<usize>> {
        self.captures.clear();
        self.depth = 0;
        self.walk(at, 0)
    }

    /// The first match at or after `at`: from and to.
    pub fn search(&mut self, at: usize, anchored: bool) -> Found<Option<(usize, usize)>> {
        for from in at..=self.text.len() {
            if let Some(to) = self.match_at(from)? {
                return Ok(Some((from, to)));
            }
            if anchored {
                break;
            }
        }
        Ok(None)
    }

    /// The captures of the last match; the whole match where the pattern has none.
    pub fn captures(&self, from: usize, to: usize) -> Found<Vec<Capture>> {
        if self.captures.is_empty() {
            return Ok(vec![Capture::Text(from, to)]);
        }
        match self.captures.iter().any(|c| matches!(c, Capture::Open(_))) {
            true => Err(Fault::new("unfinished capture in pattern")),
            false => Ok(self.captures.clone()),
        }
    }

    fn step(&mut self) -> Found<()> {
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_multiple_of(4096) { self.clock.check() } else { Ok(()) }
    }

    fn walk(&mut self, at: usize, p: usize) -> Found<Option<usize>> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(Fault::new("pattern too complex"));
        }
        let found = self.walk_on(at, p);
        self.depth -= 1;
        found
    }

    fn walk_on(&mut self, mut at: usize, mut p: usize) -> Found<Option<usize>> {
        loop {
            self.step()?;
            let Some(&c) = self.pattern.get(p) else { return Ok(Some(at)) };
            match (c, self.pattern.get(p + 1)) {
                (b'(', Some(b')')) => return self.with_capture(Capture::Position(at), at, p + 2),
                (b'(', _) => return self.with_capture(Capture::Open(at), at, p + 1),
                (b')', _) => return self.close(at, p + 1),
                (b'$', None) => return Ok((at == self.text.len()).then_some(at)),
                (b'%', Some(b'b')) => match self.balanced(at, p + 2)? {
                    Some(end) => (at, p) = (end, p + 4),
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => {
                    let set = p + 2;
                    if self.pattern.get(set) != Some(&b'[') {
                        return Err(Fault::new("missing '[' after '%f' in pattern"));
                    }
                    let end = self.class_end(set)?;
                    let before = at.checked_sub(1).map_or(0, |i| self.text[i]);
                    let here = self.text.get(at).copied().unwrap_or(0);
                    if self.in_set(before, set, end - 1) || !self.in_set(here, set, end - 1) {
                        return Ok(None);
                    }
                    p = end;
                }
                (b'%', Some(d @ b'0'..=b'9')) => match self.again(at, *d)? {
                    Some(end) => (at, p) = (end, p + 2),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.class_end(p)?;
                    match self.pattern.get(end) {
                        Some(b'?') => {
                            if self.one(at, p, end)
                                && let Some(found) = self.walk(at + 1, end + 1)?
                            {
                                return Ok(Some(found));
                            }
                            p = end + 1;
                        }
                        Some(b'+') if self.one(at, p, end) => return self.longest(at, 1, p, end),
                        Some(b'+') => return Ok(None),
                        Some(b'*') => return self.longest(at, 0, p, end),
                        Some(b'-') => return self.shortest(at, p, end),
                        _ if self.one(at, p, end) => (at, p) = (at + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    fn with_capture(&mut self, capture: Capture, at: usize, p: usize) -> Found<Option<usize>> {
        if self.captures.len() >= MOST_CAPTURES {
            return Err(Fault::new("too many captures in pattern"));
        }
        let level = self.captures.len();
        self.captures.push(capture);
        let found = self.walk(at, p)?;
        if found.is_none() {
            self.captures.truncate(level);
        }
        Ok(found)
    }

    fn close(&mut self, at: usize, p: usize) -> Found<Option<usize>> {
        let open = self.captures.iter().rposition(|c| matches!(c, Capture::Open(_)));
        let Some(i) = open else { return Err(Fault::new("invalid pattern capture: ')' without '('")) };
        let was = self.captures[i];
        if let Capture::Open(from) = was {
            self.captures[i] = Capture::Text(from, at);
        }
        let found = self.walk(at, p)?;
        if found.is_none() {
            self.captures[i] = was;
        }
        Ok(found)
    }

    fn longest(&mut self, at: usize, least: usize, p: usize, end: usize) -> Found<Option<usize>> {
        let mut n = least;
        while self.one(at + n, p, end) {
            self.step()?;
            n += 1;
        }
        loop {
            if let Some(found) = self.walk(at + n, end + 1)? {
                return Ok(Some(found));
            }
            if n == least {
                return Ok(None);
            }
            n -= 1;
        }
    }

    fn shortest(&mut self, mut at: usize, p: usize, end: usize) -> Found<Option<usize>> {
        loop {
            if let Some(found) = self.walk(at, end + 1)? {
                return Ok(Some(found));
            }
            if !self.one(at, p, end) {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn balanced(&mut self, at: usize, p: usize) -> Found<Option<usize>> {
        let (Some(&open), Some(&close)) = (self.pattern.get(p), self.pattern.get(p + 1)) else {
            return Err(Fault::new("malformed pattern: missing arguments to '%b'"));
        };
        if self.text.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        for i in at + 1..self.text.len() {
            self.step()?;
            if self.text[i] == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(i + 1));
                }
            } else if self.text[i] == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// A back reference such as `%1`.
    fn again(&self, at: usize, digit: u8) -> Found<Option<usize>> {
        let index = usize::from(digit).checked_sub(usize::from(b'1'));
        match index.and_then(|i| self.captures.get(i)) {
            Some(Capture::Text(from, to)) => {
                let part = &self.text[*from..*to];
                Ok(self.text[at.min(self.text.len())..].starts_with(part).then(|| at + part.len()))
            }
            _ => Err(Fault::new(format!("invalid capture index %{} in pattern", digit as char))),
        }
    }

    /// Where the single-character class that starts at `p` ends.
    fn class_end(&self, p: usize) -> Found<usize> {
        match self.pattern.get(p) {
            Some(b'%') if p + 1 >= self.pattern.len() => Err(Fault::new("malformed pattern: ends with '%'")),
            Some(b'%') => Ok(p + 2),
            Some(b'[') => {
                let mut i = p + 1;
                if self.pattern.get(i) == Some(&b'^') {
                    i += 1;
                }
                loop {
                    let c = self.pattern.get(i);
                    i += if c == Some(&b'%') { 2 } else { 1 };
                    match (c, self.pattern.get(i)) {
                        (None, _) | (_, None) => return Err(Fault::new("malformed pattern: missing ']'")),
                        (_, Some(b']')) => return Ok(i + 1),
                        _ => {}
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether the character at `at` fits the class from `p` to `end`.
    fn one(&self, at: usize, p: usize, end: usize) -> bool {
        let Some(&c) = self.text.get(at) else { return false };
        match self.pattern[p] {
            b'.' => true,
            b'%' => in_class(c, self.pattern[p + 1]),
            b'[' => self.in_set(c, p, end - 1),
            other => other == c,
        }
    }

    /// Whether `c` is in the set whose brackets stand at `open` and `close`.
    fn in_set(&self, c: u8, open: usize, close: usize) -> bool {
        let mut i = open + 1;
        let negated = self.pattern[i] == b'^' && i < close;
        i += usize::from(negated);
        while i < close {
            let (p, next) = (self.pattern[i], self.pattern[i + 1]);
            if p == b'%' && i + 1 < close {
                if in_class(c, next) {
                    return !negated;
                }
                i += 2;
            } else if next == b'-' && i + 2 < close {
                if (p..=self.pattern[i + 2]).contains(&c) {
                    return !negated;
                }
                i += 3;
            } else {
                if p == c {
                    return !negated;
                }
                i += 1;
            }
        }
        negated
    }
}

fn in_class(c: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => c.is_ascii_alphabetic(),
        b'c' => c.is_ascii_control(),
        b'd' => c.is_ascii_digit(),
        b'g' => c.is_ascii_graphic(),
        b'l' => c.is_ascii_lowercase(),
        b'p' => c.is_ascii_punctuation(),
        b's' => c.is_ascii_whitespace() || c == 0x0b,
        b'u' => c.is_ascii_uppercase(),
        b'w' => c.is_ascii_alphanumeric(),
        b'x' => c.is_ascii_hexdigit(),
        _ => return class == c,
    };
    is != class.is_ascii_uppercase()
}
