//! Calls over memory, with a clock that stands still unless everyone waits, and over TCP.

use std::future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tollgate_transport::{
    CallError, Calls, CallsOptions, Handler, Inbound, MemoryNetwork, MemoryTransport, NodeId, TcpOptions, TcpTransport,
    Transport,
};

use crate::nodes::{introduction, peer_address};

const ONE: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);
const SECOND: Duration = Duration::from_secs(1);
const INCARNATION: u64 = 0xDEAD;

/// Answers with the caller and what it said; some words make it behave badly.
async fn answer(from: NodeId, request: Bytes) -> Bytes {
    match &request[..] {
        b"never" => future::pending().await,
        b"panic" => panic!("as asked"),
        b"large" => Bytes::from(vec![0; 17 << 20]),
        said => Bytes::from(format!("{from} said {}", String::from_utf8_lossy(said))),
    }
}

/// Answers as [`answer`] does, and passes notices on; one word makes it panic.
struct Answering {
    notices: mpsc::UnboundedSender<(NodeId, Bytes)>,
}

impl Handler for Answering {
    fn request(&self, from: NodeId, request: Bytes) -> impl Future<Output = Bytes> + Send + 'static {
        answer(from, request)
    }

    fn notice(&self, from: NodeId, notice: Bytes) {
        assert_ne!(&notice[..], b"panic", "as told");
        self.notices.send((from, notice)).expect("the test reads them");
    }
}

/// A handler whose notices nobody reads.
fn answering() -> Answering {
    Answering { notices: mpsc::unbounded_channel().0 }
}

fn start(network: &MemoryNetwork, node: NodeId, options: CallsOptions) -> Calls {
    let (transport, inbound) = network.join(node);
    Calls::start(Arc::new(transport), inbound, INCARNATION, options, answering())
}

fn start_both(options: &CallsOptions) -> (Calls, Calls) {
    let network = MemoryNetwork::new();
    (start(&network, ONE, options.clone()), start(&network, OTHER, options.clone()))
}

async fn ask(calls: &Calls, words: &'static str) -> Result<Bytes, CallError> {
    calls.call(OTHER, Bytes::from_static(words.as_bytes()), SECOND).await
}

#[tokio::test(start_paused = true)]
async fn a_call_is_answered() {
    let (one, other) = start_both(&CallsOptions::default());
    assert_eq!(ask(&one, "hi").await, Ok(Bytes::from("1 said hi")));
    assert_eq!(other.call(ONE, Bytes::new(), SECOND).await, Ok(Bytes::from("2 said ")));
}

