//! Initial values of parameters, drawn from the model's seed and the parameter's name, so that neither
//! the order of definition nor other parameters matter.

use crate::{Fault, json};
use ekphrasis_graph::Tensor;
use mlua::{Table, Value};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Most elements of one parameter.
const MOST: usize = 1 << 30;

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Init {
    Constant(f64),
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform between minus and plus this bound.
    Uniform(f64),
}

impl Init {
    /// PyTorch's default for linear and convolutional layers: uniform within sqrt(1 / fan in).
    pub fn kaiming(fan_in: usize) -> Self {
        Self::Uniform((1.0 / fan_in.max(1) as f64).sqrt())
    }

    /// Reads `"zeros"`, `"ones"`, a number, `{ "normal", std }`, `{ "uniform", bound }` or
    /// `{ "kaiming_uniform", fan_in }`.
    pub fn read(value: &Value) -> Result<Self, Fault> {
        let wrong = || {
            Fault::new(format!("`init`: expected an initialisation, found {}", json::describe(value))).hint(
                "\"zeros\", \"ones\", a number, { \"normal\", std }, { \"uniform\", bound } or \
                 { \"kaiming_uniform\", fan_in }",
            )
        };
        match value {
            Value::Integer(v) => Ok(Self::Constant(*v as f64)),
            Value::Number(v) => Ok(Self::Constant(*v)),
            Value::String(name) => match name.to_string_lossy().as_str() {
                "zeros" => Ok(Self::Constant(0.0)),
                "ones" => Ok(Self::Constant(1.0)),
                other => Err(Fault::unknown("initialisation", other, ["zeros", "ones"])),
            },
            Value::Table(pair) => {
                let read = |t: &Table| -> mlua::Result<(String, f64)> { Ok((t.raw_get(1)?, t.raw_get(2)?)) };
                let (name, number) = read(pair).map_err(|_| wrong())?;
                match name.as_str() {
                    _ if !number.is_finite() || number < 0.0 => Err(wrong()),
                    "normal" => Ok(Self::Normal(number)),
                    "uniform" => Ok(Self::Uniform(number)),
                    "kaiming_uniform" => Ok(Self::kaiming(number as usize)),
                    other => {
                        Err(Fault::unknown("initialisation", other, ["normal", "uniform", "kaiming_uniform"]))
                    }
                }
            }
            _ => Err(wrong()),
        }
    }

    /// The initial values, f32.
    pub fn draw(self, seed: u64, name: &str, dims: &[usize]) -> Result<Tensor, Fault> {
        let n = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MOST);
        let n = n.ok_or_else(|| {
            Fault::new(format!("parameter `{name}`: {dims:?} has more than {MOST} elements"))
        })?;
        let mut key = seed.to_le_bytes().to_vec();
        key.extend_from_slice(name.as_bytes());
        let mut rng = ChaCha8Rng::from_seed(*blake3::hash(&key).as_bytes());
        let values: Vec<f32> = match self {
            Self::Constant(v) => vec![v as f32; n],
            Self::Uniform(bound) => {
                (0..n).map(|_| ((rng.random::<f64>() * 2.0 - 1.0) * bound) as f32).collect()
            }
            Self::Normal(std) => {
                let mut draw = || loop {
                    // Marsaglia's polar method.
                    let (x, y) = (rng.random::<f64>() * 2.0 - 1.0, rng.random::<f64>() * 2.0 - 1.0);
                    let s = x * x + y * y;
                    if s > 0.0 && s < 1.0 {
                        return (x * (-2.0 * s.ln() / s).sqrt() * std) as f32;
                    }
                };
                (0..n).map(|_| draw()).collect()
            }
        };
        Ok(Tensor::from_f32(dims, &values)?)
    }
}
