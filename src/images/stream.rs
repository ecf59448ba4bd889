//! A file on its way to a client, which may be slow, stand still or go away.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::reader::Reader;
use crate::pipeline::budget::BudgetPermit;

/// A client that takes nothing for this long is slow: the connection to the bucket is closed until it goes on.
const RELEASE: Duration = Duration::from_secs(5);
/// A client that takes nothing for this long after that has gone away. The movement of a slow client is coarse: curl reads
/// 100 kB at once, so at 2 kB/s it takes something every 100 s at the latest.
const STALL: Duration = Duration::from_secs(115);

/// What a client gets next.
enum Next {
    Piece(Bytes),
    End,
    Failed,
}

/// The bytes that `reader` gives. It holds `share` until the end, or until the client has stood still for too long.
pub(super) fn of(reader: Reader, share: BudgetPermit) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(1);
    #[expect(clippy::disallowed_methods, reason = "the handle aborts on drop, and is dropped with the reply")]
    let task = AbortOnDropHandle::new(tokio::spawn(pump(reader, sender, share)));
    stream::unfold(Some((receiver, task)), |state| async move {
        let (mut receiver, task) = state?;
        match receiver.recv().await {
            Some(Next::Piece(bytes)) => Some((Ok(bytes), Some((receiver, task)))),
            Some(Next::End) => None,
            // Hyper closes the connection on it: the client must not take a part for the whole.
            Some(Next::Failed) | None => Some((Err(io::Error::other("the file could not be sent whole")), None)),
        }
    })
}

async fn pump(mut reader: Reader, client: mpsc::Sender<Next>, share: BudgetPermit) {
    let _share = share;
    loop {
        let place = if let Ok(place) = timeout(RELEASE, client.reserve()).await {
            Ok(place)
        } else {
            reader.release();
            timeout(STALL, client.reserve()).await
        };
        // The client has gone away, or stands still.
        let Ok(Ok(place)) = place else { return };
        let next = tokio::select! {
            next = reader.next() => next,
            () = client.closed() => return,
        };
        match next {
            Ok(Some(bytes)) => place.send(Next::Piece(bytes)),
            Ok(None) => return place.send(Next::End),
            Err(error) => {
                tracing::warn!(?reader, %error, "an original could not be sent whole");
                return place.send(Next::Failed);
            }
        }
    }
}
