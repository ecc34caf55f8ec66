//! What host functions find behind the Lua that calls them: eager computation, the clock of the call,
//! the account of tensor memory.

use crate::{Fault, eager::Eager, error::Sources};
use mlua::Lua;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

/// Limits on scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time of one call, the host's own work apart.
    pub wall: Duration,
    /// Bytes that Lua may hold; tensors that Lua keeps may take as much again.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { wall: Duration::from_secs(10), memory: 256 << 20 }
    }
}

/// What helps a script that ran into the memory limit.
pub(crate) const MEMORY_HINT: &str =
    "the script keeps too much at once; the limit of a run is `limits.memory_mib` in its config";

/// The clock of the running call.
#[derive(Default)]
pub(crate) struct Clock {
    started: Cell<Option<Instant>>,
    deadline: Cell<Option<Instant>>,
}

impl Clock {
    /// The error when the time is over.
    pub fn check(&self) -> Result<(), Fault> {
        match (self.deadline.get(), self.started.get()) {
            (Some(deadline), Some(started)) if Instant::now() >= deadline => Err(Fault::new(format!(
                "stopped after {:.1} s (limit {:.1} s)",
                started.elapsed().as_secs_f64(),
                (deadline - started).as_secs_f64()
            ))
            .hint("is there a loop that does not end? the limit of a run is `limits.seconds` in its config")),
            _ => Ok(()),
        }
    }

    /// Runs with a time limit; inside another call, the nearer end counts.
    pub fn limited<R>(&self, wall: Duration, work: impl FnOnce() -> R) -> R {
        let (now, outer) = (Instant::now(), (self.started.get(), self.deadline.get()));
        let own = now.checked_add(wall);
        let nearer = matches!((outer.1, own), (Some(o), Some(n)) if o < n);
        if !nearer {
            self.started.set(Some(now));
            self.deadline.set(own);
        }
        let result = work();
        self.started.set(outer.0);
        self.deadline.set(outer.1);
        result
    }

    /// Runs the host's own work, which does not count.
    pub fn paused<R>(&self, work: impl FnOnce() -> R) -> R {
        let (now, outer) = (Instant::now(), (self.started.take(), self.deadline.take()));
        let result = work();
        let shift = |t: Option<Instant>| t.and_then(|t| t.checked_add(now.elapsed()));
        self.started.set(shift(outer.0));
        self.deadline.set(shift(outer.1));
        result
    }
}

/// Where `print` goes.
pub(crate) type Print = Rc<RefCell<Box<dyn FnMut(&str)>>>;

/// The host behind a Lua.
#[derive(Clone)]
pub(crate) struct Host {
    pub eager: Rc<Eager>,
    pub clock: Rc<Clock>,
    pub ledger: Rc<Cell<usize>>,
    pub limits: Limits,
    pub sources: Sources,
    pub print: Print,
}

impl Host {
    /// The host of a Lua that an engine made.
    pub fn get(lua: &Lua) -> Result<Self, Fault> {
        lua.app_data_ref::<Self>().map(|h| h.clone()).ok_or_else(|| Fault::new("this Lua has no engine"))
    }

    /// Counts tensor memory that Lua is about to hold.
    pub fn charge(&self, lua: &Lua, bytes: usize) -> mlua::Result<()> {
        if self.ledger.get().saturating_add(bytes) > self.limits.memory {
            // Lua sees a tensor as a few bytes and is in no hurry to drop it.
            lua.gc_collect()?;
            lua.gc_collect()?;
        }
        let total = self.ledger.get().saturating_add(bytes);
        if total > self.limits.memory {
            return Err(Fault::new(format!(
                "the script keeps tensors of {} MB (limit {} MB)",
                total >> 20,
                self.limits.memory >> 20
            ))
            .hint(MEMORY_HINT)
            .into());
        }
        self.ledger.set(total);
        Ok(())
    }
}

/// Runs the host's own work (training, evaluation) from within a call of a script, without counting
/// its time against the limit of that call.
pub fn uncounted<R>(lua: &Lua, work: impl FnOnce() -> R) -> R {
    match Host::get(lua) {
        Ok(host) => host.clock.paused(work),
        Err(_) => work(),
    }
}
