//! `Einsum`: transpositions, sums and matrix products.

use super::{Kind::Definition, Row, gates::one, row};
use crate::{Case, Ctx, Grads, case::any};
use ekphrasis_graph::{AttrsExt, Dim, Equation, Result, Shape, ValueId};

pub(super) const ROWS: &[Row] = &[row("Einsum", Definition, einsum, || {
    let case = |equation: &str, dims: &[&[usize]]| {
        Case::of(dims.iter().map(|d| any(d)).collect::<Vec<_>>()).attr("equation", equation)
    };
    vec![
        case("ij,jk->ik", &[&[2, 3], &[3, 4]]),
        case("bhqd,bhkd->bhqk", &[&[2, 2, 3, 4], &[2, 2, 5, 4]]),
        case("bij,bjk", &[&[2, 3, 4], &[2, 4, 2]]),
        case("ij->ji", &[&[2, 3]]),
        case("ij->", &[&[2, 3]]),
        case("ij->j", &[&[2, 3]]),
        case("ii->i", &[&[3, 3]]),
        case("ii", &[&[3, 3]]),
        case("i,j->ij", &[&[2], &[3]]),
        case("ij,ij->", &[&[2, 3], &[2, 3]]),
        case("...ij,...jk->...ik", &[&[2, 3, 4], &[2, 4, 2]]),
        case("...ij,jk->...ik", &[&[2, 2, 3, 4], &[4, 2]]),
        case("bn,anm,bm->ba", &[&[2, 3], &[4, 3, 2], &[2, 2]]),
        case(" a b c , c d -> d b a ", &[&[2, 3, 4], &[4, 2]]),
        case("ij,jk->ik", &[&[3, 1], &[4, 2]]),
        case("bijc,bjkc->bikc", &[&[2, 2, 3, 2], &[2, 3, 2, 2]]),
    ]
})];

/// One operand on the way: its letters, one for each dimension.
#[derive(Clone)]
struct Term {
    value: ValueId,
    letters: Vec<char>,
}

fn einsum(c: &mut Ctx) -> Result<Grads> {
    let inputs = (0..c.arity()).map(|i| c.x(i)).collect::<Result<Vec<_>>>()?;
    let ranks = inputs.iter().map(|x| c.g.rank(*x)).collect::<Result<Vec<_>>>()?;
    let equation = Equation::parse(c.attrs().text("equation", ""), &ranks).map_err(|e| c.error(e))?;
    let result = equation.result;
    let mut terms = inputs.into_iter().zip(equation.operands).map(|(value, letters)| Term { value, letters });
    let first = terms.next().ok_or_else(|| c.error("expected an operand"))?;
    let mut acc = diagonal(c, first)?;
    let rest: Vec<Term> = terms.collect();
    for i in 0..rest.len() {
        let next = diagonal(c, rest[i].clone())?;
        let later: Vec<char> =
            rest[i + 1..].iter().flat_map(|t| &t.letters).chain(&result).copied().collect();
        acc = contract(c, acc, next, &later)?;
    }
    let acc = sum_out(c, acc, &result)?;
    let perm = order(&acc.letters, &result);
    let perm = perm.ok_or_else(|| c.error("letters do not match"))?;
    one(c.g.transpose(acc.value, &perm)?)
}

/// Where each letter of `to` stands in `from`.
fn order(from: &[char], to: &[char]) -> Option<Vec<i64>> {
    let perm: Option<Vec<i64>> = to.iter().map(|l| Some(from.iter().position(|o| o == l)? as i64)).collect();
    perm.filter(|p| p.len() == from.len())
}

/// A letter that stands twice in one operand takes the diagonal: a mask, then a sum over one of the two.
fn diagonal(c: &mut Ctx, mut term: Term) -> Result<Term> {
    while let Some((i, j)) = twice(&term.letters) {
        let dims = c.g.dims(term.value)?.to_vec();
        let n = dims[i].known().or(dims[j].known());
        let n =
            n.ok_or_else(|| c.error(format!("expected a known size on the diagonal `{}`", term.letters[i])))?;
        let numbers: Vec<i64> = (0..n).collect();
        let rank = dims.len();
        let mut column = vec![1; rank];
        column[i] = n;
        let mut row = vec![1; rank];
        row[j] = n;
        let line = c.g.int_list(&numbers);
        let (column, row) = (c.g.int_list(&column), c.g.int_list(&row));
        let (a, b) = (c.g.reshape_to(line, column)?, c.g.reshape_to(line, row)?);
        let equal = c.g.equal(a, b)?;
        let mask = c.mask(equal, term.value)?;
        let kept = c.g.mul(term.value, mask)?;
        term.value = c.g.reduce_sum(kept, &[j as i64], false)?;
        term.letters.remove(j);
    }
    Ok(term)
}

fn twice(letters: &[char]) -> Option<(usize, usize)> {
    (0..letters.len()).find_map(|j| letters[..j].iter().position(|l| *l == letters[j]).map(|i| (i, j)))
}

/// Sums over the letters that `keep` does not hold.
fn sum_out(c: &mut Ctx, term: Term, keep: &[char]) -> Result<Term> {
    let axes: Vec<i64> =
        (0..term.letters.len()).filter(|i| !keep.contains(&term.letters[*i])).map(|i| i as i64).collect();
    if axes.is_empty() {
        return Ok(term);
    }
    let letters = term.letters.iter().copied().filter(|l| keep.contains(l)).collect();
    Ok(Term { value: c.g.reduce_sum(term.value, &axes, false)?, letters })
}

