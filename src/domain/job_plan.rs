//! The result of a dry run: what the job would do.

use serde::{Deserialize, Serialize};

/// The result of a dry run: what the job would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPlan {
    /// Images that the collection does not have.
    pub new: u64,
    /// Images that the collection has in another version, or not in every store.
    pub changed: u64,
    /// Records whose object no longer exists and that would be removed.
    pub deleted: u64,
    /// Records among `deleted` whose keys are excluded; `max_delete_percent` does not count them.
    #[serde(default)]
    pub excluded: u64,
    /// Example keys of each kind.
    pub examples: PlanExamples,
}

/// Example keys of a plan, at most [`PlanExamples::MOST`] of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanExamples {
    /// Keys of new images.
    pub new: Vec<String>,
    /// Keys of changed images.
    pub changed: Vec<String>,
    /// Keys of records that would be removed.
    pub deleted: Vec<String>,
}

impl PlanExamples {
    /// Maximum number of keys of each kind.
    pub const MOST: usize = 10;
}

impl JobPlan {
    /// Counts a new image.
    pub fn add_new(&mut self, key: &str) {
        count_key(&mut self.new, &mut self.examples.new, key);
    }

    /// Counts a changed image.
    pub fn add_changed(&mut self, key: &str) {
        count_key(&mut self.changed, &mut self.examples.changed, key);
    }

    /// Counts a record whose object no longer exists.
    pub fn add_deleted(&mut self, key: &str) {
        count_key(&mut self.deleted, &mut self.examples.deleted, key);
    }
}

fn count_key(count: &mut u64, examples: &mut Vec<String>, key: &str) {
    *count += 1;
    if examples.len() < PlanExamples::MOST {
        examples.push(key.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_examples_is_limited() {
        let mut plan = JobPlan::default();
        for key in 0..1_000 {
            plan.add_new(&key.to_string());
        }
        plan.add_changed("c");
        plan.add_deleted("d");
        assert_eq!((plan.new, plan.examples.new.len()), (1_000, PlanExamples::MOST));
        assert_eq!((plan.examples.changed, plan.examples.deleted), (vec!["c".to_owned()], vec!["d".to_owned()]));
    }
}
