//! The equations of `Einsum`.

/// An equation whose letters are one for each dimension; those under an ellipsis have letters of
/// their own, which no equation can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equation {
    /// Letters of each operand.
    pub operands: Vec<Vec<char>>,
    /// Letters of the result.
    pub result: Vec<char>,
}

/// The first letter for what an ellipsis stands for (Unicode's private range).
const HIDDEN: u32 = 0xE000;

impl Equation {
    /// Reads an equation for operands of these ranks; the message says what does not fit.
    pub fn parse(equation: &str, ranks: &[usize]) -> Result<Self, String> {
        let text: String = equation.chars().filter(|l| !l.is_whitespace()).collect();
        let (left, right) = text.split_once("->").map_or((&*text, None), |(l, r)| (l, Some(r)));
        let parts: Vec<&str> = left.split(',').collect();
        if parts.len() != ranks.len() {
            return Err(format!("expected {} inputs for `{text}`, found {}", parts.len(), ranks.len()));
        }
        let mut operands = vec![];
        let mut widest = 0;
        for (i, (part, rank)) in parts.iter().zip(ranks).enumerate() {
            let named = part.replace("...", "").chars().count();
            let free =
                if part.contains("...") { rank.checked_sub(named) } else { (*rank == named).then_some(0) };
            let free = free
                .ok_or_else(|| format!("expected dimensions `{part}` of input {i}, found {rank} of them"))?;
            widest = widest.max(free);
            operands.push(letters(part, free)?);
        }
        let result = match right {
            Some(right) => letters(right, widest)?,
            None => implicit(&operands),
        };
        let known = |l: &char| operands.iter().any(|o| o.contains(l));
        let once = |l: &char| result.iter().filter(|o| *o == l).count() == 1;
        if !result.iter().all(|l| known(l) && once(l)) {
            return Err(format!("expected letters of the inputs, each once, on the right of `{text}`"));
        }
        Ok(Self { operands, result })
    }
}

/// The letters of one operand, `free` dimensions under its ellipsis.
fn letters(part: &str, free: usize) -> Result<Vec<char>, String> {
    let hidden = (0..free as u32).rev().filter_map(|i| char::from_u32(HIDDEN + i));
    let letters: Vec<char> = match part.split_once("...") {
        Some((before, after)) => before.chars().chain(hidden).chain(after.chars()).collect(),
        None => part.chars().collect(),
    };
    match letters.iter().find(|l| !l.is_ascii_alphabetic() && (**l as u32) < HIDDEN) {
        Some(other) => Err(format!("expected letters and at most one ellipsis in `{part}`, found `{other}`")),
        None => Ok(letters),
    }
}

/// Without an arrow: the ellipsis, then what occurs once, in alphabetical order.
fn implicit(operands: &[Vec<char>]) -> Vec<char> {
    let mut all: Vec<char> = operands.iter().flatten().copied().collect();
    all.sort_unstable();
    let once = |l: &char| all.iter().filter(|o| *o == l).count() == 1;
    let hidden = |l: &char| *l as u32 >= HIDDEN;
    let mut result: Vec<char> = all.iter().copied().filter(hidden).collect();
    result.dedup();
    result.reverse();
    result.extend(all.iter().filter(|l| !hidden(l) && once(l)));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_of_every_form() {
        let read = |text: &str, ranks: &[usize]| {
            let e = Equation::parse(text, ranks).unwrap();
            let show = |v: &Vec<char>| v.iter().map(|l| if *l as u32 >= HIDDEN { '.' } else { *l }).collect();
            e.operands.iter().chain([&e.result]).map(show).collect::<Vec<String>>().join(" ")
        };
        assert_eq!(read("ij,jk->ik", &[2, 2]), "ij jk ik");
        assert_eq!(read(" b j i , b i k ", &[3, 3]), "bji bik jk");
        assert_eq!(read("ii", &[2]), "ii ");
        assert_eq!(read("...ij,jk", &[4, 2]), "..ij jk ..ik");
        assert_eq!(read("a...,...->a...", &[2, 3]), "a. ... a...");
        for (text, ranks) in
            [("ij,jk->ik", &[2][..]), ("ij->k", &[2]), ("ij->ii", &[2]), ("i...j", &[1]), ("i.j", &[3])]
        {
            assert!(Equation::parse(text, ranks).is_err(), "{text}");
        }
    }
}
