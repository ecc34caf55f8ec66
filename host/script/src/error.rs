//! Errors of scripts: where, the script's own line, the way there, and what would help.

use crate::host::MEMORY_HINT;
use ekphrasis_graph::GraphError;
use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc};

/// Something that host code found wrong while a script was calling it. It carries no place: that is
/// the line of the script that made the call, and is added when the error leaves the engine.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}{}", hint.as_ref().map(|h| format!("\nhint: {h}")).unwrap_or_default())]
pub struct Fault {
    /// What was expected and what was found.
    pub message: String,
    /// What would help, if that is known.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        // Messages from below may end in a hint of their own.
        match message.split_once("\nhint: ") {
            Some((m, h)) => Self { message: m.into(), hint: Some(h.into()) },
            None => Self { message, hint: None },
        }
    }

    /// The same with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with `place` before the message.
    pub fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// `found` is none of `known`; the nearest of them is offered.
    pub fn unknown<'a>(what: &str, found: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let fault = Self::new(format!("unknown {what} `{found}`"));
        match nearest(found, known.iter().copied()) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None if known.is_empty() => fault.hint(format!("there is no {what} here")),
            None => fault.hint(format!("known: {}", known.join(", "))),
        }
    }
}

/// The name among `known` that `found` was probably meant to be.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|k| (strsim::jaro_winkler(found, k), k));
    scored.filter(|(s, _)| *s > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, k)| k)
}

impl From<Fault> for mlua::Error {
    fn from(fault: Fault) -> Self {
        Self::external(fault)
    }
}

impl From<GraphError> for Fault {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Node { message, .. } => Self::new(message),
            other => Self::new(other.to_string()),
        }
    }
}

/// A script's text by the name under which Lua knows it.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub path: String,
    pub text: Rc<str>,
}

/// The scripts that are loaded, for excerpts.
pub(crate) type Sources = Rc<RefCell<BTreeMap<String, Source>>>;

/// An error in a script; its parts are those of [`Report`].
#[derive(Debug, Clone)]
pub struct ScriptError(Box<Report>);

/// Everything that the author of a script needs to know of an error.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was expected and what was found.
    pub message: String,
    /// The script.
    pub path: String,
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The script's lines around that one.
    pub excerpt: String,
    /// The frames of the scripts on the way there, innermost first.
    pub frames: Vec<String>,
    /// What the host was working on.
    pub context: Vec<String>,
    /// What would help.
    pub hint: Option<String>,
}

impl std::error::Error for ScriptError {}

