//! Which metrics are asked for.

use crate::{
    Context,
    error::{CliError, Result, suggestion},
    opened,
};
use ekphrasis_metrics::{Meteor, MeteorData, Metric};

const DIVERSITY: &str = "diversity";

/// The metrics of one call.
pub struct Chosen {
    /// In the order of [`Metric::ALL`].
    pub metrics: Vec<Metric>,
    /// Whether diversity is measured too.
    pub diversity: bool,
    /// Whether they were named, so that none may be left out.
    named: bool,
}

impl Chosen {
    /// Reads the names; none stand for all but plain CIDEr.
    pub fn new(names: &[String]) -> Result<Self> {
        if names.is_empty() {
            let metrics = Metric::ALL.into_iter().filter(|metric| *metric != Metric::Cider).collect();
            return Ok(Self { metrics, diversity: true, named: false });
        }
        let mut chosen = Self { metrics: vec![], diversity: false, named: true };
        for name in names {
            match name.to_lowercase().replace('-', "_").as_str() {
                DIVERSITY => chosen.diversity = true,
                "spice" => return Err(CliError::Message(NO_SPICE.into())),
                other => match Metric::named(other) {
                    Some(metrics) => chosen.metrics.extend(metrics),
                    None => {
                        let hint = suggestion(other, Metric::NAMES.into_iter().chain([DIVERSITY]));
                        return Err(CliError::Usage(format!(
                            "--metrics: there is no metric `{name}`\n{hint}"
                        )));
                    }
                },
            }
        }
        chosen.metrics.sort_unstable();
        chosen.metrics.dedup();
        Ok(chosen)
    }

    /// METEOR with the data that there is for it, if it is asked for.
    pub fn meteor(&self, context: &Context) -> Result<Option<Meteor>> {
        if !self.metrics.contains(&Metric::Meteor) {
            return Ok(None);
        }
        let say = |text: &str| context.screen.say(text);
        match MeteorData::open(&opened::cache(), context.offline, &say) {
            Ok(data) => Ok(Some(data.meteor())),
            Err(error) if self.named => Err(error.into()),
            Err(error) => {
                say(&format!("METEOR is left out. {error}"));
                Ok(None)
            }
        }
    }
}

const NO_SPICE: &str = "--metrics: SPICE is not available. It compares scene graphs that Stanford's parser makes of \
    captions, and the models of that parser are not distributed in a form that this program can use; scores with \
    another parser would be other numbers, so none are given under its name\n\
    hint: take SPICE from pycocoevalcap, which needs Java, and the other metrics from here";
