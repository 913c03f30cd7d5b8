//! Carries requests to one other node, and its answers back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use crate::consensus::NodeId;
use crate::messages::{Mail, Notice, RemoteAnswer, RemoteAsk};
use crate::outbox::{Awaited, Outbox};
use crate::peers::Peers;

/// How often requests are looked for that have waited too long: a small part of the deadline of a decision.
const TICK: Duration = Duration::from_millis(10);

/// The most requests and answers in one mail: a megabyte or two, far below the largest frame.
const MAX_IN_A_MAIL: usize = 8_192;

#[derive(Debug)]
pub(crate) enum PeerMsg {
    /// From the outbox: something waits there.
    Flush,
    /// From the node: answers to what was asked of it.
    Answers(Vec<RemoteAnswer>),
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
    /// Requests that wait for an answer of the node, by their number.
    awaited: BTreeMap<u64, (Awaited, Instant)>,
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
        let awaited = BTreeMap::new();
        Ok(PeerState { peer, peers, outbox, awaited, ticking: false, myself })
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
            PeerMsg::Answers(answers) => state.answers(answers),
            PeerMsg::Tick => state.tick(),
        }
        Ok(())
    }

    async fn post_stop(&self, _myself: ActorRef<PeerMsg>, state: &mut PeerState) -> Result<(), ActorProcessingErr> {
        state.outbox.serve(None);
        std::mem::take(&mut state.awaited).into_values().for_each(|(awaited, _)| awaited.give_up());
        Ok(())
    }
}

impl PeerState {
    /// Sends all that waits.
    fn flush(&mut self) {
        let outgoing = self.outbox.take();
        let mut asks = outgoing.asks.into_iter().peekable();
        let mut answers = outgoing.answers.into_iter().peekable();
        while asks.peek().is_some() || answers.peek().is_some() {
            let asks: Vec<_> = asks.by_ref().take(MAX_IN_A_MAIL).collect();
            let asks = asks.into_iter().map(|forward| {
                let number = self.outbox.next_request();
                if let Some(awaited) = forward.awaited {
                    self.awaited.insert(number, awaited);
                }
                RemoteAsk { number, shard: forward.shard, task: forward.task }
            });
            let asks = asks.collect();
            let answers = answers.by_ref().take(MAX_IN_A_MAIL).collect();
            let mail = Mail { run: self.peers.run(), sequence: self.outbox.next_mail(), asks, answers };
            self.peers.tell(self.peer, &Notice::Mail(mail));
        }
        self.set_timer();
    }

    fn answers(&mut self, answers: Vec<RemoteAnswer>) {
        for RemoteAnswer { run, number, answer } in answers {
            let awaited = (run == self.peers.run()).then(|| self.awaited.remove(&number)).flatten();
            if let Some((awaited, _)) = awaited {
                awaited.answer(answer);
            }
        }
    }

    /// Gives up what has waited too long.
    fn tick(&mut self) {
        self.ticking = false;
        let now = Instant::now();
        for (_, (awaited, _)) in self.awaited.extract_if(.., |_, (_, until)| *until <= now) {
            awaited.give_up();
        }
        self.set_timer();
    }

    fn set_timer(&mut self) {
        if !self.ticking && !self.awaited.is_empty() {
            self.ticking = true;
            self.myself.send_after(TICK, || PeerMsg::Tick);
        }
    }
}
