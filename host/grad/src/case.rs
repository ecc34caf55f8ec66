//! The domain on which a rule tests itself.

use ekphrasis_graph::{Attr, Attrs, DType};

/// One application of an operator: operands, attributes, and how closely its gradient must agree
/// with finite differences.
#[derive(Clone, Debug)]
pub struct Case {
    /// Operands in order.
    pub operands: Vec<Operand>,
    /// Attributes.
    pub attrs: Attrs,
    /// Number of outputs.
    pub outputs: usize,
    /// Element type of the operands: f64 wherever ONNX Runtime's CPU provider has the kernel.
    pub dtype: DType,
    /// Whether sizes must be known when the graph is built; otherwise the case runs with a symbol
    /// in some place too.
    pub known: bool,
    /// Which dimension of the operands is that symbol.
    pub symbol: usize,
    /// Whether only the first derivative exists.
    pub once: bool,
    /// Whether the gradient of some operands is 0 and absent.
    pub constant: bool,
}

/// One operand of a [`Case`].
#[derive(Clone, Debug)]
pub enum Operand {
    /// An optional input that is left out.
    Absent,
    /// Random floats, differentiated.
    Floats {
        /// Dimensions.
        dims: Vec<usize>,
        /// Lower and upper bound.
        range: (f64, f64),
        /// Whether values keep a distance from each other and from the multiples of a tenth, so that
        /// no kink or tie is near.
        apart: bool,
        /// Whether it is differentiated; otherwise it is a literal.
        vary: bool,
    },
    /// Floats with the given values, differentiated.
    At(Vec<usize>, Vec<f64>),
    /// A literal of floats.
    Literal(Vec<usize>, Vec<f64>),
    /// A literal of f32, whatever the type of the case is.
    Single(Vec<usize>, Vec<f32>),
    /// A literal of integers.
    Ints(Vec<usize>, Vec<i64>),
    /// A literal of 32-bit integers.
    Short(Vec<usize>, Vec<i32>),
    /// A literal of booleans.
    Bools(Vec<usize>, Vec<bool>),
}

impl Case {
    /// An application with one output, in double precision.
    pub fn of(operands: impl Into<Vec<Operand>>) -> Self {
        Self {
            operands: operands.into(),
            attrs: Attrs::new(),
            outputs: 1,
            dtype: DType::F64,
            known: false,
            symbol: 0,
            once: false,
            constant: false,
        }
    }

    /// Sets an attribute.
    pub fn attr(mut self, name: &str, value: impl Into<Attr>) -> Self {
        self.attrs.insert(name.into(), value.into());
        self
    }

    /// Sets an attribute that is a list of integers.
    pub fn ints(self, name: &str, values: &[i64]) -> Self {
        self.attr(name, values)
    }

    /// Sets the number of outputs.
    pub fn outputs(mut self, outputs: usize) -> Self {
        self.outputs = outputs;
        self
    }

    /// Runs in single precision, for want of a kernel.
    pub fn single(mut self) -> Self {
        self.dtype = DType::F32;
        self
    }

    /// Runs with known sizes only.
    pub fn known(mut self) -> Self {
        self.known = true;
        self
    }

    /// Compares the first derivative only, for want of a second.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Lets operands have no gradient where it is 0.
    pub fn constant(mut self) -> Self {
        self.constant = true;
        self
    }

    /// Makes this dimension of the first operand the one that may be a symbol, there and in all operands
    /// that have its size there; it is the first otherwise.
    pub fn symbol(mut self, axis: usize) -> Self {
        self.symbol = axis;
        self
    }
}

/// Floats from `range`.
pub fn within(dims: &[usize], range: (f64, f64)) -> Operand {
    Operand::Floats { dims: dims.into(), range, apart: false, vary: true }
}

/// Floats of either sign.
pub fn any(dims: &[usize]) -> Operand {
    within(dims, (-1.5, 1.5))
}

/// Positive floats away from 0.
pub fn positive(dims: &[usize]) -> Operand {
    within(dims, (0.5, 2.0))
}

/// Floats of either sign that keep their distance from each other and from kinks.
pub fn apart(dims: &[usize]) -> Operand {
    Operand::Floats { dims: dims.into(), range: (-1.5, 1.5), apart: true, vary: true }
}

/// Integers.
pub fn ints(dims: &[usize], values: &[i64]) -> Operand {
    Operand::Ints(dims.into(), values.into())
}

/// Integers of 32 bits.
pub fn short(dims: &[usize], values: &[i32]) -> Operand {
    Operand::Short(dims.into(), values.into())
}

/// Floats with these values.
pub fn at(dims: &[usize], values: &[f64]) -> Operand {
    Operand::At(dims.into(), values.into())
}

/// A list of integers.
pub fn list(values: &[i64]) -> Operand {
    ints(&[values.len()], values)
}

/// A literal float scalar.
pub fn scalar(value: f64) -> Operand {
    Operand::Literal(vec![], vec![value])
}
