//! Dimensions: numbers, or polynomials in named symbols such as `B`, `T`, `P + 1`, `5*B`.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// Symbols of one product, sorted; the empty product is the constant term.
type Monomial = Vec<Arc<str>>;

/// A polynomial has at most this many terms,
const MAX_TERMS: usize = 64;
/// products of at most this many symbols,
const MAX_DEGREE: usize = 8;
/// whose names take at most this many bytes.
const MAX_NAME: usize = 200;

/// One dimension of a shape. Two dimensions are equal when their polynomials are.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dim {
    /// A number known when the graph is built.
    Known(i64),
    /// A polynomial that holds at least one symbol.
    Symbolic(Arc<BTreeMap<Monomial, i64>>),
}

/// The dimensions of a tensor, outermost first.
pub type Shape = Vec<Dim>;

impl Dim {
    /// A symbol by name.
    ///
    /// A name of more than 200 bytes is replaced by a hash of it, so that what inference makes up
    /// for sizes that it cannot know stays short.
    pub fn symbol(name: &str) -> Self {
        let name: Arc<str> = if name.len() <= MAX_NAME {
            name.into()
        } else {
            // FNV-1a, the same on every machine.
            let step = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
            format!("size_{:016x}", name.bytes().fold(0xcbf2_9ce4_8422_2325, step)).into()
        };
        Self::Symbolic(Arc::new(BTreeMap::from([(vec![name], 1)])))
    }

    /// Reads what [`Display`](fmt::Display) writes (`2*B*T + 1`); any other text is one symbol.
    pub fn parse(text: &str) -> Self {
        Self::try_parse(text).unwrap_or_else(|| Self::symbol(text))
    }

    fn try_parse(text: &str) -> Option<Self> {
        let mut sum = Self::Known(0);
        for term in text.replace(" - ", " + -").split('+').map(str::trim) {
            let (sign, term) = term.strip_prefix('-').map_or((1, term), |t| (-1, t));
            let mut product = Self::Known(sign);
            for factor in term.split('*').map(str::trim) {
                let plain = factor.chars().all(|c| c.is_alphanumeric() || c == '_');
                product = match factor.parse::<i64>() {
                    Ok(n) => product.mul(&Self::Known(n)),
                    Err(_) if plain && !factor.is_empty() => product.mul(&Self::symbol(factor)),
                    Err(_) => return None,
                };
            }
            sum = sum.add(&product);
        }
        Some(sum)
    }

    /// The number, if it is known.
    pub fn known(&self) -> Option<i64> {
        match self {
            Self::Known(n) => Some(*n),
            Self::Symbolic(_) => None,
        }
    }

    /// Whether this is the number `n`.
    pub fn is(&self, n: i64) -> bool {
        self.known() == Some(n)
    }

    fn terms(&self) -> BTreeMap<Monomial, i64> {
        match self {
            Self::Known(0) => BTreeMap::new(),
            Self::Known(n) => BTreeMap::from([(vec![], *n)]),
            Self::Symbolic(terms) => (**terms).clone(),
        }
    }

    fn from_terms(mut terms: BTreeMap<Monomial, i64>) -> Self {
        terms.retain(|_, k| *k != 0);
        match terms.len() {
            0 => Self::Known(0),
            1 if terms.contains_key(&vec![]) => Self::Known(terms[&vec![]]),
            // Beyond any real shape: one symbol of its own for the whole.
            n if n > MAX_TERMS || terms.keys().any(|m| m.len() > MAX_DEGREE) => {
                Self::symbol(&Self::Symbolic(Arc::new(terms)).to_string())
            }
            _ => Self::Symbolic(Arc::new(terms)),
        }
    }

    /// `self + other`.
    pub fn add(&self, other: &Self) -> Self {
        if let (Self::Known(a), Self::Known(b)) = (self, other) {
            return Self::Known(a.saturating_add(*b));
        }
        let mut terms = self.terms();
        for (m, k) in other.terms() {
            let sum = terms.entry(m).or_insert(0);
            *sum = sum.saturating_add(k);
        }
        Self::from_terms(terms)
    }

    /// `self - other`.
    pub fn sub(&self, other: &Self) -> Self {
        self.add(&other.mul(&Self::Known(-1)))
    }

    /// `self * other`.
    pub fn mul(&self, other: &Self) -> Self {
        if let (Self::Known(a), Self::Known(b)) = (self, other) {
            return Self::Known(a.saturating_mul(*b));
        }
        let mut terms = BTreeMap::new();
        for (m, k) in self.terms() {
            for (n, l) in other.terms() {
                let mut symbols = [m.as_slice(), n.as_slice()].concat();
                symbols.sort();
                let sum: &mut i64 = terms.entry(symbols).or_insert(0);
                *sum = sum.saturating_add(k.saturating_mul(l));
            }
        }
        Self::from_terms(terms)
    }

