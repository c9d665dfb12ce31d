//! Where a node is reached: `host:port`.

/// The longest address: a DNS name of 255 bytes, a colon and a port.
pub(crate) const ADDRESS_BYTES_MAX: usize = 261;

/// Says what is wrong with `text` as `host:port`; an IPv6 host stands in brackets.
pub(crate) fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > ADDRESS_BYTES_MAX {
        return Err("it is longer than 261 bytes");
    }
    let (host, port) = text.rsplit_once(':').ok_or("the port is missing")?;
    check_host(host)?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if digits && number > 0 => Ok(()),
        _ => Err("the port is not a number from 1 to 65535"),
    }
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("the host is missing");
    }
    if host.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/' || c == '@') {
        return Err("the host holds a space, a slash or another character that no host has");
    }
    match host.strip_prefix('[') {
        Some(rest) if rest.len() > 1 && rest.ends_with(']') => Ok(()),
        Some(_) => Err("the bracket around the host is not closed"),
        None if host.contains(':') => Err("an IPv6 host stands in brackets"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_hosts_with_ports() {
        for good in ["127.0.0.1:7101", "localhost:1", "db-3.example.org:65535", "[::1]:7101"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for bad in [
            "",
            ":",
            "7101",
            "host",
            "host:",
            ":7101",
            "host:0",
            "host:65536",
            "host:+1",
            "host:1 ",
            "a b:1",
            "::1:7101",
            "[::1:7101",
            "[]:1",
            "http://host:1",
            "host:port",
            "host\n:1",
            "host:1:",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check(&format!("{}:1", "h".repeat(300))).is_err());
    }
}
