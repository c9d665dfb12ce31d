//! The shard groups' side of a fake node.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flotilla_proto::kv_v1::shard_kv_service_server::ShardKvService;
use flotilla_proto::kv_v1::{
    Code, CommandBatchRequest, CommandBatchResponse, CommandRequest, CommandResponse, CommandStreamRequest,
    CommandStreamResponse, DeleteShardsDataRequest, DeleteShardsDataResponse, GetDigestRequest,
    GetDigestResponse, GetShardsDataRequest, GetShardsDataResponse, GetStatusRequest, GetStatusResponse,
    ScanRequest, ScanResponse, ScanRow, TaggedCommand, TaggedReply,
};
use flotilla_types::{Bytes, shard_of_key};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Act, SHARDS, Service, State};

type Replies = mpsc::Sender<Result<CommandStreamResponse, Status>>;
type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ShardKvService for Service {
    type CommandStreamStream = BoxStream<CommandStreamResponse>;
    type GetShardsDataStream = BoxStream<GetShardsDataResponse>;

    async fn command_stream(
        &self,
        request: Request<Streaming<CommandStreamRequest>>,
    ) -> Result<Response<Self::CommandStreamStream>, Status> {
        self.0.admit(&request)?;
        let (replies, outgoing) = mpsc::channel(16);
        tokio::spawn(serve(self.0.clone(), request.into_inner(), replies));
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }

    async fn scan(&self, request: Request<ScanRequest>) -> Result<Response<ScanResponse>, Status> {
        self.0.admit(&request)?;
        self.0.scans.fetch_add(1, Ordering::SeqCst);
        if self.0.refuses_scans.load(Ordering::SeqCst) {
            let refusal = Some(super::refuse(Code::NotReady, 1));
            return Ok(Response::new(ScanResponse { refusal, ..ScanResponse::default() }));
        }
        Ok(Response::new(page(&self.0, &request.into_inner())))
    }

    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        self.0.admit(&request)?;
        let cluster = self.0.world.cluster.to_string();
        Ok(Response::new(GetStatusResponse { cluster, version: "fake".to_owned(), ..Default::default() }))
    }

    async fn get_digest(
        &self,
        request: Request<GetDigestRequest>,
    ) -> Result<Response<GetDigestResponse>, Status> {
        self.0.admit(&request)?;
        Ok(Response::new(GetDigestResponse { found: true, applied: 3, digest: 4 }))
    }

    async fn command(&self, _: Request<CommandRequest>) -> Result<Response<CommandResponse>, Status> {
        Err(Status::internal("the client uses the stream"))
    }

    async fn command_batch(
        &self,
        _: Request<CommandBatchRequest>,
    ) -> Result<Response<CommandBatchResponse>, Status> {
        Err(Status::internal("the client uses the stream"))
    }

    async fn get_shards_data(
        &self,
        _: Request<GetShardsDataRequest>,
    ) -> Result<Response<Self::GetShardsDataStream>, Status> {
        Err(Status::internal("not a client's business"))
    }

    async fn delete_shards_data(
        &self,
        _: Request<DeleteShardsDataRequest>,
    ) -> Result<Response<DeleteShardsDataResponse>, Status> {
        Err(Status::internal("not a client's business"))
    }
}

async fn serve(state: Arc<State>, mut requests: Streaming<CommandStreamRequest>, replies: Replies) {
    let one_less = |left: usize| left.checked_sub(1);
    if state.hanging_streams.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
        return replies.closed().await;
    }
    while let Ok(Some(message)) = requests.message().await {
        state.messages.fetch_add(1, Ordering::SeqCst);
        for TaggedCommand { tag, command } in message.commands {
            let command = command.expect("a command");
            let act = decide(&state, command);
            let (state, replies) = (state.clone(), replies.clone());
            match act {
                Act::Cut => return drop(replies.send(Err(Status::unavailable("cut by the test"))).await),
                act => drop(tokio::spawn(carry_out(state, act, tag, replies))),
            }
        }
    }
}

fn decide(state: &State, command: CommandRequest) -> Act {
    let mut seen = state.seen.lock();
    let act = (state.handler.lock())(seen.len(), &command);
    seen.push(command);
    act
}

async fn carry_out(state: Arc<State>, act: Act, tag: u64, replies: Replies) {
    state.enter();
    let reply = match act {
        Act::Reply(reply) => reply,
        Act::After(wait, reply) => {
            tokio::time::sleep(wait).await;
            reply
        }
        // The stream stays open as long as the client likes.
        Act::Never | Act::Cut => return replies.closed().await,
    };
    state.leave();
    let replies_message = CommandStreamResponse { replies: vec![TaggedReply { tag, reply: Some(reply) }] };
    drop(replies.send(Ok(replies_message)).await);
}

/// A page of the world's rows; the cursor is simply the next key.
fn page(state: &State, request: &ScanRequest) -> ScanResponse {
    let rows = state.world.rows.lock();
    let start = if request.cursor.is_empty() { request.start.clone() } else { request.cursor.clone() };
    let inside = |key: &Bytes| {
        shard_of_key(key, SHARDS).get() == request.shard
            && key.starts_with(&request.prefix)
            && (request.end.is_empty() || key < &request.end)
    };
    let mut found = rows.range(start..).filter(|(key, _)| inside(key));
    let row = |(key, value): (&Bytes, &Bytes)| {
        let value = if request.keys_only { Bytes::new() } else { value.clone() };
        ScanRow { key: key.clone(), value, version: 1 }
    };
    let taken = found.by_ref().take(request.limit as usize).map(row).collect();
    let cursor = found.next().map(|(key, _)| key.clone()).unwrap_or_default();
    ScanResponse { refusal: None, rows: taken, cursor, config: 1, version: 1 }
}