    /// `self / other` where it divides without remainder for every value of the symbols.
    pub fn div_exact(&self, other: &Self) -> Option<Self> {
        if self == other {
            return Some(Self::Known(1));
        }
        match (self, other) {
            (_, Self::Known(0)) => None,
            (Self::Known(a), Self::Known(b)) => (a.checked_rem(*b) == Some(0)).then(|| Self::Known(a / b)),
            _ => {
                let divisor = other.terms();
                // A divisor of several terms divides only itself (handled above) or a multiple of it.
                if divisor.len() != 1 {
                    return match self.terms().values().next().zip(divisor.values().next()) {
                        Some((a, b))
                            if a.checked_rem(*b) == Some(0) && other.mul(&Self::Known(a / b)) == *self =>
                        {
                            Some(Self::Known(a / b))
                        }
                        _ => None,
                    };
                }
                let (by, k) = divisor.into_iter().next()?;
                let mut terms = BTreeMap::new();
                for (mut m, n) in self.terms() {
                    for symbol in &by {
                        m.remove(m.iter().position(|s| s == symbol)?);
                    }
                    if n.checked_rem(k) != Some(0) {
                        return None;
                    }
                    terms.insert(m, n / k);
                }
                Some(Self::from_terms(terms))
            }
        }
    }

    /// The dimension with each symbol replaced by its number in `values`, where it has one.
    pub fn substitute(&self, values: &BTreeMap<String, i64>) -> Self {
        let Self::Symbolic(terms) = self else { return self.clone() };
        terms.iter().fold(Self::Known(0), |sum, (m, k)| {
            let product = m.iter().fold(Self::Known(*k), |p, s| match values.get(&**s) {
                Some(n) => p.mul(&Self::Known(*n)),
                None => p.mul(&Self::symbol(s)),
            });
            sum.add(&product)
        })
    }

    /// The symbols that occur in it.
    pub fn symbols(&self) -> Vec<Arc<str>> {
        let mut all: Vec<_> = self.terms().into_keys().flatten().collect();
        all.sort();
        all.dedup();
        all
    }
}

impl From<i64> for Dim {
    fn from(n: i64) -> Self {
        Self::Known(n)
    }
}

/// So that a plain literal is a size.
impl From<i32> for Dim {
    fn from(n: i32) -> Self {
        Self::Known(n.into())
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Self {
        Self::Known(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Self {
        Self::parse(name)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(n) => write!(f, "{n}"),
            Self::Symbolic(terms) => {
                // Highest products first, the constant last: `T + 1`.
                for (i, (symbols, k)) in terms.iter().rev().enumerate() {
                    f.write_str(match (i, *k < 0) {
                        (0, true) => "-",
                        (0, false) => "",
                        (_, true) => " - ",
                        (_, false) => " + ",
                    })?;
                    match (symbols.is_empty(), k.unsigned_abs()) {
                        (true, k) => write!(f, "{k}")?,
                        (false, 1) => f.write_str(&symbols.join("*"))?,
                        (false, k) => write!(f, "{k}*{}", symbols.join("*"))?,
                    }
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `[B, T, 64]`, as errors and `graph show` print a shape.
pub fn show(shape: &[Dim]) -> String {
    format!("[{}]", shape.iter().map(Dim::to_string).collect::<Vec<_>>().join(", "))
}

/// The product of dimensions.
pub fn product(dims: &[Dim]) -> Dim {
    dims.iter().fold(Dim::Known(1), |p, d| p.mul(d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_canonical() {
        let (b, t) = (Dim::symbol("B"), Dim::symbol("T"));
        let x = b.mul(&t).mul(&Dim::Known(2)).add(&Dim::Known(1));
        assert_eq!(x.to_string(), "2*B*T + 1");
        assert_eq!(Dim::parse(&x.to_string()), x);
        assert_eq!(x.sub(&Dim::Known(1)).div_exact(&t), Some(b.mul(&Dim::Known(2))));
        assert_eq!(x.div_exact(&t), None);
        assert_eq!(b.sub(&b), Dim::Known(0));
        let y = b.add(&Dim::Known(1)).mul(&Dim::Known(6));
        assert_eq!(y.div_exact(&b.add(&Dim::Known(1))), Some(Dim::Known(6)));
        assert_eq!(x.substitute(&BTreeMap::from([("B".into(), 3), ("T".into(), 5)])), Dim::Known(31));
        assert_eq!(Dim::parse("a-b").to_string(), "a-b");
        let z = t.sub(&b.mul(&Dim::Known(2))).sub(&Dim::Known(1));
        assert_eq!(z.to_string(), "T - 2*B - 1");
        assert_eq!(Dim::parse("T - 2*B - 1"), z);
        assert_eq!(Dim::parse("-2*B"), b.mul(&Dim::Known(-2)));
    }

    #[test]
    fn polynomials_have_an_end() {
        let (a, b) = (Dim::symbol("A"), Dim::symbol("B"));
        let mut x = a.add(&b);
        for _ in 0..60 {
            x = x.mul(&x).add(&a);
            assert!(x.to_string().len() < 5_000, "{x}");
        }
        let long = "x".repeat(1_000);
        assert!(Dim::symbol(&long).to_string().len() <= MAX_NAME);
        assert_ne!(Dim::symbol(&long), Dim::symbol(&format!("{long}y")));
    }
}
