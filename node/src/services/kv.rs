//! `ShardKvService`: translates.

use std::pin::Pin;

use flotilla_proto::cursor::Cursor;
use flotilla_proto::kv_v1::shard_kv_service_server::ShardKvService;
use flotilla_proto::kv_v1::{
    Code, CommandBatchRequest, CommandBatchResponse, CommandRequest, CommandResponse, CommandStreamRequest,
    CommandStreamResponse, DeleteShardsDataRequest, DeleteShardsDataResponse, GetDigestRequest,
    GetDigestResponse, GetShardsDataRequest, GetShardsDataResponse, GetStatusRequest, GetStatusResponse,
    Reply, ScanPage, ScanRequest, ScanResponse,
};
use flotilla_types::engine::prefix_end;
use flotilla_types::limits::{BATCH_OPS_MAX, MESSAGE_BYTES_MAX, SCAN_ROWS_MAX};
use flotilla_types::{GroupId, ShardId};
use futures::Stream;
use futures::stream::{self, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::commands::{Commands, Scan};
use super::status;

/// Rows of a page when the client does not say.
const PAGE_ROWS_DEFAULT: usize = 1000;
/// The most bytes of answers to one batch: half a message, so that one more value always fits.
const REPLIES_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 2;
/// The most chunks one `GetShardsData` stream answers.
const CHUNKS_MAX: u32 = 1024;

/// The service.
pub struct Kv {
    /// Carries out.
    pub commands: Commands,
    /// Operations in work at a time on one stream.
    pub stream_in_flight_max: usize,
}

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ShardKvService for Kv {
    async fn command(&self, request: Request<CommandRequest>) -> Result<Response<CommandResponse>, Status> {
        let reply = self.commands.command(request.into_inner()).await;
        Ok(Response::new(CommandResponse { reply: Some(reply) }))
    }

    async fn command_batch(
        &self,
        request: Request<CommandBatchRequest>,
    ) -> Result<Response<CommandBatchResponse>, Status> {
        let commands = request.into_inner().commands;
        if commands.len() > BATCH_OPS_MAX {
            let message = format!(
                "{} commands in one message, the limit is {BATCH_OPS_MAX}: send several messages",
                commands.len()
            );
            return Err(Status::invalid_argument(message));
        }
        let replies = commands.into_iter().map(|command| self.commands.command(command));
        let replies = bounded(futures::future::join_all(replies).await);
        Ok(Response::new(CommandBatchResponse { replies }))
    }

    type CommandStreamStream = BoxStream<CommandStreamResponse>;

    async fn command_stream(
        &self,
        request: Request<Streaming<CommandStreamRequest>>,
    ) -> Result<Response<Self::CommandStreamStream>, Status> {
        let answers =
            super::stream::serve(self.commands.clone(), request.into_inner(), self.stream_in_flight_max);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn scan(&self, request: Request<ScanRequest>) -> Result<Response<ScanResponse>, Status> {
        let request = request.into_inner();
        let response = match scan_of(&request) {
            Ok(scan) => {
                let gid = GroupId(request.gid);
                let shard = scan.shard;
                let page = self.commands.scan(gid, scan, request.consistency(), request.timeout_ms).await;
                page.map_or_else(refusal, |page| page_response(shard, page))
            }
            Err(reply) => refusal(reply),
        };
        Ok(Response::new(response))
    }

    type GetShardsDataStream = BoxStream<GetShardsDataResponse>;

    async fn get_shards_data(
        &self,
        request: Request<GetShardsDataRequest>,
    ) -> Result<Response<Self::GetShardsDataStream>, Status> {
        let request = request.into_inner();
        let chunks = request.chunks_max.clamp(1, CHUNKS_MAX) as usize;
        // Each piece says where the next one starts; the stream ends with whatever is not a piece, or the last one.
        let pieces =
            stream::unfold((self.commands.clone(), Some(request)), |(commands, request)| async move {
                let mut request = request?;
                let response = commands.get_shards_data(&request).await;
                let next = next_cursor(&response).map(|cursor| {
                    request.cursor = Some(cursor);
                    request
                });
                Some((Ok(response), (commands, next)))
            });
        Ok(Response::new(Box::pin(pieces.take(chunks))))
    }

    async fn delete_shards_data(
        &self,
        request: Request<DeleteShardsDataRequest>,
    ) -> Result<Response<DeleteShardsDataResponse>, Status> {
        Ok(Response::new(self.commands.delete_shards_data(request.get_ref()).await))
    }

    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        Ok(Response::new(status::node(self.commands.replicas(), request.get_ref().gid)))
    }

    async fn get_digest(
        &self,
        request: Request<GetDigestRequest>,
    ) -> Result<Response<GetDigestResponse>, Status> {
        status::digest(self.commands.replicas(), GroupId(request.get_ref().gid)).map(Response::new)
    }
}

// What does not fit into one message was read in vain: the client asks for it again, alone.
fn bounded(mut replies: Vec<Reply>) -> Vec<Reply> {
    use prost::Message;
    let mut bytes = 0;
    for reply in &mut replies {
        bytes += reply.encoded_len();
        if bytes > REPLIES_BYTES_MAX && reply.value.is_some() {
            bytes -= reply.encoded_len();
            *reply = Reply {
                gid: reply.gid,
                ..Reply::refused(Code::Overloaded, "the answers do not fit into one message")
            };
        }
    }
    replies
}

fn next_cursor(response: &GetShardsDataResponse) -> Option<flotilla_proto::kv_v1::TransferCursor> {
    use prost::Message;
    if response.code() != Code::Ok {
        return None;
    }
    let chunk = flotilla_proto::kv_v1::Chunk::decode(response.chunk.clone()).ok()?;
    if chunk.last.is_some() { None } else { chunk.next }
}

fn scan_of(request: &ScanRequest) -> Result<Scan, Reply> {
    let invalid = |message: String| Reply { gid: request.gid, ..Reply::refused(Code::Invalid, message) };
    let (mut start, end) = if request.prefix.is_empty() {
        (request.start.clone(), request.end.clone())
    } else if request.start.is_empty() && request.end.is_empty() {
        (request.prefix.clone(), prefix_end(&request.prefix).into())
    } else {
        return Err(invalid("a scan takes a prefix or a range, not both".to_owned()));
    };
    if !request.cursor.is_empty() {
        let cursor = Cursor::decode(&request.cursor).map_err(|error| invalid(error.to_string()))?;
        if cursor.shard != request.shard {
            let message =
                format!("the cursor is of shard {}, the scan of shard {}", cursor.shard, request.shard);
            return Err(invalid(message));
        }
        start = start.max(cursor.key.into());
    }
    let limit = if request.limit == 0 { PAGE_ROWS_DEFAULT } else { request.limit as usize };
    Ok(Scan {
        shard: ShardId(request.shard),
        start,
        end,
        rows_max: limit.min(SCAN_ROWS_MAX),
        keys_only: request.keys_only,
    })
}

fn refusal(reply: Reply) -> ScanResponse {
    ScanResponse { refusal: Some(reply), ..ScanResponse::default() }
}

fn page_response(shard: ShardId, page: ScanPage) -> ScanResponse {
    let cursor = page.next.map(|key| Cursor { shard: shard.get(), key: key.to_vec() }.encode());
    match cursor.transpose() {
        Ok(cursor) => ScanResponse {
            refusal: None,
            rows: page.rows,
            cursor: cursor.unwrap_or_default().into(),
            config: page.config,
            version: page.version,
        },
        Err(error) => refusal(Reply::refused(Code::Invalid, error.to_string())),
    }
}
