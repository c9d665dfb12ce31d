//! Plain gRPC to one node, without the client library: for what a library would never send.

use std::time::Duration;

use flotilla_proto::ctrl_v1::shard_ctrler_service_client::ShardCtrlerServiceClient;
use flotilla_proto::ctrl_v1::{
    AdminResponse, GetStatusRequest, GetStatusResponse, JoinRequest, LeaveRequest, MoveRequest, QueryRequest,
    QueryResponse, Response,
};
use flotilla_proto::ctrl_v1::{Join, Leave, Move};
use flotilla_proto::kv_v1::shard_kv_service_client::ShardKvServiceClient;
use flotilla_proto::kv_v1::{Code, CommandRequest, CommandResponse, Reply};
use flotilla_proto::net::{GrpcService, Lane};
use flotilla_types::limits::MESSAGE_BYTES_MAX;
use rand::Rng;
use tonic::Status;

use super::{Cluster, eventually};

/// How long a request may be sent round until somebody leads.
const WITHIN: Duration = Duration::from_secs(30);

/// A request to change something, as it travels.
#[derive(Clone, Debug)]
pub enum Wish {
    /// New groups.
    Join(Join),
    /// Groups go.
    Leave(Leave),
    /// A shard moves.
    Move(Move),
}

impl Cluster {
    /// The shard groups' service of one node.
    pub fn kv(&self, node: u64) -> ShardKvServiceClient<GrpcService> {
        // What a test sends on purpose may be larger than what a node takes.
        ShardKvServiceClient::new(self.service(node))
            .max_decoding_message_size(4 * MESSAGE_BYTES_MAX)
            .max_encoding_message_size(4 * MESSAGE_BYTES_MAX)
    }

    /// The controller's service of one node.
    pub fn ctrl(&self, node: u64) -> ShardCtrlerServiceClient<GrpcService> {
        ShardCtrlerServiceClient::new(self.service(node)).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn service(&self, node: u64) -> GrpcService {
        let address = &self.node(node).plan().listen;
        self.env().network.connect(address, Lane::Client).expect("an address of ours is well formed")
    }

    /// The controller's numbers, as one node has them.
    pub async fn ctrl_status(&self, node: u64) -> Result<GetStatusResponse, Status> {
        self.ctrl(node).get_status(GetStatusRequest {}).await.map(tonic::Response::into_inner)
    }

    /// What one controller replica has applied: a configuration (none: the latest) and the directory.
    pub async fn query_stale(&self, node: u64, num: Option<u64>) -> Result<QueryResponse, Status> {
        let request = QueryRequest { num, directory: true, stale: true };
        self.ctrl(node).query(request).await.map(tonic::Response::into_inner)
    }

    /// Sends a request to whoever leads the controller, with a fresh request id.
    pub async fn wish(&self, wish: Wish) -> Response {
        self.wish_as(rand::rng().random(), wish).await
    }

    /// The same with a request id of one's own.
    pub async fn wish_as(&self, request_id: u64, wish: Wish) -> Response {
        eventually("the controller answers", WITHIN, async || {
            let running = self.nodes().into_iter().filter(|node| self.node(*node).is_running());
            let mut why = "no node runs".to_owned();
            for node in running {
                match send(self.ctrl(node), request_id, wish.clone()).await {
                    Ok(AdminResponse { response: Some(response), .. }) => return Ok(response),
                    Ok(AdminResponse { leader, .. }) => why = format!("node {node} names {leader:?}"),
                    Err(status) => why = format!("node {node}: {status}"),
                }
            }
            Err(why)
        })
        .await
    }
}

impl Cluster {
    /// Sends one operation to whoever is right for it among these groups, again and again with the same id, until it is
    /// answered with an outcome or a refusal that asking again does not change.
    pub async fn command(&self, gids: &[u64], command: &CommandRequest) -> Reply {
        eventually("a group answers", WITHIN, async || {
            let running = self.nodes().into_iter().filter(|node| self.node(*node).is_running());
            let mut why = "no node runs".to_owned();
            for (node, gid) in running.flat_map(|node| gids.iter().map(move |gid| (node, *gid))) {
                let request = CommandRequest { gid, timeout_ms: 2000, ..command.clone() };
                match self.kv(node).command(request).await.map(tonic::Response::into_inner) {
                    Ok(CommandResponse { reply: Some(reply) }) if !asks_again(reply.code()) => {
                        return Ok(reply);
                    }
                    Ok(answer) => why = format!("node {node}, group {gid}: {answer:?}"),
                    Err(status) => why = format!("node {node}, group {gid}: {status}"),
                }
            }
            Err(why)
        })
        .await
    }
}

fn asks_again(code: Code) -> bool {
    use Code::{NotReady, OutDated, Overloaded, Timeout, WrongGroup, WrongLeader};
    matches!(code, WrongGroup | WrongLeader | NotReady | OutDated | Timeout | Overloaded)
}

async fn send(
    mut ctrl: ShardCtrlerServiceClient<GrpcService>,
    request_id: u64,
    wish: Wish,
) -> Result<AdminResponse, Status> {
    let answer = match wish {
        Wish::Join(join) => ctrl.join(JoinRequest { request_id, join: Some(join) }).await,
        Wish::Leave(leave) => ctrl.leave(LeaveRequest { request_id, leave: Some(leave) }).await,
        Wish::Move(wish) => ctrl.r#move(MoveRequest { request_id, r#move: Some(wish) }).await,
    };
    answer.map(tonic::Response::into_inner)
}
