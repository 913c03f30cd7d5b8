//! Whom the cluster tells of alerts, and how they answer: as people's services do, which refuse, are slow, and lose answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::sleep;
use tollgate_cluster::{Attempt, Courier, Delivery, NodeId};
use tollgate_feedback::alert::Message;

use crate::interposer;
use crate::kernel::{MS_NS, Ms};
use crate::random::Random;

/// All receivers. They outlive every node.
pub(crate) struct Receivers(Mutex<State>);

struct State {
    random: Random,
    are_well: bool,
    arrivals: Vec<Arrival>,
}

/// A message that a receiver has got.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// Who sent it, and when that was begun.
    pub(crate) node: NodeId,
    pub(crate) began: Ms,
    pub(crate) at: Ms,
    /// The message's number.
    pub(crate) number: u64,
    pub(crate) may_be_repeat: bool,
    pub(crate) message: Message,
}

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug)]
struct Fate {
    /// After how long it arrives; `None` if it never does.
    arrives: Option<Ms>,
    /// After how long from then it is answered, and how.
    answered: Ms,
    answer: Answer,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Accepted,
    Lost,
    Refused,
    LeaveMeAlone(Ms),
    Never,
}

impl Receivers {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let random = Random::new(seed, "receivers");
        Arc::new(Self(Mutex::new(State { random, are_well: false, arrivals: Vec::new() })))
    }

    /// From here on they take everything.
    pub(crate) fn heal(&self) {
        self.state().are_well = true;
    }

    /// What has arrived, in the order in which it did.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.state().arrivals.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, node: NodeId, delivery: Delivery) -> Attempt {
        let (began, fate) = (now(), self.state().draw());
        if let Some(ms) = fate.arrives {
            sleep(Duration::from_millis(ms)).await;
            let number = delivery.id.rsplit('-').next().and_then(|number| number.parse().ok());
            let arrival = Arrival {
                node,
                began,
                at: now(),
                number: number.expect("a message has a number"),
                may_be_repeat: delivery.may_be_repeat,
                message: delivery.message,
            };
            self.state().arrivals.push(arrival);
        }
        sleep(Duration::from_millis(fate.answered)).await;
        fate.answer.attempt()
    }
}

impl State {
    fn draw(&mut self) -> Fate {
        let random = &mut self.random;
        let (arrives, answered) = (random.within(1..=50), random.within(1..=50));
        let accepted = Fate { arrives: Some(arrives), answered, answer: Answer::Accepted };
        if self.are_well {
            return accepted;
        }
        let unheard = random.within(200..=2_000);
        match random.within(0..=99) {
            0..15 => Fate { arrives: None, answer: Answer::Refused, ..accepted },
            15..25 => Fate { arrives: None, answer: Answer::LeaveMeAlone(random.within(500..=4_000)), ..accepted },
            25..35 => Fate { answered: unheard, answer: Answer::Lost, ..accepted },
            35..40 => Fate { arrives: None, answered: unheard, answer: Answer::Lost },
            40..50 => Fate { arrives: Some(random.within(500..=5_000)), ..accepted },
            50..52 => Fate { arrives: None, answer: Answer::Never, ..accepted },
            _ => accepted,
        }
    }
}

impl Answer {
    fn attempt(self) -> Attempt {
        let later = |after, may_have_arrived, reason: &str| Attempt::Later {
            after,
            may_have_arrived,
            reason: reason.to_owned(),
        };
        match self {
            Self::Accepted => Attempt::Delivered { receipt: "ok".to_owned() },
            Self::Lost => later(None, true, "no answer"),
            Self::Refused => later(None, false, "refused"),
            Self::LeaveMeAlone(ms) => later(Some(Duration::from_millis(ms)), false, "too many requests"),
            Self::Never => Attempt::Never { reason: "no such hook".to_owned() },
        }
    }
}

/// Carries the messages of one node.
pub(crate) struct NodeCourier {
    pub(crate) node: NodeId,
    pub(crate) receivers: Arc<Receivers>,
}

impl Courier for NodeCourier {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'static, Attempt> {
        let (node, receivers) = (self.node, Arc::clone(&self.receivers));
        Box::pin(async move { receivers.take(node, delivery).await })
    }
}

/// True time.
fn now() -> Ms {
    (interposer::clock_ns() / MS_NS) as Ms
}
