//! Sequences of tensors, which are gone once a model is read.

use super::*;

fn int(name: &str, value: i64) -> proto::AttributeProto {
    attr(name, Attr::Int(value))
}

/// A scalar literal.
fn number(name: &str, value: i64) -> proto::NodeProto {
    proto::NodeProto {
        name: format!("literal_{name}"),
        ..node("Constant", &[], &[name], vec![int("value_int", value)])
    }
}

fn ops(g: &Graph) -> Vec<&str> {
    g.nodes().map(|(_, n)| n.op.as_str()).collect()
}

#[test]
fn unbind_and_stack_become_split_and_concat() {
    let nodes = vec![
        number("last", -1),
        number("first", 0),
        node("SplitToSequence", &["x"], &["parts"], vec![int("axis", 1), int("keepdims", 0)]),
        node("Identity", &["parts"], &["same"], vec![]),
        node("SequenceAt", &["same", "last"], &["c"], vec![]),
        node("SequenceErase", &["parts", "first"], &["rest"], vec![]),
        node("SequenceInsert", &["rest", "c", "first"], &["more"], vec![]),
        node("ConcatFromSequence", &["more"], &["y"], vec![int("axis", 0), int("new_axis", 1)]),
    ];
    let g = load(&model(17, vec![port("x", &["B", "3"])], nodes)).unwrap();
    assert_eq!(g.value(g.find("y").unwrap()).describe(), "f32[3, B]");
    let squeezed = ops(&g).iter().filter(|op| **op == "Squeeze").count();
    assert_eq!((ops(&g)[0], squeezed, *ops(&g).last().unwrap()), ("Split", 3, "Concat"));
    // The last part comes first, and then the second and the last.
    let (_, concat) = g.producer(g.find("y").unwrap()).unwrap();
    assert_eq!(concat.inputs[0], concat.inputs[2]);
    assert_ne!(concat.inputs[0], concat.inputs[1]);
}

#[test]
fn a_part_has_the_size_that_is_asked_for() {
    let nodes = vec![
        number("size", 2),
        number("one", 1),
        node("SplitToSequence", &["x", "size"], &["parts"], vec![int("axis", -1), int("keepdims", 0)]),
        node("SequenceAt", &["parts", "one"], &["part"], vec![]),
        node("SequenceLength", &["parts"], &["n"], vec![]),
        node("Mul", &["part", "part"], &["y"], vec![]),
    ];
    let g = load(&model(18, vec![port("x", &["B", "5"])], nodes)).unwrap();
    assert_eq!(g.value(g.find("y").unwrap()).describe(), "f32[B, 2]");
    assert_eq!(ops(&g), ["Split", "Mul"]);
    let (_, split) = g.nodes().next().unwrap();
    let sizes = g.value(split.inputs[1].unwrap()).tensor().unwrap().as_ints();
    assert_eq!(sizes, Some(vec![2, 2, 1]));
}

/// As in Python's `list.insert`, which the standard follows.
#[test]
fn a_negative_place_counts_from_the_last() {
    let nodes = vec![
        number("last", -1),
        node("SequenceConstruct", &["x", "x"], &["two"], vec![]),
        node("Exp", &["x"], &["e"], vec![]),
        node("SequenceInsert", &["two", "e", "last"], &["three"], vec![]),
        node("ConcatFromSequence", &["three"], &["y"], vec![int("axis", 0)]),
    ];
    let g = load(&model(18, vec![port("x", &["2"])], nodes)).unwrap();
    let (_, concat) = g.producer(g.find("y").unwrap()).unwrap();
    let (e, _) = g.producer(concat.inputs[1].unwrap()).unwrap();
    assert_eq!(g.node(e).op, "Exp");
    assert_eq!(concat.inputs[0], concat.inputs[2]);
}

#[test]
fn what_has_no_known_length_is_refused() {
    let refuse = |nodes: Vec<proto::NodeProto>, dims: &[&str], parts: &[&str]| {
        refused(&model(18, vec![port("x", dims)], nodes), parts);
    };
    let split = |attrs| node("SplitToSequence", &["x"], &["s"], attrs);
    refuse(vec![split(vec![])], &["B", "3"], &["the_SplitToSequence", "known size"]);
    refuse(vec![split(vec![int("axis", 2)])], &["2", "3"], &["the_SplitToSequence", "axis"]);
    refuse(vec![split(vec![])], &["1000000000000"], &["the_SplitToSequence", "at most 4096 parts"]);
    let at = |i: i64| vec![number("i", i), split(vec![]), node("SequenceAt", &["s", "i"], &["y"], vec![])];
    refuse(at(2), &["2", "3"], &["the_SequenceAt", "position 2"]);
    refuse(at(-3), &["2", "3"], &["the_SequenceAt", "position -3"]);
    refuse(at(i64::MIN), &["2", "3"], &["the_SequenceAt", "position"]);
    let exp = vec![split(vec![]), node("Exp", &["s"], &["y"], vec![])];
    refuse(exp, &["2", "3"], &["the_Exp", "`s` is a sequence"]);
    let concat = |name: &str| vec![node("ConcatFromSequence", &[name], &["y"], vec![int("axis", 0)])];
    refuse(concat("x"), &["2"], &["the_ConcatFromSequence", "expected a sequence"]);
}

/// Each sequence holds the one before it twice over: nothing grows beyond its limit.
#[test]
fn sequences_made_up_to_explode_are_refused() {
    let mut nodes = vec![node("SequenceConstruct", &["x"], &["s0"], vec![])];
    for i in 0..5000 {
        let (from, to) = (format!("s{i}"), format!("s{}", i + 1));
        nodes.push(node("SequenceInsert", &[&from, "x"], &[&to], vec![]));
    }
    refused(&model(18, vec![port("x", &["2"])], nodes), &["the_SequenceInsert", "at most 4096 tensors"]);
}
