//! What a loss script sees: the graph of a training step under construction.

use crate::{Mode, Result, Role, TrainError, World, calls::RoleCalls, rollout};
use ekphrasis_data::Vocabulary;
use ekphrasis_grad::GradError;
use ekphrasis_graph::{DType, Graph, Shape, Target, ValueId};
use ekphrasis_script::{Class, Fault, ModelHandle, Tensor, Trace};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// The fields of a batch that a loss can ask for: name, element type, what it holds.
pub const FIELDS: &[(&str, DType, &str)] = &[
    ("image", DType::F32, "f32[B, 3, H, W] in [-1, 1]: the pictures"),
    ("tokens", DType::I64, "i64[B, T]: one caption of each picture: words, end, padding"),
    ("sampled", DType::I64, "i64[N, S]: N = B * samples captions from the policy, picture by picture"),
    ("advantage", DType::F32, "f32[N]: reward less baseline of each sampled caption"),
    ("noise", DType::F32, "f32[B, Z]: standard normal noise for the generator"),
    ("uniform", DType::F32, "f32[B]: uniform noise in [0, 1)"),
];

/// A trace with what a training step needs to know of it.
pub struct LossTrace {
    /// The graph.
    pub trace: Trace,
    statistics: RefCell<BTreeMap<(Role, String), ValueId>>,
}

impl LossTrace {
    /// An empty trace, for the processor that is to run it.
    pub fn new(name: &str, target: Target) -> Self {
        let mut graph = Graph::new(name);
        graph.target = target;
        let trace = Trace::new(graph);
        Self { trace, statistics: RefCell::default() }
    }

    /// Notes the new value of a running statistic.
    pub(crate) fn statistic(&self, role: Role, name: &str, value: ValueId) {
        self.statistics.borrow_mut().insert((role, name.to_owned()), value);
    }

    /// New values of the running statistics of `role`, by name.
    pub(crate) fn statistics(&self, role: Role) -> BTreeMap<String, ValueId> {
        let all = self.statistics.borrow();
        all.iter().filter(|((r, _), _)| *r == role).map(|((_, n), v)| (n.clone(), *v)).collect()
    }
}

/// The `g` of a loss script.
pub struct LossGraph {
    pub(crate) world: Rc<World>,
    pub(crate) loss: Rc<LossTrace>,
    /// The role whose weights this loss updates.
    pub(crate) role: Role,
    pub(crate) mode: Mode,
    /// Pictures in a batch.
    pub(crate) batch: usize,
    /// Sampled captions for each picture.
    pub(crate) samples: usize,
}

impl LossGraph {
    fn model(&self, role: Role) -> Result<ModelHandle> {
        self.world.model(role)?;
        let train = role == self.role && self.mode == Mode::Train;
        let loss = Some(self.loss.clone());
        Ok(ModelHandle(Rc::new(RoleCalls { world: self.world.clone(), role, train, loss })))
    }

    fn input(&self, name: &str) -> Result<Tensor> {
        let known = FIELDS.iter().map(|(n, _, _)| *n);
        let Some((_, dtype, _)) = FIELDS.iter().find(|(n, _, _)| *n == name) else {
            let hint = crate::error::suggestion(name, known);
            return Err(TrainError::config("g:input", format!("a batch has no `{name}`\n{hint}")));
        };
        if let Some(id) = self.loss.trace.with(|g| g.find(name)) {
            return Ok(self.loss.trace.tensor(id));
        }
        let sizes = self.world.sizes;
        // Known sizes let more be chosen before the first step, as the form of a convolution's gradient.
        let rows: ekphrasis_graph::Dim = self.batch.into();
        let sampled = rows.mul(&self.samples.into());
        let shape: Shape = match name {
            "image" => vec![rows, 3usize.into(), sizes.image.into(), sizes.image.into()],
            "tokens" => vec![rows, self.width("T")],
            "sampled" => vec![sampled, self.width("S")],
            "advantage" => vec![sampled],
            "noise" => vec![rows, self.world.noise_size()?.into()],
            _ => vec![rows],
        };
        let id = self.loss.trace.with(|g| g.input(name, *dtype, shape))?;
        Ok(self.loss.trace.tensor(id))
    }

