//! When a fold is given up.

use std::time::Duration;

use crate::asked::Planned;
use crate::error::Error;
use crate::limits;
use crate::node::Node;

/// A public time after the start that nearly no run comes near. What is not done by then fails like
/// any other run, so that how long a fold can take is bounded, whatever the rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Duration);

impl Deadline {
    pub(super) fn of(node: &Node, planned: &Planned) -> Result<Self, Error> {
        let slots = planned.slot(node)?.saturating_mul(limits::SLOTS_OF_A_FOLD);
        let most = slots.max(limits::LEAST_OF_A_FOLD);
        Ok(Self(node.clock.elapsed().saturating_add(most)))
    }

    pub(super) fn passed(self, node: &Node) -> bool {
        node.clock.elapsed() > self.0
    }
}
