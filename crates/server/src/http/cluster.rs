//! `GET /v1/cluster` and the calls below it, which change the nodes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tollgate_api::{AddNodeRequest, ClusterAnswer, NodeAnswer, NodeDuty, Problem, ShardAnswer};
use tollgate_cluster::{ChangeError, ClusterStatus, Duty, NodeId, NodeStatus, ShardStatus};

use super::App;
use super::body::Json;
use super::place::Name;
use super::respond::{ProblemResponse, bad_field, change_problem, not_found};

fn cluster_answer(status: ClusterStatus) -> ClusterAnswer {
    ClusterAnswer {
        nodes: status.nodes.into_iter().map(node_answer).collect(),
        shards: status.shards.into_iter().map(shard_answer).collect(),
        ready: status.ready,
    }
}

fn node_answer(node: NodeStatus) -> NodeAnswer {
    let NodeStatus { id, http, peer, alive, leads, duty } = node;
    NodeAnswer { id, http, peer, alive, leads: leads as u64, duty: node_duty(duty) }
}

fn node_duty(duty: Duty) -> NodeDuty {
    match duty {
        Duty::Serving => NodeDuty::Serving,
        Duty::Draining => NodeDuty::Draining,
        Duty::Leaving => NodeDuty::Leaving,
    }
}

fn shard_answer(shard: ShardStatus) -> ShardAnswer {
    ShardAnswer { id: shard.id, leader: shard.leader, replicas: shard.replicas, term: shard.term }
}

/// How the cluster is now, as far as this node knows.
fn now(app: &App) -> axum::Json<ClusterAnswer> {
    axum::Json(cluster_answer(app.node.cluster_status()))
}

fn node_id(Name(text): &Name) -> Result<NodeId, ProblemResponse> {
    let id = text.parse().ok().filter(|id| *id > 0);
    id.ok_or_else(|| bad_field("id", format!("must be the number of a node, 1 or more, and is {text:?}")))
}

fn refused(id: NodeId, error: &ChangeError) -> ProblemResponse {
    match error {
        ChangeError::UnknownNode => not_found(format!("there is no node {id}")),
        ChangeError::UnknownLimit
        | ChangeError::TooManyLimits
        | ChangeError::TooManyNodes
        | ChangeError::OtherData
        | ChangeError::AddressTaken
        | ChangeError::ElsewhereAlready
        | ChangeError::LastNode
        | ChangeError::UnknownSilence
        | ChangeError::TooManySilences
        | ChangeError::Unavailable(_) => change_problem(error).into(),
    }
}

/// The nodes and the shards of the cluster, as far as this node knows.
#[utoipa::path(
    get, path = "/v1/cluster",
    responses((status = 200, description = "The cluster", body = ClusterAnswer))
)]
pub(super) async fn get(State(app): State<Arc<App>>) -> axum::Json<ClusterAnswer> {
    now(&app)
}

/// Expects a node at an address. It takes part when it has been started and has introduced itself.
///
/// A node that is started with `--join` introduces itself and need not be expected.
#[utoipa::path(
    post, path = "/v1/cluster/nodes", request_body = AddNodeRequest,
    responses(
        (status = 200, description = "It was known", body = ClusterAnswer),
        (status = 201, description = "It is expected", body = ClusterAnswer),
        (status = 400, description = "The request makes no sense", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There are too many nodes, or one of them has this number or address", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It could not be committed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    Json(request): Json<AddNodeRequest>,
) -> Result<Response, ProblemResponse> {
    request.validate().map_err(Problem::from)?;
    let AddNodeRequest { id, peer } = request;
    let created = app.node.add_node(id, peer).await.map_err(|error| refused(id, &error))?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, now(&app)).into_response())
}

/// Has a node leave. Its shards move to other nodes, and when they have, it is forgotten and its process ends.
#[utoipa::path(
    delete, path = "/v1/cluster/nodes/{id}", params(("id" = u64, Path, description = "The node's number", minimum = 1)),
    responses(
        (status = 202, description = "It leaves", body = ClusterAnswer),
        (status = 400, description = "The number is none", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such node", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "No other node serves", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It could not be committed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove(State(app): State<Arc<App>>, name: Name) -> Result<Response, ProblemResponse> {
    let id = node_id(&name)?;
    app.node.remove_node(id).await.map_err(|error| refused(id, &error))?;
    Ok((StatusCode::ACCEPTED, now(&app)).into_response())
}

/// Has a node lead nothing, so that it can be stopped or looked at without anybody noticing. It goes on keeping shards and
/// answering.
#[utoipa::path(
    post, path = "/v1/cluster/nodes/{id}/drain",
    params(("id" = u64, Path, description = "The node's number", minimum = 1)),
    responses(
        (status = 200, description = "It will lead nothing", body = ClusterAnswer),
        (status = 400, description = "The number is none", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such node", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It could not be committed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn drain(
    State(app): State<Arc<App>>,
    name: Name,
) -> Result<axum::Json<ClusterAnswer>, ProblemResponse> {
    set_draining(&app, &name, true).await
}

/// Ends a drain: the node leads its share again. One that leaves goes on leaving.
#[utoipa::path(
    delete, path = "/v1/cluster/nodes/{id}/drain",
    params(("id" = u64, Path, description = "The node's number", minimum = 1)),
    responses(
        (status = 200, description = "It may lead again", body = ClusterAnswer),
        (status = 400, description = "The number is none", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such node", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It could not be committed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn undrain(
    State(app): State<Arc<App>>,
    name: Name,
) -> Result<axum::Json<ClusterAnswer>, ProblemResponse> {
    set_draining(&app, &name, false).await
}

async fn set_draining(app: &App, name: &Name, draining: bool) -> Result<axum::Json<ClusterAnswer>, ProblemResponse> {
    let id = node_id(name)?;
    app.node.set_draining(id, draining).await.map_err(|error| refused(id, &error))?;
    Ok(now(app))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_node_is_a_whole_one_from_1() {
        for (text, expected) in [
            ("1", Some(1)),
            ("18446744073709551615", Some(u64::MAX)),
            ("0", None),
            ("-1", None),
            ("1.0", None),
            ("two", None),
            ("18446744073709551616", None),
        ] {
            let found = node_id(&Name(text.to_owned())).map_err(|ProblemResponse(problem)| problem.field);
            assert_eq!(found, expected.ok_or(Some("id".to_owned())), "{text}");
        }
    }
}
