//! The contract of the port [`ImageIndex`], one suite for every store. An index may hold other collections, so each
//! test uses collections with names of its own and drops them.

mod collections;
mod concurrency;
mod embedded;
mod filters;
mod qdrant;
mod records;
mod search;
pub(crate) mod support;
pub(crate) mod weaviate;

use glimpse::index::ImageIndex;

/// Runs the whole contract.
pub(crate) async fn hold(index: &dyn ImageIndex) {
    collections::created_existed_mismatch_and_taken(index).await;
    collections::an_unknown_collection_is_said_to_be_unknown(index).await;
    collections::a_dropped_collection_is_gone_and_can_be_made_again(index).await;
    records::what_is_upserted_is_there_and_what_is_deleted_is_not(index).await;
    records::a_record_is_replaced_whole(index).await;
    records::the_last_of_a_batch_counts(index).await;
    records::another_size_is_rejected_and_nothing_is_written(index).await;
    records::scan_gives_every_id_in_order(index).await;
    search::an_empty_collection_answers_with_nothing(index).await;
    search::the_nearest_come_first_and_scores_are_cosines(index).await;
    search::ties_are_in_order_of_ids_on_every_page(index).await;
    filters::each_means_what_matches_means(index).await;
    concurrency::readers_see_whole_records_while_writers_replace_them(index).await;
}
