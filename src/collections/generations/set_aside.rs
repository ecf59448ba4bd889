//! The generations that cannot be worked on for a while: the others must not wait for them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::CollectionName;

/// How long a generation is set aside.
const PAUSE: Duration = Duration::from_secs(10);

/// When each generation that is set aside is tried again.
#[derive(Debug, Default)]
pub(super) struct SetAside(HashMap<CollectionName, Instant>);

impl SetAside {
    /// Returns the first generation that is not set aside.
    pub(super) fn first(&mut self, generations: Vec<CollectionName>) -> Option<CollectionName> {
        let now = Instant::now();
        self.0.retain(|_, until| *until > now);
        generations.into_iter().find(|one| !self.0.contains_key(one))
    }

    /// Sets a generation aside.
    pub(super) fn add(&mut self, generation: CollectionName) {
        self.0.insert(generation, Instant::now() + PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_others_come_first_until_the_pause_is_over() {
        let [first, second] = ["a", "b"].map(|name| CollectionName::parse(name).unwrap());
        let all = || vec![first.clone(), second.clone()];
        let mut set_aside = SetAside::default();
        assert_eq!(set_aside.first(all()), Some(first.clone()));
        set_aside.add(first.clone());
        assert_eq!(set_aside.first(all()), Some(second.clone()));
        assert_eq!(set_aside.first(vec![first.clone()]), None);
        tokio::time::sleep(PAUSE).await;
        assert_eq!(set_aside.first(all()), Some(first.clone()));
    }
}
