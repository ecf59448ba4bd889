//! Deliveries of events: which of their keys belong to a mirror, and how they get into the ledger before the reply.

mod parse;
mod queue;
mod sns;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use futures::future::try_join_all;
use rusqlite::Transaction;
use tokio::sync::{mpsc, oneshot};

use self::parse::{Named, NamedObject, parse};
use super::tally::{self, EventOutcome};
use super::{MirrorService, Mirrors, MirrorsError, now_millis};
use crate::domain::image_format::has_image_extension;
use crate::domain::{Excludes, ImageUri, Mirror, MirrorName, MirrorState};
use crate::ledger::events::Added;
use crate::ledger::{LedgerError, events, mirrors};
use crate::lock::lock;

pub use self::queue::{EventQueue, MAX_MESSAGES as MAX_QUEUE_MESSAGES, QueueError, QueueMessage};
pub use self::sns::{Sns, SnsError, SnsMessage, SnsTopic};

/// Maximum number of keys of one mirror that wait. With more, the prefix is listed, which costs less than comparing the
/// keys one by one.
const MAX_WAITING_KEYS: u64 = 10_000;
/// Maximum number of deliveries that wait for the ledger. Further senders wait for their reply.
pub(super) const MAX_WAITING_DELIVERIES: usize = 1_024;
/// Maximum number of deliveries in one transaction.
const MAX_GROUP: usize = 256;

/// What was done with the events of a delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Events whose keys are compared with the bucket.
    pub accepted: u64,
    /// Events that are not about images of the mirror.
    pub ignored: u64,
    /// Events that were not recorded one by one: the prefix is listed instead.
    pub dropped: u64,
}

/// The keys of one delivery.
#[derive(Debug)]
pub(super) struct Delivery {
    mirror: MirrorName,
    uris: Vec<ImageUri>,
    /// Whether changes are missing in `uris`.
    list_soon: bool,
    answer: oneshot::Sender<Result<Added, String>>,
}

/// The events of a delivery that are about one mirror.
#[derive(Debug, Default)]
struct Wanted {
    uris: Vec<ImageUri>,
    /// Whether the metadata file of the runs has changed.
    metadata_file: bool,
}

impl Wanted {
    fn is_empty(&self) -> bool {
        self.uris.is_empty() && !self.metadata_file
    }
}

impl Mirrors {
    /// Acknowledges a delivery of events of a mirror: its keys are in the ledger when this returns. Every JSON object is
    /// acknowledged, also if no event is about the mirror: some servers repeat a refused event for ever.
    ///
    /// # Errors
    /// [`MirrorsError::Malformed`] if the body is not a JSON object; [`MirrorsError::Draining`];
    /// [`MirrorsError::Ledger`] if the keys could not be written: then the delivery must be repeated.
    pub async fn acknowledge(&self, mirror: &Mirror, body: &[u8]) -> Result<Acknowledged, MirrorsError> {
        let named = parse(body).map_err(MirrorsError::Malformed)?;
        let mut wanted = Wanted::default();
        let (mut ignored, cut) = (named.ignored, named.cut);
        let excludes = self.0.excludes(mirror);
        for object in named.objects {
            ignored += u64::from(!self.0.choose(mirror, &excludes, &object, &mut wanted));
        }
        tally::events(&mirror.name, EventOutcome::Ignored, ignored);
        self.0.activity.count_events(&mirror.name, ignored);
        let recorded = self.0.record(mirror, wanted, cut).await?;
        Ok(Acknowledged { ignored, ..recorded })
    }
}