impl std::ops::Deref for ScriptError {
    type Target = Report;
    fn deref(&self) -> &Report {
        &self.0
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "error: {}:{line}: {}", self.path, self.message)?,
            None => write!(f, "error: {}: {}", self.path, self.message)?,
        }
        write!(f, "{}", self.excerpt)?;
        if self.frames.len() > 1 {
            write!(f, "\ntraceback:")?;
            for frame in &self.frames {
                write!(f, "\n  {frame}")?;
            }
        }
        for note in &self.context {
            write!(f, "\nwhile: {note}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl ScriptError {
    /// An error about a script as a whole.
    pub fn new(path: &str, fault: Fault) -> Self {
        Self(Box::new(Report {
            message: fault.message,
            path: path.into(),
            line: None,
            excerpt: String::new(),
            frames: vec![],
            context: vec![],
            hint: fault.hint,
        }))
    }

    /// The same error with a note of what the host was working on, such as
    /// `step 120, image 17, caption "a red circle"`.
    pub fn with_context(mut self, note: impl Into<String>) -> Self {
        self.0.context.push(note.into());
        self
    }

    /// Takes apart what Lua says; `path` is the script that was called.
    pub(crate) fn from_lua(sources: &Sources, path: &str, error: &mlua::Error) -> Self {
        if let Some(inner) = error.downcast_ref::<Self>() {
            return inner.clone();
        }
        let sources = sources.borrow();
        let mut trace = String::new();
        let mut context = vec![];
        let fault = root(error, &mut trace, &mut context, &sources);
        let frames: Vec<Frame> = trace.lines().filter_map(|l| Frame::parse(l, &sources)).collect();
        let (place, message) = match Frame::parse(&fault.message, &sources) {
            Some(frame) => (Some((frame.chunk.clone(), frame.line)), frame.rest),
            None => (frames.first().map(|f| (f.chunk.clone(), f.line)), fault.message),
        };
        let source = place.as_ref().and_then(|(chunk, _)| sources.get(chunk));
        let line = place.as_ref().map(|(_, line)| *line);
        Self(Box::new(Report {
            hint: fault.hint.or_else(|| hint_for(&message)),
            message,
            path: source.map_or_else(|| path.into(), |s| s.path.clone()),
            line,
            excerpt: source.zip(line).map_or_else(String::new, |(s, l)| excerpt(&s.text, l)),
            frames: frames
                .iter()
                .map(|f| format!("{}:{}: {}", sources[&f.chunk].path, f.line, f.rest))
                .collect(),
            context,
        }))
    }
}

/// The innermost cause, with the longest traceback that names a script.
fn root(
    error: &mlua::Error,
    trace: &mut String,
    context: &mut Vec<String>,
    sources: &BTreeMap<String, Source>,
) -> Fault {
    match error {
        mlua::Error::CallbackError { traceback, cause } => {
            if traceback.lines().any(|l| Frame::parse(l, sources).is_some()) {
                *trace = traceback.clone();
            }
            root(cause, trace, context, sources)
        }
        mlua::Error::WithContext { context: note, cause } => {
            context.push(note.clone());
            root(cause, trace, context, sources)
        }
        mlua::Error::BadArgument { to, pos, name, cause } => {
            let inner = root(cause, trace, context, sources);
            let name = name.as_ref().map_or_else(|| format!("argument {pos}"), |n| format!("argument `{n}`"));
            let to = to.as_ref().map(|t| format!(" of {t}")).unwrap_or_default();
            inner.at(&format!("{name}{to}"))
        }
        mlua::Error::FromLuaConversionError { from, to, message } => {
            let more = message.as_ref().map(|m| format!(" ({m})")).unwrap_or_default();
            Fault::new(format!("expected {to}, found {from}{more}"))
        }
        mlua::Error::RuntimeError(text) | mlua::Error::MemoryError(text) => {
            let (message, stack) = text.split_once("\nstack traceback:").unwrap_or((text, ""));
            if !stack.is_empty() {
                *trace = stack.into();
            }
            Fault::new(message)
        }
        mlua::Error::SyntaxError { message, .. } => Fault::new(message.clone()),
        mlua::Error::ExternalError(e) => match e.downcast_ref::<Fault>() {
            Some(fault) => fault.clone(),
            None => Fault::new(e.to_string()),
        },
        other => Fault::new(other.to_string()),
    }
}

/// Hints for what Lua itself complains about.
fn hint_for(message: &str) -> Option<String> {
    let hint = if message.contains("not enough memory") {
        MEMORY_HINT
    } else if message.contains("a nil value (method") {
        "methods are called with `:`, fields with `.`; scripts/types lists what each class has"
    } else if message.contains("attempt to compare") && message.contains("userdata") {
        "compare tensors with a:lt(b), a:gt(b), a:eq(b); `<` gives one boolean, not a tensor"
    } else {
        return None;
    };
    Some(hint.into())
}

struct Frame {
    chunk: String,
    line: usize,
    rest: String,
}

impl Frame {
    /// Reads `chunk:12: rest` where `chunk` is a script.
    fn parse(text: &str, sources: &BTreeMap<String, Source>) -> Option<Self> {
        let text = text.trim_start();
        sources.keys().find_map(|chunk| {
            let rest = text.strip_prefix(chunk.as_str())?.strip_prefix(':')?;
            let (line, rest) = rest.split_once(':')?;
            Some(Self { chunk: chunk.clone(), line: line.parse().ok()?, rest: rest.trim_start().into() })
        })
    }
}

/// The line and its neighbours, numbered, with a marker.
fn excerpt(text: &str, line: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let (first, last) = (line.saturating_sub(2).max(1), (line + 1).min(lines.len()));
    let mut out = String::new();
    for n in first..=last {
        let Some(content) = lines.get(n - 1) else { continue };
        let shown: String = content.chars().take(120).collect();
        let mark = if n == line { ">" } else { " " };
        out.push_str(&format!("\n {mark} {n:>4} | {shown}"));
    }
    out
}
