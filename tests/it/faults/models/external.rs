//! Moves the weights of an ONNX file into other files: `tensor.raw_data` becomes `external_data`.

/// Appends a field with a length.
fn put(out: &mut Vec<u8>, field: u64, body: &[u8]) {
    prost::encode_length_delimiter(usize::try_from((field << 3) | 2).unwrap(), out).unwrap();
    prost::encode_length_delimiter(body.len(), out).unwrap();
    out.extend_from_slice(body);
}

/// The fields of a message: number, wire type, body if it has a length, all bytes.
fn fields(mut rest: &[u8]) -> Vec<(u64, u64, &[u8], &[u8])> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let before = rest;
        let key = prost::decode_length_delimiter(&mut rest).unwrap() as u64;
        let length = match key & 7 {
            0 => {
                prost::decode_length_delimiter(&mut rest).unwrap();
                0
            }
            1 => 8,
            5 => 4,
            _ => prost::decode_length_delimiter(&mut rest).unwrap(),
        };
        let (body, after) = rest.split_at(length);
        rest = after;
        found.push((key >> 3, key & 7, body, &before[..before.len() - rest.len()]));
    }
    found
}

/// The model with its initializers in the files `names`, in turn, and the content of each of these files.
pub(crate) fn externalised(onnx: &[u8], names: &[&str]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut files = vec![Vec::new(); names.len()];
    let (mut model, mut turn) = (Vec::new(), 0);
    for (field, _, body, whole) in fields(onnx) {
        if field != 7 {
            model.extend_from_slice(whole);
            continue;
        }
        let mut graph = Vec::new();
        for (field, _, body, whole) in fields(body) {
            if field != 5 {
                graph.extend_from_slice(whole);
                continue;
            }
            let mut tensor = Vec::new();
            for (field, wire, body, whole) in fields(body) {
                if (field, wire) != (9, 2) || body.is_empty() {
                    tensor.extend_from_slice(whole);
                    continue;
                }
                let at = turn % names.len();
                turn += 1;
                let (offset, length) = (files[at].len().to_string(), body.len().to_string());
                files[at].extend_from_slice(body);
                for (key, value) in [("location", names[at]), ("offset", &offset), ("length", &length)] {
                    let mut entry = Vec::new();
                    put(&mut entry, 1, key.as_bytes());
                    put(&mut entry, 2, value.as_bytes());
                    put(&mut tensor, 13, &entry);
                }
                tensor.extend_from_slice(&[14 << 3, 1]);
            }
            put(&mut graph, 5, &tensor);
        }
        put(&mut model, 7, &graph);
    }
    assert!(turn > 10, "the model has weights");
    (model, files)
}
