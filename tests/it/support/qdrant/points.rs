//! The service `Points`: the methods that an index needs.

use std::collections::HashMap;
use std::sync::PoisonError;

use prost::Message as _;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::points_server::Points;
use qdrant_client::qdrant::vectors::VectorsOptions;
use qdrant_client::qdrant::{
    self as q, CountResult, PointStruct, PointsOperationResponse, RetrievedPoint, ScoredPoint, UpdateResult,
    UpdateStatus, Value, VectorOutput, VectorsOutput, WithPayloadSelector, WithVectorsSelector, query, vector,
    vector_input, vector_output, vectors_output, with_payload_selector, with_vectors_selector,
};
use tonic::{Request, Response, Status};

use super::collection::{Collection, Key};
use super::state::State;
use super::{filter, lists};

type Answer<T> = Result<Response<T>, Status>;

/// The reply to a write: done, or not done in time.
fn written(done: bool, wait: Option<bool>) -> Response<PointsOperationResponse> {
    let status = match (done, wait) {
        (false, _) => UpdateStatus::WaitTimeout,
        (true, Some(true)) => UpdateStatus::Completed,
        (true, _) => UpdateStatus::Acknowledged,
    };
    let result = Some(UpdateResult { operation_id: Some(0), status: status.into() });
    Response::new(PointsOperationResponse { result, time: 0.0, usage: None })
}

/// Reads and checks the id and the vector.
fn read(collection: &Collection, point: &mut PointStruct) -> Result<(Key, Vec<f32>), Status> {
    let key = Key::parse(point.id.as_ref())?;
    let vector = match point.vectors.take().and_then(|vectors| vectors.vectors_options) {
        Some(VectorsOptions::Vector(vector)) => vector.vector,
        _ => None,
    };
    let Some(vector::Vector::Dense(dense)) = vector else {
        return Err(Status::unimplemented("the Qdrant of the tests has one dense vector a point"));
    };
    match collection.wrong_size(dense.data.len()) {
        None => Ok((key, dense.data)),
        Some(status) => Err(status),
    }
}

fn payload_of(collection: &Collection, row: usize, wanted: Option<&WithPayloadSelector>) -> HashMap<String, Value> {
    match wanted.and_then(|wanted| wanted.selector_options.as_ref()) {
        Some(with_payload_selector::SelectorOptions::Enable(true)) => collection.payload(row).clone(),
        Some(with_payload_selector::SelectorOptions::Include(selected)) => {
            let mut payload = collection.payload(row).clone();
            payload.retain(|field, _| selected.fields.contains(field));
            payload
        }
        _ => HashMap::new(),
    }
}

fn vectors_of(collection: &Collection, row: usize, wanted: Option<&WithVectorsSelector>) -> Option<VectorsOutput> {
    let options = wanted?.selector_options.as_ref()?;
    matches!(options, with_vectors_selector::SelectorOptions::Enable(true)).then(|| {
        let dense = vector_output::Vector::Dense(collection.vector(row).to_vec().into());
        let vector = VectorOutput { vector: Some(dense), ..VectorOutput::default() };
        VectorsOutput { vectors_options: Some(vectors_output::VectorsOptions::Vector(vector)) }
    })
}

fn retrieved(
    collection: &Collection,
    (key, row): (Key, usize),
    payload: Option<&WithPayloadSelector>,
    vectors: Option<&WithVectorsSelector>,
) -> RetrievedPoint {
    RetrievedPoint {
        id: Some(key.into()),
        payload: payload_of(collection, row, payload),
        vectors: vectors_of(collection, row, vectors),
        ..RetrievedPoint::default()
    }
}

#[tonic::async_trait]
impl Points for State {
    async fn upsert(&self, request: Request<q::UpsertPoints>) -> Answer<PointsOperationResponse> {
        let done = self.enter("upsert", request.metadata()).await?;
        let limits = *self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = request.get_ref().encoded_len();
        if let Some(most) = limits.message.filter(|most| bytes > *most) {
            let text =
                format!("Error, decoded message length too large: found {bytes} bytes, the limit is: {most} bytes");
            return Err(Status::out_of_range(text));
        }
        let q::UpsertPoints { collection_name, wait, mut points, .. } = request.into_inner();
        let collection = self.collection(&collection_name)?;
        self.within("upsert limit", points.len(), limits.upsert)?;
        if let Some(most) =
            limits.points.filter(|most| collection.read().unwrap_or_else(PoisonError::into_inner).len() >= *most)
        {
            return Err(self.strict(&format!("Max points count limit of {most} reached!")));
        }
        self.accept(&points)?;
        // All of them or none.
        let vectors = {
            let collection = collection.read().unwrap_or_else(PoisonError::into_inner);
            points.iter_mut().map(|point| read(&collection, point)).collect::<Result<Vec<_>, _>>()?
        };
        if done {
            let mut collection = collection.write().unwrap_or_else(PoisonError::into_inner);
            for ((key, vector), point) in vectors.into_iter().zip(points) {
                collection.put(key, vector, point.payload);
            }
        }
        Ok(written(done, wait))
    }

