//! Who is at the other end of a connection on one machine where all nodes have the same address: the process that
//! holds the socket.

use std::fs;

use super::CLIENTS;

/// The node that connected from this port of 127.0.0.1; clients, if none of these processes did.
pub(crate) fn by_port(port: u16, nodes: &[(u64, u32)]) -> u64 {
    let Some(inode) = inode(&fs::read_to_string("/proc/net/tcp").unwrap_or_default(), port) else {
        return CLIENTS;
    };
    let wanted = format!("socket:[{inode}]");
    let holds = |pid: u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|link| link.as_os_str() == wanted.as_str())
    };
    nodes.iter().find(|(_, pid)| holds(*pid)).map_or(CLIENTS, |(node, _)| *node)
}

/// The socket with this local port, in the kernel's table.
fn inode(table: &str, port: u16) -> Option<u64> {
    let suffix = format!(":{port:04X}");
    let mut rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.get(1).is_some_and(|local| local.ends_with(&suffix)))?;
    row.get(9)?.parse().ok().filter(|inode| *inode > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_holder_of_a_socket_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("a connection");
        let port = stream.local_addr().expect("connected").port();
        assert_eq!(by_port(port, &[(7, std::process::id())]), 7);
        assert_eq!(by_port(port, &[(7, 1)]), CLIENTS);
        assert_eq!(by_port(port, &[]), CLIENTS);
    }
}
