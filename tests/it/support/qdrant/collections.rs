//! The service `Collections`.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use qdrant_client::qdrant::alias_operations::Action;
use qdrant_client::qdrant::collections_server::Collections;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    self as q, CollectionConfig, CollectionDescription, CollectionInfo, CollectionOperationResponse, CollectionParams,
    CollectionStatus, Distance, FieldType, GetCollectionInfoResponse, ListCollectionsResponse, PayloadSchemaInfo,
    PayloadSchemaType, VectorParams, VectorsConfig,
};
use tonic::{Request, Response, Status};

use super::collection::Collection;
use super::state::State;

type Answer<T> = Result<Response<T>, Status>;

fn done(result: bool) -> Response<CollectionOperationResponse> {
    Response::new(CollectionOperationResponse { result, time: 0.0 })
}

fn info(collection: &Collection) -> CollectionInfo {
    let vectors =
        VectorParams { size: collection.size as u64, distance: collection.distance.into(), ..VectorParams::default() };
    let vectors_config = Some(VectorsConfig { config: Some(Config::Params(vectors)) });
    let params = CollectionParams { shard_number: 1, vectors_config, ..CollectionParams::default() };
    let schema = |(field, kind): (&String, &i32)| {
        let data_type = match FieldType::try_from(*kind).unwrap() {
            FieldType::Keyword => PayloadSchemaType::Keyword,
            FieldType::Integer => PayloadSchemaType::Integer,
            FieldType::Datetime => PayloadSchemaType::Datetime,
            FieldType::Geo => PayloadSchemaType::Geo,
            FieldType::Float => PayloadSchemaType::Float,
            _ => PayloadSchemaType::UnknownType,
        };
        let info = PayloadSchemaInfo { data_type: data_type.into(), points: Some(0), ..PayloadSchemaInfo::default() };
        (field.clone(), info)
    };
    CollectionInfo {
        status: CollectionStatus::Green.into(),
        segments_count: 1,
        config: Some(CollectionConfig {
            params: Some(params),
            metadata: collection.metadata.clone(),
            optimizer_config: Some(collection.optimizers),
            quantization_config: collection.quantization,
            ..CollectionConfig::default()
        }),
        payload_schema: collection.indexes.iter().map(schema).collect::<HashMap<_, _>>(),
        points_count: Some(collection.len() as u64),
        ..CollectionInfo::default()
    }
}

#[tonic::async_trait]
impl Collections for State {
    async fn get(&self, request: Request<q::GetCollectionInfoRequest>) -> Answer<GetCollectionInfoResponse> {
        self.enter("info", request.metadata()).await?;
        let collection = self.collection(&request.get_ref().collection_name)?;
        let mut result = info(&collection.read().unwrap_or_else(PoisonError::into_inner));
        if let Some(config) = result.config.as_mut().filter(|_| !self.keeps_metadata()) {
            config.metadata.clear();
        }
        let result = Some(result);
        Ok(Response::new(GetCollectionInfoResponse { result, time: 0.0 }))
    }

    async fn list(&self, request: Request<q::ListCollectionsRequest>) -> Answer<ListCollectionsResponse> {
        self.enter("list", request.metadata()).await?;
        let names = self.collections.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect::<Vec<_>>();
        let collections = names.into_iter().map(|name| CollectionDescription { name }).collect();
        Ok(Response::new(ListCollectionsResponse { collections, time: 0.0 }))
    }

    async fn create(&self, request: Request<q::CreateCollection>) -> Answer<CollectionOperationResponse> {
        self.enter("create", request.metadata()).await?;
        let request = request.into_inner();
        let name = request.collection_name;
        let Some(Config::Params(vectors)) = request.vectors_config.and_then(|vectors| vectors.config) else {
            return Err(Status::unimplemented("the Qdrant of the tests has one unnamed vector a point"));
        };
        let distance = Distance::try_from(vectors.distance).unwrap();
        let metadata = if self.keeps_metadata() { request.metadata } else { HashMap::new() };
        let mut collection = Collection::new(usize::try_from(vectors.size).unwrap(), distance, metadata);
        collection.optimizers = request.optimizers_config.unwrap_or_default();
        collection.quantization = request.quantization_config;
        if self.aliases.read().unwrap_or_else(PoisonError::into_inner).contains_key(&name) {
            let message = format!(
                "Wrong input: Can't create collection with name {name}. Alias with the same name already exists"
            );
            return Err(Status::invalid_argument(message));
        }
        let mut collections = self.collections.write().unwrap_or_else(PoisonError::into_inner);
        if collections.contains_key(&name) {
            return Err(Status::already_exists(format!("Wrong input: Collection `{name}` already exists!")));
        }
        collections.insert(name, Arc::new(RwLock::new(collection)));
        Ok(done(true))
    }

