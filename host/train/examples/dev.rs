//! dev
use ekphrasis_train::*;
use std::path::{Path, PathBuf};
struct P(std::time::Instant);
impl Observer for P {
    fn note(&mut self, t: &str) {
        println!("{:7.1} {t}", self.0.elapsed().as_secs_f64());
    }
    fn phase(&mut self, n: &str, d: u64, s: u64) {
        println!("{:7.1} phase {n} {d}/{s}", self.0.elapsed().as_secs_f64());
    }
    fn step(&mut self, n: &str, step: u64, v: &[(String, f64)]) {
        if step % 50 == 0 {
            println!(
                "{:7.1} {n} {step} {}",
                self.0.elapsed().as_secs_f64(),
                v.iter().map(|(n, v)| format!("{n} {v:.4}")).collect::<Vec<_>>().join(" ")
            );
        }
    }
    fn phase_end(&mut self, n: &str, s: f64) {
        println!("end {n} {s:.1}");
    }
    fn scalars(&mut self, _: u64, _: &[(String, f64)]) {}
    fn sheet(&mut self, _: u64, s: &SampleSheet, p: &Path) -> std::result::Result<(), String> {
        println!("sheet {} rows {}", s.rows.len(), p.display());
        Ok(())
    }
    fn resumed(&mut self, _: u64) {}
    fn flush(&mut self) {}
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let out = PathBuf::from(&args[2]);
    let cache = ekphrasis_runtime::Config::default_cache();
    let go = || -> Result<()> {
        let config = Config::load(Path::new(&args[1]), &args[3..])?;
        let layout = Layout::find(Path::new("."), cache.clone())?;
        let folder = if out.join("config.toml").exists() {
            RunFolder::open(&out)?
        } else {
            RunFolder::create(&out, &config, &layout)?
        };
        let runtime = start_runtime(&config, &cache, false, &|s| println!("{s}"))?;
        println!("{}", runtime.report());
        let s = run(
            folder,
            &cache,
            Surroundings {
                runtime,
                observer: Box::new(P(std::time::Instant::now())),
                progress: &|_, _| (),
                stop: Default::default(),
            },
        )?;
        println!("{}", serde_json::to_string_pretty(&s).unwrap());
        Ok(())
    };
    if let Err(e) = go() {
        println!("{e}");
        std::process::exit(1)
    }
}
