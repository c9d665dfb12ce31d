//! What people type: endpoints, durations, groups, escaped bytes, ids.

use flotilla_types::{ClusterId, NodeId};

use super::{duration, endpoints, escape, spec};

/// One text: its kind, then its bytes.
pub fn run(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    if kind % 6 == 0 {
        return escaped(body);
    }
    let Ok(text) = std::str::from_utf8(body) else { return };
    match kind % 6 {
        1 => parsed_endpoints(text),
        2 => parsed_duration(text),
        3 => parsed_group(text),
        4 => parsed_replica(text),
        _ => parsed_ids(text),
    }
}

fn escaped(body: &[u8]) {
    let text = escape::escaped(body);
    assert_eq!(escape::unescaped(&text).as_deref(), Ok(body), "escaped bytes come back");
    assert!(!text.iter().any(|byte| b"\t\n\r".contains(byte)), "an escaped text is one field of one line");
    if let Ok(bytes) = escape::unescaped(body) {
        assert_eq!(escape::unescaped(&escape::escaped(&bytes)).as_deref(), Ok(&bytes[..]));
    }
}

fn parsed_endpoints(text: &str) {
    let Ok(found) = endpoints::parse(text) else { return };
    assert!(!found.0.is_empty() && found.0.iter().all(|one| endpoints::check(one).is_ok()), "{text:?}");
    assert_eq!(endpoints::parse(&found.0.join(",")).as_ref(), Ok(&found), "{text:?}");
}

fn parsed_duration(text: &str) {
    if let Ok(found) = duration::parse(text) {
        assert!(!found.is_zero(), "{text:?}");
        let _ = duration::shown(found);
    }
}

fn parsed_group(text: &str) {
    let Ok(group) = spec::parse(text) else { return };
    let nodes: Vec<_> = group.nodes.iter().map(ToString::to_string).collect();
    assert_eq!(spec::parse(&format!("{}={}", group.gid, nodes.join(","))), Ok(group), "{text:?}");
}

fn parsed_replica(text: &str) {
    if let Ok(id) = text.parse::<flotilla_raft_store::ReplicaId>() {
        assert_eq!(id.to_string(), text);
    }
}

fn parsed_ids(text: &str) {
    if let Ok(id) = text.parse::<ClusterId>() {
        assert_eq!(id.to_string().parse(), Ok(id), "{text:?}");
    }
    if let Ok(id) = text.parse::<NodeId>() {
        assert_eq!(id.to_string().parse::<NodeId>().ok(), Some(id), "{text:?}");
    }
}
