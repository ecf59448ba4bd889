//! The messages of Weaviate's gRPC service that are used, with the field numbers of `grpc/proto/v1/*.proto` in Weaviate
//! 1.39.0 (package `weaviate.v1`). They have only the used fields; protobuf skips the others. They are written by hand,
//! because that is less effort than a `.proto` compiler in every build.

use std::collections::BTreeMap;

/// `SearchRequest` of `search_get.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SearchRequest {
    #[prost(string, tag = "1")]
    pub(super) collection: String,
    /// Absent means every property; present and empty means none.
    #[prost(message, optional, tag = "20")]
    pub(super) properties: Option<PropertiesRequest>,
    #[prost(message, optional, tag = "21")]
    pub(super) metadata: Option<MetadataRequest>,
    /// 0 means the default of the server, 20.
    #[prost(uint32, tag = "30")]
    pub(super) limit: u32,
    /// A cursor: the objects after this id, in the order of ids. Allowed only without `near_vector` and `filters`.
    #[prost(string, tag = "33")]
    pub(super) after: String,
    /// Allowed together with `filters`, but not with `after`.
    #[prost(message, repeated, tag = "34")]
    pub(super) sort_by: Vec<SortBy>,
    #[prost(message, optional, tag = "40")]
    pub(super) filters: Option<Filters>,
    #[prost(message, optional, tag = "43")]
    pub(super) near_vector: Option<NearVector>,
    /// Selects the form of the reply; always true.
    #[prost(bool, tag = "102")]
    pub(super) uses_127_api: bool,
}

/// `SortBy` of `search_get.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SortBy {
    #[prost(bool, tag = "1")]
    pub(super) ascending: bool,
    /// The name of one property.
    #[prost(string, repeated, tag = "2")]
    pub(super) path: Vec<String>,
}

/// `PropertiesRequest` of `search_get.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PropertiesRequest {
    #[prost(string, repeated, tag = "1")]
    pub(super) non_ref_properties: Vec<String>,
}

/// `MetadataRequest` of `search_get.proto`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct MetadataRequest {
    #[prost(bool, tag = "1")]
    pub(super) uuid: bool,
    #[prost(bool, tag = "2")]
    pub(super) vector: bool,
    #[prost(bool, tag = "5")]
    pub(super) distance: bool,
}

/// `NearVector` of `base_search.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NearVector {
    /// Little-endian f32. Every version accepts this form for a class with one unnamed vector.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) vector_bytes: Vec<u8>,
}

/// `SearchReply` of `search_get.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SearchReply {
    #[prost(message, repeated, tag = "2")]
    pub(super) results: Vec<SearchResult>,
}

/// `SearchResult` of `search_get.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SearchResult {
    #[prost(message, optional, tag = "1")]
    pub(super) properties: Option<PropertiesResult>,
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<MetadataResult>,
}

/// `PropertiesResult` of `search_get.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PropertiesResult {
    #[prost(message, optional, tag = "11")]
    pub(super) non_ref_props: Option<Properties>,
}

/// `Properties` of `properties.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Properties {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) fields: BTreeMap<String, Value>,
}

/// `Value` of `properties.proto`; of its kinds only text is requested.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Value {
    #[prost(string, optional, tag = "13")]
    pub(super) text_value: Option<String>,
}

/// `MetadataResult` of `search_get.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MetadataResult {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(float, tag = "7")]
    pub(super) distance: f32,
    #[prost(bool, tag = "8")]
    pub(super) distance_present: bool,
    #[prost(bytes = "vec", tag = "19")]
    pub(super) vector_bytes: Vec<u8>,
}

/// `Filters` of `base.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Filters {
    #[prost(enumeration = "Operator", tag = "1")]
    pub(super) operator: i32,
    /// The operands of `And`, `Or` and `Not`.
    #[prost(message, repeated, tag = "3")]
    pub(super) operands: Vec<Filters>,
    #[prost(oneof = "TestValue", tags = "4, 5, 9, 13")]
    pub(super) test_value: Option<TestValue>,
    #[prost(message, optional, tag = "20")]
    pub(super) target: Option<FilterTarget>,
}