impl MirrorService {
    /// Records events that belong to no mirror in particular, for each of these mirrors that they are about.
    async fn record_for_all(&self, mirrors: &[Mirror], named: Named) -> Result<Acknowledged, MirrorsError> {
        let excludes: Vec<_> = mirrors.iter().map(|mirror| self.excludes(mirror)).collect();
        let mut wanted: Vec<Wanted> = mirrors.iter().map(|_| Wanted::default()).collect();
        let mut ignored = named.ignored;
        for object in named.objects {
            let mut is_wanted = false;
            for ((mirror, excludes), wanted) in mirrors.iter().zip(&excludes).zip(&mut wanted) {
                is_wanted |= self.choose(mirror, excludes, &object, wanted);
            }
            ignored += u64::from(!is_wanted);
        }
        let records = mirrors.iter().zip(wanted).filter(|(_, wanted)| !wanted.is_empty());
        let records = records.map(|(mirror, wanted)| self.record(mirror, wanted, named.cut));
        let mut total = Acknowledged { ignored, ..Acknowledged::default() };
        for recorded in try_join_all(records).await? {
            total.accepted += recorded.accepted;
            total.dropped += recorded.dropped;
        }
        Ok(total)
    }

    /// Adds an object to what a mirror wants. Returns whether it is a possible image of the mirror.
    fn choose(&self, mirror: &Mirror, excludes: &Excludes, object: &NamedObject, wanted: &mut Wanted) -> bool {
        let interest = self.interest(mirror, excludes, object);
        match interest {
            Interest::None => {}
            Interest::Key => wanted.uris.push(ImageUri::new(&object.bucket, &object.key)),
            Interest::MetadataFile => wanted.metadata_file = true,
        }
        matches!(interest, Interest::Key)
    }

    /// Writes what a mirror wants to the ledger.
    async fn record(&self, mirror: &Mirror, wanted: Wanted, cut: u64) -> Result<Acknowledged, MirrorsError> {
        let Wanted { mut uris, metadata_file } = wanted;
        let wanted = uris.len() as u64;
        self.activity.count_events(&mirror.name, wanted);
        let mut list_soon = cut > 0 || metadata_file;
        if mirror.state != MirrorState::Active {
            // What has changed is found by the run after the mirror is resumed.
            list_soon |= wanted > 0;
            uris.clear();
        }
        if uris.is_empty() && !list_soon {
            return Ok(Acknowledged::default());
        }
        let recorded = uris.len() as u64;
        let added = self.deliver(mirror.name.clone(), uris, list_soon).await?;
        let dropped = wanted - recorded + added.over_limit + cut;
        tally::events(&mirror.name, EventOutcome::Accepted, added.new);
        tally::events(&mirror.name, EventOutcome::Coalesced, added.coalesced);
        tally::events(&mirror.name, EventOutcome::Dropped, dropped);
        Ok(Acknowledged { accepted: added.new + added.coalesced, ignored: 0, dropped })
    }
}

/// What an object is to a mirror.
enum Interest {
    None,
    /// A possible image.
    Key,
    /// The metadata file of its runs.
    MetadataFile,
}

impl MirrorService {
    /// Returns the patterns of a mirror. They are kept, because compiling them takes longer than the rest of a delivery.
    fn excludes(&self, mirror: &Mirror) -> Arc<Excludes> {
        let mut all = lock(&self.excludes);
        let known = all.get(&mirror.name).filter(|(patterns, _)| *patterns == mirror.spec.exclude);
        if let Some((_, excludes)) = known {
            return excludes.clone();
        }
        let patterns = mirror.spec.exclude.clone();
        // The patterns were checked when the mirror was stored.
        let own = patterns.clone().and_then(|patterns| Excludes::new(patterns).ok());
        let excludes = Arc::new(own.unwrap_or_else(|| self.jobs.0.exclude.clone()));
        all.insert(mirror.name.clone(), (patterns, excludes.clone()));
        excludes
    }

