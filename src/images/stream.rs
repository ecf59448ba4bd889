//! Sends a file to a client that can be slow, stop reading or disconnect.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::reader::Reader;
use crate::pipeline::budget::BudgetPermit;

/// If a client reads nothing for this long, it is slow: the connection to the bucket is closed until the client
/// continues.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// If a client reads nothing for this long after [`RELEASE_TIMEOUT`], it is treated as disconnected. A slow client can
/// have long pauses: curl reads 100 kB at once, so at 2 kB/s it reads something at least every 100 s.
const STALL_TIMEOUT: Duration = Duration::from_secs(115);

/// The next item for the client.
enum Next {
    Piece(Bytes),
    End,
    Failed,
}

/// Returns the bytes of `reader` as a stream. It holds `permit` until the end, or until the client has read nothing for
/// too long.
pub(super) fn file_stream(
    reader: Reader,
    permit: BudgetPermit,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(1);
    #[expect(clippy::disallowed_methods, reason = "the handle aborts on drop, and is dropped with the reply")]
    let task = AbortOnDropHandle::new(tokio::spawn(pump(reader, sender, permit)));
    stream::unfold(Some((receiver, task)), |state| async move {
        let (mut receiver, task) = state?;
        match receiver.recv().await {
            Some(Next::Piece(bytes)) => Some((Ok(bytes), Some((receiver, task)))),
            Some(Next::End) => None,
            // An error makes hyper close the connection, so that the client does not mistake a part for the whole file.
            Some(Next::Failed) | None => Some((Err(io::Error::other("the file could not be sent completely")), None)),
        }
    })
}

async fn pump(mut reader: Reader, client: mpsc::Sender<Next>, permit: BudgetPermit) {
    let _permit = permit;
    loop {
        let slot = if let Ok(slot) = timeout(RELEASE_TIMEOUT, client.reserve()).await {
            Ok(slot)
        } else {
            reader.release();
            timeout(STALL_TIMEOUT, client.reserve()).await
        };
        // The client has disconnected or stopped reading.
        let Ok(Ok(slot)) = slot else { return };
        let next = tokio::select! {
            next = reader.next() => next,
            () = client.closed() => return,
        };
        match next {
            Ok(Some(bytes)) => slot.send(Next::Piece(bytes)),
            Ok(None) => return slot.send(Next::End),
            Err(error) => {
                tracing::warn!(?reader, %error, "an original could not be sent completely");
                return slot.send(Next::Failed);
            }
        }
    }
}
