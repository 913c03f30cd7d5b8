//! The network between the nodes: frames in memory, which are lost, late, doubled and out of order as the weather says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;
use tollgate_transport::{HelloRefusal, Inbound, NodeId, PeerAddress, Received, Transport};

use crate::kernel::Ms;
use crate::random::Random;
use crate::trace::Trace;

/// Frames that wait at a node; further ones are dropped, as on any network.
const QUEUE_LIMIT: usize = 1024;

/// As large as a frame over TCP may be by default.
const MAX_FRAME_BYTES: usize = 16 << 20;

/// From one node to another.
pub(crate) type Link = (u64, u64);

/// What becomes of frames. Rates are in millionths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weather {
    /// How many are lost.
    pub(crate) loss: u64,
    /// How many come twice.
    pub(crate) duplication: u64,
    /// How long the fastest take, in milliseconds, and the slowest of the usual ones.
    pub(crate) latency: (Ms, Ms),
    /// How many are held up, and how long at most.
    pub(crate) spikes: (u64, Ms),
}

impl Weather {
    /// Frames come, at most a millisecond later.
    pub(crate) const FAIR: Self = Self { loss: 0, duplication: 0, latency: (0, 1), spikes: (0, 0) };
}

/// The network. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Network(Arc<Mutex<State>>);

struct State {
    now: Ms,
    random: Random,
    weather: Weather,
    cut: BTreeSet<Link>,
    /// Whom a node wants to hear nothing of.
    forgotten: BTreeSet<Link>,
    /// What is under way, by when it is due.
    flying: BTreeMap<(Ms, u64), (Link, Bytes)>,
    sent: u64,
    inbound: BTreeMap<u64, mpsc::Sender<Received>>,
    trace: Trace,
}

impl Network {
    /// A network without nodes, in fair weather.
    pub(crate) fn new(seed: u64, trace: Trace) -> Self {
        Self(Arc::new(Mutex::new(State {
            now: 0,
            random: Random::new(seed, "network"),
            weather: Weather::FAIR,
            cut: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            flying: BTreeMap::new(),
            sent: 0,
            inbound: BTreeMap::new(),
            trace,
        })))
    }

    /// A node's way to the others, for the process that starts there now.
    pub(crate) fn join(&self, node: u64) -> (NodeTransport, Inbound) {
        let (sender, inbound) = mpsc::channel(QUEUE_LIMIT);
        let mut state = self.state();
        state.inbound.insert(node, sender);
        state.forgotten.retain(|(by, _)| *by != node);
        drop(state);
        (NodeTransport { node, network: self.clone() }, inbound)
    }

    /// The process of a node is gone: frames to it are lost.
    pub(crate) fn leave(&self, node: u64) {
        self.state().inbound.remove(&node);
    }

    /// Changes the weather.
    pub(crate) fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// Cuts these links: what is under way on them is lost, too.
    pub(crate) fn cut(&self, links: &BTreeSet<Link>) {
        let mut state = self.state();
        state.cut.extend(links);
        state.flying.retain(|_, (link, _)| !links.contains(link));
    }

    /// Mends these links.
    pub(crate) fn mend(&self, links: &BTreeSet<Link>) {
        self.state().cut.retain(|link| !links.contains(link));
    }

    /// Delivers what is due. Returns how many frames were.
    pub(crate) fn deliver(&self, now: Ms) {
        let mut state = self.state();
        state.now = now;
        let later = state.flying.split_off(&(now + 1, 0));
        let due = std::mem::replace(&mut state.flying, later);
        for (link, frame) in due.into_values() {
            state.arrive(link, frame);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&mut self, link: Link, frame: &Bytes) {
        self.trace.frame(self.now, link, frame);
        let Weather { loss, duplication, .. } = self.weather;
        let is_lost = self.random.happens(loss) || self.cut.contains(&link) || self.forgotten.contains(&link);
        if is_lost || frame.len() > MAX_FRAME_BYTES {
            return;
        }
        let copies = 1 + u64::from(self.random.happens(duplication));
        for _ in 0..copies {
            let due = self.now + self.latency();
            self.sent += 1;
            self.flying.insert((due, self.sent), (link, frame.clone()));
        }
    }

    fn latency(&mut self) -> Ms {
        let Weather { latency: (fastest, slowest), spikes: (spikes, longest), .. } = self.weather;
        let usual = self.random.within(fastest..=slowest);
        if self.random.happens(spikes) { usual + self.random.within(0..=longest) } else { usual }
    }

    fn arrive(&mut self, (from, to): Link, frame: Bytes) {
        if self.cut.contains(&(from, to)) || self.forgotten.contains(&(to, from)) {
            return;
        }
        if let Some(inbound) = self.inbound.get(&to) {
            // A full queue loses the frame.
            drop(inbound.try_send(Received { from: NodeId(from), frame }));
        }
    }
}

/// A node's side of the network.
#[derive(Clone)]
pub(crate) struct NodeTransport {
    node: u64,
    network: Network,
}

impl Transport for NodeTransport {
    fn send(&self, to: NodeId, frame: Bytes) {
        self.network.state().send((self.node, to.0), &frame);
    }

    fn max_frame_bytes(&self) -> usize {
        MAX_FRAME_BYTES
    }

    fn connect(&self, peer: NodeId, _peer_address: PeerAddress) {
        self.network.state().forgotten.remove(&(self.node, peer.0));
    }

    /// There is no connection to be made.
    fn reconnect(&self, _peer: NodeId) {}

    fn forget(&self, peer: NodeId) {
        self.network.state().forgotten.insert((self.node, peer.0));
    }

    fn refusal(&self, _peer: NodeId) -> Option<HelloRefusal> {
        None
    }
}