    /// The same keys as in a listing of a job (`jobs::run::listing::page`).
    fn interest(&self, mirror: &Mirror, excludes: &Excludes, object: &NamedObject) -> Interest {
        let (spec, NamedObject { bucket, key }) = (&mirror.spec, object);
        if !spec.events || *bucket != spec.bucket {
            return Interest::None;
        }
        if spec.metadata_key.as_ref() == Some(key) {
            return Interest::MetadataFile;
        }
        let thumbnails = &self.jobs.0.thumbnail_prefix;
        let is_thumbnail = !thumbnails.is_empty() && key.starts_with(thumbnails);
        let is_image =
            key.starts_with(&spec.prefix) && has_image_extension(key) && !is_thumbnail && !excludes.matches(key);
        if is_image { Interest::Key } else { Interest::None }
    }

    async fn deliver(&self, mirror: MirrorName, uris: Vec<ImageUri>, list_soon: bool) -> Result<Added, MirrorsError> {
        let (answer, answered) = oneshot::channel();
        let delivery = Delivery { mirror, uris, list_soon, answer };
        self.deliveries.send(delivery).await.map_err(|_| MirrorsError::Draining)?;
        match answered.await {
            Ok(Ok(added)) => Ok(added),
            Ok(Err(error)) => Err(MirrorsError::NotRecorded(error)),
            Err(_) => Err(MirrorsError::Draining),
        }
    }

    /// Writes deliveries to the ledger, those that wait together in one transaction, until the service is asked to stop.
    pub(super) async fn write_deliveries(self: Arc<Self>, mut queue: mpsc::Receiver<Delivery>) {
        let mut group = Vec::with_capacity(MAX_GROUP);
        let write = async {
            while queue.recv_many(&mut group, MAX_GROUP).await > 0 {
                self.write_group(std::mem::take(&mut group)).await;
            }
        };
        self.jobs.0.drain.run_until_cancelled(write).await;
    }

    async fn write_group(&self, group: Vec<Delivery>) {
        let mut answers = Vec::with_capacity(group.len());
        let mut keys = Vec::with_capacity(group.len());
        let mut list_soon = false;
        for Delivery { mirror, uris, list_soon: soon, answer } in group {
            list_soon |= soon;
            keys.push((mirror, uris, soon));
            answers.push(answer);
        }
        let added: Result<Vec<Added>, LedgerError> = self.ledger.write(move |tx| add_all(tx, &keys)).await;
        match added {
            Ok(added) => {
                if list_soon || added.iter().any(|added| added.over_limit > 0) {
                    self.wake_runs.notify_one();
                }
                self.wake_lane.notify_one();
                for (answer, added) in answers.into_iter().zip(added) {
                    // Fails if the sender has gone away: its events are recorded.
                    answer.send(Ok(added)).ok();
                }
            }
            Err(error) => {
                tracing::error!(%error, "events could not be written to the ledger; their senders must repeat them");
                for answer in answers {
                    answer.send(Err(error.to_string())).ok();
                }
            }
        }
    }
}

fn add_all(tx: &Transaction<'_>, keys: &[(MirrorName, Vec<ImageUri>, bool)]) -> rusqlite::Result<Vec<Added>> {
    let now = now_millis();
    let mut all = Vec::with_capacity(keys.len());
    // Counted once for each mirror, not for each delivery.
    let mut room = HashMap::new();
    for (mirror, uris, list_soon) in keys {
        let room = match room.entry(mirror) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(room_for_keys(tx, mirror)?),
        };
        let added = match room {
            Some(room) => events::add(tx, mirror, uris, now, room)?,
            None => Added::default(),
        };
        if *list_soon || added.over_limit > 0 {
            mirrors::list_soon(tx, mirror)?;
        }
        all.push(added);
    }
    Ok(all)
}

/// Returns how many more keys of a mirror can wait; `None` if it was removed meanwhile.
fn room_for_keys(tx: &Transaction<'_>, mirror: &MirrorName) -> rusqlite::Result<Option<u64>> {
    let Some(mirror) = mirrors::find(tx, mirror)? else { return Ok(None) };
    Ok(Some(MAX_WAITING_KEYS.saturating_sub(events::count(tx, &mirror.name)?)))
}
