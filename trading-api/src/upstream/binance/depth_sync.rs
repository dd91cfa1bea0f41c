use std::collections::VecDeque;

use super::Depth;

/// This keeps one symbol's book in step: it tells which updates to apply, by their numbers alone.
///
/// Updates are held back until a snapshot comes. The snapshot contains all changes up to its number;
/// of the updates, those that end there are dropped, and each further one must begin no later than
/// one past the end of the one before. If one begins later, updates were lost: the book is wrong
/// until the next snapshot, and the game begins anew.
///
/// The vendor's text wants the snapshot's number *within* the first update applied; in fact the
/// update may just as well begin right behind it.
#[derive(Debug, Default)]
pub struct DepthSync {
    /// The number of the book's last change; none while a snapshot is awaited.
    at: Option<u64>,
    held: VecDeque<(i64, Depth)>,
}

impl DepthSync {
    /// Whether the book cannot go on without a snapshot.
    pub fn awaits_snapshot(&self) -> bool {
        self.at.is_none()
    }

    /// Whether the book has come as far as this number already.
    pub fn has_reached(&self, last: u64) -> bool {
        self.at.is_some_and(|at| at >= last)
    }

    /// Tells what to do with an update; the book is to be changed on [`Step::Apply`] alone.
    /// `time` is kept with updates held back.
    pub fn update(&mut self, time: i64, depth: Depth) -> Step {
        match self.at {
            None => {
                // A snapshot that comes later than this many updates will not fit, which the next
                // update then tells.
                if self.held.len() == HELD_UPDATES {
                    self.held.pop_front();
                }
                self.held.push_back((time, depth));
                Step::Held
            }
            Some(at) if depth.last <= at => Step::Outdated,
            Some(at) if depth.first > at + 1 => {
                self.at = None;
                self.held.push_back((time, depth));
                Step::Gap
            }
            Some(_) => {
                self.at = Some(depth.last);
                Step::Apply(depth)
            }
        }
    }

    /// Begins from a snapshot with this number; gives back the updates held until now, to be passed
    /// to [`update`](Self::update) once more, with their times.
    pub fn begin(&mut self, last: u64) -> VecDeque<(i64, Depth)> {
        self.at = Some(last);
        std::mem::take(&mut self.held)
    }
}

/// This is what is to be done with an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet: it waits for a snapshot.
    Held,
    /// Nothing: the book contains it already.
    Outdated,
    /// Change the book.
    Apply(Depth),
    /// Updates before this one were lost: the book is stale until the next snapshot.
    Gap,
}

/// 100 seconds at the usual ten updates a second.
const HELD_UPDATES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(first: u64, last: u64) -> Depth {
        Depth { first, last, levels: Vec::new() }
    }

    /// What becomes of updates with these numbers when a snapshot with the number 10 comes first.
    fn after_ten(updates: &[(u64, u64)]) -> Vec<Step> {
        let mut sync = DepthSync::default();
        sync.begin(10);
        updates.iter().map(|(first, last)| sync.update(0, changes(*first, *last))).collect()
    }

    #[test]
    fn what_the_snapshot_contains_is_dropped_and_the_rest_applied() {
        assert_eq!(
            after_ten(&[(6, 9), (9, 10), (10, 12), (13, 15)]),
            [Step::Outdated, Step::Outdated, Step::Apply(changes(10, 12)), Step::Apply(changes(13, 15))]
        );
    }

    #[test]
    fn the_first_update_may_begin_right_behind_the_snapshot() {
        assert_eq!(after_ten(&[(11, 12)]), [Step::Apply(changes(11, 12))]);
    }

    #[test]
    fn after_a_gap_updates_are_held_until_the_next_snapshot() {
        let mut sync = DepthSync::default();
        assert_eq!(sync.update(0, changes(5, 8)), Step::Held);
        assert_eq!(sync.begin(8).len(), 1);
        assert_eq!(sync.update(1, changes(10, 11)), Step::Gap);
        assert!(sync.awaits_snapshot());
        assert_eq!(sync.update(2, changes(12, 13)), Step::Held);
        assert_eq!(sync.begin(12), [(1, changes(10, 11)), (2, changes(12, 13))]);
        assert!(!sync.awaits_snapshot());
    }
}
