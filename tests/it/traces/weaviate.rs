//! The trace of a search at a Weaviate.

use super::collector::Collector;
use super::{Service, TRACE, sampled};
use crate::contract::index::weaviate::failure::class;
use crate::contract::index::weaviate::fake::{Grpc, Running};

#[tokio::test(flavor = "multi_thread")]
async fn both_interfaces_of_a_weaviate_receive_the_trace_of_a_search() {
    let (collector, folder) = (Collector::start().await, tempfile::tempdir().unwrap());
    let weaviate = Running::new(class(), Grpc::Counts(0)).await;
    let grpc_url = weaviate.settings().grpc_url.unwrap().to_string();
    let mut variables = collector.variables().to_vec();
    variables.extend([("VECTOR_DB_PROVIDER", "weaviate"), ("WEAVIATE_URL", &weaviate.rest_url)]);
    variables.extend([("WEAVIATE_GRPC_URL", &*grpc_url), ("WEAVIATE_API_KEY", "open sesame")]);
    let service = Service::start(folder.path(), &variables);
    // The class has another space than the model. The store is asked before that is known.
    service.get("/search/images?q=a%20cat").header("traceparent", sampled(TRACE)).send().await.unwrap();
    assert_eq!(service.process.stop(), Some(0));
    let spans = collector.spans();
    let received = weaviate.traceparents();
    let is_received = |name: &str| {
        let mut calls = spans.iter().filter(|span| span.trace == TRACE && span.name == name);
        calls.any(|call| received.contains(&format!("00-{TRACE}-{}-01", call.id)))
    };
    assert!(is_received("GET"), "REST: {received:?} {spans:#?}");
    assert!(is_received("search documents"), "gRPC: {received:?} {spans:#?}");
}
