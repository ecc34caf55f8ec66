//! Which parameters an optimiser moves, and how: `freeze`, `rates` and `no_decay`, patterns on their names.

use crate::{Model, Optimizer, Phase, Result, Role, TrainError, model::matches};
use std::collections::{BTreeMap, BTreeSet};

/// How many near names an error lists.
const NEAR: usize = 3;

/// What an optimiser does with one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rule {
    /// It stays as it is.
    pub frozen: bool,
    /// What the learning rate is multiplied by.
    pub rate: f64,
    /// Whether weight decay applies.
    pub decays: bool,
}

/// The rules for parameters of these names, in their order.
///
/// # Errors
/// When two patterns of `rates` give one parameter different rates.
pub(crate) fn rules<'a>(
    optimizer: &Optimizer,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Rule>> {
    let any = |patterns: &[String], name: &str| patterns.iter().any(|p| matches(p, name));
    let rule = |name: &'a str| {
        let mut rates = optimizer.rates.iter().filter(|(pattern, _)| matches(pattern, name));
        let first = rates.next();
        if let Some((one, rate)) = first
            && let Some((other, second)) = rates.find(|(_, other)| *other != rate)
        {
            let message = format!(
                "expected one rate for parameter `{name}`, found {rate} by `{one}` and {second} by `{other}`"
            );
            return Err(TrainError::config("rates", message));
        }
        Ok(Rule {
            frozen: any(&optimizer.freeze, name),
            rate: first.map_or(1.0, |(_, rate)| *rate),
            decays: !any(&optimizer.no_decay, name),
        })
    };
    names.into_iter().map(rule).collect()
}

/// Checks that each pattern of a phase's optimisers fits a parameter, that each parameter has one rate, and that
/// each role has something left to train. `trained` holds the roles that the phase updates, with the names of
/// their parameters.
///
/// # Errors
/// Name the key and the pattern, and the parameters whose names come nearest.
pub(crate) fn check(phase: &str, settings: &Phase, trained: &[(Role, Vec<String>)]) -> Result<()> {
    let own = |role: Role| settings.optimizers.get(&role);
    let shared: Vec<_> = trained.iter().filter(|(role, _)| own(*role).is_none()).collect();
    check_one(&format!("phases.{phase}.optimizer"), &settings.optimizer, &shared)?;
    for one in trained {
        if let Some(optimizer) = own(one.0) {
            check_one(&format!("phases.{phase}.optimizers.{}", one.0), optimizer, &[one])?;
        }
    }
    Ok(())
}

/// The layer of a parameter that patterns name: the first part of its name, up to a dot or its end, that fits one.
pub(crate) fn layer<'a>(patterns: &[String], name: &'a str) -> Option<&'a str> {
    let ends = name.match_indices('.').map(|(i, _)| i).chain([name.len()]);
    ends.map(|end| &name[..end]).find(|part| patterns.iter().any(|p| matches(p, part)))
}

/// Checks that each pattern of `recompute` fits a layer of some model.
///
/// # Errors
/// Name the pattern, and the parameters whose names come nearest.
pub(crate) fn check_layers(phase: &str, settings: &Phase, models: &BTreeMap<Role, Model>) -> Result<()> {
    let names: BTreeSet<&str> =
        models.values().flat_map(|m| m.trainable.keys().map(String::as_str)).collect();
    for pattern in &settings.recompute {
        if !names.iter().any(|name| layer(std::slice::from_ref(pattern), name).is_some()) {
            let message = format!(
                "expected a pattern that fits a layer, as `block.*` for `block.0`, found `{pattern}`\nhint: near names of parameters are {}",
                near(pattern, &names)
            );
            return Err(TrainError::config(format!("phases.{phase}.recompute"), message));
        }
    }
    Ok(())
}

