//! Disjoint sets of numbers.

/// Numbers from 0, each in one set. The smallest number of a set stands for it.
#[derive(Debug)]
pub(super) struct Sets(Vec<u32>);

impl Sets {
    /// Puts each number into a set of its own.
    pub(super) fn new(count: usize) -> Self {
        Self((0..).take(count).collect())
    }

    /// Returns the number that stands for the set of `member`.
    pub(super) fn find(&mut self, member: u32) -> u32 {
        let mut at = member;
        while self.0[at as usize] != at {
            let above = self.0[self.0[at as usize] as usize];
            self.0[at as usize] = above;
            at = above;
        }
        at
    }

    /// Joins the sets of two numbers.
    pub(super) fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b) as usize] = a.min(b);
    }

    /// Returns each number with the number that stands for its set, ordered by sets.
    pub(super) fn members(&mut self) -> Vec<(u32, u32)> {
        let count = self.0.len();
        let mut members: Vec<_> = (0..).take(count).map(|member| (self.find(member), member)).collect();
        members.sort_unstable();
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_numbers_are_in_one_set() {
        let mut sets = Sets::new(6);
        for (a, b) in [(4, 5), (3, 1), (5, 1), (1, 3)] {
            sets.join(a, b);
        }
        assert_eq!(sets.members(), [(0, 0), (1, 1), (1, 3), (1, 4), (1, 5), (2, 2)]);
    }
}
