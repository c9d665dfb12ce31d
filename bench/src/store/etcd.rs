//! etcd, through the crate `etcd-client`. Reads are etcd's default ones, which are linearizable.

use std::time::Duration;

use bytes::Bytes;
use etcd_client::{Client, ConnectOptions, Error, GetOptions, KvClient, SortOrder, SortTarget};

use super::{Store, Trouble};

/// A connection to one member.
#[derive(Clone)]
pub struct Etcd(Box<KvClient>);

/// Connects to the member that leads: there etcd is fastest, since the others pass on what they are asked. If nobody leads,
/// to any that answers.
pub(super) async fn open(endpoints: &[String], limit: Duration) -> Result<Etcd, String> {
    let (mut answering, mut trouble) = (None, "no endpoint is given".to_owned());
    for endpoint in endpoints {
        match ask(endpoint, limit).await {
            Ok((client, true)) => return Ok(Etcd(Box::new(client.kv_client()))),
            Ok((client, false)) => answering = Some(client),
            Err(error) => trouble = error.to_string(),
        }
    }
    answering.map(|client| Etcd(Box::new(client.kv_client()))).ok_or(trouble)
}

/// A connection to this member, and whether it leads.
async fn ask(endpoint: &str, limit: Duration) -> Result<(Client, bool), Error> {
    let options = ConnectOptions::new().with_timeout(limit).with_connect_timeout(limit);
    let mut client = Client::connect([endpoint], Some(options)).await?;
    let status = client.status().await?;
    let leads = status.header().is_some_and(|header| header.member_id() == status.leader());
    Ok((client, leads))
}

/// etcd does not tell apart what was not done and what may have been.
fn trouble(error: Error) -> Trouble {
    Trouble { unknown: true, message: error.to_string() }
}

impl Store for Etcd {
    async fn put(&mut self, key: Bytes, value: Bytes) -> Result<(), Trouble> {
        self.0.put(key, value, None).await.map(drop).map_err(trouble)
    }

    async fn get(&mut self, key: Bytes) -> Result<Option<Bytes>, Trouble> {
        let mut answer = self.0.get(key, None).await.map_err(trouble)?;
        Ok(answer.take_kvs().pop().map(|found| found.into_key_value().1.into()))
    }

    async fn append(&mut self, _: Bytes, _: Bytes) -> Result<(), Trouble> {
        Err(Trouble { unknown: false, message: "etcd has no append".to_owned() })
    }

    async fn scan(&mut self, start: Bytes, end: Bytes, rows: usize) -> Result<Vec<(Bytes, Bytes)>, Trouble> {
        let limit = i64::try_from(rows).unwrap_or(i64::MAX);
        let options =
            GetOptions::new().with_range(end).with_limit(limit).with_sort(SortTarget::Key, SortOrder::Ascend);
        let mut answer = self.0.get(start, Some(options)).await.map_err(trouble)?;
        let rows = answer.take_kvs().into_iter().map(|found| found.into_key_value());
        Ok(rows.map(|(key, value)| (key.into(), value.into())).collect())
    }
}
