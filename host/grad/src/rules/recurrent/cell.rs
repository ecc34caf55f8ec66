//! One step of each recurrent cell.

use super::of_direction;
use crate::Ctx;
use ekphrasis_graph::{Attr, AttrsExt, Result, ValueId};

/// What a step leaves to the next, each `[B, H]`; none is 0.
#[derive(Clone, Copy)]
pub(super) struct State {
    /// The output.
    pub h: Option<ValueId>,
    /// The memory of an LSTM.
    pub c: Option<ValueId>,
}

/// A cell of one direction: its weights and functions.
pub(super) struct Cell {
    hidden: i64,
    /// Products with the input and with the state: a weight `[n * H, ...]` each, and a bias.
    blocks: Vec<Block>,
    peephole: Option<Vec<ValueId>>,
    functions: Vec<Function>,
    clip: Option<f64>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Lstm { couple: bool },
    Gru { reset_after: bool },
    Rnn,
}

/// Gates that are computed by one product.
struct Block {
    w: ValueId,
    r: ValueId,
    /// Added to the product with the input.
    bias: Option<ValueId>,
    /// Added to the product with the state, where a gate comes between the two.
    inner: Option<ValueId>,
}

impl Cell {
    pub fn new(c: &mut Ctx, at: usize, count: usize, hidden: i64) -> Result<Self> {
        let kind = match c.op() {
            "LSTM" => Kind::Lstm { couple: c.attrs().int("input_forget", 0) != 0 },
            "GRU" => Kind::Gru { reset_after: c.attrs().int("linear_before_reset", 0) != 0 },
            _ => Kind::Rnn,
        };
        // How many gates each block has: those of a GRU that need no other gate come first.
        let gates: &[i64] = match kind {
            Kind::Lstm { .. } => &[4],
            Kind::Gru { .. } => &[2, 1],
            Kind::Rnn => &[1],
        };
        let sizes: Vec<i64> = gates.iter().map(|n| n * hidden).collect();
        let mut weights = vec![];
        for i in [1, 2] {
            let weight = of_direction(c, i, at, count, 0)?;
            let weight = weight.ok_or_else(|| c.error(format!("expected a weight as input {i}")))?;
            weights.push(parts(c, weight, 0, &sizes)?);
        }
        let bias = match of_direction(c, 3, at, count, 0)? {
            Some(bias) => Some(parts(c, bias, 0, &[sizes.as_slice(), &sizes].concat())?),
            None => None,
        };
        let mut blocks = vec![];
        for (i, (w, r)) in weights[0].iter().zip(&weights[1]).enumerate() {
            let apart = i == 1 && kind == Kind::Gru { reset_after: true };
            let (bias, inner) = match &bias {
                Some(b) if apart => (Some(b[i]), Some(b[i + sizes.len()])),
                Some(b) => (Some(c.g.add(b[i], b[i + sizes.len()])?), None),
                None => (None, None),
            };
            blocks.push(Block { w: *w, r: *r, bias, inner });
        }
        let peephole = match (kind, of_direction(c, 7, at, count, 0)?) {
            (Kind::Lstm { .. }, Some(p)) => Some(parts(c, p, 0, &[hidden; 3])?),
            _ => None,
        };
        let clip = match c.attrs().get("clip") {
            Some(Attr::Float(v)) if *v > 0.0 => Some(f64::from(*v)),
            _ => None,
        };
        Ok(Self { hidden, blocks, peephole, functions: functions(c, kind, at, count)?, clip, kind })
    }

    /// For each step the products of all blocks with its input, biases added.
    pub fn inputs(&self, c: &mut Ctx, x: ValueId, steps: i64) -> Result<Vec<Vec<ValueId>>> {
        let mut each = vec![vec![]; usize::try_from(steps).unwrap_or(0)];
        for block in &self.blocks {
            let all = product(c, x, block.w, block.bias)?;
            for (own, part) in each.iter_mut().zip(super::equal_parts(c, all, 0, steps)?) {
                own.push(part);
            }
        }
        Ok(each)
    }

    pub fn step(&self, c: &mut Ctx, x: &[ValueId], state: &State) -> Result<State> {
        match self.kind {
            Kind::Lstm { couple } => self.lstm(c, x[0], state, couple),
            Kind::Gru { reset_after } => self.gru(c, x, state, reset_after),
            Kind::Rnn => {
                let z = self.plus_state(c, 0, x[0], state.h)?;
                Ok(State { h: Some(self.gate(c, 0, z)?), c: None })
            }
        }
    }

