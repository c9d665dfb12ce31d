//! Where the cluster is: `host:port`, separated by commas; a bare port has the host before it.

/// Where `flotilla up` puts its first nodes.
pub const DEFAULT_ENDPOINTS: &str = "127.0.0.1:7101,7102,7103";

/// gRPC addresses of nodes, at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoints(pub Vec<String>);

/// Parses a list of endpoints.
pub fn parse(text: &str) -> Result<Endpoints, String> {
    let mut found: Vec<String> = Vec::new();
    for item in text.split(',').map(str::trim) {
        let before = found.last().and_then(|last| last.rsplit_once(':')).map(|(host, _)| host.to_owned());
        let address = match (item.rsplit_once(':'), before) {
            (Some(_), _) => item.to_owned(),
            (None, Some(host)) if !item.is_empty() => format!("{host}:{item}"),
            _ => return Err(format!("{item:?} is not host:port, as in 127.0.0.1:7101")),
        };
        check(&address)?;
        if !found.contains(&address) {
            found.push(address);
        }
    }
    Ok(Endpoints(found))
}

/// Says what is wrong with an address.
pub fn check(address: &str) -> Result<(), String> {
    let wrong = |why: &str| format!("{address:?} is not host:port, as in 127.0.0.1:7101: {why}");
    let (host, port) = address.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() {
        return Err(wrong("the host is missing"));
    }
    if host.contains("://") || host.contains(['/', '@', ' ']) {
        return Err(wrong("leave out http:// and any path"));
    }
    if host.contains(':') && !bracketed {
        return Err(wrong("an IPv6 host stands in brackets"));
    }
    match port.parse::<u16>() {
        Ok(1..) if port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
        _ => Err(wrong("the port is a number from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_port_has_the_host_before_it() {
        let found = parse(DEFAULT_ENDPOINTS).unwrap();
        assert_eq!(found.0, ["127.0.0.1:7101", "127.0.0.1:7102", "127.0.0.1:7103"]);
        assert_eq!(parse("[::1]:1, db:2,3,3").unwrap().0, ["[::1]:1", "db:2", "db:3"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "7101", "host", "host:", ":1", "host:0", "host:70000", "http://a:1", "a:1,,b:2", "::1:7"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
