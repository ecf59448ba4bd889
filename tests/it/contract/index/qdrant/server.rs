//! Behaviour of the server that the adapter relies on, tested with both servers, so that the fake stays like the real
//! one.

use glimpse::domain::ImageUri;
use qdrant_client::qdrant::{
    CreateCollectionBuilder, DeletePointsBuilder, Distance, GetPointsBuilder, PointStruct, PointsIdsList,
    QueryPointsBuilder, ScrollPointsBuilder, UpdateCollectionBuilder, UpdateStatus, UpsertPointsBuilder,
    VectorParamsBuilder, vector_output,
};
use qdrant_client::{Payload, Qdrant, QdrantError};
use serde_json::json;
use tonic::Code;

use super::{TestServer, collection_in_qdrant, on_every_server};
use crate::contract::index::support::name;

async fn create(client: &Qdrant, text: &str) -> String {
    let collection = collection_in_qdrant(&name(text));
    client.create_collection(creation(&collection)).await.unwrap();
    collection
}

fn creation(collection: &str) -> CreateCollectionBuilder {
    let metadata = [("a".to_owned(), json!("b"))].into_iter().collect::<std::collections::HashMap<_, _>>();
    CreateCollectionBuilder::new(collection)
        .vectors_config(VectorParamsBuilder::new(4, Distance::Cosine))
        .metadata(metadata)
}

fn id(n: u32) -> String {
    ImageUri::new("b", &n.to_string()).id().to_string()
}

fn point(id: String, vector: [f32; 4]) -> PointStruct {
    PointStruct::new(id, vector.to_vec(), Payload::new())
}

fn refusal(error: QdrantError) -> (Code, String) {
    match error {
        QdrantError::ResponseError { status } => (status.code(), status.message().to_owned()),
        other => panic!("{other}"),
    }
}

async fn put(client: &Qdrant, collection: &str, points: Vec<PointStruct>) -> Result<UpdateStatus, (Code, String)> {
    let request = UpsertPointsBuilder::new(collection, points).wait(true);
    let done = client.upsert_points(request).await.map_err(refusal)?;
    Ok(done.result.unwrap().status())
}

async fn found(client: &Qdrant, collection: &str, offset: u64) -> Vec<f32> {
    let request = QueryPointsBuilder::new(collection).query(vec![1.0, 0.0, 0.0, 0.0]).limit(10).offset(offset);
    client.query(request).await.unwrap().result.into_iter().map(|hit| hit.score).collect()
}

#[tokio::test]
async fn existing_and_missing_collections_have_known_errors() {
    on_every_server(async |server: &TestServer| {
        let client = server.raw_client();
        let collection = create(&client, "contract-server-names").await;
        let twice = refusal(client.create_collection(creation(&collection)).await.unwrap_err());
        assert_eq!(twice, (Code::AlreadyExists, format!("Wrong input: Collection `{collection}` already exists!")));
        let metadata = [("c".to_owned(), json!(true))].into_iter().collect::<std::collections::HashMap<_, _>>();
        client.update_collection(UpdateCollectionBuilder::new(&collection).metadata(metadata)).await.unwrap();
        let info = client.collection_info(&collection).await.unwrap().result.unwrap();
        let mut kept: Vec<_> = info.config.unwrap().metadata.into_iter().collect();
        kept.sort_by(|(a, _), (b, _)| a.cmp(b));
        assert_eq!(kept, [("a".to_owned(), "b".into()), ("c".to_owned(), true.into())], "metadata is merged");

        assert!(client.delete_collection(&collection).await.unwrap().result);
        assert!(!client.delete_collection(&collection).await.unwrap().result);
        let unknown = (Code::NotFound, format!("Not found: Collection `{collection}` doesn't exist!"));
        assert_eq!(refusal(client.collection_info(&collection).await.unwrap_err()), unknown);
        assert_eq!(put(&client, &collection, vec![point(id(1), [1.0, 0.0, 0.0, 0.0])]).await, Err(unknown.clone()));
        let query = QueryPointsBuilder::new(&collection).query(vec![1.0, 0.0, 0.0, 0.0]);
        assert_eq!(refusal(client.query(query).await.unwrap_err()), unknown);
    })
    .await;
}

