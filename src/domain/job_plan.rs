//! What a dry run says that the job would do.

use serde::{Deserialize, Serialize};

/// What a dry run says that the job would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPlan {
    /// Images that the collection does not have.
    pub new: u64,
    /// Images that it has in another version, or not in every store.
    pub changed: u64,
    /// Records whose object has vanished and that would be removed.
    pub deleted: u64,
    /// Of these, records of keys that are excluded, which `max_delete_percent` does not count.
    #[serde(default)]
    pub excluded: u64,
    /// Some keys of each.
    pub examples: PlanExamples,
}

/// Keys that a plan names, [`PlanExamples::MOST`] of each at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanExamples {
    /// Of new images.
    pub new: Vec<String>,
    /// Of changed images.
    pub changed: Vec<String>,
    /// Of what would be removed.
    pub deleted: Vec<String>,
}

impl PlanExamples {
    /// Keys of each.
    pub const MOST: usize = 10;
}

impl JobPlan {
    /// Notes a new image.
    pub fn add_new(&mut self, key: &str) {
        note(&mut self.new, &mut self.examples.new, key);
    }

    /// Notes a changed image.
    pub fn add_changed(&mut self, key: &str) {
        note(&mut self.changed, &mut self.examples.changed, key);
    }

    /// Notes a record whose object has vanished.
    pub fn add_deleted(&mut self, key: &str) {
        note(&mut self.deleted, &mut self.examples.deleted, key);
    }
}

fn note(count: &mut u64, examples: &mut Vec<String>, key: &str) {
    *count += 1;
    if examples.len() < PlanExamples::MOST {
        examples.push(key.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_few_however_many_there_are() {
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
