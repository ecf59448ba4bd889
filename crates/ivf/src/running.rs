//! A search while it runs, on one thread or on several: the lists that it visits, and which of their vectors are compared exactly.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::list::List;
use crate::scan::{Hits, OwnLines, Scan};
use crate::search::Candidates;

/// A further thread pays for each of these vectors.
const VECTORS_PER_THREAD: usize = 30_000;
/// The time in which a helper probably ends the list that it visits.
const LAST_LIST: Duration = Duration::from_micros(50);

/// A search that has begun. The thread that calls [`run`](Self::run) needs no other; each thread that calls [`help`](Self::help)
/// makes it faster. A helper that comes late returns at once, and nothing waits for a helper that has not begun: on a busy machine
/// a thread can take longer to begin than a search takes.
pub struct Search<C: Candidates> {
    scan: Scan<C>,
    pub(crate) lists: Lists,
    /// The next list.
    next: OwnLines<AtomicUsize>,
    /// The hits in the lists that were visited first.
    first: Mutex<Hits<C>>,
    helpers: Mutex<Helpers<C::Hit>>,
    helper_ended: Condvar,
}

struct Helpers<H> {
    running: usize,
    has_panicked: bool,
    /// Whether the search has visited all lists.
    is_closed: bool,
    found: Vec<H>,
}

/// A helper that runs.
struct Running<'a, C: Candidates>(&'a Search<C>);

impl<C: Candidates> Drop for Running<'_, C> {
    fn drop(&mut self) {
        let mut helpers = self.0.helpers();
        helpers.running -= 1;
        helpers.has_panicked |= std::thread::panicking();
        self.0.helper_ended.notify_all();
    }
}

impl<C: Candidates> Search<C> {
    pub(crate) fn new(scan: Scan<C>, lists: Lists, first: Hits<C>) -> Self {
        let helpers = Helpers { running: 0, has_panicked: false, is_closed: false, found: Vec::new() };
        let (first, helpers, next) = (Mutex::new(first), Mutex::new(helpers), OwnLines::default());
        Self { scan, lists, next, first, helpers, helper_ended: Condvar::new() }
    }

    fn helpers(&self) -> MutexGuard<'_, Helpers<C::Hit>> {
        self.helpers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many helpers make the search faster.
    pub fn useful_helpers(&self) -> usize {
        let vectors: usize = self.lists.bounds.iter().map(|(_, list)| list.codes.count()).sum();
        (vectors / VECTORS_PER_THREAD).saturating_sub(1)
    }

    /// Visits lists until none is left.
    pub fn help(&self) {
        let running = {
            let mut helpers = self.helpers();
            if helpers.is_closed {
                return;
            }
            helpers.running += 1;
            Running(self)
        };
        let mut hits = Hits::new(self.scan.keep);
        self.visit_all(&mut hits);
        self.helpers().found.extend(hits.heap);
        drop(running);
    }

    /// Visits lists until none is left, and returns the best hits of all threads, best first.
    ///
    /// # Panics
    /// If a helper panicked.
    pub fn run(&self) -> Vec<C::Hit> {
        let mut hits = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        self.visit_all(&mut hits);
        let mut helpers = self.close();
        while helpers.running > 0 {
            helpers = self.helper_ended.wait(helpers).unwrap_or_else(PoisonError::into_inner);
        }
        assert!(!helpers.has_panicked, "a thread that helped a search panicked");
        let mut all: Vec<C::Hit> = hits.heap.drain().chain(helpers.found.drain(..)).collect();
        all.sort_unstable();
        all.truncate(self.scan.keep);
        all
    }

    /// Lets no other helper begin, and waits a moment for those that run: the last list of a helper takes some microseconds, and
    /// a thread that sleeps takes longer to wake up.
    fn close(&self) -> MutexGuard<'_, Helpers<C::Hit>> {
        let mut helpers = self.helpers();
        helpers.is_closed = true;
        let start = Instant::now();
        while helpers.running > 0 && start.elapsed() < LAST_LIST {
            drop(helpers);
            std::hint::spin_loop();
            helpers = self.helpers();
        }
        helpers
    }

    /// Visits lists until there are none left or none can contain a hit.
    fn visit_all(&self, hits: &mut Hits<C>) {
        let take = || {
            let at = self.next.0.fetch_add(1, Relaxed);
            self.lists.bounds.get(at).map(|(bound, list)| (at, *bound, &**list))
        };
        let mut current = take();
        while let Some((at, bound, list)) = current {
            if at >= self.lists.min && bound < self.scan.threshold() {
                return;
            }
            // Taken before it is visited, so that this thread loads what it will read, and not what another one will.
            current = take();
            self.scan.visit(list, current.map(|(.., list)| list), hits);
        }
    }
}

/// The lists that are visited.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// The lists with their bounds, the highest first.
    pub(crate) bounds: Vec<(f32, Arc<List>)>,
    /// The number of lists that are visited in any case.
    pub(crate) min: usize,
}
