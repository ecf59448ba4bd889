//! Reads the operators of an ONNX file, without its weights.

use std::io::{self, Read};

use prost::Message;

use super::scan::{Input, invalid_file};

/// Maximum size of one operator. Only a constant or a graph inside a graph is larger.
const MAX_NODE_BYTES: u64 = 64 << 10;
/// Maximum size of all of them.
const MAX_BYTES: u64 = 64 << 20;

/// An operator of a network.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::embed::local) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(in crate::embed::local) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(in crate::embed::local) output: Vec<String>,
    #[prost(string, tag = "4")]
    pub(in crate::embed::local) op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    domain: String,
}

/// An attribute of an operator.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::embed::local) struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "3")]
    pub(in crate::embed::local) i: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub(in crate::embed::local) s: Vec<u8>,
    #[prost(int64, repeated, tag = "8")]
    pub(in crate::embed::local) ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

impl Node {
    /// Whether it is an operator of the ONNX standard with this name.
    pub(in crate::embed::local) fn is(&self, op_type: &str) -> bool {
        self.op_type == op_type && matches!(self.domain.as_str(), "" | "ai.onnx")
    }

    pub(in crate::embed::local) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// Whether it has a graph inside, which may read any value of the graph around it.
    fn has_graph(&self) -> bool {
        const GRAPH: i32 = 5;
        const GRAPHS: i32 = 10;
        self.attribute.iter().any(|attribute| [GRAPH, GRAPHS].contains(&attribute.kind))
    }
}

/// Returns the operators of the graph in their order. Returns none if there is a graph inside the graph, or an operator
/// is unusually large.
///
/// # Errors
/// [`io::Error`] if the file cannot be read or is not ONNX.
pub(in crate::embed::local) fn nodes<R: Read + io::Seek>(bytes: R) -> io::Result<Vec<Node>> {
    const GRAPH: (u64, u64) = (7, 2);
    const NODE: (u64, u64) = (1, 2);
    let mut input = Input::new(bytes)?;
    let (mut nodes, mut total, mut graph_end) = (Vec::new(), 0, 0);
    while input.position < input.end {
        let in_graph = input.position < graph_end;
        let key = input.varint()?;
        let length = match key & 7 {
            0 => {
                input.varint()?;
                continue;
            }
            1 => 8,
            2 => input.varint()?,
            5 => 4,
            _ => return Err(invalid_file()),
        };
        match (key >> 3, key & 7) {
            // Its fields are read by the next turns.
            GRAPH if !in_graph => graph_end = input.position.saturating_add(length),
            NODE if in_graph => {
                total += length;
                if length > MAX_NODE_BYTES || total > MAX_BYTES {
                    return Ok(Vec::new());
                }
                let node = Node::decode(&*input.read_exact(length, MAX_NODE_BYTES)?).map_err(|_| invalid_file())?;
                if node.has_graph() {
                    return Ok(Vec::new());
                }
                nodes.push(node);
            }
            _ => input.skip(length)?,
        }
    }
    Ok(nodes)
}
