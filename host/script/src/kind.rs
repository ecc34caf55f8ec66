//! The kinds of scripts and what each must return.

use crate::{
    Fault,
    class::{ClassDoc, Form},
    json,
};
use mlua::{Table, Value};

/// What a script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// One number for each caption.
    Reward,
    /// How the next token is drawn.
    Policy,
    /// What is minimised.
    Loss,
    /// What is trained when.
    Schedule,
    /// Which runs are compared.
    Study,
    /// A model's graphs.
    Model,
}

/// One key of the table that a script returns.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its type as LuaLS writes it; the part before the first bracket is what is checked.
    pub ty: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What it is.
    pub doc: &'static str,
}

const fn key(name: &'static str, ty: &'static str, required: bool, doc: &'static str) -> Key {
    Key { name, ty, required, doc }
}

const COMMON: &[Key] = &[
    key("api", "integer", true, "Version of this interface: 1."),
    key("doc", "string", true, "What the script does, in a sentence."),
    key("params", "table", false, "Parameters with their defaults; a config may override what stands here."),
];

/// One update of a loss that trains several roles, or one role in several ways.
const UPDATE: &[Key] = &[
    key("role", "string", true, "The role whose parameters it changes."),
    key("name", "string", false, "Name in the log; the role unless given."),
    key("loss", "fun(g: LossGraph, p: table): Tensor|table<string, Tensor>", true, "The loss to minimise."),
    key("every", "integer", false, "Runs at every so many steps; 1 unless given."),
];

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Reward, Self::Policy, Self::Loss, Self::Schedule, Self::Study, Self::Model];

    /// `reward`, as configs and errors write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reward => "reward",
            Self::Policy => "policy",
            Self::Loss => "loss",
            Self::Schedule => "schedule",
            Self::Study => "study",
            Self::Model => "model",
        }
    }

    /// Name of its class in the stubs.
    fn class(self) -> &'static str {
        match self {
            Self::Reward => "ekphrasis.Reward",
            Self::Policy => "ekphrasis.Policy",
            Self::Loss => "ekphrasis.Loss",
            Self::Schedule => "ekphrasis.Schedule",
            Self::Study => "ekphrasis.Study",
            Self::Model => "ekphrasis.Model",
        }
    }

    /// The keys of its own, beside those that all kinds have.
    fn own(self) -> &'static [Key] {
        match self {
            Self::Reward => {
                const {
                    &[key(
                        "score",
                        "fun(batch: RewardBatch, p: table): Tensor|number[], table<string, ekphrasis.Component>?",
                        true,
                        "One number for each sampled caption; a second result names the parts of the sum.",
                    )]
                }
            }
            Self::Policy => {
                const {
                    &[key(
                        "sample",
                        "fun(logits: Tensor, state: ekphrasis.PolicyState, noise: Tensor, p: table): Tensor",
                        true,
                        "The next token i64[B] from logits f32[B, V] and uniform noise f32[B, 1].",
                    )]
                }
            }
            Self::Loss => {
                const {
                    &[
                        key("role", "string", false, "The role whose parameters the loss changes."),
                        key(
                            "loss",
                            "fun(g: LossGraph, p: table): Tensor|table<string, Tensor>",
                            false,
                            "The loss to minimise: a scalar, or a table with it as `loss` and more to log.",
                        ),
                        key(
                            "updates",
                            "ekphrasis.Update[]",
                            false,
                            "Several losses, in the order in which they run.",
                        ),
                    ]
                }
            }
            Self::Schedule => {
                const {
                    &[key(
                        "run",
                        "fun(host: ScheduleHost, p: table)",
                        true,
                        "Trains; finished calls are not repeated.",
                    )]
                }
            }
            Self::Study => {
                const {
                    &[key(
                        "study",
                        "fun(host: StudyHost, p: table)",
                        true,
                        "Runs trials; finished ones are not repeated.",
                    )]
                }
            }
            Self::Model => {
                const {
                    &[key(
                        "build",
                        "fun(m: ModelBuilder, p: table)",
                        true,
                        "Defines the graphs of the model.",
                    )]
                }
            }
        }
    }

    /// All keys that a script of this kind may have.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> + Clone {
        COMMON.iter().chain(self.own())
    }

    /// Checks the table that a script returned.
    pub(crate) fn check(self, table: &Table) -> Result<(), Fault> {
        let what = format!("key of a {}", self.name());
        check_keys(&what, table, self.keys())?;
        match table.raw_get::<Value>("api") {
            Ok(Value::Integer(1)) => {}
            Ok(other) => {
                let found = json::describe(&other);
                return Err(Fault::new(format!("`api`: expected 1, found {found}"))
                    .hint("the script is written for another version"));
            }
            Err(e) => return Err(Fault::new(e.to_string())),
        }
        if self == Self::Loss {
            let has = |k: &str| table.contains_key(k).unwrap_or(false);
            match (has("updates"), has("role"), has("loss")) {
                (true, false, false) => {
                    for update in updates(table)? {
                        check_keys("key of an update", &update, UPDATE.iter())?;
                    }
                }
                (false, true, true) => {}
                _ => {
                    return Err(Fault::new("expected `role` and `loss`, or `updates`")
                        .hint("updates = { { role = \"generator\", loss = function(g, p) ... end }, ... }"));
                }
            }
        }
        Ok(())
    }
}