    async fn delete(&self, request: Request<q::DeletePoints>) -> Answer<PointsOperationResponse> {
        let done = self.enter("delete", request.metadata()).await?;
        let q::DeletePoints { collection_name, wait, points, .. } = request.into_inner();
        let collection = self.collection(&collection_name)?;
        let Some(PointsSelectorOneOf::Points(points)) = points.and_then(|points| points.points_selector_one_of) else {
            return Err(Status::unimplemented("the Qdrant of the tests deletes by id"));
        };
        let keys = points.ids.iter().map(|id| Key::parse(Some(id))).collect::<Result<Vec<_>, _>>()?;
        if done {
            let mut collection = collection.write().unwrap_or_else(PoisonError::into_inner);
            for key in keys {
                collection.remove(key);
            }
        }
        Ok(written(done, wait))
    }

    async fn get(&self, request: Request<q::GetPoints>) -> Answer<q::GetResponse> {
        self.enter("get", request.metadata()).await?;
        let request = request.into_inner();
        let collection = self.collection(&request.collection_name)?;
        let collection = collection.read().unwrap_or_else(PoisonError::into_inner);
        let mut result = Vec::new();
        for id in &request.ids {
            let key = Key::parse(Some(id))?;
            let Some(row) = collection.row(key) else { continue };
            let (payload, vectors) = (request.with_payload.as_ref(), request.with_vectors.as_ref());
            result.push(retrieved(&collection, (key, row), payload, vectors));
        }
        Ok(Response::new(q::GetResponse { result, time: 0.0, usage: None }))
    }

    async fn create_field_index(
        &self,
        request: Request<q::CreateFieldIndexCollection>,
    ) -> Answer<PointsOperationResponse> {
        let done = self.enter("create_field_index", request.metadata()).await?;
        let request = request.into_inner();
        let collection = self.collection(&request.collection_name)?;
        let indexes = self.limits.lock().unwrap_or_else(PoisonError::into_inner).indexes;
        if let Some(most) =
            indexes.filter(|most| collection.read().unwrap_or_else(PoisonError::into_inner).indexes.len() >= *most)
        {
            return Err(self.strict(&format!(
                "Collection already has the maximum number of payload indices ({most}). Help: Please delete an existing \
                 index before creating a new one."
            )));
        }
        if done {
            let kind = request.field_type.unwrap_or_default();
            collection.write().unwrap_or_else(PoisonError::into_inner).indexes.insert(request.field_name, kind);
        }
        Ok(written(done, request.wait))
    }

    async fn scroll(&self, request: Request<q::ScrollPoints>) -> Answer<q::ScrollResponse> {
        self.enter("scroll", request.metadata()).await?;
        let request = request.into_inner();
        let collection = self.collection(&request.collection_name)?;
        let collection = collection.read().unwrap_or_else(PoisonError::into_inner);
        let from = request.offset.as_ref().map_or(Ok(Key::Num(0)), |id| Key::parse(Some(id)))?;
        let limit = request.limit.unwrap_or(10) as usize;
        let most = self.limits.lock().unwrap_or_else(PoisonError::into_inner).query;
        self.within("limit", limit, most)?;
        let filter = request.filter.as_ref();
        filter.map_or(Ok(()), filter::check)?;
        let (points, next_page_offset) = match &request.order_by {
            Some(_) if request.offset.is_some() => {
                return Err(Status::invalid_argument("Wrong input: Cannot use an `offset` when using `order_by`"));
            }
            Some(order) => (lists::in_order(&collection, order, filter)?.into_iter().take(limit).collect(), None),
            None => {
                let mut rest =
                    collection.ascending_from(from).filter(|(_, row)| lists::matches(&collection, *row, filter));
                let points: Vec<_> = rest.by_ref().take(limit).collect();
                (points, rest.next().map(|(key, _)| key.into()))
            }
        };
        let (payload, vectors) = (request.with_payload.as_ref(), request.with_vectors.as_ref());
        let result = points.into_iter().map(|point| retrieved(&collection, point, payload, vectors)).collect();
        Ok(Response::new(q::ScrollResponse { next_page_offset, result, time: 0.0, usage: None }))
    }

    async fn facet(&self, request: Request<q::FacetCounts>) -> Answer<q::FacetResponse> {
        self.enter("facet", request.metadata()).await?;
        let q::FacetCounts { collection_name, key, filter, limit, .. } = request.into_inner();
        let collection = self.collection(&collection_name)?;
        let collection = collection.read().unwrap_or_else(PoisonError::into_inner);
        let limit = usize::try_from(limit.unwrap_or(10)).unwrap();
        let most = self.limits.lock().unwrap_or_else(PoisonError::into_inner).query;
        self.within("limit", limit, most)?;
        filter.as_ref().map_or(Ok(()), filter::check)?;
        let hits = lists::facet(&collection, &key, filter.as_ref(), limit)?;
        Ok(Response::new(q::FacetResponse { hits, time: 0.0, usage: None }))
    }

