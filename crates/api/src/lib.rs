//! The JSON of Tollgate's HTTP API: requests, answers, problems and limits, as types.
//!
//! This crate is the compatibility boundary. Whoever speaks to a node, in either direction, uses
//! these types, and nothing inside a node does: the server converts at its edge. So a change here
//! is a change that clients see, and a change elsewhere is not.
//!
//! What comes in is read strictly, because a typo must never switch a limit off: unknown and
//! repeated fields are errors, `null` is not a value, a list is not an object, and every error
//! names its field. Reading is in two steps. [`parse_json`] gives a value of the right shape; its
//! `validate` then checks sizes and characters, without allocating as long as nothing is wrong.
//! What a combination of settings *means*, and whether it is legal, is decided by the server.
#![warn(missing_docs)]

mod acquire_answer;
mod acquire_many;
mod acquire_request;
mod add_node;
mod address;
mod alerts;
mod body;
mod bucket;
mod cluster;
mod field_error;
pub mod headers;
mod health;
mod integer;
mod label_patterns;
mod limit_document;
mod object;
mod period;
mod problem;
mod quota_exceeded;
mod settle;
mod sizes;
mod stats;
mod tier_document;
mod unique_map;

pub use acquire_answer::{AcquireAnswer, LimitAnswer};
pub use acquire_many::{AcquireManyAnswer, AcquireManyRequest, AcquireResult, AnswerWithStatus, MAX_REQUESTS};
pub use acquire_request::{AcquireRequest, DEFAULT_PREFIX, MAX_WAIT_MS};
pub use add_node::AddNodeRequest;
pub use address::port_of_address;
pub use alerts::{
    AlertSeverity, AlertsAnswer, ExplainAnswer, ExplainedMetric, FiringAlert, RecentAlert, SilenceAnswer, SilenceList,
    SilenceRequest, TestAlertAnswer, TestAlertRequest, UndeliveredMessage, WaitingMessage,
};
pub use body::{BodyError, parse_json};
pub use bucket::BucketAnswer;
pub use cluster::{ClusterAnswer, NodeAnswer, NodeDuty, ShardAnswer};
pub use field_error::FieldError;
pub use health::{ComponentHealth, Health, HealthStatus};
pub use label_patterns::LabelPatterns;
pub use limit_document::{Algorithm, Calendar, Consistency, LimitDocument, LimitList, OnUnavailable};
pub use period::{Period, PeriodError, PeriodUnit};
pub use problem::Problem;
pub use quota_exceeded::QuotaExceeded;
pub use settle::{MAX_RESERVATION_BYTES, SettleAnswer, SettleRequest};
pub use sizes::{MAX_LABEL_VALUE_BYTES, MAX_LABELS, validate_endpoint, validate_labels, validate_prefix};
pub use stats::{
    BatchStats, BreakerState, BreakerStats, KeyDenials, LatencyStats, LimitDenials, NodeMode, QueueStats, StatsAnswer,
    StatsWindows, WindowStats,
};
pub use tier_document::TierDocument;