/// The entries of `updates`.
pub(crate) fn updates(table: &Table) -> Result<Vec<Table>, Fault> {
    let wrong = |e: mlua::Error| Fault::new(format!("`updates`: expected a list of tables ({e})"));
    let list: Vec<Table> = table.raw_get("updates").map_err(wrong)?;
    if list.is_empty() { Err(Fault::new("`updates`: expected at least one")) } else { Ok(list) }
}

fn check_keys<'a>(
    what: &str,
    table: &Table,
    keys: impl Iterator<Item = &'a Key> + Clone,
) -> Result<(), Fault> {
    for pair in table.pairs::<Value, Value>() {
        let (name, _) = pair.map_err(|e| Fault::new(e.to_string()))?;
        let name = name.to_string().unwrap_or_default();
        if !keys.clone().any(|k| k.name == name) {
            return Err(Fault::unknown(what, &name, keys.map(|k| k.name)));
        }
    }
    for k in keys {
        let value: Value = table.raw_get(k.name).map_err(|e| Fault::new(e.to_string()))?;
        let (expected, fits) = match k.ty {
            "integer" => ("a whole number", value.is_integer()),
            "string" => ("text", value.is_string()),
            ty if ty.starts_with("fun(") => ("a function", value.is_function()),
            _ => ("a table", value.is_table()),
        };
        if value.is_nil() && k.required {
            return Err(Fault::new(format!("missing {what} `{}`: expected {expected}", k.name))
                .hint(format!("{} = ...  -- {}", k.name, k.doc)));
        }
        if !value.is_nil() && !fits {
            let found = json::describe(&value);
            return Err(Fault::new(format!("`{}`: expected {expected}, found {found}", k.name)));
        }
    }
    Ok(())
}

/// The kinds as classes, for the stubs.
pub(crate) fn docs() -> Vec<ClassDoc> {
    let class = |name: &str, doc: &str, keys: &mut dyn Iterator<Item = &Key>| {
        keys.fold(ClassDoc::new(name, Form::Table, doc), |class, k| {
            let name = format!("{}{}", k.name, if k.required { "" } else { "?" });
            class.field(&name, k.ty, k.doc)
        })
    };
    let mut all: Vec<ClassDoc> = (Kind::ALL.iter())
        .map(|kind| {
            let doc = format!("What a {} script returns.", kind.name());
            class(kind.class(), &doc, &mut kind.keys())
        })
        .collect();
    all.push(class("ekphrasis.Update", "One update of a loss with several.", &mut UPDATE.iter()));
    all.push(
        ClassDoc::new("ekphrasis.Component", Form::Table, "A part of a reward, logged by name.")
            .field("value", "Tensor|number[]", "One number for each caption.")
            .field("weight", "number", "Its weight in the sum."),
    );
    all.push(
        ClassDoc::new("ekphrasis.PolicyState", Form::Table, "Where in the caption a policy stands.").field(
            "step",
            "integer|Tensor",
            "Tokens drawn before this one.",
        ),
    );
    all
}
