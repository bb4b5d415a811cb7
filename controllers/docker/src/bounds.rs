//! What templates may ask of the host. By default nothing: each right is granted by name in the controller's settings.

use std::{collections::BTreeSet, path::Path, str::FromStr};

use controllers::driver::user_error;
use streams::wire::Failure;

use super::block::Block;

/// The name of the setting in the environment, for messages.
pub(crate) const SETTING: &str = "STREAMSPACE_DOCKER_ALLOW";

/// The rights that templates may use: `privileged`, `host-network`, `host-pid`, `host-ipc`, `unconfined`, `capability:NAME`,
/// `device:/dev/...`, `path:/...`, separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed(BTreeSet<String>);

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |one: &str| match one.split_once(':') {
            None if ["privileged", "host-network", "host-pid", "host-ipc", "unconfined"].contains(&one) => {
                Ok(one.to_owned())
            }
            Some(("capability", name)) if !name.is_empty() => Ok(capability(name)),
            Some(("device" | "path", path)) if plain(path) => Ok(one.trim_end_matches('/').to_owned()),
            _ => Err(format!(
                "{one:?} is not privileged, host-network, host-pid, host-ipc, unconfined, capability:NAME, device:/PATH or path:/PATH"
            )),
        };
        text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(one).collect::<Result<_, _>>().map(Self)
    }
}

/// An absolute path without a way back up.
fn plain(path: &str) -> bool {
    path.starts_with('/') && !Path::new(path).components().any(|part| part.as_os_str() == "..")
}

fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    format!("capability:{}", name.strip_prefix("CAP_").unwrap_or(&name))
}

impl Allowed {
    /// Holds a block against what is granted.
    ///
    /// # Errors
    /// A user's mistake that names the field and the setting.
    pub(crate) fn check(&self, block: &Block) -> Result<(), Failure> {
        let switches = [
            ("privileged", block.privileged, "privileged"),
            ("hostNetwork", block.host_network, "host-network"),
            ("hostPid", block.host_pid, "host-pid"),
            ("hostIpc", block.host_ipc, "host-ipc"),
            ("securityOpt", !block.security_opt.is_empty(), "unconfined"),
        ];
        for (field, asked, right) in switches {
            self.need(asked, field, right)?;
        }
        for name in &block.cap_add {
            self.need(true, "capAdd", &capability(name))?;
        }
        for device in &block.devices {
            let host = device.split(':').next().unwrap_or_default();
            self.need_below("devices", "device", host)?;
        }
        block.host_paths.iter().try_for_each(|path| self.need_below("hostPaths", "path", &path.host_path))
    }

    fn need(&self, asked: bool, field: &str, right: &str) -> Result<(), Failure> {
        if !asked || self.0.contains(right) {
            return Ok(());
        }
        Err(refused(field, right))
    }

    /// The path itself or a folder above it has to be granted.
    fn need_below(&self, field: &str, kind: &str, path: &str) -> Result<(), Failure> {
        let granted = |right: &String| {
            right.strip_prefix(kind).and_then(|rest| rest.strip_prefix(':')).is_some_and(|root| {
                let root = if root.is_empty() { "/" } else { root };
                Path::new(path).starts_with(root)
            })
        };
        if plain(path) && self.0.iter().any(granted) { Ok(()) } else { Err(refused(field, &format!("{kind}:{path}"))) }
    }
}

fn refused(field: &str, right: &str) -> Failure {
    user_error(
        "not_allowed",
        format!("spec.docker.{field}: this controller allows no {right}; its operator can, with {SETTING}={right}"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed assumption is a failed test

    use serde_json::json;

    use super::*;

    fn asks(block: &serde_json::Value, allowed: &str) -> Result<(), String> {
        let block: Block = serde_json::from_value(block.clone()).unwrap();
        Allowed::from_str(allowed).unwrap().check(&block).map_err(|failure| {
            assert!(failure.user_error && !failure.retryable && failure.message.contains(SETTING), "{failure:?}");
            failure.message
        })
    }

    #[test]
    fn a_template_gets_nothing_of_the_host_that_is_not_granted_by_name() {
        let table = [
            (json!({ "privileged": true }), "privileged", "host-network"),
            (json!({ "hostNetwork": true }), "host-network", "host-pid"),
            (json!({ "hostPid": true }), "host-pid", ""),
            (json!({ "hostIpc": true }), "host-ipc", ""),
            (json!({ "securityOpt": ["seccomp=unconfined"] }), "unconfined", "privileged"),
            (json!({ "capAdd": ["cap_net_admin"] }), "capability:NET_ADMIN", "capability:SYS_ADMIN"),
            (
                json!({ "devices": ["/dev/dri/card0:/dev/dri/card0:r"] }),
                "device:/dev/dri",
                "device:/dev/dr,path:/dev/dri",
            ),
            (json!({ "hostPaths": [{ "hostPath": "/srv/a", "mountPath": "/a" }] }), "path:/srv/", "path:/srv/b"),
        ];
        for (block, enough, wrong) in table {
            assert!(asks(&block, "").is_err(), "{block} by default");
            assert!(asks(&block, wrong).is_err(), "{block} with {wrong}");
            assert_eq!(asks(&block, enough), Ok(()), "{block} with {enough}");
        }
        assert_eq!(asks(&json!({ "capDrop": ["ALL"], "pids": 5 }), ""), Ok(()));
    }

    #[test]
    fn a_path_with_a_way_up_is_not_below_what_is_granted() {
        let block = json!({ "hostPaths": [{ "hostPath": "/srv/../etc", "mountPath": "/a" }] });
        assert!(asks(&block, "path:/srv").is_err());
        assert!(Allowed::from_str("path:/srv/../etc").is_err());
        assert!(Allowed::from_str("everything").is_err());
    }
}
