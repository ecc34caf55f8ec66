//! What is saved comes back, and a damaged file costs no more than itself.

use super::*;
use crate::{Config, Layout, Silent, run::start_runtime};

const CONFIG: &str = r#"
name = "checkpoint"
schedule = "supervised"
data = { format = "shapes", image_size = 8, counts = { train = 4, val = 1, test = 1, compositional = 1 } }
[models]
scorer = { script = "dual_encoder", params = { embedding = 4, image = { dim = 4, channels = 2, hidden = 4 }, text = { dim = 4, heads = 1, layers = 1 } } }
"#;

fn world(folder: &Path) -> std::rc::Rc<World> {
    let config = Config::from_table(toml::from_str(CONFIG).unwrap()).unwrap();
    let cache = ekphrasis_runtime::Config::default().cache;
    let runtime = start_runtime(&config, &cache, false, &|line| eprintln!("{line}")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let layout = Layout { root, cache: folder.join("cache") };
    World::open(config, layout, runtime, Box::new(Silent), &|_, _| {}, Arc::default()).unwrap()
}

fn at(global_step: u64) -> Position {
    let phase = PhasePosition {
        done: global_step,
        updates: BTreeMap::from([(Role::Scorer, global_step)]),
        // Numbers without a short decimal must come back to the last bit too.
        totals: (1..500).map(|i| (format!("{i}"), 1.0 / (i as f64).sqrt() + global_step as f64)).collect(),
        ..Default::default()
    };
    Position { global_step, phases: BTreeMap::from([("scorer".to_owned(), phase)]), ..Default::default() }
}

/// Adds to all weights of the scorer, so that they are not the initial ones.
fn move_weights(world: &World, by: f32) {
    let all = world.weights.borrow();
    let weights = &all[&Role::Scorer].trainable;
    let moved = weights.get().unwrap().into_iter().map(|(name, tensor)| {
        let values: Vec<f32> = tensor.to_f32().unwrap().iter().map(|v| v + by).collect();
        (name, Arc::new(Tensor::from_f32(tensor.dims(), &values).unwrap()))
    });
    weights.set(&moved.collect()).unwrap();
}

#[test]
fn the_newest_whole_checkpoint_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let place = folder.path().join("checkpoints");
    let newest = |notes: &mut Vec<String>| load_newest(&place, &mut |note| notes.push(note));
    let mut notes = vec![];
    assert!(newest(&mut notes).unwrap().is_none(), "there is none yet");

    let vectors = |v: f32| {
        let key = ("scorer".to_owned(), Role::Scorer, "first moment/text.x".to_owned());
        OptimizerTensors::from([(key, vec![v, f32::MIN_POSITIVE])])
    };
    let mut hashes = vec![];
    for step in [10, 20, 30] {
        move_weights(&world, 0.5);
        hashes.push(hash(&world).unwrap());
        save(&place, &world, &at(step), &vectors(step as f32)).unwrap();
    }
    assert_eq!(names(&place).iter().map(|(n, _)| *n).collect::<Vec<_>>(), [20, 30], "the last ones stay");

    move_weights(&world, 9.0);
    let found = newest(&mut notes).unwrap().unwrap();
    assert_eq!((&found.position, &found.optimizers), (&at(30), &vectors(30.0)));
    found.restore(&world).unwrap();
    assert_eq!(hash(&world).unwrap(), hashes[2]);
    assert!(notes.is_empty(), "{notes:?}");

    // Cut anywhere, the newest is passed over and the user is told.
    let torn = place.join("step-00000030.safetensors");
    let bytes = std::fs::read(&torn).unwrap();
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&torn, &bytes[..length]).unwrap();
        notes.clear();
        let found = newest(&mut notes).unwrap().unwrap();
        assert_eq!(found.position, at(20), "cut at {length}");
        found.restore(&world).unwrap();
        assert_eq!(hash(&world).unwrap(), hashes[1]);
        let [note] = notes.as_slice() else { panic!("{notes:?}") };
        for part in ["step-00000030.safetensors", "expected a checkpoint", "going back to the one before"] {
            assert!(note.contains(part), "{note}");
        }
    }
    // With no whole one left, it is an error and not a fresh start.
    std::fs::write(place.join("step-00000020.safetensors"), "torn").unwrap();
    let error = newest(&mut notes).err().unwrap().to_string();
    assert!(error.contains("step-00000020.safetensors"), "{error}");
}