    async fn count(&self, request: Request<q::CountPoints>) -> Answer<q::CountResponse> {
        self.enter("count", request.metadata()).await?;
        if self.limits.lock().unwrap_or_else(PoisonError::into_inner).no_exact && request.get_ref().exact == Some(true)
        {
            return Err(self.strict("Exact search disabled!. Help: Set exact=false."));
        }
        let collection = self.collection(&request.get_ref().collection_name)?;
        let count = collection.read().unwrap_or_else(PoisonError::into_inner).len() as u64;
        Ok(Response::new(q::CountResponse { result: Some(CountResult { count }), time: 0.0, usage: None }))
    }

    async fn query(&self, request: Request<q::QueryPoints>) -> Answer<q::QueryResponse> {
        self.enter("query", request.metadata()).await?;
        let request = request.into_inner();
        let collection = self.collection(&request.collection_name)?;
        let collection = collection.read().unwrap_or_else(PoisonError::into_inner);
        let nearest = match request.query.and_then(|query| query.variant) {
            Some(query::Variant::Nearest(input)) => input.variant,
            _ => None,
        };
        let Some(vector_input::Variant::Dense(dense)) = nearest else {
            return Err(Status::unimplemented("the Qdrant of the tests searches by one dense vector"));
        };
        if let Some(status) = collection.wrong_size(dense.data.len()) {
            return Err(status);
        }
        request.filter.as_ref().map_or(Ok(()), filter::check)?;
        let limits = *self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        self.within("limit", usize::try_from(request.limit.unwrap_or(10)).unwrap(), limits.query)?;
        let params = request.params.unwrap_or_default();
        let is_exact = params.exact == Some(true);
        if limits.no_exact && is_exact {
            return Err(self.strict("Exact search disabled!. Help: Set exact=false."));
        }
        let reached = if limits.graph && !is_exact { params.hnsw_ef.unwrap_or(100) } else { u64::MAX };
        let is_reached = |row| match collection.key(row) {
            Key::Uuid(id) => id.as_u128() % 1_000 < u128::from(reached),
            Key::Num(_) => true,
        };
        let may = |row| {
            is_reached(row)
                && request.filter.as_ref().is_none_or(|filter| filter::matches(filter, collection.payload(row)))
        };
        let (offset, limit) = (request.offset.unwrap_or(0), request.limit.unwrap_or(10));
        let page = collection.nearest(&dense.data, may).into_iter();
        let page = page.skip(usize::try_from(offset).unwrap()).take(usize::try_from(limit).unwrap());
        let scored = page.map(|(row, score)| ScoredPoint {
            id: Some(collection.key(row).into()),
            payload: payload_of(&collection, row, request.with_payload.as_ref()),
            vectors: vectors_of(&collection, row, request.with_vectors.as_ref()),
            score: if limits.stale_scores { score - 0.25 } else { score },
            ..ScoredPoint::default()
        });
        Ok(Response::new(q::QueryResponse { result: scored.collect(), time: 0.0, usage: None }))
    }

    super::state::unknown! {
        update_vectors(UpdatePointVectors) -> PointsOperationResponse;
        delete_vectors(DeletePointVectors) -> PointsOperationResponse;
        set_payload(SetPayloadPoints) -> PointsOperationResponse;
        overwrite_payload(SetPayloadPoints) -> PointsOperationResponse;
        delete_payload(DeletePayloadPoints) -> PointsOperationResponse;
        clear_payload(ClearPayloadPoints) -> PointsOperationResponse;
        delete_field_index(DeleteFieldIndexCollection) -> PointsOperationResponse;
        create_vector_name(CreateVectorNameRequest) -> PointsOperationResponse;
        delete_vector_name(DeleteVectorNameRequest) -> PointsOperationResponse;
        search(SearchPoints) -> SearchResponse;
        search_batch(SearchBatchPoints) -> SearchBatchResponse;
        search_groups(SearchPointGroups) -> SearchGroupsResponse;
        recommend(RecommendPoints) -> RecommendResponse;
        recommend_batch(RecommendBatchPoints) -> RecommendBatchResponse;
        recommend_groups(RecommendPointGroups) -> RecommendGroupsResponse;
        discover(DiscoverPoints) -> DiscoverResponse;
        discover_batch(DiscoverBatchPoints) -> DiscoverBatchResponse;
        update_batch(UpdateBatchPoints) -> UpdateBatchResponse;
        query_batch(QueryBatchPoints) -> QueryBatchResponse;
        query_groups(QueryPointGroups) -> QueryGroupsResponse;
        search_matrix_pairs(SearchMatrixPoints) -> SearchMatrixPairsResponse;
        search_matrix_offsets(SearchMatrixPoints) -> SearchMatrixOffsetsResponse;
    }
}