    /// What a block computes from the input, with what it computes from the state.
    fn plus_state(&self, c: &mut Ctx, block: usize, x: ValueId, h: Option<ValueId>) -> Result<ValueId> {
        match h {
            Some(h) => product(c, h, self.blocks[block].r, Some(x)),
            None => Ok(x),
        }
    }

    /// Function `f` of a value that is clipped before.
    fn gate(&self, c: &mut Ctx, f: usize, mut x: ValueId) -> Result<ValueId> {
        if let Some(bound) = self.clip {
            let (low, high) = (c.g.scalar_like(x, -bound), c.g.scalar_like(x, bound));
            x = c.g.op("Clip", &[x, low, high], &[])?;
        }
        self.functions[f].of(c, x)
    }

    /// Gates lie in the order input, output, forget, candidate.
    fn lstm(&self, c: &mut Ctx, x: ValueId, state: &State, couple: bool) -> Result<State> {
        let n = self.hidden;
        let z = self.plus_state(c, 0, x, state.h)?;
        let (input, mut output, forget, candidate);
        match &self.peephole {
            None => {
                let gates = parts(c, z, 1, &[3 * n, n])?;
                let three = self.gate(c, 0, gates[0])?;
                let three = parts(c, three, 1, &[n; 3])?;
                (input, output, forget) = (three[0], three[1], three[2]);
                candidate = self.gate(c, 1, gates[1])?;
            }
            Some(p) => {
                let gates = parts(c, z, 1, &[n; 4])?;
                let (mut i, mut f) = (gates[0], gates[2]);
                if let Some(memory) = state.c {
                    (i, f) = (seen(c, i, p[0], memory)?, seen(c, f, p[2], memory)?);
                }
                (input, output, forget) = (self.gate(c, 0, i)?, gates[1], self.gate(c, 0, f)?);
                candidate = self.gate(c, 1, gates[3])?;
            }
        }
        let mut memory = c.g.mul(input, candidate)?;
        if let Some(old) = state.c {
            let forget = match couple {
                true => rest(c, input)?,
                false => forget,
            };
            let kept = c.g.mul(forget, old)?;
            memory = c.g.add(kept, memory)?;
        }
        if let Some(p) = &self.peephole {
            let z = seen(c, output, p[1], memory)?;
            output = self.gate(c, 0, z)?;
        }
        let shown = self.functions[2].of(c, memory)?;
        Ok(State { h: Some(c.g.mul(output, shown)?), c: Some(memory) })
    }

    /// Gates lie in the order update, reset, candidate.
    fn gru(&self, c: &mut Ctx, x: &[ValueId], state: &State, reset_after: bool) -> Result<State> {
        let z = self.plus_state(c, 0, x[0], state.h)?;
        let gates = self.gate(c, 0, z)?;
        let gates = parts(c, gates, 1, &[self.hidden; 2])?;
        let (update, reset) = (gates[0], gates[1]);
        let z = if reset_after {
            let inner = self.blocks[1].inner;
            let own = match state.h {
                Some(h) => Some(product(c, h, self.blocks[1].r, inner)?),
                None => inner,
            };
            match own {
                Some(own) => {
                    let own = c.g.mul(reset, own)?;
                    c.g.add(x[1], own)?
                }
                None => x[1],
            }
        } else {
            let own = state.h.map(|h| c.g.mul(reset, h)).transpose()?;
            self.plus_state(c, 1, x[1], own)?
        };
        let candidate = self.gate(c, 1, z)?;
        // (1 - update) * candidate + update * h
        let h = match state.h {
            Some(h) => {
                let step = c.g.sub(h, candidate)?;
                let step = c.g.mul(update, step)?;
                c.g.add(candidate, step)?
            }
            None => {
                let rest = rest(c, update)?;
                c.g.mul(rest, candidate)?
            }
        };
        Ok(State { h: Some(h), c: None })
    }
}

/// `x W^T`, with something added.
fn product(c: &mut Ctx, x: ValueId, w: ValueId, added: Option<ValueId>) -> Result<ValueId> {
    let inputs: Vec<ValueId> = [x, w].into_iter().chain(added).collect();
    c.g.op("Gemm", &inputs, &[("transB", true.into())])
}

/// A gate that looks at the memory through its peephole.
fn seen(c: &mut Ctx, gate: ValueId, peephole: ValueId, memory: ValueId) -> Result<ValueId> {
    let view = c.g.mul(memory, peephole)?;
    c.g.add(gate, view)
}

