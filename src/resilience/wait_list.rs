//! The list of dependencies that the process currently waits for: written by the callers that wait, read by the status
//! of a job.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::lock::lock;

/// A dependency that at least one caller waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// `s3`, `clip`, `qdrant`…
    pub dependency: String,
    /// When the wait began; it was not interrupted since.
    pub since: SystemTime,
    /// When the dependency is tried again; `None` if there is no retry and the wait ends through an action elsewhere.
    pub next_try: Option<SystemTime>,
    /// The last error, for the log.
    pub message: String,
    /// Whether the dependency answers but has no space left on its disk.
    pub full: bool,
}

#[derive(Debug)]
struct SharedEntry {
    waiting: Waiting,
    /// Number of tasks that wait; the entry is removed with the last of them.
    tasks: usize,
}

/// The list; many tasks write to it, and a status request reads it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct WaitList(Arc<Mutex<BTreeMap<String, SharedEntry>>>);

impl WaitList {
    /// Returns the dependency with the longest current wait, if there is one.
    pub fn snapshot(&self) -> Option<Waiting> {
        lock(&self.0).values().map(|entry| &entry.waiting).min_by_key(|waiting| waiting.since).cloned()
    }

    /// Returns every dependency that is waited for, ordered by name.
    pub fn all(&self) -> Vec<Waiting> {
        lock(&self.0).values().map(|entry| entry.waiting.clone()).collect()
    }

    /// Whether a task waits for `dependency`.
    pub fn is_waiting_for(&self, dependency: &str) -> bool {
        lock(&self.0).contains_key(dependency)
    }

    /// Returns one task's entry in the list. It has no content until [`WaitEntry::wait`] and is removed on drop.
    pub fn entry(&self, dependency: &str) -> WaitEntry {
        WaitEntry { wait_list: self.clone(), dependency: dependency.to_owned(), written: false }
    }
}

/// One task's entry in a [`WaitList`].
#[derive(Debug)]
#[must_use = "the entry is removed when this is dropped"]
pub struct WaitEntry {
    wait_list: WaitList,
    dependency: String,
    written: bool,
}

impl WaitEntry {
    /// Records that this task waits `pause` before the next try, and why.
    pub fn wait(&mut self, pause: Duration, message: String) {
        let now = SystemTime::now();
        let next_try = Some(now.checked_add(pause).unwrap_or(now));
        let mut wait_list = lock(&self.wait_list.0);
        let entry = wait_list.entry(self.dependency.clone()).or_insert_with(|| SharedEntry {
            waiting: Waiting {
                dependency: self.dependency.clone(),
                since: now,
                next_try,
                message: String::new(),
                full: false,
            },
            tasks: 0,
        });
        entry.tasks += usize::from(!self.written);
        entry.waiting.next_try = next_try;
        entry.waiting.message = message;
        drop(wait_list);
        self.written = true;
    }

    /// Records whether the task waits for free disk space.
    pub fn set_disk_full(&mut self, full: bool) {
        if let Some(entry) = lock(&self.wait_list.0).get_mut(&self.dependency) {
            entry.waiting.full = full;
        }
    }

    /// Removes the entry: the dependency answered, so this task waits no longer.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.written) {
            let mut wait_list = lock(&self.wait_list.0);
            if let Some(entry) = wait_list.get_mut(&self.dependency) {
                entry.tasks -= 1;
                if entry.tasks == 0 {
                    wait_list.remove(&self.dependency);
                }
            }
        }
    }
}

impl Drop for WaitEntry {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_entry_is_kept_until_its_last_task_ends() {
        let wait_list = WaitList::default();
        let (mut one, mut two) = (wait_list.entry("s3"), wait_list.entry("s3"));
        assert_eq!(wait_list.snapshot(), None, "an entry that was not written is not in the list");
        one.wait(SECOND, "down".to_owned());
        let since = wait_list.snapshot().unwrap().since;
        two.wait(2 * SECOND, "still down".to_owned());
        drop(one);
        let left = wait_list.snapshot().unwrap();
        assert_eq!((left.dependency.as_str(), left.message.as_str(), left.since), ("s3", "still down", since));
        two.clear();
        assert_eq!(wait_list.snapshot(), None);
        two.wait(SECOND, "down again".to_owned());
        drop(two);
        assert_eq!(wait_list.all(), []);
    }

    #[test]
    fn the_snapshot_is_the_longest_wait() {
        let wait_list = WaitList::default();
        let (mut s3, mut clip) = (wait_list.entry("s3"), wait_list.entry("clip"));
        s3.wait(SECOND, String::new());
        std::thread::yield_now();
        clip.wait(SECOND, String::new());
        assert_eq!(wait_list.all().len(), 2);
        let all = wait_list.all();
        let oldest = all.iter().map(|waiting| waiting.since).min().unwrap();
        assert_eq!(wait_list.snapshot().unwrap().since, oldest);
    }
}
