//! Weights beside the model.

use super::*;
use std::sync::Arc;

#[test]
fn external_data_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let mut g = Graph::new("m");
    let large = |value: f32| Arc::new(Tensor::from_f32(&[500], &[value; 500]).unwrap());
    for (name, value) in [("a", 1.0), ("b", 2.0), ("c", 3.0)] {
        let v = g.initializer(name, large(value)).unwrap();
        g.output(&format!("out_{name}"), v).unwrap();
    }
    let small = g.initializer("small", Arc::new(Tensor::scalar_f32(4.0))).unwrap();
    g.output("out_small", small).unwrap();
    g.save_with_limit(&path, 100).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 1000);
    assert_eq!(std::fs::metadata(folder.path().join("m.onnx.data")).unwrap().len(), 2 * ALIGNMENT + 2000);
    let back = Graph::load(&path).unwrap();
    assert_eq!(back.initializers()["b"].1, &large(2.0));
    assert_eq!(back.initializers()["c"].1, &large(3.0));
    assert_eq!(back.initializers()["small"].1.as_scalar(), Some(4.0));
    // Cut short, it is refused with the place.
    std::fs::write(folder.path().join("m.onnx.data"), vec![0; 5000]).unwrap();
    let message = Graph::load(&path).unwrap_err().to_string();
    assert!(message.contains("m.onnx") && message.contains("`b`") && message.contains("5000"), "{message}");
    // A folder that is not there: nothing is left behind.
    assert!(g.save(folder.path().join("none/m.onnx")).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