    /// Length of token rows: fixed where a model takes one length only.
    fn width(&self, symbol: &str) -> ekphrasis_graph::Dim {
        match self.world.fixed_length() {
            true => self.world.sizes.max_length.into(),
            false => symbol.into(),
        }
    }
}

pub(crate) fn fault(error: TrainError) -> mlua::Error {
    Fault::new(error.to_string()).into()
}

/// The gradient of the sum of `y` by `x`; zeros where `y` does not depend on `x`.
pub(crate) fn gradient(
    trace: &Trace,
    y: &Tensor,
    x: &Tensor,
    explain: impl Fn(GradError) -> TrainError,
) -> mlua::Result<Tensor> {
    let (y, x) = (y.id_in(trace)?, x.id_in(trace)?);
    let gradient = trace.with(|graph| -> Result<ValueId> {
        let total = graph.reduce_sum(y, &[], false)?;
        match ekphrasis_grad::gradient(graph, total, None, &[x]).map_err(&explain)?.pop().flatten() {
            Some(id) => Ok(id),
            None => Ok(graph.zeros_like(x)?),
        }
    });
    Ok(trace.tensor(gradient.map_err(fault)?))
}

/// The class `LossGraph`.
pub fn class() -> Class<LossGraph> {
    let fields = FIELDS.iter().map(|(n, _, d)| format!("`{n}`: {d}")).collect::<Vec<_>>().join("; ");
    let mut class =
        Class::<LossGraph>::new("LossGraph", "The training step under construction, in a loss script.")
            .field("samples", "integer", "Sampled captions for each picture.", |_, g| Ok(g.samples))
            .field("pad", "integer", "Token that fills up.", |_, _| Ok(Vocabulary::PAD))
            .field("bos", "integer", "Token that begins.", |_, _| Ok(Vocabulary::BOS))
            .field("eos", "integer", "Token that ends.", |_, _| Ok(Vocabulary::EOS))
            .method(
                "input",
                "(name: string): Tensor",
                &format!("A field of the batch. {fields}."),
                |_, g, name: String| g.input(&name).map_err(fault),
            )
            .method(
                "mask",
                "(tokens: Tensor): Tensor",
                "f32 of the shape of tokens: 1 up to the end, which counts, 0 on padding.",
                |_, g, tokens: Tensor| {
                    let id = tokens.id_in(&g.loss.trace)?;
                    let mask = g.loss.trace.with(|graph| {
                        // The padding token is 0.
                        let zero =
                            graph.constant(ekphrasis_graph::Tensor::scalar_i64(i64::from(Vocabulary::PAD)));
                        let word = graph.greater(id, zero)?;
                        graph.cast(word, DType::F32)
                    });
                    Ok(g.loss.trace.tensor(mask.map_err(|e| fault(e.into()))?))
                },
            )
            .method(
                "legal",
                "(logits: Tensor): Tensor",
                "Logits with the tokens that are never written (padding, begin, unknown) at -1e9.",
                |_, g, logits: Tensor| {
                    let id = logits.id_in(&g.loss.trace)?;
                    let legal =
                        g.loss.trace.with(|graph| rollout::legal(graph, id, g.world.sizes.vocabulary));
                    Ok(g.loss.trace.tensor(legal.map_err(fault)?))
                },
            )
            .method(
                "gradient",
                "(y: Tensor, x: Tensor): Tensor",
                "The gradient of the sum of y by x, itself differentiable: for R1 and WGAN-GP penalties.",
                |_, g, (y, x): (Tensor, Tensor)| {
                    gradient(&g.loss.trace, &y, &x, |e| g.world.not_differentiable(e))
                },
            );
    for role in Role::ALL {
        let doc = format!(
            "The {role}: its graphs are methods; `:train()` and `:eval()` set how batch normalisation works."
        );
        class = class.field(role.name(), "ModelHandle", &doc, move |_, g| g.model(role).map_err(fault));
    }
    class
}
