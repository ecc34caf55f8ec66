//! `ekphrasis doctor`

use crate::{Context, error::Result, opened, screen::print};
use ekphrasis_runtime::{Config, Provider, Runtime, VERSION};
use std::process::Command;

/// Arguments of `doctor`.
#[derive(clap::Args)]
pub struct Args {
    /// Providers to try, in order
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "tensorrt,cuda,cpu")]
    providers: Vec<String>,
}

/// Tells what is there and what will be used.
pub fn run(context: &Context, args: Args) -> Result<()> {
    let line = |name: &str, value: &str| print(&format!("{name:<18} {value}\n"));
    line("ekphrasis", env!("CARGO_PKG_VERSION"))?;
    line("cache folder", &opened::cache().display().to_string())?;
    line("cores", &ekphrasis_runtime::cores().to_string())?;
    line("python3", &version("python3"))?;
    line("cargo", &version("cargo"))?;
    line("git", &version("git"))?;
    let config = Config {
        offline: context.offline,
        providers: args.providers.iter().map(|name| Provider::new(name)).collect(),
        ..Config::default()
    };
    let doctor = Runtime::start(&config, &|text| context.screen.say(text))?.doctor();
    let tested = if doctor.version == VERSION { "" } else { " (not the version that is tested)" };
    line("ONNX Runtime", &format!("{}{tested}", doctor.version))?;
    line("library", &format!("{} (from {})", doctor.library.display(), doctor.source))?;
    line("built with", &doctor.built_in.join(", "))?;
    line("devices", &doctor.devices.join(", "))?;
    line("threads", &doctor.threads.to_string())?;
    print(&format!("{}\n", doctor.report))
}

/// What a tool that is needed now and then says about itself.
fn version(tool: &str) -> String {
    let output = Command::new(tool).arg("--version").output();
    let output = output.ok().filter(|out| out.status.success());
    output.map_or("not found".into(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
