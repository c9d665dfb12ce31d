//! How a node speaks to the migrations' records: a command for the controller's log, wherever its leader is.

use std::time::Duration;

use flotilla_cloud_migration::{Command, File, Part, Record};
use flotilla_proto::identity::stamp;
use flotilla_proto::migration_v1::migration_service_client::MigrationServiceClient;
use flotilla_proto::migration_v1::{
    CancelRequest, ChangeResponse, Elsewhere, FilesRequest, FilesResponse, GetRequest, GetResponse,
    PartsRequest, PartsResponse, PreflightResponse, ProposeRequest, StartRequest, Verdict,
};
use flotilla_proto::net::{GrpcService, Lane};
use flotilla_types::limits::MESSAGE_BYTES_MAX;
use flotilla_types::{ClusterId, Wire};
use tokio::time::timeout;
use tonic::{Response, Status};

use crate::replicas::Replicas;

/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

type Grpc = MigrationServiceClient<GrpcService>;

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreported {
    /// The record says no. Repeating does not help.
    #[error("refused ({verdict:?}): {message}")]
    Refused {
        /// For programs.
        verdict: Verdict,
        /// For people.
        message: String,
    },
    /// Nobody answered, or there is no leader: repeat.
    #[error("the controller does not answer: {0}")]
    Unreachable(String),
}

impl Unreported {
    /// Whether the speaker's time is over: the migration ended, or somebody else does its work now.
    pub fn is_over(&self) -> bool {
        let over = [Verdict::Terminal, Verdict::Fenced, Verdict::NotFound];
        matches!(self, Self::Refused { verdict, .. } if over.contains(verdict))
    }
}

/// Speaks for one node; cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    replicas: Replicas,
}

/// An answer that may say "ask somebody else".
pub trait Answered {
    /// Who leads, if it was not the one asked.
    fn elsewhere(&self) -> Option<&Elsewhere>;
}

macro_rules! answered {
    ($($message:ty),*) => {$(
        impl Answered for $message {
            fn elsewhere(&self) -> Option<&Elsewhere> {
                self.elsewhere.as_ref()
            }
        }
    )*};
}
answered!(ChangeResponse, FilesResponse, PartsResponse, GetResponse, PreflightResponse);

impl Reporter {
    /// Of this node.
    pub fn new(replicas: Replicas) -> Self {
        Self { replicas }
    }

    /// One command. Repeating it does no harm: every command is a compare-and-set.
    pub async fn propose(&self, command: Command) -> Result<ChangeResponse, Unreported> {
        let bytes = command.to_bytes();
        let answer: ChangeResponse = self
            .ask(|mut grpc, cluster| {
                let request = ProposeRequest { command: bytes.clone() };
                async move { grpc.propose(stamp(request, Some(cluster))).await }
            })
            .await?;
        match answer.verdict() {
            Verdict::Accepted => Ok(answer),
            verdict => Err(Unreported::Refused { verdict, message: answer.message }),
        }
    }

    /// All files of a migration, in order.
    pub async fn files(&self, id: u64) -> Result<Vec<File>, Unreported> {
        let mut files: Vec<File> = Vec::new();
        loop {
            let request = FilesRequest { id, from: files.len() as u32, limit: 0, stale: false };
            let page: FilesResponse = self
                .ask(|mut grpc, cluster| async move { grpc.files(stamp(request, Some(cluster))).await })
                .await?;
            if page.files.is_empty() {
                return Ok(files);
            }
            files.extend(page.files);
        }
    }

    /// The parts that are recorded of one file.
    pub async fn parts(&self, id: u64, file: u32) -> Result<Vec<Part>, Unreported> {
        let request = PartsRequest { id, file };
        let answer: PartsResponse = self
            .ask(|mut grpc, cluster| async move { grpc.parts(stamp(request, Some(cluster))).await })
            .await?;
        Ok(answer.parts)
    }

    /// A new migration, as a client would ask for it.
    pub async fn start(&self, request: StartRequest) -> Result<ChangeResponse, Unreported> {
        self.ask(|mut grpc, cluster| {
            let request = request.clone();
            async move { grpc.start(stamp(request, Some(cluster))).await }
        })
        .await
    }

    /// Calls off one migration, or all with id 0.
    pub async fn cancel(&self, id: u64) -> Result<ChangeResponse, Unreported> {
        self.ask(
            |mut grpc, cluster| async move { grpc.cancel(stamp(CancelRequest { id }, Some(cluster))).await },
        )
        .await
    }

    /// The newest migration.
    pub async fn newest(&self) -> Result<Option<Record>, Unreported> {
        let request = GetRequest { id: 0, stale: false };
        let answer: GetResponse = self
            .ask(|mut grpc, cluster| async move { grpc.get(stamp(request, Some(cluster))).await })
            .await?;
        Ok(answer.record)
    }

    /// Asks each controller once, the likeliest first, and the leader that one of them names.
    async fn ask<T, F, Fut>(&self, call: F) -> Result<T, Unreported>
    where
        T: Answered,
        F: Fn(Grpc, ClusterId) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let mut queue = self.replicas.node().controller.addresses();
        if let Some((_, peer)) = self.replicas.controller().and_then(|group| group.leader()) {
            queue.insert(0, peer.address);
        }
        let mut tried: Vec<String> = Vec::new();
        let mut last = "no controller is known".to_owned();
        while !queue.is_empty() {
            let address = queue.remove(0);
            if tried.contains(&address) {
                continue;
            }
            tried.push(address.clone());
            match self.at(&address, &call).await {
                Ok(answer) => match answer.elsewhere() {
                    None => return Ok(answer),
                    Some(Elsewhere { address, .. }) => {
                        "it has no leader at the moment".clone_into(&mut last);
                        queue.splice(0..0, Some(address.clone()).filter(|address| !address.is_empty()));
                    }
                },
                Err(status) => status.message().clone_into(&mut last),
            }
        }
        Err(Unreported::Unreachable(last))
    }

    /// Asks one node.
    pub(crate) async fn at<T, F, Fut>(&self, address: &str, call: F) -> Result<T, Status>
    where
        F: FnOnce(Grpc, ClusterId) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let local = self.replicas.node();
        let service = local.env.network.connect(address, Lane::Client);
        let service = service.map_err(|error| Status::unavailable(error.to_string()))?;
        let grpc = Grpc::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        match timeout(ATTEMPT_TIMEOUT, call(grpc, local.options.cluster)).await {
            Ok(answer) => answer.map(Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("no answer within 5 s")),
        }
    }
}
