use std::path::Path;

use super::*;

const MODELS: [&str; 3] = [
    "models/glimpse-mini-1/image.onnx",
    "tests/data/families/mobileclip/onnx/vision_model.onnx",
    "tests/data/families/mobileclip2/visual.onnx",
];

fn load(file: &str) -> RtenNetwork {
    RtenNetwork::from_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// Returns images of noise in the size that the network expects.
fn images(network: &RtenNetwork, count: usize, side: usize) -> Vec<(NodeId, Value)> {
    let side = network.inputs[0].shape.get(2).copied().flatten().unwrap_or(side);
    let noise = |at: usize| f32::from(u16::try_from(at * 7919 % 251).unwrap()) / 125.0 - 1.0;
    let pixels = (0..count * 3 * side * side).map(noise).collect::<Vec<_>>();
    vec![(network.model.input_ids()[0], Tensor::from_data(&[count, 3, side, side], pixels).into())]
}

#[test]
fn networks_with_depthwise_convolutions_have_the_same_result_as_rten() {
    for (file, side) in MODELS.into_iter().zip([260, 64, 64]) {
        let network = load(file);
        let output = network.outputs[0].name.clone();
        let id = network.model.output_ids()[0];
        let plan = Plan::new(&network.model, &network.nodes, &output).unwrap();
        let inputs = images(&network, 2, side);
        let options = RunOptions::default();
        let result = plan.run(&network.model, &inputs, id, &options).expect(file).into_tensor::<f32>().unwrap();
        let inputs = inputs.into_iter().map(|(id, value)| (id, value.into())).collect();
        let [expected] = network.model.run_n(inputs, [id], Some(options)).unwrap();
        let (result, expected) = (result.into_data(), expected.into_tensor::<f32>().unwrap().into_data());
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let cosine = dot(&result, &expected) / (dot(&result, &result) * dot(&expected, &expected)).sqrt();
        assert!(cosine > 0.99999, "{file}: {cosine}");
    }
}

#[test]
fn all_depthwise_convolutions_of_the_built_in_model_are_found() {
    let network = load(MODELS[0]);
    let found = graph::Graph::new(&network.model, &network.nodes, "image_embeds").convolutions();
    assert_eq!(found.len(), 21);
    assert!(found.iter().all(|found| found.nodes.len() == 3), "each is between two limits of values");
}

#[test]
fn networks_without_depthwise_convolutions_are_left_to_rten() {
    for file in ["tests/data/clip-tiny/onnx/vision_model.onnx", "models/glimpse-mini-1/text.onnx"] {
        assert!(load(file).nodes.is_empty(), "{file}");
    }
}

#[test]
fn a_plan_that_differs_from_rten_is_not_used() {
    let network = load(MODELS[0]);
    let mut wrong = network.nodes.clone();
    let candidates: Vec<usize> = (0..wrong.len()).filter(|&at| graph::is_candidate(&wrong[at])).collect();
    // Both have 144 filters of 3 x 3.
    wrong[candidates[2]].input[1] = wrong[candidates[3]].input[1].clone();
    let inputs = images(&network, 1, 260);
    let agrees = |nodes| {
        let plan = Plan::new(&network.model, nodes, "image_embeds").unwrap();
        plan.agrees(&network.model, &inputs, &RunOptions::default())
    };
    assert!(agrees(&network.nodes));
    assert!(!agrees(&wrong));
}