    async fn update(&self, request: Request<q::UpdateCollection>) -> Answer<CollectionOperationResponse> {
        self.enter("update", request.metadata()).await?;
        let request = request.into_inner();
        let collection = self.collection(&request.collection_name)?;
        if self.keeps_metadata() {
            collection.write().unwrap_or_else(PoisonError::into_inner).metadata.extend(request.metadata);
        }
        if let Some(threshold) = request.optimizers_config.and_then(|optimizers| optimizers.indexing_threshold) {
            let mut collection = collection.write().unwrap_or_else(PoisonError::into_inner);
            collection.optimizers.indexing_threshold = Some(threshold);
        }
        Ok(done(true))
    }

    async fn delete(&self, request: Request<q::DeleteCollection>) -> Answer<CollectionOperationResponse> {
        self.enter("drop", request.metadata()).await?;
        let name = &request.get_ref().collection_name;
        // The aliases of a collection vanish with it.
        self.aliases.write().unwrap_or_else(PoisonError::into_inner).retain(|_, collection| collection != name);
        Ok(done(self.collections.write().unwrap_or_else(PoisonError::into_inner).remove(name).is_some()))
    }

    async fn collection_exists(
        &self,
        request: Request<q::CollectionExistsRequest>,
    ) -> Answer<q::CollectionExistsResponse> {
        self.enter("exists", request.metadata()).await?;
        let exists = self.collection(&request.get_ref().collection_name).is_ok();
        Ok(Response::new(q::CollectionExistsResponse { result: Some(q::CollectionExists { exists }), time: 0.0 }))
    }

    async fn update_aliases(&self, request: Request<q::ChangeAliases>) -> Answer<CollectionOperationResponse> {
        self.enter("alias", request.metadata()).await?;
        let collections = self.collections.read().unwrap_or_else(PoisonError::into_inner);
        let mut aliases = self.aliases.write().unwrap_or_else(PoisonError::into_inner);
        for action in request.into_inner().actions {
            let Some(Action::CreateAlias(q::CreateAlias { collection_name, alias_name })) = action.action else {
                return Err(Status::unimplemented("the Qdrant of the tests only creates aliases"));
            };
            if collections.contains_key(&alias_name) {
                return Err(Status::already_exists(format!("Wrong input: Collection `{alias_name}` already exists!")));
            }
            if !collections.contains_key(&collection_name) {
                return Err(Status::not_found(format!("Not found: Collection `{collection_name}` doesn't exist!")));
            }
            // An alias that exists is replaced.
            aliases.insert(alias_name, collection_name);
        }
        Ok(done(true))
    }

    async fn list_aliases(&self, request: Request<q::ListAliasesRequest>) -> Answer<q::ListAliasesResponse> {
        self.enter("aliases", request.metadata()).await?;
        let aliases = self.aliases.read().unwrap_or_else(PoisonError::into_inner);
        let describe = |(alias, collection): (&String, &String)| q::AliasDescription {
            alias_name: alias.clone(),
            collection_name: collection.clone(),
        };
        Ok(Response::new(q::ListAliasesResponse { aliases: aliases.iter().map(describe).collect(), time: 0.0 }))
    }

    super::state::unknown! {
        list_collection_aliases(ListCollectionAliasesRequest) -> ListAliasesResponse;
        collection_cluster_info(CollectionClusterInfoRequest) -> CollectionClusterInfoResponse;
        update_collection_cluster_setup(UpdateCollectionClusterSetupRequest) -> UpdateCollectionClusterSetupResponse;
        create_shard_key(CreateShardKeyRequest) -> CreateShardKeyResponse;
        delete_shard_key(DeleteShardKeyRequest) -> DeleteShardKeyResponse;
        list_shard_keys(ListShardKeysRequest) -> ListShardKeysResponse;
    }
}
