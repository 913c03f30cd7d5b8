//! Carries requests to one other node, and its answers back.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use crate::consensus::NodeId;
use crate::messages::Notice;
use crate::outbox::Outbox;
use crate::peers::Peers;

/// How often requests are looked for that have waited too long: a small part of the deadline of a decision.
const TICK: Duration = Duration::from_millis(10);

/// The most requests and answers in one mail: a megabyte or two, far below the largest frame.
const MAX_IN_A_MAIL: usize = 8_192;

#[derive(Debug)]
pub(crate) enum PeerMsg {
    /// From the outbox: something waits there.
    Flush,
    /// From a timer of this actor.
    Tick,
}

pub(crate) struct PeerArgs {
    pub(crate) peer: NodeId,
    pub(crate) peers: Arc<Peers>,
    pub(crate) outbox: Arc<Outbox>,
}

pub(crate) struct PeerState {
    peer: NodeId,
    peers: Arc<Peers>,
    outbox: Arc<Outbox>,
    ticking: bool,
    myself: ActorRef<PeerMsg>,
}

pub(crate) struct PeerActor;

impl PeerActor {
    pub(crate) async fn spawn(
        args: PeerArgs,
        supervisor: ractor::ActorCell,
    ) -> Result<ActorRef<PeerMsg>, ractor::SpawnErr> {
        let outbox = Arc::clone(&args.outbox);
        let (actor, _) = Actor::spawn_linked(None, Self, args, supervisor).await?;
        outbox.serve(Some(actor.clone()));
        Ok(actor)
    }
}

impl Actor for PeerActor {
    type Msg = PeerMsg;
    type State = PeerState;
    type Arguments = PeerArgs;

    async fn pre_start(&self, myself: ActorRef<PeerMsg>, args: PeerArgs) -> Result<PeerState, ActorProcessingErr> {
        let PeerArgs { peer, peers, outbox } = args;
        Ok(PeerState { peer, peers, outbox, ticking: false, myself })
    }

    async fn handle(
        &self,
        _myself: ActorRef<PeerMsg>,
        message: PeerMsg,
        state: &mut PeerState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            PeerMsg::Flush => {
                // Whoever is ready to ask, too, is let go first: what it asks goes with this mail.
                tokio::task::yield_now().await;
                state.flush();
            }
            PeerMsg::Tick => state.tick(),
        }
        Ok(())
    }

    async fn post_stop(&self, _myself: ActorRef<PeerMsg>, state: &mut PeerState) -> Result<(), ActorProcessingErr> {
        state.outbox.serve(None);
        state.outbox.give_all_up();
        Ok(())
    }
}

impl PeerState {
    /// Sends all that waits.
    fn flush(&mut self) {
        for mail in self.outbox.take(MAX_IN_A_MAIL) {
            self.peers.tell(self.peer, &Notice::Mail(mail));
        }
        self.set_timer(self.outbox.is_waiting());
    }

    /// Gives up what has waited too long.
    fn tick(&mut self) {
        self.ticking = false;
        let is_waiting = self.outbox.give_up(Instant::now());
        self.set_timer(is_waiting);
    }

    fn set_timer(&mut self, is_waiting: bool) {
        if !self.ticking && is_waiting {
            self.ticking = true;
            self.myself.send_after(TICK, || PeerMsg::Tick);
        }
    }
}