#[tokio::test]
async fn many_calls_at_once_are_answered_over_tcp() {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let bind = |node| TcpTransport::bind(introduction(node), address, TcpOptions::default());
    let (one, to_one) = bind(ONE).await.expect("loopback can be listened on");
    let (other, to_other) = bind(OTHER).await.expect("loopback can be listened on");
    one.connect(OTHER, peer_address(&other, None));
    other.connect(ONE, peer_address(&one, None));
    let one = Arc::new(Calls::start(Arc::new(one), to_one, 1, CallsOptions::default(), answering()));
    let _other = Calls::start(Arc::new(other), to_other, 2, CallsOptions::default(), answering());
    let asked: Vec<_> = (0..500)
        .map(|number| {
            let one = Arc::clone(&one);
            tokio::spawn(async move { one.call(OTHER, Bytes::from(number.to_string()), 60 * SECOND).await })
        })
        .collect();
    for (number, answer) in asked.into_iter().enumerate() {
        assert_eq!(answer.await.expect("the task ends"), Ok(Bytes::from(format!("1 said {number}"))));
    }
    assert_eq!(one.outstanding(OTHER), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_at_its_deadline() {
    let (one, _other) = start_both(&CallsOptions::default());
    let started = tokio::time::Instant::now();
    let passed = |to| Err(CallError::DeadlinePassed { to, deadline: SECOND });
    assert_eq!(ask(&one, "never").await, passed(OTHER));
    assert_eq!(started.elapsed().as_secs(), 1);
    assert_eq!(one.call(NodeId(9), Bytes::new(), SECOND).await, passed(NodeId(9)));
    assert_eq!(one.outstanding(OTHER), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_takes_only_its_own_request_down() {
    let (one, _other) = start_both(&CallsOptions::default());
    assert_eq!(ask(&one, "panic").await, Err(CallError::DeadlinePassed { to: OTHER, deadline: SECOND }));
    assert_eq!(ask(&one, "hi").await, Ok(Bytes::from("1 said hi")));
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_fail_at_once_and_abandoned_ones_do_not_count() {
    let (one, _other) = start_both(&CallsOptions { outstanding_per_peer: 2, ..CallsOptions::default() });
    let started = tokio::time::Instant::now();
    {
        let abandoned = async { tokio::join!(ask(&one, "never"), ask(&one, "never"), ask(&one, "third")).2 };
        let third = tokio::time::timeout(SECOND / 2, abandoned);
        assert!(third.await.is_err(), "the first two wait for longer than this");
    }
    assert_eq!(one.outstanding(OTHER), 0);
    let (_, _, third) = tokio::join!(ask(&one, "never"), ask(&one, "never"), async {
        let third = ask(&one, "third").await;
        (third, started.elapsed())
    });
    assert_eq!(third, (Err(CallError::TooManyOutstanding { to: OTHER, limit: 2 }), SECOND / 2));
}

#[tokio::test(start_paused = true)]
async fn a_busy_node_says_so() {
    let (one, _other) = start_both(&CallsOptions { handled_at_once: 1, ..CallsOptions::default() });
    let (first, second) = tokio::join!(ask(&one, "never"), ask(&one, "hi"));
    assert_eq!(first, Err(CallError::DeadlinePassed { to: OTHER, deadline: SECOND }));
    assert_eq!(second, Err(CallError::Busy { to: OTHER }));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_in_a_frame_is_told() {
    let (one, _other) = start_both(&CallsOptions::default());
    assert_eq!(ask(&one, "large").await, Err(CallError::AnswerTooLarge { to: OTHER }));
    let request = Bytes::from(vec![0; 17 << 20]);
    assert!(matches!(one.call(OTHER, request, SECOND).await, Err(CallError::RequestTooLarge { .. })));
}

#[tokio::test(start_paused = true)]
async fn calls_end_with_the_network() {
    let network = MemoryNetwork::new();
    let one = start(&network, ONE, CallsOptions::default());
    let _silent = ByHand::join(&network, OTHER);
    let (waiting, ()) = tokio::join!(ask(&one, "hi"), async { network.leave(ONE) });
    assert_eq!(waiting, Err(CallError::Closed));
    assert_eq!(ask(&one, "hi").await, Err(CallError::Closed));
}

/// A node that answers by hand.
struct ByHand {
    transport: MemoryTransport,
    inbound: Inbound,
}

/// Places in a message: `u8 kind | u64 incarnation | u64 number | body`.
const KIND: usize = 0;
const INCARNATION_START: usize = 1;
const BODY: usize = 17;
const ANSWER: u8 = 2;

impl ByHand {
    fn join(network: &MemoryNetwork, node: NodeId) -> Self {
        let (transport, inbound) = network.join(node);
        Self { transport, inbound }
    }

    /// The next request as an answer with this body, ready to be sent or spoilt.
    async fn answer_to_next(&mut self, body: &[u8]) -> Vec<u8> {
        let request = self.inbound.recv().await.expect("the network is there").frame;
        let mut message = request[..BODY].to_vec();
        message[KIND] = ANSWER;
        message.extend_from_slice(body);
        message
    }

    fn send(&self, message: &[u8]) {
        self.transport.send(ONE, Bytes::copy_from_slice(message));
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_first_answer_to_a_call_counts() {
    let network = MemoryNetwork::new();
    let one = start(&network, ONE, CallsOptions::default());
    let mut other = ByHand::join(&network, OTHER);
    let (first, old) = tokio::join!(ask(&one, "a"), async {
        let message = other.answer_to_next(b"to a").await;
        other.send(&message);
        other.send(&message);
        message
    });
    assert_eq!(first, Ok(Bytes::from("to a")));
    let (second, ()) = tokio::join!(ask(&one, "b"), async {
        let message = other.answer_to_next(b"to b").await;
        other.send(&old);
        other.send(&message);
    });
    assert_eq!(second, Ok(Bytes::from("to b")));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_ignored() {
    let network = MemoryNetwork::new();
    let one = start(&network, ONE, CallsOptions::default());
    let mut other = ByHand::join(&network, OTHER);
    assert!(matches!(ask(&one, "a").await, Err(CallError::DeadlinePassed { .. })));
    let late = other.answer_to_next(b"late").await;
    let (second, ()) = tokio::join!(ask(&one, "b"), async {
        let message = other.answer_to_next(b"to b").await;
        other.send(&late);
        other.send(&message);
    });
    assert_eq!(second, Ok(Bytes::from("to b")));
}

#[tokio::test(start_paused = true)]
async fn answers_from_elsewhere_and_to_earlier_runs_and_nonsense_are_ignored() {
    let network = MemoryNetwork::new();
    let one = start(&network, ONE, CallsOptions::default());
    let mut other = ByHand::join(&network, OTHER);
    let stranger = ByHand::join(&network, NodeId(3));
    let (answer, ()) = tokio::join!(ask(&one, "a"), async {
        let message = other.answer_to_next(b"right").await;
        stranger.send(&[&message[..BODY], b"from elsewhere"].concat());
        let mut earlier = [&message[..BODY], b"to an earlier run"].concat();
        earlier[INCARNATION_START] ^= 1;
        other.send(&earlier);
        other.send(b"nonsense");
        other.send(&[]);
        other.send(&[0xFF; 100]);
        other.send(&message);
    });
    assert_eq!(answer, Ok(Bytes::from("right")));
}

/// A node that takes notices.
fn start_listening(network: &MemoryNetwork, node: NodeId) -> (Calls, mpsc::UnboundedReceiver<(NodeId, Bytes)>) {
    let (transport, inbound) = network.join(node);
    let (notices, taken) = mpsc::unbounded_channel();
    let calls = Calls::start(Arc::new(transport), inbound, INCARNATION, CallsOptions::default(), Answering { notices });
    (calls, taken)
}

#[tokio::test(start_paused = true)]
async fn notices_are_taken_in_the_order_of_arrival() {
    let network = MemoryNetwork::new();
    let one = start(&network, ONE, CallsOptions::default());
    let (_other, mut taken) = start_listening(&network, OTHER);
    for number in 0..500 {
        assert_eq!(one.tell(OTHER, Bytes::from(number.to_string())), Ok(()));
    }
    for number in 0..500 {
        assert_eq!(taken.recv().await, Some((ONE, Bytes::from(number.to_string()))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_makes_the_handler_panic_is_lost_alone() {
    let network = MemoryNetwork::new();
    let one = start(&network, ONE, CallsOptions::default());
    let (_other, mut taken) = start_listening(&network, OTHER);
    one.tell(OTHER, Bytes::from("panic")).expect("it is small");
    one.tell(OTHER, Bytes::from("after")).expect("it is small");
    assert_eq!(taken.recv().await, Some((ONE, Bytes::from("after"))));
    assert_eq!(ask(&one, "hi").await, Ok(Bytes::from("1 said hi")));
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_is_too_large_is_told_and_one_to_nobody_is_lost() {
    let network = MemoryNetwork::new();
    let (one, mut taken) = start_listening(&network, ONE);
    let largest = Bytes::from(vec![7; one.max_body_bytes()]);
    assert_eq!(one.tell(ONE, largest.clone()), Ok(()));
    assert_eq!(taken.recv().await, Some((ONE, largest)));
    let (bytes, limit_bytes) = (one.max_body_bytes() + 1, one.max_body_bytes());
    let too_large = CallError::RequestTooLarge { bytes, limit_bytes };
    assert_eq!(one.tell(OTHER, Bytes::from(vec![7; bytes])), Err(too_large));
    assert_eq!(one.tell(OTHER, Bytes::new()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn it_is_known_when_a_node_was_last_heard() {
    let (one, other) = start_both(&CallsOptions::default());
    assert_eq!(one.last_heard(OTHER), None);
    let started = tokio::time::Instant::now();
    ask(&one, "hi").await.expect("it is answered");
    assert_eq!((one.last_heard(OTHER), other.last_heard(ONE)), (Some(started), Some(started)));
    tokio::time::advance(SECOND).await;
    assert_eq!(one.last_heard(OTHER), Some(started));
    ask(&one, "hi").await.expect("it is answered");
    assert_eq!(one.last_heard(OTHER), Some(started + SECOND));
}
