//! The messages of Weaviate's `Aggregate`, as in `wire.rs`.

use super::wire::Filters;

/// `AggregateRequest` of `aggregate.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AggregateRequest {
    #[prost(string, tag = "1")]
    pub(super) collection: String,
    #[prost(bool, tag = "20")]
    pub(super) objects_count: bool,
    #[prost(message, repeated, tag = "21")]
    pub(super) aggregations: Vec<Aggregation>,
    #[prost(message, optional, tag = "40")]
    pub(super) filters: Option<Filters>,
}

/// `AggregateRequest.Aggregation` of `aggregate.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Aggregation {
    #[prost(string, tag = "1")]
    pub(super) property: String,
    #[prost(oneof = "Measure", tags = "2, 4")]
    pub(super) measure: Option<Measure>,
}

/// `AggregateRequest.Aggregation.aggregation`.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Measure {
    #[prost(message, tag = "2")]
    Integer(IntegerMeasure),
    #[prost(message, tag = "4")]
    Text(TextMeasure),
}

/// `AggregateRequest.Aggregation.Integer` of `aggregate.proto`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct IntegerMeasure {
    #[prost(bool, tag = "3")]
    pub(super) sum: bool,
    #[prost(bool, tag = "7")]
    pub(super) maximum: bool,
    #[prost(bool, tag = "8")]
    pub(super) minimum: bool,
}

/// `AggregateRequest.Aggregation.Text` of `aggregate.proto`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct TextMeasure {
    #[prost(bool, tag = "3")]
    pub(super) top_occurences: bool,
    #[prost(uint32, optional, tag = "4")]
    pub(super) top_occurences_limit: Option<u32>,
}

/// `AggregateReply` of `aggregate.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AggregateReply {
    #[prost(message, optional, tag = "2")]
    pub(super) single_result: Option<AggregateSingle>,
}

/// `AggregateReply.Single` of `aggregate.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AggregateSingle {
    #[prost(int64, optional, tag = "1")]
    pub(super) objects_count: Option<i64>,
    #[prost(message, optional, tag = "2")]
    pub(super) aggregations: Option<Aggregated>,
}

/// `AggregateReply.Aggregations` of `aggregate.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Aggregated {
    #[prost(message, repeated, tag = "1")]
    pub(super) properties: Vec<AggregatedProperty>,
}

/// `AggregateReply.Aggregations.Aggregation` of `aggregate.proto`, with only the requested types.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AggregatedProperty {
    #[prost(string, tag = "1")]
    pub(super) property: String,
    #[prost(message, optional, tag = "2")]
    pub(super) integer: Option<AggregatedInteger>,
    #[prost(message, optional, tag = "4")]
    pub(super) text: Option<AggregatedText>,
}

/// `AggregateReply.Aggregations.Aggregation.Integer` of `aggregate.proto`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct AggregatedInteger {
    #[prost(int64, optional, tag = "6")]
    pub(super) maximum: Option<i64>,
    #[prost(int64, optional, tag = "7")]
    pub(super) minimum: Option<i64>,
    #[prost(int64, optional, tag = "8")]
    pub(super) sum: Option<i64>,
}

/// `AggregateReply.Aggregations.Aggregation.Text` of `aggregate.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AggregatedText {
    #[prost(message, optional, tag = "3")]
    pub(super) top_occurences: Option<TopOccurrences>,
}

/// `TopOccurrences` of `aggregate.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TopOccurrences {
    #[prost(message, repeated, tag = "1")]
    pub(super) items: Vec<TopOccurrence>,
}

/// `TopOccurrence` of `aggregate.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TopOccurrence {
    #[prost(string, tag = "1")]
    pub(super) value: String,
    #[prost(int64, tag = "2")]
    pub(super) occurs: i64,
}