fn check_one(key: &str, optimizer: &Optimizer, trained: &[&(Role, Vec<String>)]) -> Result<()> {
    if trained.is_empty() {
        return Ok(());
    }
    let names: BTreeSet<&str> =
        trained.iter().flat_map(|(_, names)| names.iter().map(String::as_str)).collect();
    let roles = trained.iter().map(|(role, _)| role.name()).collect::<Vec<_>>().join(" or the ");
    let freeze = optimizer.freeze.iter().map(|p| ("freeze", p));
    let rates = optimizer.rates.keys().map(|p| ("rates", p));
    let no_decay = optimizer.no_decay.iter().map(|p| ("no_decay", p));
    for (field, pattern) in freeze.chain(rates).chain(no_decay) {
        if !names.iter().any(|name| matches(pattern, name)) {
            let message = format!(
                "expected a pattern that fits a parameter of the {roles}, found `{pattern}`\nhint: near names are {}",
                near(pattern, &names)
            );
            return Err(TrainError::config(format!("{key}.{field}"), message));
        }
    }
    for (role, names) in trained {
        let rules = rules(optimizer, names.iter().map(String::as_str));
        let rules = rules.map_err(|e| match e {
            TrainError::Config { field, message, .. } => {
                TrainError::config(format!("{key}.{field}"), message)
            }
            other => other,
        })?;
        if rules.iter().all(|rule| rule.frozen) {
            let message =
                format!("expected something left to train, found every parameter of the {role} frozen");
            return Err(TrainError::config(format!("{key}.freeze"), message));
        }
    }
    Ok(())
}

/// The names that begin most like a pattern.
fn near(pattern: &str, names: &BTreeSet<&str>) -> String {
    let text = pattern.replace('*', "");
    let mut scored: Vec<(f64, &str)> =
        names.iter().map(|name| (strsim::jaro_winkler(&text, name), *name)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.iter().take(NEAR).map(|(_, name)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(optimizer: &str) -> Phase {
        let text = format!(
            "loss = \"x\"\nsteps = 1\nbatch = 1\n[optimizer]\nkind = \"sgd\"\nlearning_rate = 0.1\n{optimizer}"
        );
        toml::from_str(&text).unwrap()
    }

    fn trained() -> Vec<(Role, Vec<String>)> {
        let names = |all: &[&str]| all.iter().map(|n| (*n).to_owned()).collect();
        vec![
            (Role::Generator, names(&["text.embedding", "up.0.weight", "up.0.bias"])),
            (Role::Discriminator, names(&["down.0.weight", "norm.scale"])),
        ]
    }

    #[test]
    fn patterns_say_what_happens_to_a_parameter() {
        let phase = phase(
            "freeze = [\"text.*\"]\nno_decay = [\"*.bias\"]\nrates = { \"up.*\" = 0.1, \"*.bias\" = 0.1 }",
        );
        let rules = rules(&phase.optimizer, ["text.embedding", "up.0.weight", "up.0.bias"]).unwrap();
        let rule = |frozen, rate, decays| Rule { frozen, rate, decays };
        assert_eq!(rules, [rule(true, 1.0, true), rule(false, 0.1, true), rule(false, 0.1, false)]);
    }

    #[test]
    fn a_layer_is_the_first_part_of_a_name_that_fits() {
        let patterns = ["block.*".to_owned(), "out".to_owned()];
        let of = |name| layer(&patterns, name);
        assert_eq!((of("block.0.ff.weight"), of("block.10.norm")), (Some("block.0"), Some("block.10")));
        assert_eq!(
            (of("out.weight"), of("out"), of("outer.bias"), of("block")),
            (Some("out"), Some("out"), None, None)
        );
    }

    #[test]
    fn what_fits_nothing_or_twice_is_refused() {
        let message = |optimizer: &str| check("gan", &phase(optimizer), &trained()).unwrap_err().to_string();
        assert_eq!(
            message("freeze = [\"txt.*\"]"),
            "phases.gan.optimizer.freeze: expected a pattern that fits a parameter of the generator or the \
             discriminator, found `txt.*`\nhint: near names are `text.embedding`, `up.0.bias`, `norm.scale`"
        );
        assert!(message("no_decay = [\"*.beta\"]").starts_with("phases.gan.optimizer.no_decay: "));
        assert!(message("rates = { \"down.1.*\" = 2.0 }").contains("near names are `down.0.weight`"));
        assert_eq!(
            message("rates = { \"up.*\" = 2.0, \"*.bias\" = 3.0 }"),
            "phases.gan.optimizer.rates: expected one rate for parameter `up.0.bias`, found 3 by `*.bias` and 2 by `up.*`"
        );
        assert_eq!(
            message("freeze = [\"down.*\", \"norm*\"]"),
            "phases.gan.optimizer.freeze: expected something left to train, found every parameter of the \
             discriminator frozen"
        );
        // A pattern of the optimiser that roles share need fit one of them alone.
        check("gan", &phase("freeze = [\"down.*\"]"), &trained()).unwrap();
        let own = "[optimizers.generator]\nkind = \"sgd\"\nlearning_rate = 0.1\nfreeze = [\"down.*\"]";
        assert!(message(own).starts_with("phases.gan.optimizers.generator.freeze: "));
    }
}
