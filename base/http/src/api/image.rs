//! Images: the list, one of them in full, what a removal did.

use super::container::ContainerConfig;
use base::json_object;
use base::map::Map;

json_object! {
    /// One row of `GET /images/json`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ImageSummary {
        /// `sha256:` and 64 hex digits.
        "Id" => pub id: String,
        /// The image that it was built on; unknown here.
        "ParentId" => pub parent_id: String,
        /// name:tag, each one.
        "RepoTags" => pub repo_tags: Vec<String>,
        /// name@digest, each one.
        "RepoDigests" => pub repo_digests: Vec<String>,
        /// Seconds since 1970.
        "Created" => pub created: i64,
        /// Bytes on disk.
        "Size" => pub size: i64,
        /// Of these, shared with other images; -1 when not counted.
        "SharedSize" => pub shared_size: i64,
        /// The same as `Size`, for old clients.
        "VirtualSize" ? => pub virtual_size: i64,
        /// Labels of its configuration.
        "Labels" => pub labels: Map<String, String>,
        /// Containers made from it; -1 when not counted.
        "Containers" => pub containers: i64,
    }
}

json_object! {
    /// The layers of an image.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct RootFs {
        /// layers.
        "Type" => pub kind: String,
        /// Diff ids, lowest first.
        "Layers" ? => pub layers: Vec<String>,
    }
}

json_object! {
    /// Where a graphdriver keeps a tree.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct GraphDriverData {
        /// Folders by name.
        "Data" => pub data: Map<String, String>,
        /// The driver's name.
        "Name" => pub name: String,
    }
}

json_object! {
    /// The answer to `GET /images/NAME/json`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ImageInspect {
        /// `sha256:` and 64 hex digits.
        "Id" => pub id: String,
        /// name:tag, each one.
        "RepoTags" => pub repo_tags: Vec<String>,
        /// name@digest, each one.
        "RepoDigests" => pub repo_digests: Vec<String>,
        /// Unknown here.
        "Parent" => pub parent: String,
        /// What its maker said.
        "Comment" => pub comment: String,
        /// When it was made.
        "Created" => pub created: String,
        /// What made it.
        "DockerVersion" => pub docker_version: String,
        /// Who made it.
        "Author" => pub author: String,
        /// What containers get from it.
        "Config" => pub config: Option<ContainerConfig>,
        /// amd64, arm, ...
        "Architecture" => pub architecture: String,
        /// v7, v8, ...
        "Variant" ? => pub variant: String,
        /// linux.
        "Os" => pub os: String,
        /// Bytes on disk.
        "Size" => pub size: i64,
        /// The same as `Size`, for old clients.
        "VirtualSize" ? => pub virtual_size: i64,
        /// Folders of the merged tree.
        "GraphDriver" ? => pub graph_driver: Option<GraphDriverData>,
        /// Diff ids.
        "RootFS" => pub root_fs: RootFs,
    }
}

json_object! {
    /// One step of a removal: exactly one member is set.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct DeleteResponse {
        /// A name that is gone.
        "Untagged" ? => pub untagged: String,
        /// An image or layer that is gone.
        "Deleted" ? => pub deleted: String,
    }
}

json_object! {
    /// The answer to `POST /images/prune`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ImagesPruned {
        /// What is gone.
        "ImagesDeleted" => pub deleted: Vec<DeleteResponse>,
        /// Bytes that are free now.
        "SpaceReclaimed" => pub space: u64,
    }
}