/// The product of two operands, summed over what `later` does not need.
fn contract(c: &mut Ctx, a: Term, b: Term, later: &[char]) -> Result<Term> {
    // A size of 1 against another one: each side is summed by itself.
    let single = |c: &Ctx, term: &Term, l: &char| -> Result<bool> {
        let at = place(term, *l).map(|(value, i)| Ok(c.g.dims(value)?[i].is(1)));
        at.unwrap_or(Ok(false))
    };
    let mut apart = vec![];
    for l in a.letters.iter().filter(|l| b.letters.contains(l) && !later.contains(l)) {
        if single(c, &a, l)? != single(c, &b, l)? {
            apart.push(*l);
        }
    }
    let with = |other: &Term| -> Vec<char> {
        other.letters.iter().filter(|l| !apart.contains(l)).chain(later).copied().collect()
    };
    let (keep_a, keep_b) = (with(&b), with(&a));
    let (a, b) = (sum_out(c, a, &keep_a)?, sum_out(c, b, &keep_b)?);
    let both = |l: &&char| a.letters.contains(l) && b.letters.contains(l);
    let summed: Vec<char> = a.letters.iter().filter(both).filter(|l| !later.contains(l)).copied().collect();
    // The ellipsis broadcasts, so it is always of the batch.
    let batch: Vec<char> = a.letters.iter().filter(both).filter(|l| later.contains(l)).copied().collect();
    let only = |own: &Term, other: &Term| -> Vec<char> {
        own.letters.iter().filter(|l| !other.letters.contains(l)).copied().collect()
    };
    let (left, right) = (only(&a, &b), only(&b, &a));
    if summed.is_empty() {
        return outer(c, &a, &b, [batch, left, right].concat());
    }
    let wide_a = merged(c, &a, &batch, [&left, &summed])?;
    let wide_b = merged(c, &b, &batch, [&summed, &right])?;
    let product = c.g.matmul(wide_a, wide_b)?;
    // Dimensions that were merged come back, each with the size that an operand has.
    let letters = [batch.clone(), left.clone(), right.clone()].concat();
    if left.len() == 1 && right.len() == 1 {
        return Ok(Term { value: product, letters });
    }
    let mut sources = vec![];
    for l in &letters {
        let batch = batch.iter().position(|o| o == l).map(|i| (product, i));
        sources.push(batch.or(place(&a, *l)).or(place(&b, *l)).unwrap_or((product, 0)));
    }
    Ok(Term { value: with_sizes(c, product, &sources)?, letters })
}

fn place(term: &Term, letter: char) -> Option<(ValueId, usize)> {
    term.letters.iter().position(|l| *l == letter).map(|i| (term.value, i))
}

/// A product without a sum, by broadcasting.
fn outer(c: &mut Ctx, a: &Term, b: &Term, letters: Vec<char>) -> Result<Term> {
    let mut values = vec![];
    for term in [a, b] {
        let own: Vec<char> = letters.iter().copied().filter(|l| term.letters.contains(l)).collect();
        let perm = order(&term.letters, &own).ok_or_else(|| c.error("letters do not match"))?;
        let value = c.g.transpose(term.value, &perm)?;
        let missing: Vec<i64> =
            (0..letters.len()).filter(|i| !term.letters.contains(&letters[*i])).map(|i| i as i64).collect();
        values.push(c.g.unsqueeze(value, &missing)?);
    }
    Ok(Term { value: c.g.mul(values[0], values[1])?, letters })
}

/// The operand as `[batch..., first, second]`, each group of letters as one dimension.
fn merged(c: &mut Ctx, term: &Term, batch: &[char], groups: [&[char]; 2]) -> Result<ValueId> {
    let letters = [batch, groups[0], groups[1]].concat();
    let perm = order(&term.letters, &letters).ok_or_else(|| c.error("letters do not match"))?;
    let value = c.g.transpose(term.value, &perm)?;
    if groups.iter().all(|g| g.len() == 1) {
        return Ok(value);
    }
    let dims = c.g.dims(value)?.to_vec();
    let n = batch.len();
    let mut target: Shape = dims[..n].to_vec();
    let mut at = n;
    for group in groups {
        target.push(dims[at..at + group.len()].iter().fold(Dim::Known(1), |p, d| p.mul(d)));
        at += group.len();
    }
    let unknown = target.iter().skip(n).filter(|d| d.known().is_none()).count();
    if unknown <= 1 {
        return c.g.reshape(value, &target);
    }
    // Two groups of sizes that are symbols: the first is multiplied out as it runs.
    let shape = c.g.shape_of(value)?;
    let mut parts = vec![c.g.slice(shape, &[0], &[0], &[n as i64], &[1])?];
    for range in [n..n + groups[0].len(), n + groups[0].len()..letters.len()] {
        let own = c.g.slice(shape, &[0], &[range.start as i64], &[range.end as i64], &[1])?;
        parts.push(c.g.op("ReduceProd", &[own], &[("keepdims", true.into())])?);
    }
    let target = c.g.concat(&parts, 0)?;
    c.g.reshape_to(value, target)
}

/// Reshapes to the sizes of the given dimensions.
fn with_sizes(c: &mut Ctx, x: ValueId, sources: &[(ValueId, usize)]) -> Result<ValueId> {
    let mut target: Shape = vec![];
    for (value, axis) in sources {
        target.push(c.g.dims(*value)?[*axis].clone());
    }
    if target.iter().filter(|d| d.known().is_none()).count() <= 1 {
        return c.g.reshape(x, &target);
    }
    let mut parts = vec![];
    for ((value, axis), dim) in sources.iter().zip(&target) {
        parts.push(match dim.known() {
            Some(n) => c.g.int_list(&[n]),
            None => {
                let (shape, at) = (c.g.shape_of(*value)?, c.g.int_list(&[*axis as i64]));
                c.g.op("Gather", &[shape, at], &[])?
            }
        });
    }
    let target = c.g.concat(&parts, 0)?;
    c.g.reshape_to(x, target)
}
