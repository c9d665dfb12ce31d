//! Asks any node about migrations, and then the one that leads the controller.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Result;
use flotilla_proto::env::Environment;
use flotilla_proto::migration_v1::migration_service_client::MigrationServiceClient;
use flotilla_proto::migration_v1::{
    ChangeResponse, Elsewhere, GetResponse, ListResponse, PreflightResponse, Verdict,
};
use flotilla_proto::net::{GrpcService, Lane};
use flotilla_types::limits::MESSAGE_BYTES_MAX;
use tonic::{Response, Status};

use crate::args::Common;
use crate::{duration, exit};

/// One attempt: looking at a target takes its time.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
/// Between two rounds over the nodes.
const PAUSE: Duration = Duration::from_millis(150);

/// A generated client.
pub type Grpc = MigrationServiceClient<GrpcService>;

/// An answer that may say "ask somebody else".
pub trait Answer {
    /// Who leads, if it was not the one asked.
    fn elsewhere(&self) -> Option<&Elsewhere>;
}

macro_rules! answers {
    ($($message:ty),*) => {$(
        impl Answer for $message {
            fn elsewhere(&self) -> Option<&Elsewhere> {
                self.elsewhere.as_ref()
            }
        }
    )*};
}
answers!(ChangeResponse, GetResponse, ListResponse, PreflightResponse);

/// Asks until somebody answers in the controller's name, or the deadline has passed.
pub struct Asker {
    environment: Environment,
    endpoints: Vec<String>,
    timeout: Duration,
}

impl Asker {
    /// Of the cluster that `--endpoints` names, within `--timeout`.
    pub fn new(common: &Common) -> Self {
        let endpoints = common.endpoints.0.clone();
        Self { environment: Environment::real(), endpoints, timeout: common.timeout }
    }

    /// What it reaches the nodes through.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// An id for a request that must act once.
    pub fn request_id(&self) -> u64 {
        self.environment.random.next_u64().max(1)
    }

    /// A client of one node.
    pub fn grpc(&self, address: &str) -> Result<Grpc, String> {
        let service =
            self.environment.network.connect(address, Lane::Client).map_err(|error| error.to_string())?;
        let grpc = Grpc::new(service);
        Ok(grpc.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Every node once a round, the one that another names at once.
    pub async fn ask<T, F, Fut>(&self, call: F) -> Result<T>
    where
        T: Answer,
        F: Fn(Grpc) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + self.timeout;
        let mut last = String::new();
        loop {
            let mut queue = self.endpoints.clone();
            let mut tried: Vec<String> = Vec::new();
            while !queue.is_empty() {
                let address = queue.remove(0);
                if tried.contains(&address) {
                    continue;
                }
                tried.push(address.clone());
                let patience = deadline.saturating_duration_since(Instant::now()).min(ATTEMPT_MAX);
                match self.attempt(&address, &call, patience).await {
                    Ok(answer) => match answer.elsewhere() {
                        None => return Ok(answer),
                        Some(Elsewhere { address, .. }) if !address.is_empty() => {
                            queue.insert(0, address.clone())
                        }
                        Some(_) => "the controller has no leader at the moment".clone_into(&mut last),
                    },
                    Err(why) => last = format!("{address}: {why}"),
                }
            }
            if Instant::now() + PAUSE >= deadline {
                let waited = duration::shown(self.timeout);
                return Err(exit::unreachable(format!("no answer within {waited}: {last}")));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn attempt<T, F, Fut>(&self, address: &str, call: &F, patience: Duration) -> Result<T, String>
    where
        F: Fn(Grpc) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        match tokio::time::timeout(patience, call(self.grpc(address)?)).await {
            Ok(answer) => answer.map(Response::into_inner).map_err(|status| status.message().to_owned()),
            Err(_) => Err(format!("no answer within {}", duration::shown(patience))),
        }
    }
}

/// An accepted change, or the refusal as this command's end.
pub fn accepted(answer: ChangeResponse) -> Result<ChangeResponse> {
    match answer.verdict() {
        Verdict::Accepted => Ok(answer),
        Verdict::Invalid => Err(exit::misuse(answer.message)),
        _ => Err(exit::no(answer.message)),
    }
}