/// `Filters.test_value`.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum TestValue {
    #[prost(string, tag = "4")]
    Text(String),
    #[prost(int64, tag = "5")]
    Int(i64),
    #[prost(message, tag = "9")]
    TextArray(TextArray),
    #[prost(message, tag = "13")]
    Geo(GeoCoordinates),
}

/// `GeoCoordinatesFilter` of `base.proto`: degrees, and metres.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct GeoCoordinates {
    #[prost(float, tag = "1")]
    pub(super) latitude: f32,
    #[prost(float, tag = "2")]
    pub(super) longitude: f32,
    #[prost(float, tag = "3")]
    pub(super) distance: f32,
}

/// `TextArray` of `base.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TextArray {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

/// `FilterTarget` of `base.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FilterTarget {
    #[prost(string, tag = "1")]
    pub(super) property: String,
}

/// `Filters.Operator` of `base.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Operator {
    Unspecified = 0,
    Equal = 1,
    GreaterThan = 3,
    GreaterThanEqual = 4,
    LessThan = 5,
    LessThanEqual = 6,
    And = 7,
    Or = 8,
    WithinGeoRange = 9,
    ContainsAny = 12,
    /// Since 1.33, as is `Not`.
    ContainsNone = 14,
    Not = 15,
}

/// `BatchObjectsRequest` of `batch.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct BatchObjectsRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) objects: Vec<BatchObject>,
}

/// `BatchObject` of `batch.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct BatchObject {
    #[prost(string, tag = "1")]
    pub(super) uuid: String,
    #[prost(message, optional, tag = "3")]
    pub(super) properties: Option<ObjectProperties>,
    #[prost(string, tag = "4")]
    pub(super) collection: String,
    /// Little-endian f32.
    #[prost(bytes = "vec", tag = "6")]
    pub(super) vector_bytes: Vec<u8>,
}

/// `BatchObject.Properties` of `batch.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ObjectProperties {
    /// Texts, dates and numbers.
    #[prost(message, optional, tag = "1")]
    pub(super) non_ref_properties: Option<prost_types::Struct>,
    #[prost(message, repeated, tag = "6")]
    pub(super) text_array_properties: Vec<TextArrayProperty>,
    #[prost(message, repeated, tag = "8")]
    pub(super) objects: Vec<ObjectProperty>,
    /// The names of empty lists. The class declares the type of their elements.
    #[prost(string, repeated, tag = "10")]
    pub(super) empty_list_props: Vec<String>,
}

/// `TextArrayProperties` of `base.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TextArrayProperty {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
    #[prost(string, tag = "2")]
    pub(super) prop_name: String,
}

/// `ObjectProperties` of `base.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ObjectProperty {
    #[prost(message, optional, tag = "1")]
    pub(super) value: Option<EmptyObject>,
    #[prost(string, tag = "2")]
    pub(super) prop_name: String,
}

/// `ObjectPropertiesValue` of `base.proto`, without fields.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct EmptyObject {}

/// `BatchObjectsReply` of `batch.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct BatchObjectsReply {
    /// The objects that were refused. The call itself succeeds.
    #[prost(message, repeated, tag = "2")]
    pub(super) errors: Vec<BatchError>,
}

/// `BatchObjectsReply.BatchError` of `batch.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct BatchError {
    /// The position in the request.
    #[prost(int32, tag = "1")]
    pub(super) index: i32,
    #[prost(string, tag = "2")]
    pub(super) error: String,
}

/// `BatchDeleteRequest` of `batch_delete.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct BatchDeleteRequest {
    #[prost(string, tag = "1")]
    pub(super) collection: String,
    #[prost(message, optional, tag = "2")]
    pub(super) filters: Option<Filters>,
}

/// `BatchDeleteReply` of `batch_delete.proto`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct BatchDeleteReply {
    #[prost(int64, tag = "2")]
    pub(super) failed: i64,
    /// The objects that the filter matches. One request deletes at most as many as the server's limit of results.
    #[prost(int64, tag = "3")]
    pub(super) matches: i64,
    #[prost(int64, tag = "4")]
    pub(super) successful: i64,
}

/// `HealthCheckRequest` of `grpc.health.v1`, for the whole server.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct HealthCheckRequest {}

/// `HealthCheckResponse` of `grpc.health.v1`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct HealthCheckResponse {
    /// 1 is SERVING.
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}
