//! A new group as it is typed: `3=1,2,3`.

use flotilla_proto::ctrl_v1::NewGroup;

/// Parses `GID=NODE,NODE,...`. Whether the group may join is the controller's to say.
pub fn parse(text: &str) -> Result<NewGroup, String> {
    let wrong = |why: String| format!("{text:?} is not GID=NODE,NODE,... as in 3=1,2,3: {why}");
    let (gid, nodes) = text.split_once('=').ok_or_else(|| wrong("the = is missing".into()))?;
    let gid = number(gid).map_err(|bad| wrong(format!("the group {bad:?} is no number")))?;
    let nodes: Result<Vec<u64>, String> = nodes.split(',').map(number).collect();
    let nodes = nodes.map_err(|bad| wrong(format!("the node {bad:?} is no number")))?;
    Ok(NewGroup { gid, nodes })
}

fn number(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_and_its_nodes() {
        let group = parse("3=1,2,30").unwrap();
        assert_eq!((group.gid, group.nodes), (3, vec![1, 2, 30]));
        for text in ["", "3", "3=", "3=1,", "=1", "x=1", "3=a", "3=1,,2", "-3=1", "3=1 ,2", "+3=1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
