//! What a container is: fixed when it is made.

use base::json::Rest;
use base::json_object;
use base_http::api::container::ContainerConfig;
use base_http::api::host_config::HostConfig;

json_object! {
    /// A container's record, `config.json`. Members of newer versions are kept.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct Record {
        /// 64 hex digits.
        "Id" => pub(crate) id: String,
        /// Its name, without a slash.
        "Name" => pub(crate) name: String,
        /// When it was made, RFC 3339.
        "Created" => pub(crate) created: String,
        /// The image's id.
        "Image" => pub(crate) image: String,
        /// The program and its arguments, image and command line merged.
        "Command" => pub(crate) command: Vec<String>,
        /// The graph driver that made its root.
        "Driver" => pub(crate) driver: String,
        /// What runs, image and command line merged.
        "Config" => pub(crate) config: ContainerConfig,
        /// What the host gives.
        "HostConfig" => pub(crate) host_config: HostConfig,
        /// Members of newer versions.
        ..pub(crate) rest: Rest,
    }
}