#[tokio::test]
async fn one_bad_point_fails_the_whole_upsert() {
    on_every_server(async |server: &TestServer| {
        let client = server.raw_client();
        let collection = create(&client, "contract-server-bad").await;
        let good = point(id(1), [1.0, 0.0, 0.0, 0.0]);
        let short = PointStruct::new(id(2), vec![1.0, 0.0], Payload::new());
        let output = "Wrong input: Vector dimension error: expected dim: 4, got 2".to_owned();
        let refused = put(&client, &collection, vec![good.clone(), short]).await;
        assert_eq!(refused, Err((Code::InvalidArgument, output)));
        let nameless = point("no-uuid".to_owned(), [1.0, 0.0, 0.0, 0.0]);
        let (code, output) = put(&client, &collection, vec![good.clone(), nameless]).await.unwrap_err();
        assert!(code == Code::InvalidArgument && output.contains("Unable to parse UUID"), "{output}");
        assert!(found(&client, &collection, 0).await.is_empty());

        assert_eq!(put(&client, &collection, vec![good]).await, Ok(UpdateStatus::Completed));
        let same = point(id(1).to_uppercase(), [0.0, 3.0, 0.0, 0.0]);
        assert_eq!(put(&client, &collection, vec![same]).await, Ok(UpdateStatus::Completed));
        let got = GetPointsBuilder::new(&collection, vec![id(1).into(), id(9).into()]).with_vectors(true);
        let got = client.get_points(got).await.unwrap().result;
        assert_eq!(got.len(), 1, "an upper-case UUID is the same, and missing ids are left out");
        let vector = got[0].vectors.as_ref().unwrap().get_vector().unwrap();
        assert_eq!(
            vector,
            vector_output::Vector::Dense(vec![0.0, 1.0, 0.0, 0.0].into()),
            "vectors come back normalised"
        );
        client.delete_collection(&collection).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn unusual_vectors_are_stored_and_pages_end() {
    on_every_server(async |server: &TestServer| {
        let client = server.raw_client();
        let collection = create(&client, "contract-server-odd").await;
        let points = vec![
            point(id(1), [0.6, 0.8, 0.0, 0.0]),
            point(id(2), [0.0; 4]),
            point(id(3), [f32::NAN, 0.0, 0.0, 0.0]),
            point(id(4), [2.0, 0.0, 0.0, 0.0]),
        ];
        assert_eq!(put(&client, &collection, points).await, Ok(UpdateStatus::Completed));
        let scores = found(&client, &collection, 0).await;
        assert!(scores[0].is_nan(), "a vector of NaN comes first: {scores:?}");
        assert!((scores[1] - 1.0).abs() < 1e-5 && (scores[2] - 0.6).abs() < 1e-5, "{scores:?}");
        assert!(found(&client, &collection, 50).await.is_empty());

        let first = ScrollPointsBuilder::new(&collection).limit(3);
        let first = client.scroll(first).await.unwrap();
        let next = ScrollPointsBuilder::new(&collection).limit(3).offset(first.next_page_offset.unwrap());
        let next = client.scroll(next).await.unwrap();
        assert!(next.next_page_offset.is_none() && next.result.len() == 1);
        let ids = first.result.into_iter().chain(next.result).map(|point| format!("{:?}", point.id.unwrap()));
        assert!(ids.is_sorted());

        let unknown = PointsIdsList { ids: vec![id(9).into(), id(4).into()] };
        let deleted = DeletePointsBuilder::new(&collection).points(unknown).wait(true);
        let deleted = client.delete_points(deleted).await.unwrap();
        assert_eq!(deleted.result.unwrap().status(), UpdateStatus::Completed);
        client.delete_collection(&collection).await.unwrap();
    })
    .await;
}