/// `1 - x`.
fn rest(c: &mut Ctx, x: ValueId) -> Result<ValueId> {
    let one = c.g.scalar_like(x, 1.0);
    c.g.sub(one, x)
}

/// `x` cut along `axis`.
fn parts(c: &mut Ctx, x: ValueId, axis: i64, sizes: &[i64]) -> Result<Vec<ValueId>> {
    if sizes.len() == 1 {
        return Ok(vec![x]);
    }
    let list = c.g.int_list(sizes);
    c.g.add_node("Split", &[Some(x), Some(list)], [("axis".to_owned(), axis.into())].into(), sizes.len())
}

/// An activation with its two numbers.
struct Function {
    name: String,
    alpha: f32,
    beta: f32,
}

/// The functions of direction `at`. Numbers are given, in order, to the functions that have some.
fn functions(c: &Ctx, kind: Kind, at: usize, count: usize) -> Result<Vec<Function>> {
    let default: &[&str] = match kind {
        Kind::Lstm { .. } => &["Sigmoid", "Tanh", "Tanh"],
        Kind::Gru { .. } => &["Sigmoid", "Tanh"],
        Kind::Rnn => &["Tanh"],
    };
    let names: Vec<String> = match c.attrs().get("activations") {
        Some(Attr::Texts(names)) if !names.is_empty() => names.clone(),
        _ => (0..count).flat_map(|_| default).map(|n| (*n).to_owned()).collect(),
    };
    let n = default.len();
    if names.len() != n * count {
        return Err(c.error(format!("expected {} activations, found {names:?}", n * count)));
    }
    let floats = |name: &str| match c.attrs().get(name) {
        Some(Attr::Floats(v)) => v.clone(),
        _ => vec![],
    };
    let (alphas, betas) = (floats("activation_alpha"), floats("activation_beta"));
    let (mut alphas, mut betas) = (alphas.into_iter(), betas.into_iter());
    let mut all = vec![];
    for name in names {
        let name = name.to_ascii_lowercase();
        // How many numbers it has, and the defaults, where the specification gives some.
        let (alpha, beta) = match name.as_str() {
            "relu" | "tanh" | "sigmoid" | "softsign" | "softplus" => (None, None),
            "leakyrelu" => (Some(Some(0.01)), None),
            "thresholdedrelu" | "elu" => (Some(Some(1.0)), None),
            "hardsigmoid" => (Some(Some(0.2)), Some(Some(0.5))),
            "affine" | "scaledtanh" => (Some(None), Some(None)),
            _ => return Err(c.error(format!("expected an activation of ONNX, found `{name}`"))),
        };
        let number = |slot: Option<Option<f32>>, given: &mut std::vec::IntoIter<f32>, list: &str| match slot {
            Some(default) => given
                .next()
                .or(default)
                .ok_or_else(|| c.error(format!("expected a number for `{name}` in {list}"))),
            None => Ok(0.0),
        };
        let alpha = number(alpha, &mut alphas, "activation_alpha")?;
        let beta = number(beta, &mut betas, "activation_beta")?;
        all.push(Function { name, alpha, beta });
    }
    Ok(all.into_iter().skip(at * n).take(n).collect())
}

impl Function {
    fn of(&self, c: &mut Ctx, x: ValueId) -> Result<ValueId> {
        let (alpha, beta) = (("alpha", self.alpha.into()), ("beta", self.beta.into()));
        match self.name.as_str() {
            "relu" => c.g.relu(x),
            "tanh" => c.g.tanh(x),
            "sigmoid" => c.g.sigmoid(x),
            "softsign" => c.g.op("Softsign", &[x], &[]),
            "softplus" => c.g.softplus(x),
            "leakyrelu" => c.g.op("LeakyRelu", &[x], &[alpha]),
            "thresholdedrelu" => c.g.op("ThresholdedRelu", &[x], &[alpha]),
            "elu" => c.g.op("Elu", &[x], &[alpha]),
            "hardsigmoid" => c.g.op("HardSigmoid", &[x], &[alpha, beta]),
            "affine" => {
                let scaled = c.g.scale(x, f64::from(self.alpha))?;
                c.g.shift(scaled, f64::from(self.beta))
            }
            _ => {
                let inner = c.g.scale(x, f64::from(self.beta))?;
                let inner = c.g.tanh(inner)?;
                c.g.scale(inner, f64::from(self.alpha))
            }
        }
    }
}
