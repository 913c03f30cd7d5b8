//! What can go wrong.

use std::fmt;

use tollgate_cluster::{Event, NodeId};

use crate::disk::Condition;
use crate::kernel::Ms;
use crate::network::Weather;

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) at: Ms,
    /// How long it lasts, or a node is down.
    pub(crate) lasts: Ms,
    pub(crate) action: Action,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// With the network.
    Network(Network),
    /// With a machine, while its process goes on, if it can.
    Machine(Who, Machine),
    /// A process or a machine goes down.
    Down(Who, Down),
    /// An operator does something.
    Operator(Operator),
    /// All machines lose power at once.
    Blackout,
}

/// What goes wrong with the network.
#[derive(Clone, Debug)]
pub(crate) enum Network {
    /// It is as bad as this.
    Weather(Weather),
    /// A node hears nobody and is not heard.
    Isolate(Who),
    /// A node hears others, and they do not hear it.
    Mute(Who),
    /// A node is heard, and hears nobody.
    Deafen(Who),
    /// One link is cut, one way.
    CutLink(Who, Who),
    /// A node is isolated and back, again and again, as often.
    Flap(Who, u64),
}

/// What goes wrong with a machine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Machine {
    /// Its disk is as bad as this.
    Disk(Condition),
    /// Its wall clock steps by so many milliseconds.
    StepWall(i64),
    /// Its clocks gain so many millionths.
    Drift(i64),
    /// Its process stands still.
    Pause,
}

/// How a node goes down.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Down {
    /// Its process is killed.
    Killed,
    /// Its machine loses power.
    PowerLost,
    /// Its machine loses power, or its process is killed, as soon as something is not synced.
    WhileUnsynced,
    /// The same so many milliseconds after it tells of this.
    At(Point, Ms),
    /// It is stopped in order.
    Stopped,
}

/// What an operator does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operator {
    /// All processes are stopped in order and started anew, one after the other.
    Roll,
    /// A node is to lead nothing for a while.
    Drain(Who),
    /// A node is added.
    Join,
    /// A node is removed.
    Remove(Who),
}

/// Whom a fault meets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    /// This node.
    Node(NodeId),
    /// Whoever leads this shard then.
    LeaderOf(u32),
    /// Whoever leads group 0 then.
    LeaderOfAll,
}

/// A point in a node's work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Point {
    Proposed,
    Committed,
    TookOver,
    HandedOver,
    SnapshotSaved,
    Voting,
    Alerting,
    Alerted,
    Claimed,
    Delivering,
    Delivered,
}

impl Point {
    pub(crate) const ALL: [Self; 6] =
        [Self::Proposed, Self::Committed, Self::TookOver, Self::HandedOver, Self::SnapshotSaved, Self::Voting];

    /// Those on the way of an alert.
    pub(crate) const ALERTS: [Self; 5] =
        [Self::Alerting, Self::Alerted, Self::Claimed, Self::Delivering, Self::Delivered];

    /// Whether the event is of this point.
    pub(crate) fn is_told_by(self, event: &Event) -> bool {
        matches!(
            (self, event),
            (Self::Proposed, Event::Proposed { .. })
                | (Self::Committed, Event::Committed { .. })
                | (Self::TookOver, Event::TookOver { .. })
                | (Self::HandedOver, Event::HandedOver { .. })
                | (Self::SnapshotSaved, Event::SnapshotSaved { .. })
                | (Self::Voting, Event::Voting { .. })
                | (Self::Alerting, Event::Alerting)
                | (Self::Alerted, Event::Alerted)
                | (Self::Claimed, Event::Claimed { .. })
                | (Self::Delivering, Event::Delivering { .. })
                | (Self::Delivered, Event::Delivered { .. })
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}.{:03} for {} ms: {:?}", self.at / 1000, self.at % 1000, self.lasts, self.action)
    }
}
